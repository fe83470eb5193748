"""Sums in twice the digits of float64, and whether what they round to is the correctly rounded value.

A number is the sum of two float64, of which the second is what rounding took from the first. Products are
of halves of 26 and 27 bits, which are exact, so that a compiler may contract them into fused ones.
Knuth, The Art of Computer Programming 2, section 4.2.2 (TwoSum); Dekker, A floating-point technique for
extending the available precision, 1971 (halves).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from l2core.arrays import Array
from l2core.exactly.near import LEAST, NORMAL, Near, divisor
from l2core.exactly.sums import Rows
from l2core.prepared import Prepared, divisor_of

TOGETHER = 1 << 16
"""Elements at a time, which stay in the processor's cache."""
UNIT = 2.0**-106
HALF = 1 << 27
"""Of the bits of a float64, those that its first half has not."""
SMALL, LARGE = 2.0**-850, 2.0**1000
"""Between these sums lose nothing to underflow or overflow that their bound would not hold."""
FLUSHED = {1: 2.0**-64, 2: 2.0**-90}
"""What float32 inputs below 2^-126, taken for 0, are at most of a sum of |r|, or of r², that is LEAST of the
weights or more."""


class Double(NamedTuple):
    """value + lost, arrays of float64."""

    value: Any
    lost: Any


def known(rows: Rows) -> bool:
    """Whether this can add them up: where lengths are known."""
    return isinstance(rows.pred.shape[1], int) and rows.pred.shape[1] > 0


def _summed(rows: Rows, terms: Callable[[Rows], list[Double]]) -> tuple[list[Double], float]:
    """The sums of these terms of each output, and by what they may be off, of themselves.

    Of positive terms: each of them and the quotient is off by less than 256 units, and each addition by
    twice what has been lost so far.
    """
    columns = rows.pred.shape[1]
    step = columns
    if rows.backend.integers.eager:
        step = max(1, TOGETHER // max(1, rows.pred.shape[0]))
    found: list[Double] = []
    for i in range(0, columns, step):
        part = rows if step >= columns else rows.columns(slice(i, i + step))
        each = [_tree(x) for x in terms(part)]
        found = [_plus(a, b) for a, b in zip(found, each, strict=True)] if i else each
    height = -(-columns // step) + 2 * min(step, columns).bit_length()
    return found, (4.0 * height * (height + 1) + 256.0) * UNIT


def _terms(rows: Rows) -> list[Double]:
    """ω·rho of each element, and ω if there is one."""
    xp: Any = rows.backend.xp
    p, t = (xp.astype(x, xp.float64) for x in (rows.pred, rows.target))
    r = _two_sum(p, -t)
    if rows.power == 2:
        rho = _square(rows, r)
    else:
        negative = r.value < 0
        rho = Double(*(xp.where(negative, -x, x) for x in r))
    if rows.halves != 1:
        rho = Double(*(x * (1 / rows.halves) for x in rho))
    if rows.weight is None:
        return [rho]
    (w,) = _weights(rows)
    return [_product(rows, rho, w.value), w]


def _weights(rows: Rows) -> list[Double]:
    """ω of each element; NaN where it is negative, or taken for 0."""
    xp: Any = rows.backend.xp
    w: Any = rows.weight
    right = w >= 0
    if rows.backend.integers.flushes:
        size = _size(rows, w)
        right = right & ~((size > 0) & (size < 1 << (23 if rows.dtype == "float32" else 52)))
    w = xp.where(right, xp.astype(w, xp.float64), math.nan)
    return [Double(w, 0.0 * w)]


def _size(rows: Rows, x: Array) -> Array:
    """The bits of x without its sign, as arithmetic may take subnormal numbers for 0."""
    bits: Array = rows.arithmetic.integers.bits(x)
    return bits & ((1 << (31 if rows.dtype == "float32" else 63)) - 1)


def _two_sum(a: Any, b: Any) -> Double:
    total = a + b
    part = total - a
    return Double(total, (a - (total - part)) + (b - part))


def _plus(a: Double, b: Double) -> Double:
    total, lost = _two_sum(a.value, b.value)
    return Double(total, a.lost + b.lost + lost)


def _halves(rows: Rows, x: Array) -> tuple[Array, Array]:
    """26 bits of x, and the other 27."""
    integers = rows.arithmetic.integers
    high = integers.floats(integers.bits(x) & -HALF, "float64")
    return high, x - high


def _square(rows: Rows, x: Double) -> Double:
    high, low = _halves(rows, x.value)
    total, lost = _two_sum(high * high, 2.0 * high * low)
    return Double(total, lost + (low * low + 2.0 * x.value * x.lost))


def _product(rows: Rows, x: Double, by: Array) -> Double:
    (high, low), (first, second) = _halves(rows, x.value), _halves(rows, by)
    total, lost = _two_sum(high * first, high * second)
    total, more = _two_sum(total, low * first)
    return Double(total, lost + more + (low * second + x.lost * by))


def _tree(x: Double) -> Double:
    """The sum along the last axis: of one half with the other, again and again."""
    value, lost = x
    n, odd = value.shape[1], []
    while n > 1:
        if n % 2:
            odd.append(Double(value[:, n - 1], lost[:, n - 1]))
        n //= 2
        first, second = (Double(value[:, s], lost[:, s]) for s in (slice(n), slice(n, 2 * n)))
        value, lost = _plus(first, second)
    found = Double(value[:, 0], lost[:, 0])
    for each in odd:
        found = _plus(found, each)
    return found


def rounded(meaning: Any, inputs: Prepared, rows: Rows) -> tuple[Array, Array]:
    """(D,) values of the rows' dtype, and where no other is possible."""
    (total, *others), off = _summed(rows, _terms)
    weight = others[0] if others else Double(float(rows.pred.shape[1]), 0.0)
    by = divisor(meaning, inputs, rows, Near(total.value, weight.value, 0, False))
    weighs = divisor_of(meaning, inputs).weighs
    q = _quotient(rows, total, weight if weighs else Double(by + 0.0 * total.value, 0.0))
    root = _root(rows, q) if meaning.reduction == "root_mean" else q
    found, sure = _sure(rows, root, total, weight.value, off)
    return found, sure & _usual(rows, q, total)


def rounded_weights(rows: Rows) -> tuple[Array, Array]:
    """(D,) sums of weights, and where no other is possible."""
    (total,), off = _summed(rows, _weights)
    found, sure = _sure(rows, total, total, total.value, off)
    return found, sure & _usual(rows, total, total)


def _usual(rows: Rows, q: Double, total: Double) -> Array:
    """Where what a quotient, or its root, lost to rounding is far from underflow."""
    least, most = (NORMAL, 2.0**127) if rows.dtype == "float32" else (SMALL, LARGE)
    usual: Array = (q.value >= least) & (q.value <= most) | (total.value == 0)
    return usual


def _quotient(rows: Rows, a: Double, b: Double) -> Double:
    q = a.value / b.value
    taken = _product(rows, b, q)
    left, lost = _two_sum(a.value, -taken.value)
    return _two_sum(q, (left + (lost + (a.lost - taken.lost))) / b.value)


def _root(rows: Rows, x: Double) -> Double:
    xp: Any = rows.backend.xp
    zero = x.value == 0
    value = xp.where(zero, 1.0, x.value)
    root = xp.sqrt(value)
    taken = _square(rows, Double(root, 0.0 * root))
    left, lost = _two_sum(value, -taken.value)
    found = _two_sum(root, (left + (lost + (x.lost - taken.lost))) / (2.0 * root))
    return Double(*(xp.where(zero, 0.0, each) for each in found))


def _sure(rows: Rows, q: Double, total: Double, weight: Any, off: float) -> tuple[Array, Array]:
    """What all within these bounds rounds to, and where it is one number."""
    xp: Any = rows.backend.xp
    narrow, flushes = rows.dtype == "float32", rows.backend.integers.flushes
    by = q.value * (off + FLUSHED[rows.power] if narrow and flushes else off)
    low, high = (_odd(rows, q.value, q.lost + x) for x in (-by, by))
    low, high = (xp.astype(x, getattr(xp, rows.dtype)) for x in (low, high))
    enough = (total.value >= SMALL) & (total.value >= weight * (LEAST if narrow else SMALL))
    # Of numbers too small to be squared, too; they are looked at where there is need.
    enough = rows.backend.integers.mended(
        enough,
        (total.value == 0) & ~enough,
        lambda some: _nothing(rows if some is None else rows.taken(some)),
    )
    return low, (low == high) & enough & (total.value <= LARGE)


def _nothing(rows: Rows) -> Array:
    """(D,) where no element adds anything, by bits."""
    xp: Any = rows.backend.xp
    bits = rows.arithmetic.integers.bits
    idle = bits(rows.pred) == bits(rows.target)
    if rows.weight is not None:
        idle = idle | (_size(rows, rows.weight) == 0)
    one = xp.full_like(xp.astype(rows.pred, xp.float64), 1.0)
    return xp.sum(xp.where(idle, 0.0, one), axis=(1,)) == 0


def _odd(rows: Rows, value: Array, lost: Array) -> Array:
    """Their sum; for a float32, with its last bit set if it is not exact, so that it rounds as the sum does."""
    total, more = _two_sum(value, lost)
    if rows.dtype != "float32":
        return total
    xp: Any = rows.backend.xp
    integers = rows.arithmetic.integers
    bits = integers.bits(total)
    # Towards zero first, then up to an odd number: of positive ones.
    bits = xp.where(more < 0, bits - 1, bits)
    bits = xp.where(more != 0, bits | 1, bits)
    return integers.floats(bits, "float64")
