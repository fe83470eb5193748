"""Which residuals a loss is made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from l2core.arrays import Array
from l2core.call import Call
from l2core.checks import check_call
from l2core.config import LossLike, loss_of
from l2core.criterion import Criterion
from l2core.hosted import hosted
from l2core.losses import Loss
from l2core.numpy_namespace import XP
from l2core.prepared import elements, prepared


def decile_shares(
    pred: Array,
    target: Array,
    loss: LossLike = "squared_error",
    *,
    weight: Array | None = None,
    mask: Array | None = None,
) -> Array:
    """The share of Σω·rho that each tenth of the elements carries, by rising \\|r\\|: (10,), sum 1.

    A tenth of Σω: an element on a border counts in part to both. pred, target: arrays of one shape,
    of any framework; weight (>= 0) and mask align as in a call. All NaN if a residual is, or where the
    loss overflows or underflows; 0.1 each where all residuals are 0. ValueError for a likelihood, which
    is not 0 at r = 0.
    """
    r, w = residuals(pred, target, weight, mask)
    return shares_of(r, w, loss_of(loss))


def residuals(pred: Array, target: Array, weight: Any = None, mask: Any = None) -> tuple[Any, Any]:
    """Residuals and weights of those present, flat and in float64."""
    p, t = hosted(pred, "pred"), hosted(target, "target")
    call = Call(
        p,
        t,
        None if weight is None else hosted(weight, "weight"),
        None if mask is None else hosted(mask, "mask"),
    )
    if call.weight is not None and not np.all(call.weight >= 0):
        raise ValueError("weight: expected numbers >= 0, got others")
    backend = check_call(_L1, call, ("pred", "target", "weight"), None)
    inputs = prepared(_L1, backend, call)
    p, t, _ = elements(inputs)
    r = (p - t).astype(np.float64)
    w = np.ones(r.shape) if inputs.weight is None else np.broadcast_to(inputs.weight, r.shape)
    there = np.ones(r.shape, bool) if inputs.present is None else inputs.present
    there = np.broadcast_to(there, r.shape)
    if not there.any():
        raise ValueError("pred: expected at least one element present, got none")
    return r[there], w[there].astype(np.float64)


def shares_of(r: Any, weight: Any, loss: Loss) -> Any:
    """The same of residuals and weights."""
    if loss.likelihood:
        raise ValueError(f"loss: expected one that is 0 at r = 0, got {loss!r}")
    order = np.argsort(np.abs(r), kind="stable")
    with np.errstate(over="ignore", invalid="ignore"):
        lost = np.cumsum(weight[order] * loss.rho(r[order], XP))
    counted = np.cumsum(weight[order])
    if not np.any(r):
        return np.full(10, 0.1)
    if not np.isfinite(lost[-1]) or lost[-1] == 0:
        return np.full(10, np.nan)
    at = np.linspace(0.0, counted[-1], 11)
    below = np.interp(at, np.concatenate([[0.0], counted]), np.concatenate([[0.0], lost]))
    return np.diff(below) / lost[-1]


_L1 = Criterion("absolute_error", "none")
