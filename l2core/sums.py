"""Sums of NumPy's arrays: of float32 in float64, as fast as BLAS adds."""

from __future__ import annotations

from typing import Any

import numpy as np

from l2core.arrays import Array

ROW = 1024
"""Elements of a row of float64."""
LANES = 128
"""Elements of a row of float32, which BLAS adds in lanes: 3000 constants err by a unit in the last
place, and by half a one in rows of 64, which take longer. The rows' sums are added in float64."""
SHORT = 10_000
"""Elements up to which one dot product of float64 does; in longer ones OpenBLAS starts threads, which
cost more than the product."""

FLOAT32, FLOAT64 = np.dtype("f4"), np.dtype("f8")
_ONES = {dtype: np.ones(SHORT, dtype) for dtype in (FLOAT32, FLOAT64)}


def dots(a: Array, b: Array | None, short: int = SHORT) -> Any:
    """Σ a·b, or Σ a without b, of contiguous arrays: of up to ``short`` elements, else of each row."""
    n, same = a.size, b is a
    if a.ndim != 1:
        a = a.reshape(-1)
        b = b if b is None else a if same else b.reshape(-1)
    wide = a.dtype is FLOAT64 or a.dtype == FLOAT64
    if n <= short:
        if not wide and n > LANES:
            a = a.astype(FLOAT64)
            b = b if b is None else a if same else b.astype(FLOAT64)
        return float(a.dot(_ONES[a.dtype][:n] if b is None else b))
    row = ROW if wide else LANES
    whole = n - n % row
    found = np.empty(-(-n // row))
    rows = found[: whole // row]
    first = a[:whole].reshape(-1, row)
    other = _ONES[a.dtype][:row] if b is None else b[:whole].reshape(-1, row)
    rows[:] = np.vecdot(first, other)
    if whole < n:
        found[-1] = a[whole:].dot(_ONES[a.dtype][: n - whole] if b is None else b[whole:])
    return found


def few(a: Array, b: Array) -> Any:
    """Σ a·b of at most SHORT elements, with as little around it as can be."""
    if a.ndim != 1:
        same = b is a
        a = a.reshape(-1)
        b = a if same else b.reshape(-1)
    if a.size <= LANES or a.dtype is not FLOAT32:
        return a.dot(b)
    wide = a.astype(FLOAT64)
    return wide.dot(wide if b is a else b.astype(FLOAT64))


def sum_of(x: Array, b: Array | None = None) -> float:
    """Σ x, or Σ x·b, of contiguous arrays."""
    found = dots(x, b)
    return found if x.size <= SHORT else float(np.add.reduce(found))


def sums_of(x: Array) -> Array:
    """The sums of float32 along the last axis, in float64."""
    whole = x.shape[-1] - x.shape[-1] % LANES
    found = np.add.reduce(x[..., whole:], -1, FLOAT64)
    if whole:
        rows = x[..., :whole].reshape(*x.shape[:-1], whole // LANES, LANES)
        found = found + np.add.reduce(np.vecdot(rows, _ONES[FLOAT32][:LANES]), -1, FLOAT64)
    return found
