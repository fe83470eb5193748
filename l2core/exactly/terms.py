"""The two sums of a mean as integers, which add up exactly over any split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np

from l2core.arrays import Array, kind_of
from l2core.backend import backend_of
from l2core.call import Call
from l2core.exactly.digits import LAYOUTS, Arithmetic
from l2core.exactly.rounding import quotient
from l2core.exactly.sums import denominator, layout_of, numerator, on_host, rows_of
from l2core.prepared import Prepared, cast_to
from l2core.terms import EMPTY

OF_COLUMNS = {layout.columns: layout for layout in LAYOUTS.values()}


@dataclass(frozen=True)
class ExactTerms:
    """The two sums of a mean of a criterion with ``exact=True``; ``sum(parts).value()`` is rounded once.

    ``numerator`` and ``denominator`` are tables of int64, (*outputs, columns): digits in base 2^24 by
    their place, and counts of NaN, inf and -inf. So they add up as integers: over micro-batches, files
    and devices, in any order, and in an all-reduce of int64 over any number of ranks below 2^30. They have
    no gradient.
    """

    numerator: Array
    denominator: Array
    dtype: str
    root: bool = False
    empty: str = "nan"

    __array_ufunc__ = None

    def __add__(self, other: object) -> ExactTerms:
        if not isinstance(other, ExactTerms):
            return NotImplemented
        if (self.root, self.empty) != (other.root, other.empty):
            raise ValueError(
                "ExactTerms: expected terms of the same criterion, got "
                f"root={self.root}, empty={self.empty!r} and "
                f"root={other.root}, empty={other.empty!r}"
            )
        dtype = max(self.dtype, other.dtype, key=lambda name: LAYOUTS[name].size)
        columns = max(self.numerator.shape[-1], other.numerator.shape[-1])
        a, b = self._wide(columns), other._wide(columns)
        with _arithmetic(self.numerator).integers.wide():
            first, second = a.numerator + b.numerator, a.denominator + b.denominator
        return replace(self, numerator=first, denominator=second, dtype=dtype)

    def __radd__(self, other: object) -> ExactTerms:
        if isinstance(other, int) and other == 0:  # where sum() starts
            return self
        return NotImplemented

    def __mul__(self, times: Any) -> ExactTerms:
        """As many times the same data."""
        if (
            not isinstance(times, Integral)
            or isinstance(times, bool)
            or not 0 <= int(times) < 1 << 30
        ):
            return NotImplemented
        with _arithmetic(self.numerator).integers.wide():
            return self._each(lambda x: _carried(x * int(times)))

    __rmul__ = __mul__

    def value(self) -> Array:
        """numerator / denominator, or its square root, rounded once."""
        arithmetic = _arithmetic(self.numerator)
        columns = self.numerator.shape[-1]
        layout, xp = OF_COLUMNS[columns], arithmetic.xp
        kept = self.numerator.shape[:-1]
        with arithmetic.integers.wide():
            hosted = arithmetic.integers.on_host(
                self._hosted, (self.numerator, self.denominator), (tuple(kept), self.dtype)
            )
            if hosted is not None:
                return hosted
            a, b = (xp.reshape(x, (-1, columns)) for x in (self.numerator, self.denominator))
            b = arithmetic.integers.broadcast(b, a)
            empty = 0.0 / EMPTY[self.empty]
            found = quotient(arithmetic, a, b, layout, self.dtype, self.root, empty)
            return xp.reshape(found, tuple(kept))

    def _hosted(self, numerator: Any, denominator: Any) -> Any:
        """The value of such tables in NumPy."""
        a, b = (np.asarray(x) for x in (numerator, denominator))
        return np.asarray(replace(self, numerator=a, denominator=b).value())

    def item(self) -> float:
        """The value as a Python number; only of terms without axes. It waits for the device."""
        return float(self.value())

    def detach(self) -> ExactTerms:
        """The same: integers have no gradient."""
        return self

    def to(self, where: Any) -> ExactTerms:
        """The same on another device."""
        backend = backend_of(self.numerator, "numerator")
        return self._each(lambda x: backend.moved(x, where))

    def _each(self, f: Callable[[Any], Any]) -> ExactTerms:
        return replace(self, numerator=f(self.numerator), denominator=f(self.denominator))

    def widened(self, dtype: str) -> ExactTerms:
        """The same numbers in tables of one shape, to be rounded to this dtype if it is the wider one."""
        dtype = max(self.dtype, dtype, key=lambda name: LAYOUTS[name].size)
        wide = self._wide(max(self.numerator.shape[-1], LAYOUTS[dtype].columns))
        integers = _arithmetic(self.numerator).integers
        with integers.wide():
            denominator = integers.broadcast(wide.denominator, wide.numerator)
        return replace(wide, denominator=denominator, dtype=dtype)

    def _wide(self, columns: int) -> ExactTerms:
        """In tables of so many columns."""
        own = self.numerator.shape[-1]
        if own == columns:
            return self
        old, new = OF_COLUMNS[own], OF_COLUMNS[columns]
        place = np.arange(columns) + new.low - old.low
        place[new.size :] = old.size + np.arange(columns - new.size)
        there = (place >= 0) & ((place < old.size) | (np.arange(columns) >= new.size))
        backend = backend_of(self.numerator, "numerator")
        arithmetic = _arithmetic(self.numerator)
        with arithmetic.integers.wide():
            index, kept = (
                backend.constant(x.astype(np.int64), self.numerator)
                for x in (np.where(there, place, 0), there)
            )
            return self._each(lambda x: backend.xp.take(x, index, axis=-1) * kept)


def _carried(table: Array) -> Array:
    """The same number in small digits, so that others can be added."""
    arithmetic, layout = _arithmetic(table), OF_COLUMNS[table.shape[-1]]

    def hosted(x: Any) -> Any:
        return np.asarray(_carried(np.asarray(x)), np.int32)

    found = arithmetic.integers.on_host(hosted, (table,), (tuple(table.shape), "int32"))
    if found is None:
        return arithmetic.carried(table, layout)
    return cast_to(found, "int64", backend_of(table, "numerator"))


def _arithmetic(table: Array) -> Arithmetic:
    backend = backend_of(table, "numerator")
    if backend.integers is None:
        raise TypeError(f"numerator: expected an array with exact sums, got {kind_of(table)}")
    return Arithmetic(backend.xp, backend.integers)


def terms(meaning: Any, inputs: Prepared, call: Call | None = None) -> ExactTerms:
    """Those of a call."""
    backend = inputs.backend
    root = meaning.reduction == "root_mean"
    with backend.integers.wide():
        rows = rows_of(meaning, inputs)
        layout = layout_of(meaning, inputs)
        hosted = None
        if call is not None:
            # Carried digits and counts are of 32 bits, which any framework takes from a host.
            made = (2, *rows.kept, layout.columns), "int32"
            hosted = on_host(partial(_stacked, meaning), meaning, backend, call, made)
        if hosted is not None:
            hosted = cast_to(hosted, "int64", backend)
            return ExactTerms(hosted[0], hosted[1], inputs.real, root, meaning.empty)
        a = numerator(rows, layout)
        b = denominator(meaning, inputs, rows, layout)
        if rows.halves != 1:
            b = rows.arithmetic.carried(b * rows.halves, layout)
        shape = tuple(-1 if n is None else n for n in rows.kept)
        own = () if b.shape[0] == 1 and a.shape[0] != 1 else shape
        a, b = (
            backend.xp.reshape(x, (*lead, layout.columns)) for x, lead in ((a, shape), (b, own))
        )
    return ExactTerms(a, b, inputs.real, root, meaning.empty)


def _stacked(meaning: Any, inputs: Prepared) -> Any:
    """Both tables in one NumPy array."""
    found = terms(meaning, inputs)
    return np.stack(np.broadcast_arrays(found.numerator, found.denominator))
