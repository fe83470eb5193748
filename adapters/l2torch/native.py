"""PyTorch's own functions of the losses that it has, where they mean the same: for fast paths alone.

Gradients have the bits of the plain path, but that one for an upstream gradient that is no power of
2 may differ in the last one. What they lose is put right: the absolute error's gradient at NaN is 0
there, and Huber's second derivative 0 where the residual is delta, and at NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor

from l2core import AbsoluteError, Criterion, HalfSquaredError, Huber, Loss, SmoothL1, SquaredError
from l2torch.backend import derivative
from l2torch.internals import (
    dispatch_modes,
    huber_loss,
    l1_loss,
    mse_loss,
    saved_pair,
    smooth_l1_loss,
)

_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}
LARGE = 1 << 25
"""Bytes of a tensor from which glibc takes fresh pages for each: their first touch costs more than a
whole pass, and blocks need none."""
_SHARES: dict[type[Loss], tuple[int, int]] = {
    SquaredError: (1, 2),
    HalfSquaredError: (1, 1),
    AbsoluteError: (2, 4),
    Huber: (1, 1),
    SmoothL1: (1, 1),
}
"""By what that is divided for a value alone, and with a gradient: blocks of simple losses, and of
those for which PyTorch makes several passes, are faster sooner."""


def native(criterion: Criterion, reduction: str, pred: Tensor, target: Tensor) -> Tensor | None:
    """The loss of real tensors of one dtype by PyTorch's function; None if it has none like ours."""
    loss: Any = criterion.loss
    kind = type(loss)
    if kind not in _SHARES:
        return None
    number = _REDUCTIONS[reduction]
    try:
        size = pred.numel() if pred.shape == target.shape else 0
        if not size or (number and pred.is_cpu and _large(kind, size, pred, target)):
            return None
        if kind is SquaredError:
            return cast(Tensor, mse_loss(pred, target, number))
        if kind is HalfSquaredError:  # of each element: the sum of twice as much might overflow
            return None if number else 0.5 * cast(Tensor, mse_loss(pred, target, 0))
        if kind is AbsoluteError:
            return _absolute(pred, target, number)
        if kind is Huber:
            delta = loss.delta
            if not delta >= _TINY:
                return None
            value = huber_loss(pred, target, number, delta)
        else:
            if math.frexp(loss.beta)[0] != 0.5 or not 2.0**-10 <= loss.beta <= 2.0**10:
                return None  # they divide by beta, where ours multiplies with 1/beta
            value = smooth_l1_loss(pred, target, number, loss.beta)
    except RuntimeError:  # other layouts, which the checks name: asking each tensor costs too much
        return None
    if value.requires_grad:
        value.grad_fn.register_hook(_again(loss, reduction == "mean"))
    return cast(Tensor, value)


_TINY = 2.0**-126


def _large(kind: type[Loss], size: int, pred: Tensor, target: Tensor) -> bool:
    """Whether blocks are faster."""
    size *= pred.itemsize
    value, both = _SHARES[kind]
    if size < LARGE // both:
        return False
    recorded = torch.is_grad_enabled() and (pred.requires_grad or target.requires_grad)
    return recorded or size >= LARGE // value


def _absolute(pred: Tensor, target: Tensor, number: int) -> Tensor | None:
    value = cast(Tensor, l1_loss(pred, target, number))
    if value.requires_grad:
        # A NaN's gradient would be 0. It is looked for where a look does not wait, nor is watched.
        if not pred.is_cpu or dispatch_modes():
            return None
        if math.isnan(value.item() if number else value.detach().sum().item()):
            return None
    return value


@lru_cache(maxsize=256)
def _again(loss: Loss, mean: bool) -> Callable[..., Any]:
    """A hook of the node of a loss's gradient, which makes it anew if it is to be differentiated."""

    def hook(found: tuple[Tensor | None, ...], upstream: tuple[Tensor, ...]) -> Any:
        if not torch.is_grad_enabled():
            return None
        pair = saved_pair(next(x.grad_fn for x in found if x is not None))
        if pair is None:  # with another PyTorch, whose second derivative serves
            return None
        pred, target = pair
        scale = upstream[0] / pred.numel() if mean else upstream[0]
        grad = scale * derivative(loss, 0, pred - target)
        return tuple(x if x is None else y for x, y in zip(found, (grad, -grad), strict=True))

    return hook
