"""NumPy's fast paths. They can be deleted.

A small call costs what Python does: what a glance shows to be right goes to the operators at once.
A large array costs what it moves through memory: it is summed up, and its gradient made, in one
pass over blocks (:mod:`l2core.onepass`). Gradients have the bits of the plain path. A sum that is not
finite is left to that.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy import ndarray

from l2core.arrays import Array
from l2core.backend import Backend
from l2core.call import Call
from l2core.criterion import Criterion
from l2core.dtypes import REAL_FLOATS, dtype_name
from l2core.exactly.host import quick as exactly
from l2core.fastpath import SQUARES
from l2core.memory import place
from l2core.numpy_namespace import XP
from l2core.onepass import SMALL, Operands, added, one_pass, quietly, rule, select
from l2core.sums import FLOAT32, FLOAT64, SHORT, few, sum_of

FEW = 2_000
"""Elements up to which counting zeros costs less than to look for the least."""

_LARGEST = {FLOAT32: (2 - 2**-23) * 2.0**127, FLOAT64: sys.float_info.max}


def quick(
    backend: Backend,
    criterion: Criterion,
    pred: Array,
    target: Array,
    weight: Array | None = None,
    mask: Array | None = None,
) -> Array | None:
    """The value of a small call of the usual kind, which nothing is wrong with; else None."""
    if criterion.exact:
        return exactly(criterion, pred, target) if weight is None and mask is None else None
    simple = _simple(criterion, pred, target)
    if simple is None or not criterion._symmetric:  # whose caller is looked at
        return None
    dtype, size = pred.dtype, pred.size
    if weight is not None or mask is not None:
        weight, mask, divisor = _factors(simple, pred, weight, mask)
        if divisor is None:
            return None
        k = SQUARES.get(type(criterion.loss))
        factor: Any = mask if weight is None else weight
        if k is not None and size <= SHORT and factor.shape == pred.shape:
            squares = _masked_squares if weight is None else _weighted_squares
            total = quietly(squares, pred, target, factor, None)[0]
            if abs(total) <= _LARGEST[dtype]:
                return (total if k == 2 else 0.5 * k * total) / divisor
        total = quietly(_added, criterion, pred, target, weight, mask, None)
        if not abs(total) <= _LARGEST[dtype]:
            return None
        return dtype.type(total) / divisor
    k = SQUARES.get(type(criterion.loss))
    r = pred - target
    if k is None:
        total = added(rule(criterion.loss), r, None, None, None)
        total = dtype.type(total if size <= SHORT else total.sum())
    else:
        total = few(r, r) if size <= SHORT else sum_of(r, r)
        if type(total) is not dtype.type:
            total = dtype.type(total)
        if k != 2:
            total *= 0.5 * k
    return total / size if simple[0] == "mean" else total


def quick_value_and_grad(
    backend: Backend,
    criterion: Criterion,
    pred: Array,
    target: Array,
    weight: Array | None = None,
    mask: Array | None = None,
) -> tuple[Array, Array] | None:
    """The same, and the gradient to pred."""
    simple = _simple(criterion, pred, target)
    if simple is None or not pred.ndim:
        return None
    dtype, size = pred.dtype, pred.size
    if weight is None and mask is None:
        divisor: Any = size if simple[0] == "mean" else 1
    else:
        weight, mask, divisor = _factors(simple, pred, weight, mask)
        if divisor is None:
            return None
    scale = dtype.type(1 / divisor)
    k = SQUARES.get(type(criterion.loss))
    factor = mask if weight is None else weight
    if k is not None and factor is not None and size <= SHORT and factor.shape == pred.shape:
        squares = _masked_squares if weight is None else _weighted_squares
        total, grad = quietly(squares, pred, target, factor, k * scale)
        if abs(total) <= _LARGEST[dtype]:
            if weight is not None and _some_absent(weight):
                select(grad, weight != 0)  # -0 is to be 0
            return (total if k == 2 else 0.5 * k * total) / divisor, grad
    total, grad = quietly(_both, criterion, pred, target, weight, mask, scale)
    if not abs(total) <= _LARGEST[dtype]:
        return None
    return dtype.type(total) / divisor, grad


def _simple(criterion: Criterion, pred: Array, target: Array) -> tuple[str, str] | None:
    """The criterion's reduction to one number and its denominator, if a glance shows that these are
    small arrays of one float dtype and shape."""
    simple = criterion._simple
    if simple is None or type(pred) is not ndarray or type(target) is not ndarray:
        return None
    dtype = pred.dtype
    if (
        (dtype is not FLOAT32 and dtype is not FLOAT64)
        or target.dtype is not dtype
        or pred.shape != target.shape
        or not 0 < pred.size <= SMALL
        or simple[0] == "none"
    ):
        return None
    return simple


def _factors(simple: tuple[str, str], pred: Array, weight: Any, mask: Any) -> tuple[Any, Any, Any]:
    """A weight or a mask in pred's rank, and what the value is divided by; None if a glance is too
    little."""
    nothing = None, None, None
    factor = mask if weight is None else weight
    if type(factor) is not ndarray or not pred.ndim or (weight is not None and mask is not None):
        return nothing
    if factor.dtype is not (pred.dtype if mask is None else _BOOL):
        return nothing
    shape, times = factor.shape, 1
    if shape != pred.shape:
        if not shape or shape != pred.shape[: len(shape)]:
            return nothing
        times = pred.size // factor.size
        factor = factor.reshape(shape + (1,) * (pred.ndim - len(shape)))
    reduction, by = simple
    if reduction == "sum":
        divisor: Any = 1
    elif by == "size":
        divisor = pred.size
    elif by == "weight" and mask is None:
        divisor = _weights(factor)
    else:
        divisor = pred.dtype.type(np.count_nonzero(factor))
    if times != 1 and reduction == "mean" and by != "size":
        divisor = divisor * times
    if not divisor > 0:
        return nothing
    return (factor, None, divisor) if mask is None else (None, factor, divisor)


_BOOL = np.dtype(bool)


def _weights(x: Array) -> Any:
    """Their sum, rounded once."""
    return x.dtype.type(np.add.reduce(x, None, FLOAT64) if x.size < FEW else XP.sum(x))


def _some_absent(weight: Array) -> bool:
    if weight.size < FEW:
        return bool(np.count_nonzero(weight) < weight.size)
    return not weight.min() > 0


def _weighted_squares(pred: Array, target: Array, weight: Array, scale: Any) -> tuple[Any, Array]:
    """Σ ω·r², and scale·ω·r if there is a scale: what :func:`l2core.onepass.added` does, of few."""
    r = pred - target
    x = weight * r
    total = r.dtype.type(few(x, r))
    if scale is not None:
        np.multiply(weight, scale, x)
        np.multiply(x, r, r)
    return total, r


def _masked_squares(pred: Array, target: Array, mask: Array, scale: Any) -> tuple[Any, Array]:
    """Likewise."""
    r = pred - target
    select(r, mask)
    total = r.dtype.type(few(r, r))
    if scale is not None:
        np.multiply(r, scale, r)
    return total, r


def _added(
    criterion: Criterion, pred: Array, target: Array, weight: Any, mask: Any, scale: Any
) -> float:
    total = added(rule(criterion.loss), pred - target, weight, mask, scale)
    return total if pred.size <= SHORT else float(total.sum())


def _both(
    criterion: Criterion, pred: Array, target: Array, weight: Any, mask: Any, scale: Any
) -> tuple[float, Array]:
    grad = pred - target
    total = added(rule(criterion.loss), grad, weight, mask, scale)
    return total if pred.size <= SHORT else float(total.sum()), grad


def fused(backend: Backend, criterion: Criterion, call: Call) -> Array | None:
    """The value, or None where the plain path serves."""
    pred, target, weight, mask, *_ = call
    if not _contiguous(pred, target, weight, mask) or not pred.size:
        return None
    inputs = criterion._single_sum(backend, call)
    if inputs is None:
        return None
    dtype = np.dtype(inputs.real)
    operands = Operands(pred, target, inputs.weight, inputs.present, None, dtype)
    total = one_pass(rule(criterion.loss), operands)
    return criterion._reduced(dtype.type(total), inputs) if abs(total) <= _LARGEST[dtype] else None


def fused_value_and_grad(
    backend: Backend, criterion: Criterion, call: Call, out: Array | None
) -> tuple[Array, Array] | None:
    """The value and its gradient, in ``out`` if given, or None where the plain path serves."""
    pred, target, weight, mask, *_ = call
    if criterion.reduction == "root_mean" or not _contiguous(pred, target, weight, mask, out):
        return None
    inputs = criterion._single_sum(backend, call) if pred.size else None
    if inputs is None:
        return None
    # The plain path, if it must serve after all, would miss what out has overwritten.
    if out is not None and any(
        x is not None and np.may_share_memory(out, x) for x in (pred, target, weight, mask)
    ):
        return None
    dtype, divisor = np.dtype(inputs.real), 1
    if criterion.reduction == "mean":
        divisor = criterion._denominator(inputs)
        inputs = inputs._replace(denominator=divisor)
    if not divisor > 0:
        return None
    grad = out
    if grad is None:
        name = dtype_name(pred.dtype)
        kind = pred.dtype.newbyteorder("=") if name in REAL_FLOATS else dtype
        grad = place(pred.size * kind.itemsize).view(kind).reshape(pred.shape)
    operands = Operands(pred, target, inputs.weight, inputs.present, grad, dtype)
    total = one_pass(rule(criterion.loss), operands, dtype.type(1 / divisor))
    if not abs(total) <= _LARGEST[dtype]:
        return None
    return criterion._reduced(dtype.type(total), inputs), grad


def _contiguous(*arrays: Any) -> bool:
    return all(x is None or (type(x) is np.ndarray and x.flags.c_contiguous) for x in arrays)
