"""The best constant prediction of a loss."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from l2core.arrays import Array
from l2core.config import LossLike, loss_of
from l2core.hosted import hosted, hosted_weight, quantile
from l2core.losses import Loss
from l2core.numpy_namespace import XP

GRID = 65
"""Quantiles of the targets, from the best of which the search starts."""
HALVINGS = 120
EPS = 2.0**-52


def best_constant(loss: LossLike, target: Array, weight: Array | None = None) -> float:
    """The c that minimises Σω·rho(c - target): the mean of squared error, the median of L1, ...

    Where a whole interval does (L1, quantiles), its middle. The least value at a quantile of the
    targets is refined to a zero of Σω·psi, by bisection; of a loss that is not convex that may be a
    local minimum. target: real numbers, of any shape; weight: of its shape or its leading axes, finite
    and >= 0; 0 is absent. ValueError for a target that is not finite, or if none is present.
    """
    rho = loss_of(loss)
    if rho.needs:
        raise ValueError(f"loss: expected one with all of its parameters, got {rho!r}")
    y, w = _present(target, weight)
    grid = quantile(y, w, np.linspace(0.0, 1.0, GRID))
    best = int(np.argmin([_total(rho, c, y, w) for c in grid]))
    if not math.isfinite(_total(rho, grid[best], y, w)):
        raise ValueError(f"target: expected numbers of which the loss is finite, got {y.max():.3g}")
    # The nearest on each side from which the loss falls towards the best.
    falls = (c for c in grid[best::-1] if _slope(rho, c, y, w) < 0)
    rises = (c for c in grid[best:] if _slope(rho, c, y, w) > 0)
    low, high = float(next(falls, grid[0])), float(next(rises, grid[-1]))
    left = _edge(low, high, lambda c: _slope(rho, c, y, w) < 0)[0]
    right = _edge(low, high, lambda c: _slope(rho, c, y, w) <= 0)[1]
    found = 0.5 * left + 0.5 * right
    at = y[(y >= left) & (y <= right)]
    if at.size and right - left <= EPS * float(np.max(np.abs(y))):
        found = float(at[0])  # a kink, which halving does not end at where it is 0
    least = _total(rho, grid[best], y, w)
    if _total(rho, found, y, w) > least + 8 * EPS * abs(least):
        # Several minima between both: closer and closer about the best that is known.
        return _narrowed(rho, grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)], y, w)
    return found


def _present(target: Array, weight: Array | None) -> tuple[Any, Any]:
    """Targets and weights in float64, flat, of those that are not absent; the weights sum up to 1."""
    whole = hosted(target, "target").astype(np.float64)
    y, w = whole.ravel(), np.ones(whole.size)
    if weight is not None:
        w = hosted_weight(weight, whole.shape).ravel()
        y, w = y[w > 0], w[w > 0]
    if not y.size or not np.all(np.isfinite(y)):
        raise ValueError(
            "target: expected finite numbers, got "
            + (f"{np.count_nonzero(~np.isfinite(y))} that are not" if y.size else "none present")
        )
    w = w / w.max()
    return y, w / w.sum()


def _total(loss: Loss, c: float, y: Any, w: Any) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sum(w * loss.rho(c - y, XP)))


def _slope(loss: Loss, c: float, y: Any, w: Any) -> float:
    """The sum of ω·psi; 0 where it is no more than the roundings of a sum, pair by pair."""
    each = w * loss.psi(c - y, XP)
    total = float(np.sum(each))
    rounding = (math.log2(len(y)) + 4) * EPS * float(np.sum(np.abs(each)))
    return 0.0 if abs(total) <= rounding else total


def _edge(low: float, high: float, below: Any) -> tuple[float, float]:
    """Neighbours between which ``below`` turns from true to false."""
    for _ in range(HALVINGS):
        middle = 0.5 * low + 0.5 * high
        if not low < middle < high:
            break
        low, high = (middle, high) if below(middle) else (low, middle)
    return low, high


def _narrowed(loss: Loss, low: float, high: float, y: Any, w: Any) -> float:
    """A minimum between both, by ever finer grids about the best point of each."""
    while True:
        grid = np.linspace(low, high, GRID)
        best = int(np.argmin([_total(loss, c, y, w) for c in grid]))
        new = grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)]
        # Closer than this the values differ by roundings alone.
        if new[1] - new[0] <= math.sqrt(EPS) * max(abs(low), abs(high), 1e-300) or new == (
            low,
            high,
        ):
            return float(grid[best])
        low, high = map(float, new)
