"""Sums that keep what rounding took from them, so that they do not drift however many parts come."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from l2core.arrays import Array, Namespace


def added(a: Any, b: Any, lost: Any, xp: Namespace) -> tuple[Any, Any]:
    """a + b + lost, and what rounding took from it.

    Knuth, The Art of Computer Programming 2, section 4.2.2: TwoSum, then FastTwoSum. A sum that is
    not finite has lost nothing: inf - inf would hide inf.
    """
    total = a + b
    if not hasattr(total, "dtype"):
        return total, lost
    a, b, lost = (x if hasattr(x, "dtype") else xp.full_like(total, x) for x in (a, b, lost))
    finite = xp.abs(total) < math.inf
    a, b, near, lost = (xp.where(finite, x, 0.0) for x in (a, b, total, lost))
    part = near - a
    lost = lost + ((a - (near - part)) + (b - part))
    return total + lost, lost - ((near + lost) - near)


class Sum(NamedTuple):
    """A number as value + lost: twice the digits of its dtype."""

    value: Array
    lost: Array

    def plus(self, other: Sum, xp: Namespace) -> Sum:
        """The sum of both."""
        return Sum(*added(self.value, other.value, self.lost + other.lost, xp))

    def minus(self, other: Sum, xp: Namespace) -> Sum:
        """The difference of both."""
        return Sum(*added(self.value, -other.value, self.lost - other.lost, xp))

    def times(self, factor: Array) -> Sum:
        """Each part times a factor, rounded."""
        return Sum(self.value * factor, self.lost * factor)

    @property
    def total(self) -> Array:
        """The number in the digits of its dtype."""
        return self.value + self.lost
