"""The fast paths of PyTorch. They can be deleted.

A small call costs what Python does: what a glance shows to be right goes to PyTorch's own function
at once (:mod:`l2torch.native`), or, where elements are weighted or selected, to NumPy's operators in
the same memory, which cost a third of PyTorch's. A large tensor costs what it moves through memory:
it is summed up in one pass over blocks (:mod:`l2core.onepass`), by as many threads as PyTorch has.
None of them waits for another, as PyTorch's do at the end of every operator: where other processes
have the cores, that takes milliseconds.

On an accelerator what no function of PyTorch means is :mod:`l2torch.launches`; the rest is of a CPU.

The gradient is made in the same pass, for the upstream gradient 1; ``backward`` hands it over, or
makes it anew if another comes. It has the bits of the plain path. A sum that is not finite is left
to that.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor

from l2core import Criterion
from l2core.backend import Backend
from l2core.call import Call
from l2core.exactly.host import quick as exactly
from l2core.onepass import SMALL, Rule, added, quietly
from l2core.prepared import Prepared
from l2core.sums import LANES, SHORT
from l2torch.backend import total_of, wide
from l2torch.internals import (
    dispatch_modes,
    forward_mode,
    is_tracing,
    transforms_active,
)
from l2torch.launches import launched
from l2torch.native import native
from l2torch.summed import REALS, Made, Tensors, buffer, divisor, recorded_sum, rule_of, summed

LARGE = 2_000_000
"""Elements from which blocks cost less than PyTorch's operators do where nothing is absent."""
FEW = 16_000
"""Elements up to which its product with a mask costs less than to select."""

_LARGEST = {dtype: torch.finfo(dtype).max for dtype in REALS}
_KINDS = (Tensor, torch.nn.Parameter)
_NUMBERS = {torch.float16, torch.bfloat16, *REALS}
_NUMBERS |= {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}


def quick(
    backend: Backend,
    criterion: Criterion,
    pred: Any,
    target: Any,
    weight: Any = None,
    mask: Any = None,
) -> Tensor | None:
    """The value of a call of the usual kind, which nothing is wrong with; else None."""
    if torch.compiler.is_compiling() or is_tracing():
        return None
    if criterion.exact:
        return _exactly(criterion, pred, target) if weight is None and mask is None else None
    simple = criterion._simple
    if (
        simple is None
        or type(pred) not in _KINDS
        or type(target) not in _KINDS
        or pred.dtype not in REALS
        or target.dtype is not pred.dtype
        or forward_mode()
        or transforms_active()
    ):
        return None
    reduction = simple[0]
    if weight is None and mask is None:
        value = native(criterion, reduction, pred, target)
        if value is not None or reduction == "none":
            return value
    if reduction == "none" or dispatch_modes():
        return None
    try:
        return _seen(backend, criterion, simple, pred, target, weight, mask)
    except RuntimeError:  # other layouts, which the checks name
        return None


def _exactly(criterion: Criterion, pred: Any, target: Any) -> Tensor | None:
    """The correctly rounded value of few elements, likewise, with the gradient of PyTorch's own function."""
    if not (_usual(pred, target) and _dense(pred) and _dense(target)) or pred.numel() > SHORT:
        return None
    if not pred.dtype is target.dtype is torch.float32:  # NumPy has no bfloat16
        return None
    found = exactly(criterion, pred.detach().numpy(), target.detach().numpy())
    if found is None:
        return None
    if torch.is_grad_enabled() and (pred.requires_grad or target.requires_grad):
        value = native(criterion, criterion.reduction, pred, target)
        if value is not None:
            value.detach().fill_(float(found))  # of which that gradient knows nothing
        return value
    return torch.full((), float(found), dtype=pred.dtype, device=pred.device)


def _seen(
    backend: Backend,
    criterion: Criterion,
    simple: tuple[str, str],
    pred: Tensor,
    target: Tensor,
    weight: Any,
    mask: Any,
) -> Tensor | None:
    shape, size, host = pred.shape, pred.numel(), pred.is_cpu
    if target.shape != shape or not size or target.is_cpu is not host:
        return None
    recorded, learned = torch.is_grad_enabled(), False
    if recorded:
        recorded = pred.requires_grad or target.requires_grad
    if weight is not None or mask is not None:
        factor = mask if weight is None else weight
        if (
            (weight is not None and mask is not None)
            or type(factor) not in _KINDS
            or factor.dtype is not (pred.dtype if mask is None else torch.bool)
            or factor.is_cpu is not host
        ):
            return None
        own = factor.shape
        if own != shape:
            if not own or own != shape[: len(own)]:
                return None
            factor = factor.view(own + (1,) * (len(shape) - len(own)))
            weight, mask = (factor, None) if mask is None else (None, factor)
        learned = factor.requires_grad and torch.is_grad_enabled()
        if host and size < LARGE and (mask is None or (size < FEW and not recorded)):
            wanted = recorded or learned
            value = _by_operators(criterion, simple, pred, target, weight, mask, wanted)
            if value is not None:
                return value
    if not host:
        tensors = pred, target, weight, mask
        apart = learned or any(x is not None and x.device != pred.device for x in tensors)
        return None if apart else launched(backend, criterion, simple, tensors)
    if (
        learned
        or not shape
        or not all(x is None or _dense(x) for x in (pred, target, weight, mask))
    ):
        return None
    by = float(divisor(simple, pred, weight, mask))
    if not 0 < by < math.inf:
        return None
    return _value(backend, criterion, (pred, target, weight, mask), by, recorded)


def _by_operators(
    criterion: Criterion,
    simple: tuple[str, str],
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    mask: Tensor | None,
    recorded: bool,
) -> Tensor | None:
    """The value by PyTorch's own operators, which multiply what is absent with 0: where that does no
    harm, and no gradient has to be 0."""
    if recorded and not (weight is not None and weight.amin().item() > 0):
        return None
    each = native(criterion, "none", pred, target)
    if each is None:
        return None
    factor: Any = mask if weight is None else weight
    few = not recorded and each.ndim == 1 and each.numel() <= LANES and mask is None
    value: Any = each.dot(factor) if few else total_of(each * factor)
    if simple[0] == "mean":
        value = value / divisor(simple, pred, weight, mask)
    return cast(Tensor, value) if math.isfinite(value.item()) else None


def _value(
    backend: Backend, criterion: Criterion, tensors: Tensors, by: float, recorded: bool
) -> Tensor | None:
    """The sum over ``by``; None if it is not finite. All are dense, of one dtype, on the CPU."""
    pred, target, weight, mask = tensors
    size = pred.numel()
    kind = REALS[pred.dtype]
    scale = kind(1.0 / by) if recorded and pred.requires_grad else None
    if size > SMALL:
        grad = None if scale is None else buffer(pred)
        total = summed(criterion.loss, tensors, pred.dtype, grad, scale)
    else:
        # As host() does, in half the time.
        p, t = pred.detach().numpy(), target.detach().numpy()
        w, m = None if weight is None else weight.numpy(), None if mask is None else mask.numpy()
        total, r = quietly(_small, rule_of(criterion.loss), p, t, w, m, scale)
        grad = None if scale is None else torch.from_numpy(r)
    if not abs(total) <= _LARGEST[pred.dtype]:
        return None
    value = kind(total) / kind(by)
    if not math.isfinite(value):
        return None
    if not recorded:
        return torch.full((), float(value), dtype=pred.dtype, device=pred.device)
    made = Made(criterion, backend, float(value), pred.dtype, by, 1.0, grad)
    return recorded_sum(tensors, made)


def _small(rule: Rule, p: Any, t: Any, w: Any, m: Any, scale: Any) -> tuple[float, Any]:
    r = p - t
    total = added(rule, r, w, m, scale)
    return total if isinstance(total, float) else float(total.sum()), r


def fused(backend: Backend, criterion: Criterion, call: Call) -> Tensor | None:
    """The value, or None where the plain path serves."""
    pred, target, weight, mask, *_ = call
    if torch.compiler.is_compiling() or is_tracing() or not _usual(pred, target):
        return None  # a trace would keep what this data decides
    if isinstance(weight, Tensor) and weight.requires_grad and torch.is_grad_enabled():
        return _learned(backend, criterion, call)
    if not pred.numel() or not all(x is None or _dense(x) for x in (pred, target, weight, mask)):
        return None
    inputs = criterion._single_sum(backend, call, cast=False)
    if inputs is None:
        return None
    weight = inputs.weight
    tensors = pred, target, weight, inputs.present if weight is None else None
    recorded = torch.is_grad_enabled() and (pred.requires_grad or target.requires_grad)
    dtype: torch.dtype = getattr(torch, inputs.real)
    upstream, grad, scale = 1.0, None, None
    with torch.no_grad():
        if criterion.reduction != "sum":
            inputs = inputs._replace(denominator=_denominator(criterion, inputs, dtype))
        if recorded and pred.requires_grad and criterion.reduction != "root_mean":
            one = torch.ones((), dtype=dtype, device=pred.device)
            upstream, grad = float(criterion._reduced(one, inputs)), buffer(pred)
            scale = REALS[dtype](upstream)
        total = summed(criterion.loss, tensors, dtype, grad, scale)
    if not abs(total) <= _LARGEST[dtype]:
        return None
    if recorded:
        made = Made(criterion, backend, total, dtype, 1.0, upstream, grad)
        result = recorded_sum(tensors, made)
    else:
        result = torch.full((), total, dtype=dtype, device=pred.device)
    return cast(Tensor, criterion._reduced(result, inputs))


def _learned(backend: Backend, criterion: Criterion, call: Call) -> Tensor | None:
    """The value for a weight with a gradient, of which none is 0, by PyTorch's own operators."""
    pred, target, weight = call.pred, call.target, cast(Tensor, call.weight)
    inputs = criterion._single_sum(backend, call) if weight.numel() else None
    if inputs is None or not (pred.dtype is target.dtype is weight.dtype in REALS):
        return None
    each = native(criterion, "none", pred, target) if weight.amin().item() > 0 else None
    if each is None:
        return None
    total = total_of(each * cast(Tensor, inputs.weight))
    return cast(Tensor, criterion._reduced(total, inputs))


def _denominator(criterion: Criterion, inputs: Prepared, dtype: torch.dtype) -> Any:
    """What the mean divides by, without a copy of a weight of another dtype."""
    weight = inputs.weight
    by_weight = criterion.denominator == "weight" and inputs.denominator is None
    if weight is None or weight.dtype is dtype or not by_weight:
        return criterion._denominator(inputs)
    return wide(weight, None).to(dtype) * (inputs.pred.numel() // weight.numel())


def _usual(pred: Tensor, target: Tensor) -> bool:
    """Whether these are tensors of numbers of which plain memory is all, and nobody watches."""
    return (
        type(pred) in _KINDS
        and type(target) in _KINDS
        and pred.dtype in _NUMBERS
        and target.dtype in _NUMBERS
        and pred.layout is target.layout is torch.strided
        and pred.is_cpu
        and target.is_cpu
        and not transforms_active()
        and dispatch_modes() == 0
        and not forward_mode()
    )


def _dense(x: Any) -> bool:
    """Whether this is a tensor of one stretch of plain memory of the CPU."""
    try:
        return (
            type(x) in _KINDS
            and x.layout is torch.strided
            and x.is_cpu
            and x.is_contiguous()
            and not x.is_neg()
        )
    except RuntimeError:  # another layout, or a nested tensor
        return False
