"""Means of an accelerator's tensors by few operators, none of which waits: for fast paths alone.

An operator there is a launch, which a small call waits for, and a pass through memory, which a large
one does. The plain path has two dozen for a weighted mean, since each selection fills a number first
and autograd takes every step back; written out there are eight, and as many for the gradient.
Nothing looks at the data, so nothing is decided by it. The bits are those of the plain path.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function

from l2core import Criterion
from l2core.backend import Backend
from l2core.terms import EMPTY
from l2torch.backend import total_of
from l2torch.namespace import XP
from l2torch.native import native
from l2torch.summed import Tensors, batched, divisor, plain_gradients


def launched(
    backend: Backend, criterion: Criterion, simple: tuple[str, str], tensors: Tensors
) -> Tensor:
    """The mean or sum of real tensors of one dtype, shape and device; a weight without gradient, or
    a mask, is of their rank."""
    pred, target = tensors[:2]
    if torch.is_grad_enabled() and (pred.requires_grad or target.requires_grad):
        return cast(Tensor, _Launched.apply(*tensors, backend, criterion, simple))  # type: ignore[no-untyped-call]
    return _value(criterion, simple, tensors)[0]


class _Launched(Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        tensors, (ctx.backend, ctx.criterion, simple) = arguments[:4], arguments[4:]
        value, found, by = _value(ctx.criterion, simple, tensors)
        # Weights may cancel where something is present; a count of 0 leaves nothing to be handed.
        ctx.cancels = simple[1] == "weight" and tensors[2] is not None
        ctx.number = None if isinstance(by, Tensor) else by
        ctx.save_for_backward(*tensors, *((found, by) if isinstance(by, Tensor) else ()))
        return value

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        pred, target, weight, mask, *counted = ctx.saved_tensors
        scale = grads[0]
        if ctx.number != 1:
            scale = scale / (counted[1] if counted else ctx.number)
        if ctx.cancels and counted:
            scale = scale.masked_fill(_nothing(*counted), 0.0)
        needed = ctx.needs_input_grad[:2]
        if torch.is_grad_enabled() or batched(scale):
            tensors = pred, target, weight, mask
            found = plain_gradients(ctx.backend, ctx.criterion, tensors, needed, scale)
            return (*found, *_REST)
        grad: Any = ctx.criterion.loss.psi(pred - target, XP)
        grad = (scale if weight is None else scale * weight) * grad
        opposite = -grad if needed[1] else None
        absent = _absent(weight, mask)
        for x in () if absent is None else (grad, opposite):
            if x is not None:
                x.masked_fill_(absent, 0.0)
        return grad if needed[0] else None, opposite, *_REST


_REST = (None,) * 5
"""The gradients to what is no tensor, or has none."""


def _value(
    criterion: Criterion, simple: tuple[str, str], tensors: Tensors
) -> tuple[Tensor, Tensor, Tensor | float]:
    """The value, its numerator and its denominator."""
    pred, target, weight, mask = tensors
    with torch.no_grad():
        each: Any = native(criterion, "none", pred, target)
        if each is None:
            each = criterion.loss.rho(pred - target, XP)
        if weight is not None:
            each = each.mul_(weight)
        absent = _absent(weight, mask)
        if absent is not None:
            each = each.masked_fill_(absent, 0.0)
        found, by = total_of(each), divisor(simple, pred, weight, mask)
        if not isinstance(by, Tensor):
            return found if by == 1 else found / by, found, by
        value = found / by  # 0 / 0 is NaN
        if criterion.empty != "nan":
            value = value.masked_fill(_nothing(found, by), 0.0 / EMPTY[criterion.empty])
        return value, found, by


def _nothing(found: Tensor, by: Tensor) -> Tensor:
    return torch.logical_or(found, by).logical_not_()


def _absent(weight: Tensor | None, mask: Tensor | None) -> Tensor | None:
    if weight is not None:
        return weight == 0
    return None if mask is None else ~mask
