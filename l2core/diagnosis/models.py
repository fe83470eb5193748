"""Noise models of residuals, each at its best parameters, compared by likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from l2core.diagnosis import quantiles
from l2core.hosted import quantile
from l2core.losses import GaussianNLL, LaplaceNLL, StudentTNLL
from l2core.numpy_namespace import XP

STEPS = 200
DEGREES = (1.0, 200.0)
"""Degrees of freedom between which Student's t is fitted; above it is a Gaussian."""


@dataclass(frozen=True)
class Model:
    """A model of residuals: ``bic`` is -2 log likelihood + parameters · log n, the less the better."""

    name: str
    location: float
    scale: float
    df: float | None
    log_likelihood: float
    bic: float

    def quantile(self, q: Any) -> Any:
        """Residuals at these levels."""
        if self.name == "Gaussian":
            base = quantiles.gaussian(q)
        elif self.name == "Laplace":
            base = quantiles.laplace(q)
        else:
            base = quantiles.student(q, self.df or math.inf)
        return self.location + self.scale * base


def models(r: Any, w: Any) -> tuple[Model, ...]:
    """Gaussian, Laplace and Student's t; the weights count, and sum up to how many there are."""
    return gaussian(r, w), laplace(r, w), student(r, w)


def gaussian(r: Any, w: Any) -> Model:
    """The mean and the standard deviation."""
    at = float(np.average(r, weights=w))
    scale = math.sqrt(float(np.average((r - at) ** 2, weights=w)))
    rho = GaussianNLL(full=True, variance=max(scale**2, 1e-300), eps=1e-300).rho(r - at, XP)
    return _model("Gaussian", at, scale, None, rho, w, 2)


def laplace(r: Any, w: Any) -> Model:
    """The median and the mean distance from it."""
    at = float(quantile(r, w, 0.5))
    scale = float(np.average(np.abs(r - at), weights=w))
    rho = LaplaceNLL(max(scale, 2.0**-126)).rho(r - at, XP)
    return _model("Laplace", at, scale, None, rho, w, 2)


def student(r: Any, w: Any) -> Model:
    """Location and scale by reweighting, the degrees of freedom by a search over their logarithm."""
    low, high = (math.log(x) for x in DEGREES)
    golden = 0.5 * (math.sqrt(5) - 1)
    found: dict[float, tuple[float, float, float]] = {}

    def lost(x: float) -> float:
        if x not in found:
            found[x] = _given_df(r, w, math.exp(x))
        return found[x][2]

    while high - low > 1e-3:
        a, b = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, b) if lost(a) < lost(b) else (a, high)
    best = min(found, key=lambda x: found[x][2])
    at, scale, _ = found[best]
    df = math.exp(best)
    rho = StudentTNLL(max(scale, 2.0**-126), df).rho(r - at, XP)
    return _model("Student's t", at, scale, df, rho, w, 3)


def _given_df(r: Any, w: Any, df: float) -> tuple[float, float, float]:
    """The most likely location and scale, and minus the log likelihood of them (EM)."""
    at = float(quantile(r, w, 0.5))
    scale = float(np.average(np.abs(r - at), weights=w))
    for _ in range(STEPS):
        inner = (df + 1) / (df + ((r - at) / max(scale, 1e-300)) ** 2)
        weight = w * inner
        new = float(np.sum(weight * r) / np.sum(weight))
        wide = math.sqrt(float(np.sum(weight * (r - new) ** 2) / np.sum(w)))
        done = abs(new - at) + abs(wide - scale) <= 1e-7 * wide
        at, scale = new, wide
        if done:
            break
    rho = StudentTNLL(max(scale, 2.0**-126), df).rho(r - at, XP)
    return at, scale, float(np.sum(w * rho))


def _model(
    name: str, at: float, scale: float, df: float | None, rho: Any, w: Any, parameters: int
) -> Model:
    total = -float(np.sum(w * rho))
    return Model(name, at, scale, df, total, -2 * total + parameters * math.log(float(np.sum(w))))
