"""Every loss, once."""

from l2core.losses.base import LOSSES, Loss
from l2core.losses.convex import (
    AbsoluteError,
    Expectile,
    HalfSquaredError,
    Huber,
    LogCosh,
    Quantile,
    SmoothL1,
    SquaredError,
)
from l2core.losses.likelihoods import BarronNLL, GaussianNLL, LaplaceNLL, StudentTNLL
from l2core.losses.redescending import Barron, Cauchy, Tukey

__all__ = [
    "LOSSES",
    "AbsoluteError",
    "Barron",
    "BarronNLL",
    "Cauchy",
    "Expectile",
    "GaussianNLL",
    "HalfSquaredError",
    "Huber",
    "LaplaceNLL",
    "LogCosh",
    "Loss",
    "Quantile",
    "SmoothL1",
    "SquaredError",
    "StudentTNLL",
    "Tukey",
]
for _kind in LOSSES.values():
    _kind.__module__ = __name__  # where they are found, also by what was pickled before
