"""The correctly rounded value of arrays on the host, in one pass by NumPy, where float64 tells it."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from l2core.arrays import Array
from l2core.backend import Backend
from l2core.call import Call
from l2core.checks import EXACT
from l2core.exactly.near import LEAST, NORMAL, Near, around
from l2core.integers import INTEGERS
from l2core.onepass import Operands, one_pass, quietly, rule
from l2core.prepared import Prepared, divisor_of, lengths, single_sum
from l2core.sums import FLOAT32, FLOAT64, ROW, SHORT


def sure(meaning: Any, backend: Backend, call: Call) -> Array | None:
    """The value over everything of float32 arrays on the host, in one pass by NumPy; None if that does
    not tell it."""
    if meaning.reduction == "none" or meaning.axis is not None or not call.pred.shape:
        return None
    if not isinstance(call.pred, np.ndarray) and backend.host(call.pred) is None:
        return None
    if call.denominator is not None and not isinstance(call.denominator, Real):
        return None
    inputs = single_sum(meaning, backend, call, cast=False)
    if inputs is None or inputs.real != "float32" or not math.prod(call.pred.shape):
        return None
    weight = inputs.weight
    mask = inputs.present if weight is None else None
    given = call.pred, call.target, weight, mask
    found = [x if x is None or isinstance(x, np.ndarray) else backend.host(x) for x in given]
    if [x is None for x in found] != [x is None for x in given]:
        return None
    with INTEGERS.wide():
        by = _divisor(meaning, inputs, found[2], found[3])
        near = _summed(meaning, backend, found)
    if by is None or near is None:
        return None
    q = near.total / by if by else math.nan
    if meaning.reduction == "root_mean" and q >= 0:
        q = math.sqrt(q)
    if not q <= _LARGEST:
        return None
    low, high = (float(np.float32(q * x)) for x in around(near.height))
    if low != high:
        return None
    far = low >= NORMAL and near.total >= near.weight * LEAST
    if not far and (near.total != 0 or INTEGERS.flushes):
        return None
    return backend.scalar(low, "float32", call.pred)


def quick(meaning: Any, pred: Any, target: Any) -> np.float32 | None:
    """The value of few float32 without weights, of which nothing has been checked yet; None if a glance
    does not tell it."""
    names = meaning._usual
    if names is None or names[0] == "none" or not type(pred) is type(target) is np.ndarray:
        return None
    size = pred.size
    if not pred.dtype is target.dtype is FLOAT32 or not 0 < size <= SHORT:
        return None
    if pred.shape != target.shape:
        return None
    r = quietly(np.subtract, pred.astype(FLOAT64), target.astype(FLOAT64)).reshape(-1)
    power, halves = EXACT[type(meaning.loss)]
    total = float(np.abs(r).sum() if power == 1 else r.dot(r)) / halves
    q = total / size if names[0] == "mean" else total
    if not (NORMAL <= q <= _LARGEST and total >= size * LEAST):
        return None
    low, high = (np.float32(q * x) for x in around(size))
    return low if low == high else None


_LARGEST = float(np.finfo(np.float32).max) * (1 - 2.0**-20)


def _divisor(meaning: Any, inputs: Prepared, weight: Any, mask: Any) -> float | None:
    """What the sum is divided by, in float64; None where it takes another pass."""
    given, axes, counted, weighs = divisor_of(meaning, inputs)
    if given is not None:
        return float(given)
    if axes is not None:
        return float(lengths(inputs, axes, "float64"))
    factor = weight if weighs else mask
    if factor is None or counted is None:
        return None
    total = float(np.sum(factor, dtype=np.float64))
    return total * float(math.prod(inputs.pred.shape) / factor.size)


def _summed(meaning: Any, backend: Backend, arrays: Any) -> Near | None:
    """In one pass."""
    p, t, w, m = arrays
    if w is None and m is None and p.size <= SHORT:
        r = np.subtract(p, t, dtype=np.float64, casting="unsafe").ravel()
        rho = float(np.abs(r).sum() if EXACT[type(meaning.loss)][0] == 1 else r.dot(r))
        return Near(rho / EXACT[type(meaning.loss)][1], p.size, SHORT, False)
    if not all(x is None or x.flags.c_contiguous for x in arrays):
        return None
    if w is not None and INTEGERS.flushes:  # subnormal weights would be lost
        return None
    operands = Operands(p, t, w, m, None, np.dtype(np.float64))
    total = one_pass(rule(meaning.loss), operands, None, backend.integers.threads())
    factor = w if m is None else m
    times = p.size if factor is None else p.size // factor.size
    weight = times if factor is None else float(np.sum(factor, dtype=np.float64)) * times
    # Rows, then their sums, which NumPy adds in pairs from 128 on; 8192 weights at a time.
    height = ROW + 256 + (0 if w is None else 8192 + w.size // 8192)
    if w is not None and not np.min(w) >= 0:
        return None
    return Near(total, weight, height, False)
