"""Modules with PyTorch's names and arguments, and the losses that PyTorch lacks.

Each is called ``(input, target, *, weight=None, mask=None)``. They raise for unequal shapes, where
PyTorch broadcasts, and for its deprecated ``size_average`` and ``reduce``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from l2core import (
    AbsoluteError,
    GaussianNLL,
    Huber,
    LogCosh,
    Quantile,
    SmoothL1,
    SquaredError,
)
from l2torch.criterion import Criterion


def refuse_legacy(size_average: Any, reduce: Any) -> None:
    """TypeError if one of PyTorch's deprecated arguments is used."""
    for name, value in (("size_average", size_average), ("reduce", reduce)):
        if value is not None:
            raise TypeError(f"{name}: expected None (use reduction instead), got {value!r}")


class _DropIn(Criterion):
    fixed: ClassVar[frozenset[str]] = frozenset({"loss"})


class MSELoss(_DropIn):
    """r², as ``torch.nn.MSELoss``; unequal shapes raise, halves return float32."""

    def __init__(
        self, size_average: None = None, reduce: None = None, reduction: str = "mean"
    ) -> None:
        refuse_legacy(size_average, reduce)
        super().__init__(SquaredError(), reduction)


class L1Loss(_DropIn):
    r"""\|r\|, as ``torch.nn.L1Loss``; unequal shapes raise, halves return float32."""

    def __init__(
        self, size_average: None = None, reduce: None = None, reduction: str = "mean"
    ) -> None:
        refuse_legacy(size_average, reduce)
        super().__init__(AbsoluteError(), reduction)


class HuberLoss(_DropIn):
    """Huber's loss, as ``torch.nn.HuberLoss``; a weighted mean divides by the sum of weights."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(Huber(delta), reduction)


class SmoothL1Loss(_DropIn):
    """Huber(beta)/beta, as ``torch.nn.SmoothL1Loss``; unequal shapes raise."""

    def __init__(
        self,
        size_average: None = None,
        reduce: None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        refuse_legacy(size_average, reduce)
        super().__init__(SmoothL1(beta), reduction)


class GaussianNLLLoss(_DropIn):
    """``torch.nn.GaussianNLLLoss``, also under vmap and fullgraph; no gradient below the clamp.

    Called ``(input, target, var)``. Negative variances are clamped to eps, not looked for, which
    would wait for the device.
    """

    _renamed: ClassVar[dict[str, str]] = {"variance": "var"}

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(GaussianNLL(full, eps), reduction)

    @torch.jit.unused
    def forward(  # type: ignore[override]  # PyTorch's order: the variance is positional
        self,
        input: Tensor,
        target: Tensor,
        var: Tensor | float,
        *,
        weight: Tensor | float | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """The loss; ``var`` aligns with the leading axes, or has input's rank."""
        return super().forward(input, target, weight=weight, mask=mask, variance=var)


class LogCoshLoss(_DropIn):
    """Log cosh r, to a few ULP at any size of r."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(LogCosh(), reduction)


class QuantileLoss(_DropIn):
    """The pinball loss of the q-quantile: too low costs q a unit, too high 1 - q."""

    def __init__(self, q: float = 0.5, reduction: str = "mean") -> None:
        super().__init__(Quantile(q), reduction)


class RMSELoss(_DropIn):
    """The root of the mean of r², over all axes or ``axis``; its gradient at a perfect fit is 0."""

    fixed: ClassVar[frozenset[str]] = frozenset({"loss", "reduction"})

    def __init__(self, axis: int | tuple[int, ...] | None = None) -> None:
        super().__init__(SquaredError(), "root_mean", axis=axis)
