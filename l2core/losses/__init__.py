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
from l2core.losses.likelihoods import GaussianNLL

__all__ = [
    "LOSSES",
    "AbsoluteError",
    "Expectile",
    "GaussianNLL",
    "HalfSquaredError",
    "Huber",
    "LogCosh",
    "Loss",
    "Quantile",
    "SmoothL1",
    "SquaredError",
]
for _kind in LOSSES.values():
    _kind.__module__ = __name__  # where they are found, also by what was pickled before
