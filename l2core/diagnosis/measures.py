"""What is measured on residuals before anything is suggested."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from l2core.diagnosis.models import Model, models
from l2core.hosted import quantile
from l2core.losses import SquaredError
from l2core.robust import GAUSSIAN_MAD, huber_tuning
from l2core.shares import shares_of

LARGEST = 10
RESAMPLES, RESAMPLED = 200, 5000
"""Draws of the skewness, of at most so many residuals."""
BINS = 10


@dataclass(frozen=True)
class Cleaned:
    """Those elements that are present and finite, flat: residual, weight, prediction, target, index."""

    r: Any
    w: Any
    pred: Any
    target: Any
    index: Any
    group: Any
    missing: int  # targets that are NaN, among those present
    broken: int  # residuals that are not finite for another reason
    absent: int
    shape: tuple[int, ...]

    @property
    def effective(self) -> float:
        """How many elements of equal weight would be as many."""
        return float(np.sum(self.w) ** 2 / np.sum(self.w**2))

    @property
    def counts(self) -> Any:
        """The weights, scaled to sum up to that."""
        return self.w * (self.effective / np.sum(self.w))


@dataclass(frozen=True)
class Scale:
    """Sizes of errors, in the unit of y and against it."""

    rmse: float
    mae: float
    bias: float
    bias_error: float  # its standard error
    median: float
    deviation: float  # the standard deviation of the targets
    center: float  # their mean
    r2: float
    robust: float  # the scale of the residuals by the median of |r| about their median
    delta: float  # Huber's, of 95 % efficiency at that scale


@dataclass(frozen=True)
class Large:
    """One of the largest residuals."""

    index: tuple[int, ...]
    pred: float
    target: float
    residual: float
    share: float


@dataclass(frozen=True)
class Spread:
    """How |r| goes with the prediction: rank correlation; by tenths of the predictions, and whether
    the ranks of |r| differ between them (Kruskal and Wallis, 1952): p, and their share of the variance."""

    correlation: float
    p: float
    share: float
    centers: tuple[float, ...]
    deviations: tuple[float, ...]
    gain: float  # of log likelihood per element, by a variance for each tenth


@dataclass(frozen=True)
class Skew:
    """Asymmetry about the median: (q90 + q10 - 2 q50) / (q90 - q10), in [-1, 1]; its error; positive ones."""

    value: float
    error: float
    positive: float


@dataclass(frozen=True)
class Group:
    """The same figures of one group."""

    name: str
    count: int
    rmse: float
    mae: float
    bias: float
    share: float  # of the sum of squares
    weight: float  # of all weights


@dataclass(frozen=True)
class Measures:
    """Everything that is measured."""

    scale: Scale
    deciles: tuple[float, ...]
    largest: tuple[Large, ...]
    models: tuple[Model, ...]
    within: tuple[Model, ...]  # of residuals divided by their spread at the prediction
    spread: Spread
    skew: Skew
    groups: tuple[Group, ...]
    duplicates: int
    tied: float  # the share of the commonest residual
    constant: bool


def measured(c: Cleaned) -> Measures:
    """Of cleaned residuals."""
    r, w = c.r, c.counts
    spread, within = _spread(c)
    return Measures(
        _scale(c),
        tuple(float(x) for x in shares_of(r, w, SquaredError())),
        _largest(c),
        models(r, w),
        models(within, w),
        spread,
        _skew(r, w),
        _groups(c),
        _duplicates(c),
        _tied(c),
        bool(np.ptp(c.target) == 0),
    )


def _scale(c: Cleaned) -> Scale:
    r, w = c.r, c.w

    def mean(x: Any) -> float:
        return float(np.average(x, weights=w))

    bias, center = mean(r), mean(c.target)
    error = math.sqrt(max(mean((r - bias) ** 2), 0.0) / c.effective)
    spread = math.sqrt(mean((c.target - center) ** 2)) if np.ptp(c.target) else 0.0
    square = mean(r**2)
    r2 = 1 - square / spread**2 if spread else math.nan
    median = float(quantile(r, w, 0.5))
    robust = float(quantile(np.abs(r - median), w, 0.5)) / GAUSSIAN_MAD
    mae = mean(np.abs(r))
    delta = huber_tuning() * (robust or mae)
    return Scale(math.sqrt(square), mae, bias, error, median, spread, center, r2, robust, delta)


def _largest(c: Cleaned) -> tuple[Large, ...]:
    order = np.argsort(-np.abs(c.r), kind="stable")[:LARGEST]
    total = float(np.sum(c.w * c.r**2)) or 1.0
    return tuple(
        Large(
            tuple(int(x) for x in np.unravel_index(int(c.index[k]), c.shape)),
            float(c.pred[k]),
            float(c.target[k]),
            float(c.r[k]),
            float(c.w[k] * c.r[k] ** 2 / total),
        )
        for k in order
    )


def _ranks(x: Any, w: Any) -> Any:
    """The weight below each, with half of its own and of its equals'."""
    _, place = np.unique(x, return_inverse=True)
    each = np.bincount(place, w)
    return (np.cumsum(each) - 0.5 * each)[place]


def _spread(c: Cleaned) -> tuple[Spread, Any]:
    """How |r| goes with the prediction, and residuals over their spread there."""
    size, w = np.abs(c.r), c.counts
    if np.ptp(c.pred) == 0 or np.ptp(size) == 0:
        return Spread(0.0, 1.0, 0.0, (), (), 0.0), c.r
    a, b = _ranks(c.pred, w), _ranks(size, w)
    a, b = (x - np.average(x, weights=w) for x in (a, b))
    varied = float(np.average(b * b, weights=w))
    scale = math.sqrt(float(np.average(a * a, weights=w)) * varied)
    correlation = float(np.average(a * b, weights=w)) / scale
    n = c.effective
    if n < 3 * BINS:
        p = math.erfc(abs(correlation) * math.sqrt((n - 1) / 2))
        return Spread(correlation, p, correlation**2, (), (), 0.0), c.r
    order = np.argsort(c.pred, kind="stable")
    below = np.cumsum(w[order])
    ends = below[-1] * np.arange(1, BINS) / BINS * (1 + 1e-12)
    cuts = np.searchsorted(below, ends, side="right")
    parts = [part for part in np.split(order, cuts) if len(part)]
    deviations, each, between = [], np.empty(len(size)), 0.0
    for part in parts:
        # By the mean distance: an outlier does not make the spread of its tenth.
        spread = float(np.average(size[part], weights=w[part])) * math.sqrt(math.pi / 2)
        deviations.append(spread)
        each[part] = spread
        between += float(np.sum(w[part])) * float(np.average(b[part], weights=w[part])) ** 2
    share = between / (n * varied)
    p = _beyond((n - 1) * share)
    centers = tuple(float(np.average(c.pred[part], weights=w[part])) for part in parts)
    whole = float(np.average(size, weights=w)) * math.sqrt(math.pi / 2)
    gain = 0.0
    if min(deviations) > 0:
        gain = math.log(whole) - float(np.average(np.log(each), weights=w))
    found = Spread(correlation, p, share, centers, tuple(deviations), gain)
    # Straight between the middles of the tenths, so that the division makes no steps.
    smooth = np.interp(c.pred, centers, deviations)
    return found, c.r / np.maximum(smooth, 1e-9 * max(whole, 1e-300)) * whole


def _beyond(x: float) -> float:
    """How often a chi-squared number of nine degrees (ten tenths) is larger."""
    series = math.sqrt(2 * x / math.pi) * (1 + x / 3 + x**2 / 15 + x**3 / 105)
    return math.erfc(math.sqrt(x / 2)) + math.exp(-x / 2) * series


def _skew(r: Any, w: Any) -> Skew:
    def of(x: Any, counts: Any) -> float:
        low, middle, high = quantile(x, counts, [0.1, 0.5, 0.9])
        return float((high + low - 2 * middle) / (high - low)) if high > low else 0.0

    random = np.random.default_rng(0)  # the same data, the same answer
    n = min(len(r), RESAMPLED)
    p = w / np.sum(w)
    draws = [np.sort(r[random.choice(len(r), n, p=p)]) for _ in range(RESAMPLES)]
    low, middle, high = np.quantile(draws, [0.1, 0.5, 0.9], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(high > low, (high + low - 2 * middle) / (high - low), 0.0)
    error = float(np.std(found)) * math.sqrt(n / len(r))
    return Skew(of(r, w), error, float(np.sum(w[r > 0]) / np.sum(w)))


def _groups(c: Cleaned) -> tuple[Group, ...]:
    if c.group is None:
        return ()
    names, place = np.unique(c.group, return_inverse=True)
    total, weights = float(np.sum(c.w * c.r**2)) or 1.0, float(np.sum(c.w))
    found = []
    for k, name in enumerate(names):
        r, w = c.r[place == k], c.w[place == k]
        square = float(np.sum(w * r**2))
        found.append(
            Group(
                str(name),
                len(r),
                math.sqrt(square / np.sum(w)),
                float(np.average(np.abs(r), weights=w)),
                float(np.average(r, weights=w)),
                square / total,
                float(np.sum(w)) / weights,
            )
        )
    return tuple(sorted(found, key=lambda g: -g.share / g.weight))


def _tied(c: Cleaned) -> float:
    _, place = np.unique(c.r, return_inverse=True)
    return float(np.max(np.bincount(place, c.w)) / np.sum(c.w))


def _duplicates(c: Cleaned) -> int:
    """Repeats of a pair of prediction and target."""
    both = np.stack([c.pred, c.target], axis=1)
    return len(both) - len(np.unique(both, axis=0))
