"""PyTorch's own functions of the losses that it has, where they mean the same: for fast paths alone.

Gradients have the bits of the plain path, but that one for an upstream gradient that is no power of
2 may differ in the last one. What they lose is put right: the absolute error's gradient at NaN is 0
there, its second derivative a tensor without memory, and Huber's 0 where the residual is delta, and at
NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
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
    saved_residual,
    smooth_l1_loss,
)

_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}
LARGE = 1 << 25
"""Bytes of a tensor from which glibc takes fresh pages, unless as much lies free (of which it keeps
twice that): their first touch costs more than a whole pass, and blocks need none."""
_SHARES: dict[type[Loss], tuple[float, float]] = {
    SquaredError: (1, 2),
    HalfSquaredError: (1, 1),
    AbsoluteError: (2, 4),
    Huber: (0.5, 1),
    SmoothL1: (0.5, 1),
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
        if not size or (number and size >= FEW and _large(kind, size, pred, target)):
            return None
        if kind is SquaredError:
            return cast(Tensor, mse_loss(pred, target, number))
        if kind is HalfSquaredError:  # of each element: the sum of twice as much might overflow
            return None if number else 0.5 * cast(Tensor, mse_loss(pred, target, 0))
        if kind is AbsoluteError:
            return _absolute(pred, target, number)
        parameter = loss.delta if kind is Huber else loss.beta
        if parameter != 1.0 and not _alike(kind, parameter):
            return None
        function = huber_loss if kind is Huber else smooth_l1_loss
        value = function(pred, target, number, parameter)
    except RuntimeError:  # other layouts, which the checks name: asking each tensor costs too much
        return None
    if value.requires_grad:
        key = kind, parameter, number
        value.grad_fn.register_hook(_HOOKS.get(key) or _hook(key, loss))
    return cast(Tensor, value)


FEW = 10_000
"""Elements below which no tensor is large."""


_TINY = 2.0**-126


def _alike(kind: type[Loss], parameter: float) -> bool:
    """Whether PyTorch's function is ours, to the bit: it divides by beta, where ours multiplies with
    1/beta."""
    if kind is Huber:
        return parameter >= _TINY
    return math.frexp(parameter)[0] == 0.5 and 2.0**-10 <= parameter <= 2.0**10


def _large(kind: type[Loss], size: int, pred: Tensor, target: Tensor) -> bool:
    """Whether blocks are faster."""
    if not pred.is_cpu:
        return False
    size *= pred.itemsize
    value, both = _SHARES[kind]
    if size < LARGE / both:
        return False
    recorded = torch.is_grad_enabled() and (pred.requires_grad or target.requires_grad)
    return recorded or size >= LARGE / value


def _absolute(pred: Tensor, target: Tensor, number: int) -> Tensor | None:
    value = cast(Tensor, l1_loss(pred, target, number))
    if value.requires_grad:
        # A NaN's gradient would be 0. It is looked for where a look does not wait, nor is watched.
        if not pred.is_cpu or dispatch_modes():
            return None
        if math.isnan(value.item() if number else value.detach().sum().item()):
            return None
        node: Any = value.grad_fn
        (node.next_functions[0][0] if number else node).register_hook(_again)
    return value


def _again(found: tuple[Tensor | None, ...], upstream: tuple[Tensor, ...]) -> Any:
    """A hook of the node of |r|, whose gradient it makes anew if that is to be differentiated: into
    real zeros, where PyTorch's have no memory, and NumPy reads anything."""
    if not torch.is_grad_enabled():
        return None
    r = saved_residual(found[0].grad_fn) if found[0] is not None else None
    return None if r is None else (upstream[0] * derivative(AbsoluteError(), 0, r),)


_HOOKS: dict[tuple[type[Loss], float, int], Callable[..., Any]] = {}


def _hook(key: tuple[type[Loss], float, int], loss: Loss) -> Callable[..., Any]:
    """A hook of the node of a loss's gradient, which makes it anew if it is to be differentiated."""
    mean = key[2] == 1

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

    if len(_HOOKS) > 256:  # somebody tries many parameters
        _HOOKS.clear()
    _HOOKS[key] = hook
    return hook
