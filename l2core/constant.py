"""The best constant prediction of a loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from l2core.arrays import Array
from l2core.config import LossLike, loss_of
from l2core.losses import Loss
from l2core.numpy_namespace import XP

GRID = 65
"""Quantiles of the targets, from the best of which the search starts."""
HALVINGS = 120


def best_constant(loss: LossLike, target: Array, weight: Array | None = None) -> float:
    """The c that minimises Σω·rho(c - target): the mean of squared error, the median of L1, ...

    Where a whole interval does (L1, quantiles), its middle. The least value at a quantile of the
    targets is refined to a zero of Σω·psi, by bisection; of a loss that is not convex that may be a
    local minimum. target: numbers, of any shape; weight: of the same shape, >= 0; 0 is absent.
    ValueError for a target that is not finite, or if none is present.
    """
    rho = loss_of(loss)
    if rho.needs:
        raise ValueError(f"loss: expected one with all of its parameters, got {rho!r}")
    y, w = present(target, weight)
    grid = np.quantile(y, np.linspace(0.0, 1.0, GRID))
    best = int(np.argmin([_total(rho, c, y, w) for c in grid]))
    # The nearest on each side from which the loss falls towards the best.
    falls = (c for c in grid[best::-1] if _slope(rho, c, y, w) < 0)
    rises = (c for c in grid[best:] if _slope(rho, c, y, w) > 0)
    low, high = float(next(falls, grid[0])), float(next(rises, grid[-1]))
    left = _edge(low, high, lambda c: _slope(rho, c, y, w) < 0)[0]
    right = _edge(low, high, lambda c: _slope(rho, c, y, w) <= 0)[1]
    found = 0.5 * left + 0.5 * right
    return min((found, float(grid[best])), key=lambda c: _total(rho, c, y, w))


def present(target: Array, weight: Array | None) -> tuple[Any, Any]:
    """Targets and weights in float64, flat, of those that are not absent."""
    y = np.asarray(target, np.float64).ravel()
    w = np.ones_like(y) if weight is None else np.asarray(weight, np.float64).ravel()
    if w.shape != y.shape:
        raise ValueError(f"weight: expected {y.size} numbers as target has, got {w.size}")
    y, w = y[w != 0], w[w != 0]
    if not y.size or not np.all(np.isfinite(y)):
        raise ValueError(
            "target: expected finite numbers, got "
            + (f"{np.count_nonzero(~np.isfinite(y))} that are not" if y.size else "none present")
        )
    return y, w


def _total(loss: Loss, c: float, y: Any, w: Any) -> float:
    return float(np.sum(w * loss.rho(c - y, XP)))


def _slope(loss: Loss, c: float, y: Any, w: Any) -> float:
    return float(np.sum(w * loss.psi(c - y, XP)))


def _edge(low: float, high: float, below: Any) -> tuple[float, float]:
    """Neighbours between which ``below`` turns from true to false."""
    for _ in range(HALVINGS):
        middle = 0.5 * low + 0.5 * high
        if not low < middle < high:
            break
        low, high = (middle, high) if below(middle) else (low, middle)
    return low, high
