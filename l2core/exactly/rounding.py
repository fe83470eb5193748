"""The float nearest to a quotient of two tables, or to its root: rounded once, ties to even."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from l2core.arrays import Array
from l2core.exactly.digits import BASE, FORMATS, Arithmetic, Layout
from l2core.integers import INTEGERS
from l2core.numpy_namespace import XP

ROUNDED = {"float32": (0, 1), "float64": (8, 17)}
"""Floats below the estimate from which on, and how many, are tried: it errs by less than 7 units of
2^-53, and is cut to the format's digits."""
_EXP64, _FRACTION64 = 1023, 52


def quotient(
    arithmetic: Arithmetic,
    numerator: Array,
    denominator: Array,
    layout: Layout,
    dtype: str,
    root: bool,
    empty: float = math.nan,
) -> Array:
    """(D,) numbers of this dtype from tables (D, columns); the sign of a root's is +.

    x / 0 is inf or -inf, 0 / 0 is ``empty``, and what is not finite is as the counts of a table say.
    """
    first, second = (arithmetic.integers.known(x) for x in (numerator, denominator))
    if first is not None and second is not None:
        if arithmetic.integers is not INTEGERS:
            with INTEGERS.wide():
                found = quotient(_NUMPY, first, second, layout, dtype, root, empty)
            return arithmetic.integers.array(found)
        numerator, denominator, layout = _trimmed(numerator, denominator, layout)
    xp = arithmetic.xp
    a, a_sign = _positive(arithmetic, numerator, layout)
    b, b_sign = _positive(arithmetic, denominator, layout)
    with_bits = _nearest(arithmetic, a, b, layout, dtype, root)
    value = arithmetic.integers.floats(with_bits, dtype)
    negative = a_sign * b_sign < 0
    value = xp.where(negative, -value, value)
    if root:
        value = xp.where(negative, math.nan, value)
    # What is not finite, or divided by 0, by the framework's own rules for floats.
    first, second = (
        _limit(arithmetic, x, sign, layout, dtype)
        for x, sign in ((numerator, a_sign), (denominator, b_sign))
    )
    finite = (xp.abs(first) < 2.0) & (xp.abs(second) < 2.0) & (b_sign != 0)
    limit = first / xp.where(finite, xp.full_like(first, 1.0), second)
    limit = xp.sqrt(limit) if root else limit
    nothing = (first == 0) & (second == 0)
    return xp.where(nothing, empty, xp.where(finite, value, limit))


_NUMPY = Arithmetic(XP, INTEGERS)
_MARGIN = 6
"""Places for carries."""


def _trimmed(a: Any, b: Any, layout: Layout) -> tuple[Any, Any, Layout]:
    """NumPy's tables with no more places than what stands in them needs."""
    ends = []
    for table in (a, b):
        used = np.flatnonzero(np.any(table[:, : layout.size] != 0, axis=0))
        ends.append((int(used[0]), int(used[-1])) if len(used) else (0, 0))
    (low_a, high_a), (low_b, high_b) = ends
    # A float beside a / b times b reaches so far down, and no higher than a.
    low = min(low_a, low_b, low_b + low_a - high_b - 2 * _MARGIN)
    size = max(high_a, high_b) + _MARGIN - low
    trimmed = Layout(layout.low + low, size)
    if size >= layout.size:
        return a, b, layout
    found = []
    for table in (a, b):
        part = np.zeros((len(table), trimmed.columns), np.int64)
        first, last = max(low, 0), min(low + size, layout.size)
        part[:, first - low : last - low] = table[:, first:last]
        part[:, size:] = table[:, layout.size :]
        found.append(part)
    return found[0], found[1], trimmed


def _positive(arithmetic: Arithmetic, table: Array, layout: Layout) -> tuple[Array, Array]:
    """The carried table of the size, and the sign."""
    carried = arithmetic.carried(table, layout)
    sign = arithmetic.sign(carried, layout)
    below = (sign < 0)[..., None]
    flipped = arithmetic.carried(arithmetic.xp.where(below, -carried, carried), layout)
    return flipped, sign


def _limit(arithmetic: Arithmetic, table: Array, sign: Array, layout: Layout, dtype: str) -> Array:
    """The sign as a float; inf, -inf or NaN if such went into the table."""
    xp = arithmetic.xp
    nan, high, low = (table[..., layout.size + k] > 0 for k in range(3))
    value = xp.astype(sign, getattr(xp, dtype))
    value = xp.where(high, math.inf, value)
    value = xp.where(low, -math.inf, value)
    return xp.where(nan | (high & low), math.nan, value)


def _nearest(
    arithmetic: Arithmetic, a: Array, b: Array, layout: Layout, dtype: str, root: bool
) -> Array:
    """The bits of the float nearest to a / b, both >= 0: each float beside an estimate is held
    against it, exactly, by twice its midpoint to the next."""
    xp = arithmetic.xp
    below, count = ROUNDED[dtype]
    start = _estimate(arithmetic, a, b, layout, dtype, root) - below
    start = xp.where(start < 0, 0 * start, start)
    steps = xp.stack([0 * start + k for k in range(count)], axis=-1)
    bits = start[..., None] + steps
    fraction, width = FORMATS[dtype]
    top = ((1 << width) - 1) << fraction  # of inf
    bits = xp.where(bits < top, bits, 0 * bits + (top - 1))
    middle = arithmetic.magnitude(bits, dtype, odd=1)
    by = arithmetic.product(middle, middle) if root else middle
    found = arithmetic.multiplied(b, by, layout)
    places = (a * (4 if root else 2))[:, None, :]
    sign = arithmetic.sign(arithmetic.carried(places - found, layout), layout)
    odd = bits & 1
    up = (sign > 0) | ((sign == 0) & (odd == 1))
    beyond = start[..., None] + steps >= top
    total = xp.sum(xp.where(up & ~beyond, 0 * bits + 1, 0 * bits), axis=(1,))
    nearest = start + total
    nothing = xp.max(a[..., : layout.size], axis=-1) == 0
    return xp.where(nothing, 0 * nearest, nearest)


def _estimate(
    arithmetic: Arithmetic, a: Array, b: Array, layout: Layout, dtype: str, root: bool
) -> Array:
    """The bits of about a / b, cut to the format: 0 to its largest finite number."""
    xp, integers = arithmetic.xp, arithmetic.integers
    (x, high), (y, low) = (_leading(arithmetic, t, layout) for t in (a, b))
    value = x / xp.where(y == 0, y + 1.0, y)
    exponent = (high - low) * BASE
    if root:
        value, exponent = xp.sqrt(value), integers.right(exponent, 1)
    bits = integers.bits(value)
    field = integers.right(bits, _FRACTION64)
    whole = bits - integers.left(field, _FRACTION64) + (1 << _FRACTION64)
    fraction, width = FORMATS[dtype]
    bias = 2 ** (width - 1) - 1
    wanted = field - _EXP64 + exponent + bias  # the exponent field, from 1 on
    lost = xp.where(wanted < 1, 1 - wanted, 0 * wanted)
    lost = xp.where(lost > 60, 0 * lost + 60, lost) + (_FRACTION64 - fraction)
    lost = xp.where(lost > 62, 0 * lost + 62, lost)
    cut = integers.right(whole, lost)
    wanted = xp.where(wanted < 1, 0 * wanted + 1, wanted)
    most = (1 << width) - 1  # beyond which the shift would reach the sign
    capped = xp.where(wanted < most, wanted, 0 * wanted + most)
    found = integers.left(capped - 1, fraction) + cut
    top = (((1 << width) - 1) << fraction) - 1
    return xp.where(found < top, found, 0 * found + top)


def _leading(arithmetic: Arithmetic, table: Array, layout: Layout) -> tuple[Array, Array]:
    """The four leading digits of carried tables >= 0 as a float64, and the place of the last."""
    xp, integers = arithmetic.xp, arithmetic.integers
    places = xp.cumulative_sum(0 * table + 1, axis=-1) - 1
    there = (table > 0) & (places < layout.size)
    first = xp.max(xp.where(there, places, 0 * places), axis=-1)
    value = xp.astype(0 * first, xp.float64)
    for k in range(4):
        index = first - k
        digit = integers.along(table, xp.where(index < 0, 0 * index, index)[..., None])[..., 0]
        digit = xp.where(index < 0, 0 * digit, digit)
        value = value * 2.0**BASE + xp.astype(digit, xp.float64)
    return value, first
