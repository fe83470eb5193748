"""The correctly rounded value: in float64 where that is sure, else from tables."""

from __future__ import annotations

import math
from functools import partial
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from l2core.arrays import Array
from l2core.backend import Backend
from l2core.call import Call
from l2core.checks import EXACT
from l2core.exactly.rounding import quotient
from l2core.exactly.sums import (
    Rows,
    denominator,
    layout_of,
    number,
    numerator,
    on_host,
    rows_of,
    value_of_tables,
)
from l2core.integers import INTEGERS
from l2core.onepass import ROW, SHORT, Operands, one_pass, rule
from l2core.prepared import Prepared, cast_to, divisor_of, lengths, single_sum

BLOCK = 1 << 14
"""Elements of a row of float64 sums."""
UNIT = 2.0**-53
LEAST, NORMAL = 2.0**-60, 2.0**-125
"""Means and values from which on it does not matter that XLA takes subnormal inputs and results for 0:
2^-126 of such an |r|, or of its root, is far below what float64 rounds."""


class Near(NamedTuple):
    """Float64 sums of a call: Σ ω·rho and Σ ω (or how many), (D,) or numbers, NaN if an ω is negative;
    and the height of the trees that they were added by."""

    total: Any
    weight: Any
    height: Any
    flushed: bool
    """Whether subnormal inputs may have been taken for 0."""


def value(meaning: Any, inputs: Prepared, call: Call | None = None) -> Array:
    """The value, of the shape of the outputs; ``call`` is what the inputs come of, but in NumPy."""
    backend = inputs.backend
    with backend.integers.wide():
        rows = rows_of(meaning, inputs)
        layout = layout_of(meaning, inputs)
        xp: Any = backend.xp

        def exact(some: Any) -> Array:
            if call is not None:
                made = rows.kept, rows.dtype
                hosted = on_host(partial(value, meaning), meaning, backend, call, made)
                if hosted is not None:
                    return xp.reshape(hosted, (-1,))
            part = rows if some is None else rows.taken(some)
            a = numerator(part, layout)
            b = denominator(meaning, inputs, part, layout)
            if some is not None and b.shape[0] == rows.pred.shape[0]:
                b = b[some]
            empty = math.nan if meaning.empty == "nan" else 0.0
            return value_of_tables(part, a, b, layout, meaning.reduction == "root_mean", empty)

        if rows.dtype == "float32":
            # A product with 0 leaves out what a weight does, in half the time of a selection; if it is
            # not finite, the sum is not, nor is it sure.
            weighed = call is not None and call.weight is not None and call.mask is None
            weighed = weighed and meaning.nan_targets == "propagate"
            near = _near(rows_of(meaning, inputs, select=False) if weighed else rows)
            found, sure = _rounded(meaning, inputs, rows, near)
            found = backend.integers.mended(found, ~sure, exact)
        else:
            found = exact(None)
        return rows.shaped(found)


def weights(meaning: Any, inputs: Prepared, call: Call | None = None) -> Array:
    """Σ ω, rounded once, of the shape of the outputs; ``call`` as above."""
    backend = inputs.backend
    with backend.integers.wide():
        rows = rows_of(meaning, inputs)
        layout = layout_of(meaning, inputs)
        xp: Any = backend.xp

        def exact(some: Any) -> Array:
            if call is not None:
                made = rows.kept, rows.dtype
                hosted = on_host(partial(weights, meaning), meaning, backend, call, made)
                if hosted is not None:
                    return xp.reshape(hosted, (-1,))
            part = rows if some is None else rows.taken(some)
            b = denominator(meaning, inputs, part, layout)
            one = backend.integers.broadcast(number(rows, 1, layout), b)
            return quotient(rows.arithmetic, b, one, layout, rows.dtype, False)

        if rows.dtype == "float32":
            (total,) = _summed(rows, _weights(rows))
            low, high = (xp.astype(total * x, xp.float32) for x in _around(_height(rows)))
            known = (low == high) & (low >= NORMAL) & (total < math.inf)
            found = backend.integers.mended(xp.astype(total, xp.float32), ~known, exact)
        else:
            found = exact(None)
        return rows.shaped(found)


def _weights(rows: Rows) -> Array:
    """The weights in float64, in rows; NaN where one is negative, or taken for 0."""
    xp: Any = rows.backend.xp
    w = _blocked(rows, rows.weight)
    right = w >= 0
    if rows.backend.integers.flushes:
        right = right & ~_subnormal(rows, w)
    return xp.where(right, xp.astype(w, xp.float64), math.nan)


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
        by = _host_divisor(meaning, inputs, found[2], found[3])
        near = _host_sum(meaning, backend, found)
    if by is None or near is None:
        return None
    q = near.total / by if by else math.nan
    if meaning.reduction == "root_mean" and q >= 0:
        q = math.sqrt(q)
    if not q <= _LARGEST:
        return None
    low, high = (float(np.float32(q * x)) for x in _around(near.height))
    if low != high:
        return None
    far = low >= NORMAL and near.total >= near.weight * LEAST
    if not far and (near.total != 0 or INTEGERS.flushes):
        return None
    return backend.scalar(low, "float32", call.pred)


_LARGEST = float(np.finfo(np.float32).max) * (1 - 2.0**-20)


def _around(height: Any) -> tuple[Any, Any]:
    """By what a quotient of float64 sums may be off.

    A sum of terms >= 0 over a tree of height h errs by less than (h + 1) units of 2^-53 of itself,
    each term by 4 (a difference, a square, a product), the quotient and its bounds by 4 more.
    """
    e = (height + 24) * UNIT
    return 1.0 - e, 1.0 + e


def _host_divisor(meaning: Any, inputs: Prepared, weight: Any, mask: Any) -> float | None:
    """What the sum is divided by, in float64; None where it takes another pass."""
    given, axes, counted, weighs = divisor_of(meaning, inputs)
    if given is not None:
        return float(given)
    if axes is not None:
        return float(lengths(inputs, axes, "float64"))
    factor = weight if weighs else mask
    if factor is None or counted is None:
        return None
    return float(np.sum(factor, dtype=np.float64)) * math.prod(inputs.pred.shape) / factor.size


def _host_sum(meaning: Any, backend: Backend, arrays: Any) -> Near | None:
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


def _near(rows: Rows) -> Near:
    """The same by the framework's own sums, of each output."""
    backend = rows.backend
    xp: Any = backend.xp
    p, t = (xp.astype(_blocked(rows, x), xp.float64) for x in (rows.pred, rows.target))
    r = p - t
    rho = r * r if rows.power == 2 else xp.abs(r)
    if rows.halves != 1:
        rho = rho * (1 / rows.halves)
    flushed = backend.integers.flushes
    height = _height(rows)
    if rows.weight is None:
        n = backend.length(rows.pred, 1)
        n = xp.astype(n, xp.float64) if isinstance(n, backend.arrays) else float(n)
        return Near(_summed(rows, rho)[0], n, height, flushed)
    w = xp.astype(_blocked(rows, rows.weight), xp.float64)
    total, weight = _summed(rows, w * rho, _weights(rows))
    return Near(total, weight, 2 * height, flushed)


def _blocked(rows: Rows, x: Array) -> Array:
    """(D, M) in rows of rows, (D, k, BLOCK), of which the last ends with zeros."""
    m = x.shape[1]
    return rows.backend.integers.blocked(x, BLOCK) if isinstance(m, int) and m > BLOCK else x


def _summed(rows: Rows, *arrays: Array) -> list[Array]:
    """Row by row, then their sums."""
    found = rows.backend.integers.sums(*arrays)
    # XLA makes one reduction of both, which it rewrites as a tree of windows of its own.
    return [x if len(x.shape) == 1 else rows.backend.xp.sum(x, axis=(1,)) for x in found]


def _height(rows: Rows) -> Any:
    """How high the trees of such sums may be."""
    m = rows.pred.shape[1]
    if not isinstance(m, int):
        return cast_to(rows.backend.length(rows.pred, 1), "float64", rows.backend)
    return m if m <= BLOCK else BLOCK + m // BLOCK + 1


def _rounded(meaning: Any, inputs: Prepared, rows: Rows, near: Near) -> tuple[Array, Array]:
    """(D,) float32 values, and where no other is possible.

    If all that lies within the bounds rounds to one number, the value is that.
    """
    xp: Any = rows.backend.xp
    q = near.total / _divisor(meaning, inputs, rows, near)
    if not isinstance(q, rows.backend.arrays):
        q = xp.full_like(xp.astype(rows.pred[:, 0], xp.float64), q)
    if meaning.reduction == "root_mean":
        q = xp.sqrt(q)
    low, high = (xp.astype(q * x, xp.float32) for x in _around(near.height))
    total = near.total + 0.0 * q
    enough = (total >= near.weight * LEAST) & (xp.abs(low) >= NORMAL)
    if not near.flushed:
        enough = enough | (total == 0)
    sure = (low == high) & (q < math.inf) & enough
    if meaning.reduction == "none":
        sure = sure | (_unrounded(rows) & (q < math.inf))
    return xp.astype(q, xp.float32), sure


def _divisor(meaning: Any, inputs: Prepared, rows: Rows, near: Near) -> Any:
    """What the sum is divided by, in float64: exact but for sums of weights, and one rounding."""
    backend, divisor = rows.backend, divisor_of(meaning, inputs)
    xp: Any = backend.xp
    given = divisor.given
    if isinstance(given, backend.arrays):
        return xp.reshape(xp.astype(given, xp.float64), (-1,))
    if given is not None:
        return given
    if divisor.axes is not None:
        return lengths(inputs, divisor.axes, "float64")
    if divisor.weighs:
        return near.weight
    one = xp.full_like(xp.astype(rows.pred, xp.float64), 1.0)
    return xp.sum(xp.where(rows.present, one, 0.0), axis=(1,))


def _unrounded(rows: Rows) -> Array:
    """(D,) where the one term of each output has not been rounded in float64: ties are."""
    xp: Any = rows.backend.xp
    integers = rows.arithmetic.integers
    p, t = (xp.astype(x[:, 0], xp.float64) for x in (rows.pred, rows.target))
    r = p - t
    v = p - r
    whole = (p - (r + v)) + (v - t) == 0
    rho = r
    if rows.power == 2:
        whole = whole & (integers.bits(r) & ((1 << 27) - 1) == 0)
        rho = r * r
    for x in (rows.pred, rows.target):
        whole = whole & ~_subnormal(rows, x[:, 0])
    if rows.weight is not None:
        w = rows.weight[:, 0]
        whole = whole & (integers.bits(rho) & ((1 << 24) - 1) == 0) & ~_subnormal(rows, w)
        rho = xp.astype(w, xp.float64) * rho
    size = xp.abs(xp.astype(rho, xp.float32))
    return whole & (((size >= NORMAL) & (size < math.inf)) | (rho == 0))


def _subnormal(rows: Rows, x: Array) -> Array:
    """Where a float32 number is: by its bits, since comparisons may take it for 0."""
    size = rows.arithmetic.integers.bits(x) & 0x7FFFFFFF
    return (size > 0) & (size < 1 << 23)
