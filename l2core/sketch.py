"""A histogram of sizes on a logarithmic scale, whose quantiles have a bounded relative error.

The bin of a size is the upper half of its bits as a float32: 128 bins to each power of two, 2^15 in
all, the same for everybody, so that sketches are merged by adding. That is DDSketch's guarantee
(Ch. Masson, J. E. Rim, H. K. Lee, DDSketch, VLDB 2019) with bins that cost a shift, not a logarithm.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from l2core.arrays import Array
from l2core.backend import Backend
from l2core.compensated import Sum
from l2core.dtypes import REAL_FLOATS, dtype_name
from l2core.prepared import cast_to

BINS = 1 << 15
OUTPUTS = 4096
"""Sketches that one call makes at most: 1 GB."""
ROUNDINGS = 32
"""Units in the last place by which a sum of weights may miss the rank that it stands for."""
_EDGES = (np.arange(BINS + 1, dtype=np.uint32) << 16).view(np.float32)
_INFINITE = int(np.float32(np.inf).view(np.uint32)) >> 16
MIDDLES = np.zeros(BINS, np.float32)
"""What stands for the sizes of each bin; 0 for those below 2^-126·2^-7, NaN for NaN."""
MIDDLES[1:_INFINITE] = (
    _EDGES[1:_INFINITE] / 2 + _EDGES[2 : _INFINITE + 1].clip(max=3.4028235e38) / 2
)
MIDDLES[_INFINITE] = np.inf
MIDDLES[_INFINITE + 1 :] = np.nan


def of(
    size: Array, weight: Array | None, counted: bool, outputs: tuple[int, ...], backend: Backend
) -> Sum:
    """The sketch of each row of sizes: in integers without weights, or where these are 1 and 0
    (``counted``); where integers are of 32 bits, in floats of twice their digits."""
    if len(outputs) and math.prod(outputs) > OUTPUTS:
        raise ValueError(
            f"quantiles: expected False with more than {OUTPUTS} outputs, of which each has a sketch "
            f"of 256 kB, got {math.prod(outputs)}"
        )
    xp, wide = backend.xp, backend.widest_of(size)
    if counted:
        weight = cast_to(cast_to(weight, "bool", backend), "int32", backend)
    elif weight is not None:
        weight = cast_to(weight, wide, backend)
    bins = backend.binned(cast_to(size, "float32", backend), weight, BINS)
    bins = xp.reshape(bins, (*outputs, BINS))
    name = dtype_name(bins.dtype)
    if name in REAL_FLOATS:
        return Sum(bins, xp.full_like(bins, 0.0))
    return Sum(bins, bins[..., :1] * 0) if wide == "float64" else floating(bins, backend)


def empty() -> np.ndarray[Any, Any]:
    """The bins of nothing, of NumPy."""
    return np.zeros(BINS, np.int64)


def floating(bins: Array, backend: Backend) -> Sum:
    """Integers as floats, exactly: in two parts."""
    name, wide = dtype_name(bins.dtype), backend.widest_of(bins)
    near = cast_to(bins, wide, backend)
    return Sum(near, cast_to(bins - cast_to(near, name, backend), wide, backend))


def merged(one: Sum | None, two: Sum | None, backend: Backend) -> Sum | None:
    """The sketch of both."""
    if one is None or two is None:
        return None
    exact = [dtype_name(x.value.dtype) not in REAL_FLOATS for x in (one, two)]
    if all(exact):
        return Sum(one.value + two.value, one.lost)
    return alike(one, backend).plus(alike(two, backend), backend.xp)


def alike(bins: Sum, backend: Backend) -> Sum:
    """The same in floats, to add to those of any other."""
    whole = dtype_name(bins.value.dtype) not in REAL_FLOATS
    return floating(bins.value, backend) if whole else bins


def quantile(bins: Sum, q: float, backend: Backend) -> Array:
    """The middle of the first bin up to which the weights are q of all; NaN if any size was NaN."""
    xp = backend.xp
    values = bins.value + bins.lost
    if dtype_name(values.dtype) not in REAL_FLOATS:
        values = cast_to(values, backend.widest_of(values), backend)
    last = len(values.shape) - 1
    upto = xp.cumulative_sum(values, axis=last)
    before, total = upto - values, upto[..., -1:]
    held = values != 0
    if q == 1:
        reached = held
    elif q == 0:
        first = xp.cumulative_sum(xp.where(held, xp.full_like(values, 1.0), 0.0), axis=last)
        reached = held & (first == 1)
    else:
        # The greatest bin before which there is less than that; sums of equal weights are rounded.
        slack = ROUNDINGS * float(np.finfo(dtype_name(values.dtype)).eps)
        reached = held & ((before < (q - slack) * total) | (before <= 0))
    middles = backend.constant(MIDDLES, values)
    found = xp.max(xp.where(reached, middles, 0.0), axis=last)
    nothing = (total[..., 0] == 0) | (xp.max(values[..., _INFINITE + 1 :], axis=last) > 0)
    return xp.where(nothing, math.nan, found)
