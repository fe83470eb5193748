"""The two sums of a mean, which add up over any split of the data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

from l2core.arrays import Array
from l2core.backend import Backend, backend_of
from l2core.compensated import added

EMPTY = {"nan": math.nan, "zero": 1.0}
"""What a mean over nothing is divided by: 0 / nan = nan, 0 / 1 = 0 with zero gradient."""


@dataclass(frozen=True)
class Terms:
    """The two sums of a mean. They add up over any split of the data: ``sum(parts).value()``.

    ``denominator`` is an array like the numerator, of its shape or of none: both may go through an
    all-reduce. A denominator that the caller gave is that of the part, so parts add up to the whole
    only if their denominators do. Terms times a number k count as k times the same data, with the
    same value. They are a pytree of PyTorch and of JAX, once l2torch or l2jax is imported.
    Totals do not drift, however many parts come: ``compensation`` is what rounding took from the
    sums of numerators and of denominators, kept beside them.
    """

    numerator: Array
    denominator: Any
    root: bool = False
    empty: str = "nan"
    compensation: tuple[Any, Any] = (0.0, 0.0)

    __array_ufunc__ = None  # NumPy's arrays and scalars leave operators to these here

    def __add__(self, other: object) -> Terms:
        if not isinstance(other, Terms):
            return NotImplemented
        if (self.root, self.empty) != (other.root, other.empty):
            raise ValueError(
                "Terms: expected terms of the same criterion, got "
                f"root={self.root}, empty={self.empty!r} and "
                f"root={other.root}, empty={other.empty!r}"
            )
        xp = backend_of(self.numerator, "numerator").xp
        lost, also = self.compensation, other.compensation
        numerator, first = added(self.numerator, other.numerator, lost[0] + also[0], xp)
        denominator, second = added(self.denominator, other.denominator, lost[1] + also[1], xp)
        return Terms(numerator, denominator, self.root, self.empty, (first, second))

    def __radd__(self, other: object) -> Terms:
        if isinstance(other, int) and other == 0:  # where sum() starts
            return self
        return NotImplemented

    def __mul__(self, times: Any) -> Terms:
        if not isinstance(times, Real) and getattr(times, "shape", None) != ():
            return NotImplemented
        factor = float(times) if isinstance(times, Real) else times
        return self._each(lambda x: x * factor)

    __rmul__ = __mul__

    def value(self) -> Array:
        """numerator / denominator, or its square root; the gradient of a root at 0 is 0."""
        return self._whole()._value(backend_of(self.numerator, "numerator"))

    def item(self) -> float:
        """The value as a Python number; only of terms without axes. It waits for the device."""
        return float(self.value())

    def detach(self) -> Terms:
        """The same numbers, out of the graph of any gradient."""
        return self._each(backend_of(self.numerator, "numerator").detached)

    def to(self, where: Any) -> Terms:
        """The same on another device, or in another dtype, each as the framework names it."""
        backend = backend_of(self.numerator, "numerator")
        return self._each(lambda x: backend.moved(x, where))

    def _each(self, f: Callable[[Any], Any]) -> Terms:
        """With f of each of the arrays."""
        first, second = (f(x) if hasattr(x, "dtype") else x for x in self.compensation)
        numerator, denominator = f(self.numerator), f(self.denominator)
        return Terms(numerator, denominator, self.root, self.empty, (first, second))

    def _whole(self) -> Terms:
        """The same with the compensation put back."""
        numerator, denominator = (
            total + lost
            for total, lost in zip(
                (self.numerator, self.denominator), self.compensation, strict=True
            )
        )
        return Terms(numerator, denominator, self.root, self.empty)

    def _value(self, backend: Backend) -> Array:
        xp = backend.xp
        if isinstance(self.denominator, backend.arrays):
            # A selection sends no gradient back: 1 / NaN would reach the weights, which are all 0.
            nothing = self._nothing(backend)
            mean = self.numerator / xp.where(nothing, 1.0, self.denominator)
            mean = xp.where(nothing, 0.0 / EMPTY[self.empty], mean)
        else:
            mean = self.numerator / backend.number(self._divisor(backend), self.numerator)
        if not self.root:
            return mean
        zero = mean == 0
        return xp.where(zero, 0.0, xp.sqrt(xp.where(zero, 1.0, mean)))

    def _nothing(self, backend: Backend) -> Array:
        """Where the mean is one over nothing."""
        return (self.denominator == 0) & (self.numerator == 0)

    def _divisor(self, backend: Backend) -> Any:
        if not isinstance(self.denominator, backend.arrays):
            return self.denominator if self.denominator != 0 else EMPTY[self.empty]
        return backend.xp.where(self._nothing(backend), EMPTY[self.empty], self.denominator)
