"""Sums in float64, and whether what they round to is the correctly rounded value."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from l2core.arrays import Array
from l2core.exactly.sums import Rows
from l2core.prepared import Prepared, cast_to, divisor_of, lengths

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


def around(height: Any) -> tuple[Any, Any]:
    """By what a quotient of float64 sums may be off.

    A sum of terms >= 0 over a tree of height h errs by less than (h + 1) units of 2^-53 of itself,
    each term by 4 (a difference, a square, a product), the quotient and its bounds by 4 more.
    """
    e = (height + 24) * UNIT
    return 1.0 - e, 1.0 + e


def near_of(rows: Rows) -> Near:
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
    total, weight = _summed(rows, w * rho, weights_of(rows))
    return Near(total, weight, 2 * height, flushed)


def weights_of(rows: Rows) -> Array:
    """The weights in float64, in rows; NaN where one is negative, or taken for 0."""
    xp: Any = rows.backend.xp
    w = _blocked(rows, rows.weight)
    right = w >= 0
    if rows.backend.integers.flushes:
        right = right & ~_subnormal(rows, w)
    return xp.where(right, xp.astype(w, xp.float64), math.nan)


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


def rounded(meaning: Any, inputs: Prepared, rows: Rows, near: Near) -> tuple[Array, Array]:
    """(D,) float32 values, and where no other is possible.

    If all that lies within the bounds rounds to one number, the value is that.
    """
    xp: Any = rows.backend.xp
    q = near.total / divisor(meaning, inputs, rows, near)
    if not isinstance(q, rows.backend.arrays):
        q = xp.full_like(xp.astype(rows.pred[:, 0], xp.float64), q)
    if meaning.reduction == "root_mean":
        q = xp.sqrt(q)
    low, high = (xp.astype(q * x, xp.float32) for x in around(near.height))
    total = near.total + 0.0 * q
    enough = (total >= near.weight * LEAST) & (xp.abs(low) >= NORMAL)
    if not near.flushed:
        enough = enough | (total == 0)
    sure = (low == high) & (q < math.inf) & enough
    if meaning.reduction == "none":
        sure = sure | (_unrounded(rows) & (q < math.inf))
    return xp.astype(q, xp.float32), sure


def divisor(meaning: Any, inputs: Prepared, rows: Rows, near: Near) -> Any:
    """What the sum is divided by, in float64: exact but for sums of weights, and one rounding."""
    backend, by = rows.backend, divisor_of(meaning, inputs)
    xp: Any = backend.xp
    if rows.given is not None:
        return xp.astype(rows.given, xp.float64)
    if by.given is not None:
        return by.given
    if by.axes is not None:
        return lengths(inputs, by.axes, "float64")
    if by.weighs:
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


def rounded_weights(rows: Rows) -> tuple[Array, Array]:
    """(D,) float32 sums of weights, and where no other is possible."""
    xp: Any = rows.backend.xp
    (total,) = _summed(rows, weights_of(rows))
    low, high = (xp.astype(total * x, xp.float32) for x in around(_height(rows)))
    return xp.astype(total, xp.float32), (low == high) & (low >= NORMAL) & (total < math.inf)
