"""What comes with one call, and what a criterion says of it: named once for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from l2core.arrays import Array
from l2core.losses import Loss, SquaredError

NONE: Mapping[str, Any] = MappingProxyType({})


class Call(NamedTuple):
    """The arguments as they came; ``parameters`` are those of the loss, by name."""

    pred: Array
    target: Array
    weight: Array | float | None = None
    mask: Array | None = None
    denominator: Array | float | None = None
    parameters: Mapping[str, Any] = NONE

    @classmethod
    def of(
        cls,
        pred: Array,
        target: Array,
        *,
        weight: Array | float | None = None,
        mask: Array | None = None,
        denominator: Array | float | None = None,
        **parameters: Any,
    ) -> Call:
        """The call with these arguments."""
        return cls(pred, target, weight, mask, denominator, parameters)

    @property
    def others(self) -> dict[str, Any]:
        """What is given by name, as :meth:`of` takes it."""
        named = {"weight": self.weight, "mask": self.mask, "denominator": self.denominator}
        return {**named, **self.parameters}

    @property
    def plain(self) -> bool:
        """Whether nothing came but the prediction and the target."""
        return (
            self.weight is None
            and self.mask is None
            and self.denominator is None
            and not self.parameters
        )


@dataclass(frozen=True)
class Meaning:
    """The fields of a criterion, which say what a call means: :class:`l2core.Criterion` has them."""

    loss: Loss = SquaredError()  # noqa: RUF009 (frozen)
    reduction: str = "mean"
    denominator: str | float = "weight"
    axis: int | tuple[int, ...] | None = None
    empty: str = "nan"
    nan_targets: str = "propagate"
