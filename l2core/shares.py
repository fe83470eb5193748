"""Which residuals a loss is made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from l2core.arrays import Array
from l2core.call import Call
from l2core.checks import check_call
from l2core.config import LossLike, loss_of
from l2core.criterion import Criterion
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

    A tenth of Σω: an element on a border counts in part to both. pred, target: NumPy arrays of one
    shape (or what becomes one); weight and mask align as in a call. NaN if a residual is; 0.1 each
    where nothing is lost. ValueError for a likelihood, which is not 0 at r = 0.
    """
    r, w = residuals(pred, target, weight, mask)
    return shares_of(r, w, loss_of(loss))


def residuals(pred: Array, target: Array, weight: Any = None, mask: Any = None) -> tuple[Any, Any]:
    """Residuals and weights of those present, flat and in float64."""
    p, t, omega, selected = (
        None if x is None else np.asarray(x) for x in (pred, target, weight, mask)
    )
    call = Call(p, t, omega, selected)
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
    lost = np.cumsum(weight[order] * loss.rho(r[order], XP))
    counted = np.cumsum(weight[order])
    if lost[-1] == 0:
        return np.full(10, 0.1)
    at = np.linspace(0.0, counted[-1], 11)
    below = np.interp(at, np.concatenate([[0.0], counted]), np.concatenate([[0.0], lost]))
    return np.diff(below) / lost[-1]


_L1 = Criterion("absolute_error", "none")
