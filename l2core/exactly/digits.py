"""Floats, their products and their sums as integers in base 2^24: nothing is rounded.

A number is Σ digits[k] · 2^(24 (place + k)). Sums of any number of them are a table: one int64 for
each place, and counts of what is not finite. Tables add up as integers, in any order and over any
split, so that what a sum is does not depend on how it was added: a superaccumulator (Kulisch, 1971).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from l2core.arrays import Array
from l2core.integers import Integers

BASE = 24
MASK = (1 << BASE) - 1
FLAGS = 3
"""Further columns of a table: how many NaN, inf and -inf went into it."""
FORMATS = {"float32": (23, 8), "float64": (52, 11)}
"""Of each float format: the bits of its fraction, and of its exponent."""


class Layout(NamedTuple):
    """The places of a table: ``size`` from ``low`` on, enough for products of three floats."""

    low: int
    size: int

    @property
    def columns(self) -> int:
        """Those of a table."""
        return self.size + FLAGS


LAYOUTS = {"float32": Layout(-21, 48), "float64": Layout(-135, 288)}


class Digits(NamedTuple):
    """Numbers, element by element; all digits have the sign of their number, or carry it on top."""

    place: Array
    digits: tuple[Array, ...]


class Arithmetic(NamedTuple):
    """A framework's integers and namespace."""

    xp: Any  # a Namespace, with its dtypes
    integers: Integers

    def decoded(self, x: Array, dtype: str) -> Digits:
        """Floats as digits; of inf and NaN these mean nothing."""
        bits = self.integers.bits(x)
        fraction, width = FORMATS[dtype]
        negative = bits < 0
        size = bits & ((1 << (fraction + width)) - 1)
        found = self.magnitude(size, dtype)
        signed = (self.xp.where(negative, -d, d) for d in found.digits)
        return Digits(found.place, tuple(signed))

    def order(self, x: Array, dtype: str) -> Array:
        """Integers in the order of the numbers."""
        bits = self.integers.bits(x)
        size = bits & ((1 << sum(FORMATS[dtype])) - 1)
        return self.xp.where(bits < 0, -size, size)

    def finite(self, x: Array, dtype: str) -> Array:
        """Where a number is."""
        fraction, width = FORMATS[dtype]
        size = self.integers.bits(x) & ((1 << (fraction + width)) - 1)
        return size < (((1 << width) - 1) << fraction)

    def magnitude(self, bits: Array, dtype: str, odd: int = 0) -> Digits:
        """The float >= 0 of these bits; with ``odd`` 1 the sum of it and of the next one."""
        fraction, width = FORMATS[dtype]
        field = self.integers.right(bits, fraction)
        normal = field > 0
        whole = bits - self.integers.left(field, fraction)
        whole = whole + self.xp.where(normal, field * 0 + (1 << fraction), field * 0)
        exponent = self.xp.where(normal, field, field * 0 + 1) - (2 ** (width - 1) - 1 + fraction)
        return self.placed(
            whole * 2 + 1 if odd else whole, exponent, 3 if fraction > 48 - 24 else 2
        )

    def placed(self, m: Array, exponent: Array, pieces: int) -> Digits:
        """The integers 0 <= m < 2^(24 pieces), times 2^exponent."""
        # floor(exponent / 24), by a product that is exact for sums below 8,000.
        place = self.integers.right((exponent + 48 * BASE) * 2731, 16) - 48
        shift = exponent - BASE * place
        digits, carry = [], m * 0
        for k in range(pieces):
            part = self.integers.left(self.integers.right(m, BASE * k) & MASK, shift) + carry
            digits.append(part & MASK)
            carry = self.integers.right(part, BASE)
        return Digits(place, (*digits, carry))

    def product(self, a: Digits, b: Digits) -> Digits:
        """a · b."""
        n = len(a.digits) + len(b.digits)
        sums: list[Any] = [0] * n
        for i, x in enumerate(a.digits):
            for j, y in enumerate(b.digits):
                sums[i + j] = sums[i + j] + x * y
        digits, carry = [], 0
        for each in sums[:-1]:
            each = each + carry
            digits.append(each & MASK)
            carry = self.integers.right(each, BASE)
        return Digits(a.place + b.place, (*digits, carry))

    def times(self, a: Digits, factor: Any) -> Digits:
        """a times 1, -1, 2 or -2, element by element or as a number."""
        return Digits(a.place, tuple(d * factor for d in a.digits))

    def summed(self, parts: list[Digits], layout: Layout) -> Array:
        """The table (D, columns) of the sum of such (D, M), without flags."""
        total: Any = 0
        for part in parts:
            index = part.place - layout.low
            for k, d in enumerate(part.digits):
                total = total + self.integers.binned(index + k, d, layout.columns)
        return total

    def flagged(self, table: Array, counts: list[Array], layout: Layout) -> Array:
        """The same table with counts (D,) of NaN, inf and -inf added."""
        places = _places(self, table, layout)
        for k, count in enumerate(counts):
            at = places == layout.size + k
            table = table + self.xp.where(at, count[..., None] + 0 * table, 0 * table)
        return table

    # --- tables -----------------------------------------------------------------------------------

    def carried(self, table: Array, layout: Layout) -> Array:
        """The same number with digits 0 <= d < 2^24; the last place is below 0 if the number is."""
        xp, places = self.xp, _places(self, table, layout)
        top = places == layout.size - 1
        inside = places < layout.size - 1
        for _ in range(3):  # from 2^63 to carries of -1, 0 and 1
            carry = xp.where(inside, self.integers.right(table, BASE), 0 * table)
            table = xp.where(inside, table & MASK, table) + self._shifted(carry, places, 1)
        # Each place makes of a carry of -1, 0 or 1 another; those of all below it, composed.
        maps = [
            xp.where(inside, self.integers.right(table + c, BASE), 0 * table) for c in (-1, 0, 1)
        ]
        step = 1
        while step < layout.size:
            before = [
                self._shifted(m, places, step, c) for m, c in zip(maps, (-1, 0, 1), strict=True)
            ]
            maps = [xp.where(m < 0, maps[0], xp.where(m > 0, maps[2], maps[1])) for m in before]
            step *= 2
        table = table + xp.where(inside | top, self._shifted(maps[1], places, 1), 0 * table)
        return xp.where(inside, table & MASK, table)

    def _shifted(self, x: Array, places: Array, step: int, outside: int = 0) -> Array:
        """x of so many places below."""
        index = places - step
        inside = index >= 0
        moved = self.integers.along(x, self.xp.where(inside, index, 0 * index))
        return self.xp.where(inside, moved, 0 * moved + outside)

    def sign(self, table: Array, layout: Layout) -> Array:
        """-1, 0 or 1 of carried tables (..., columns)."""
        xp, places = self.xp, _places(self, table, layout)
        digits = xp.where(places < layout.size, table, 0 * table)
        low, high = xp.min(digits, axis=-1), xp.max(digits, axis=-1)
        zero = 0 * low
        return xp.where(low < 0, zero - 1, xp.where(high > 0, zero + 1, zero))

    def multiplied(self, table: Array, by: Digits, layout: Layout) -> Array:
        """Carried tables (D, columns) times numbers (D, C): tables (D, C, columns), not carried."""
        xp = self.xp
        wide = by.place[..., None]
        rows = self.integers.broadcast(table[:, None, :], wide + 0 * table[:, None, :])
        places = _places(self, rows, layout)
        total = 0 * rows
        for k, d in enumerate(by.digits):
            index = places - wide - k
            inside = (index >= 0) & (index < layout.size) & (places < layout.size)
            moved = self.integers.along(rows, xp.where(inside, index, 0 * index))
            total = total + xp.where(inside, d[..., None] * moved, 0 * moved)
        return total


def decoded_number(x: float) -> list[tuple[int, int]]:
    """The places and digits of a finite Python number >= 0."""
    top, bottom = x.as_integer_ratio()
    halvings = bottom.bit_length() - 1  # the denominator is a power of 2
    place = -(-halvings // BASE)
    top, place = top << (place * BASE - halvings), -place
    found = []
    while top:
        found.append((place, top & MASK))
        top, place = top >> BASE, place + 1
    return found


def _places(arithmetic: Arithmetic, table: Array, layout: Layout) -> Array:
    """0, 1, ... along the last axis, in the shape of the tables."""
    one = 0 * table + 1
    return arithmetic.xp.cumulative_sum(one, axis=-1) - 1
