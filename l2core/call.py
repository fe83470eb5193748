"""What comes with one call, and what a criterion says of it: named once for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from numbers import Real
from types import MappingProxyType
from typing import Any, NamedTuple, get_type_hints

from l2core.arrays import Array
from l2core.config import Axis, LossLike, axis_of, check_keys, loss_of
from l2core.losses import Loss

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
    def of(cls, pred: Array, target: Array, **named: Any) -> Call:
        """The call with these arguments, of which any that is no field is a parameter of the loss."""
        own = {name: named.pop(name) for name in cls._fields[2:-1] if name in named}
        return cls(pred, target, **own, parameters=named)

    def detached(self, detach: Callable[[Array], Array]) -> Call:
        """With its arrays out of the graph of any gradient; without parameters."""
        pred, target, weight, mask = (
            detach(x) if hasattr(x, "dtype") else x
            for x in (self.pred, self.target, self.weight, self.mask)
        )
        return Call(pred, target, weight, mask)

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


@dataclass(frozen=True, init=False)
class Meaning:
    """The fields of a criterion, which say what a call means: :class:`l2core.Criterion` has them."""

    loss: Loss
    reduction: str
    denominator: str | float
    axis: int | tuple[int, ...] | None
    empty: str
    nan_targets: str
    exact: bool

    def __init__(
        self,
        loss: LossLike = "squared_error",
        reduction: str = "mean",
        denominator: str | float = "weight",
        axis: Axis = None,
        empty: str = "nan",
        nan_targets: str = "propagate",
        exact: bool = False,
    ) -> None:
        # Past what freezes them.
        object.__setattr__(self, "loss", loss_of(loss))
        object.__setattr__(self, "reduction", reduction)
        # A NumPy scalar would not survive JSON.
        number = isinstance(denominator, Real) and not isinstance(denominator, bool)
        object.__setattr__(self, "denominator", float(denominator) if number else denominator)
        object.__setattr__(self, "axis", axis_of(axis))
        object.__setattr__(self, "empty", empty)
        object.__setattr__(self, "nan_targets", nan_targets)
        object.__setattr__(self, "exact", exact)
        self._check()

    @property
    def arguments(self) -> dict[str, Any]:
        """All of them, by name: those of another criterion that means the same."""
        return {f.name: getattr(self, f.name) for f in fields(Meaning)}

    @property
    def changed(self) -> dict[str, Any]:
        """The fields that have not their defaults, by name."""
        usual = Meaning()
        both = ((f.name, getattr(self, f.name), getattr(usual, f.name)) for f in fields(Meaning))
        return {name: value for name, value, default in both if value != default}

    def _check(self) -> None:
        """TypeError or ValueError for a field that means nothing."""


# Evaluated: tools that read a dataclass (jsonargparse) would else take a postponed annotation for the
# field's, which is what an argument has become.
Meaning.__init__.__annotations__.update(get_type_hints(Meaning.__init__))


CONFIG_VERSION = 1


def told_by(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields in a ``to_config`` mapping."""
    check_keys("config", config, ("version", *(field.name for field in fields(Meaning))))
    version = config.get("version", CONFIG_VERSION)
    if version != CONFIG_VERSION:
        raise ValueError(f"version: expected {CONFIG_VERSION}, got {version!r}")
    return {name: x for name, x in config.items() if name != "version"}
