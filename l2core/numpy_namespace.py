"""NumPy's functions under the names of the array standard."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np

from l2core.arrays import Array, Namespace
from l2core.sums import sum_of, sums_of


class _Numpy:
    """NumPy's namespace with a sum that does not drift along any axis, and astype before 2.1.

    Without axes results are scalars, immutable and hashable, where NumPy has an array of rank 0.
    """

    def __getattr__(self, name: str) -> Any:
        # NumPy knows bfloat16 by its name alone, from ml_dtypes, which whoever has such an array has.
        value = np.dtype(name) if name == "bfloat16" else getattr(np, name)
        setattr(self, name, value)
        return value

    @staticmethod
    def argsort(x: Array, /) -> Array:
        return np.argsort(x, kind="stable")

    @staticmethod
    def astype(x: Array, dtype: Any, /) -> Array:
        return x.astype(dtype)

    @staticmethod
    def count_nonzero(x: Array, /, *, axis: Any = None) -> Array:
        return np.asarray(np.count_nonzero(x, axis=axis))[()]  # a Python int before NumPy 2.3

    @staticmethod
    def cumulative_sum(x: Array, /, *, axis: int) -> Array:
        return np.cumsum(x, axis)  # NumPy 2.0 does not have the standard's name

    @staticmethod
    def full_like(x: Array, /, fill_value: float) -> Array:
        return np.full_like(x, fill_value)[()]

    @staticmethod
    def where(condition: Array, x1: Any, x2: Any, /) -> Array:
        return np.where(condition, x1, x2)[()]

    @staticmethod
    def sum(x: Array, /, *, axis: tuple[int, ...] | None = None) -> Array:
        # np.sum adds row after row along any but the last axis: 1e6 float32 rows err by 1 %.
        every, narrow = axis is None or len(axis) == x.ndim, x.dtype == np.float32
        if narrow and every and x.flags.c_contiguous:
            return np.float32(sum_of(x))
        if axis is None or every:
            return np.add.reduce(x, axis, np.float64).astype(np.float32) if narrow else np.sum(x)
        if narrow and x.ndim - 1 not in axis and x.shape[-1] >= WIDE:
            return np.add.reduce(x, axis, np.float64).astype(np.float32)
        rows = np.moveaxis(x, axis, range(-len(axis), 0))
        kept = rows.shape[: -len(axis)]
        rows = rows.reshape(*kept, math.prod(rows.shape[-len(axis) :]))
        # Contiguous, or np.sum takes the fast axis of the memory for the inner one again.
        rows = np.ascontiguousarray(rows)
        return sums_of(rows).astype(np.float32) if narrow else np.sum(rows, axis=-1)


WIDE = 64
"""Elements of a row that NumPy converts and adds to the last one at once."""
XP = cast(Namespace, _Numpy())
