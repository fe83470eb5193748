"""NumPy's squared errors in one pass over blocks that stay in cache. It can be deleted.

A large array costs what it moves through memory: ``np.mean((p - t) ** 2)`` writes and reads back
two arrays of its size; this writes none, or the gradient alone. Values are dot products over ROW
elements, added in float64: at any size they err by ROW + 5 units in the last place if BLAS adds one
by one, by 33 where it adds in lanes (the worst of 300 constants; 1 for random elements). Gradients
have the bits of the plain path. Blocks leave a sum that is not finite to the plain path.
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
from l2core.fastpath import SQUARES, blocks, part

SMALL = 1 << 18
"""Elements up to which a whole residual costs less than blocks."""
BLOCK = 1 << 17
"""Elements in a block: 512 KB of float32, which stay in cache."""
ROW = 10_000
"""Elements of a dot product: the longer, the faster in small arrays, and the less exact; in longer
ones of float64 OpenBLAS starts threads, which cost more than the product."""

FLOAT32, FLOAT64 = np.dtype("f4"), np.dtype("f8")
_LARGEST = {FLOAT32: (2 - 2**-23) * 2.0**127, FLOAT64: sys.float_info.max}


def quick(backend: Backend, criterion: Criterion, pred: Array, target: Array) -> Array | None:
    """The value of a small call of the usual kind, which nothing is wrong with; else None."""
    kind, k = criterion._unweighted, SQUARES.get(type(criterion.loss))
    if kind is None or k is None or type(pred) is not ndarray or type(target) is not ndarray:
        return None
    dtype, size = pred.dtype, pred.size
    if (
        (dtype is not FLOAT32 and dtype is not FLOAT64)
        or target.dtype is not dtype
        or pred.shape != target.shape
        or not 0 < size <= SMALL
    ):
        return None
    r = pred - target
    if r.ndim != 1:
        r = r.reshape(-1)
    total = r.dot(r) if size <= ROW else dtype.type(_dot(r, r))
    if k != 2:
        total *= 0.5 * k
    return total / size if kind == "mean" else total


def fused(backend: Backend, criterion: Criterion, call: Call) -> Array | None:
    """The value, or None where the plain path serves."""
    pred, target, weight, mask, *_ = call
    k = SQUARES.get(type(criterion.loss))
    if k is None or not _contiguous(pred, target, weight, mask) or not pred.size:
        return None
    inputs = criterion._single_sum(backend, call)
    if inputs is None:
        return None
    dtype = np.dtype(inputs.real)
    total = 0.5 * k * _pass(pred, target, inputs.weight, inputs.present, dtype)
    return criterion._reduced(dtype.type(total), inputs) if total <= _LARGEST[dtype] else None


def fused_value_and_grad(
    backend: Backend, criterion: Criterion, call: Call, out: Array | None
) -> tuple[Array, Array] | None:
    """The value and its gradient, in ``out`` if given, or None where the plain path serves."""
    pred, target, weight, mask, *_ = call
    k = SQUARES.get(type(criterion.loss))
    if k is None or criterion.reduction == "root_mean" or not pred.size:
        return None
    if not _contiguous(pred, target, weight, mask, out):
        return None
    inputs = criterion._single_sum(backend, call)
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
        grad = np.empty(pred.shape, pred.dtype.newbyteorder("=") if name in REAL_FLOATS else dtype)
    scale = dtype.type(k) * dtype.type(1 / divisor)  # exact: k is 1 or 2
    total = 0.5 * k * _pass(pred, target, inputs.weight, inputs.present, dtype, grad, scale)
    if not total <= _LARGEST[dtype]:
        return None
    return criterion._reduced(dtype.type(total), inputs), grad


def _contiguous(*arrays: Any) -> bool:
    return all(x is None or (type(x) is np.ndarray and x.flags.c_contiguous) for x in arrays)


def _pass(
    pred: Array,
    target: Array,
    weight: Array | None,
    mask: Array | None,
    dtype: np.dtype[Any],
    grad: Array | None = None,
    scale: Any = None,
) -> float:
    """Σ ω·r² over the present elements; ``grad`` becomes scale·ω·r, and 0 where absent.

    Computed in ``dtype``; NumPy converts a block of other arrays before it subtracts.
    """
    factor = mask if weight is None else weight
    rows = 1 if factor is None or factor.size == pred.size else factor.size
    p, t = pred.reshape(rows, -1), target.reshape(rows, -1)
    w, m, g = (None if x is None else x.reshape(rows, -1) for x in (weight, mask, grad))
    scratch = np.empty((2, min(BLOCK, pred.size)), dtype)
    total = 0.0
    with np.errstate(invalid="ignore", over="ignore"):  # absent elements may; or the total tells
        for block in blocks(rows, pred.size // rows, BLOCK):
            r = g[block] if g is not None and g.dtype == dtype else _like(scratch[0], p[block])
            np.subtract(p[block], t[block], out=r, dtype=dtype, casting="unsafe")
            if w is None:
                if m is not None:
                    _select(r, part(m, block))
                total += _dot(r.reshape(-1), r.reshape(-1))
                if g is not None:
                    r *= scale
            else:
                by = part(w, block)
                _select(r, by != 0)
                weighted = np.multiply(by, r, out=_like(scratch[1], r))
                total += _dot(weighted.reshape(-1), r.reshape(-1))
                if g is not None:
                    r *= np.multiply(by, scale, out=_like(scratch[1], by))
            if g is not None and g.dtype != dtype:
                g[block] = r
    return total


def _like(buffer: Array, x: Array) -> Array:
    """The front of a buffer, in the shape of x."""
    return buffer[: x.size].reshape(x.shape)


def _select(r: Array, present: Array) -> None:
    """Make r 0 where absent, whatever it is: by its bits, since 0·NaN is not 0."""
    if not present.all():
        bits = r.view(f"i{r.itemsize}")
        bits &= np.negative(present.view("i1"), dtype=bits.dtype)


def _dot(a: Array, b: Array) -> float:
    """Σ a·b of contiguous vectors, by rows of ROW elements."""
    if a.size <= ROW:
        return float(a.dot(b))
    whole = a.size - a.size % ROW
    rows = np.vecdot(a[:whole].reshape(-1, ROW), b[:whole].reshape(-1, ROW))
    return sum(rows.tolist(), float(a[whole:].dot(b[whole:])))
