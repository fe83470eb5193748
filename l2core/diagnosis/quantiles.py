"""Quantiles of standard noise, for Q-Q pictures."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np


def gaussian(q: Any) -> Any:
    """Of the standard Gaussian."""
    inverse = NormalDist().inv_cdf
    return np.array([inverse(float(x)) for x in np.atleast_1d(q)])


def laplace(q: Any) -> Any:
    """Of Laplace's distribution with scale 1."""
    q = np.atleast_1d(np.asarray(q, np.float64))
    return np.where(q < 0.5, np.log(2 * q), -np.log(2 * (1 - q)))


def student(q: Any, df: float) -> Any:
    """Of Student's t: by integrating the density over its arc tangent, finer than a picture shows."""
    # With x = sqrt(df) tan(a) the density is proportional to cos(a)^(df - 1), on (-pi/2, pi/2).
    edge = 0.5 * math.pi
    a = np.linspace(-edge, edge, 200_001)
    density = np.cos(a) ** (df - 1) if df > 1 else np.ones_like(a)
    below = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    found = np.interp(np.atleast_1d(np.asarray(q, np.float64)), below / below[-1], a)
    return math.sqrt(df) * np.tan(found)
