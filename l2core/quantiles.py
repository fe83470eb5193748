"""Several quantiles at once: whether they keep their order."""

from __future__ import annotations

from l2core.arrays import Array
from l2core.backend import backend_of
from l2core.checks import checked_dtype
from l2core.dtypes import REAL_FLOATS
from l2core.prepared import cast_to


def crossing(pred: Array) -> Array:
    """By how much each predicted quantile lies above the next higher one: 0 where they keep order.

    pred: (..., Q), real floats, the Q > 1 quantiles of rising levels along the last axis; returns
    (..., Q - 1) in float32 or wider. Its mean, times some number, is a penalty with a gradient; the
    mean of ``crossing(pred) > 0`` is the share that crosses. NaN stays NaN. Bondell, Reich and Wang
    (2010), "Noncrossing quantile regression curve estimation".
    """
    backend = backend_of(pred, "pred")
    dtype = checked_dtype(pred, "pred", backend)
    if dtype not in REAL_FLOATS:
        raise TypeError(f"pred: expected a real float dtype, got {dtype}")
    known = len(pred.shape) == 0 or pred.shape[-1] is not None
    if known and (len(pred.shape) == 0 or pred.shape[-1] < 2):
        raise ValueError(
            f"pred: expected two quantiles or more along the last axis, got {tuple(pred.shape)}"
        )
    wide = pred if dtype == "float64" else cast_to(pred, "float32", backend)
    low, high = wide[..., :-1], wide[..., 1:]
    fine = low <= high
    # Not subtracted where they are in order: both may be infinite.
    return backend.xp.where(fine, 0.0, low) - backend.xp.where(fine, 0.0, high)
