"""The criterion as a PyTorch module."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

import l2core
from l2core import Loss, SquaredError, Terms
from l2core.attributes import Attributes
from l2core.backend import Backend
from l2torch.backend import BACKEND


@dataclass(frozen=True)
class _Core(l2core.Criterion):
    _backend: ClassVar[Backend | None] = BACKEND
    _names: ClassVar[tuple[str, str, str]] = ("input", "target", "weight")


class Criterion(Attributes, nn.Module):
    """An :class:`l2core.Criterion` as a module without parameters or state.

    Shape: ``input`` (*), ``target`` (*) of the same shape; the output is a scalar, or (*) under
    ``reduction="none"``, or without the reduced axes under ``axis``. ``weight``, ``mask`` and the
    parameters of the loss align with the leading axes, or have input's rank with axes of length 1.
    Fields, dtypes and errors are those of :class:`l2core.Criterion`. Fields and the parameters of
    the loss are attributes; set, they take effect (``loss.reduction = "none"``).
    """

    def __init__(
        self,
        loss: Loss = SquaredError(),  # noqa: B008 (frozen)
        reduction: str = "mean",
        denominator: str | float = "weight",
        axis: int | tuple[int, ...] | None = None,
        empty: str = "nan",
        nan_targets: str = "propagate",
    ) -> None:
        super().__init__()
        self.criterion = _Core(loss, reduction, denominator, axis, empty, nan_targets)

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        weight: Tensor | float | None = None,
        mask: Tensor | None = None,
        denominator: Tensor | float | None = None,
        **parameters: Tensor | float | None,
    ) -> Tensor:
        """The loss, as :meth:`l2core.Criterion.__call__` says."""
        value: Tensor
        if weight is None and mask is None and denominator is None and not parameters:
            # Names of arguments cost a twentieth of a small call.
            value = self.criterion(input, target)
            return value
        value = self.criterion(
            input, target, weight=weight, mask=mask, denominator=denominator, **parameters
        )
        return value

    def terms(self, input: Tensor, target: Tensor, **others: Any) -> Terms:
        """Numerator and denominator of the mean, as :meth:`l2core.Criterion.terms` says."""
        return self.criterion.terms(input, target, **others)

    def missing(self, name: str) -> Any:
        """A parameter, buffer or module that a class of the user's has."""
        return nn.Module.__getattr__(self, name)

    def extra_repr(self) -> str:
        """The loss with its parameters, and the fields that differ from their defaults."""
        if torch.compiler.is_compiling():  # vmap wants a name; parameters may be symbols there
            return type(self.criterion.loss).__name__
        changed = [
            f"{field.name}={getattr(self.criterion, field.name)!r}"
            for field in fields(self.criterion)
            if field.name != "loss" and getattr(self.criterion, field.name) != field.default
        ]
        return ", ".join([repr(self.criterion.loss), *changed])
