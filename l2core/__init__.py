"""One definition of squared error and its relatives, the same in every array framework."""

from l2core import numpy_backend  # noqa: F401 (it registers itself)
from l2core.blocks import dask_statistics
from l2core.criterion import Criterion
from l2core.decomposition import BiasVariance, bias_variance
from l2core.losses import (
    LOSSES,
    AbsoluteError,
    Expectile,
    GaussianNLL,
    HalfSquaredError,
    Huber,
    LogCosh,
    Loss,
    Quantile,
    SmoothL1,
    SquaredError,
)
from l2core.memory import free_memory, keep_memory, kept_memory
from l2core.scoring import scorer
from l2core.statistics import ErrorStatistics
from l2core.streams import evaluate
from l2core.terms import Terms

__all__ = [
    "LOSSES",
    "AbsoluteError",
    "BiasVariance",
    "Criterion",
    "ErrorStatistics",
    "Expectile",
    "GaussianNLL",
    "HalfSquaredError",
    "Huber",
    "LogCosh",
    "Loss",
    "Quantile",
    "SmoothL1",
    "SquaredError",
    "Terms",
    "bias_variance",
    "dask_statistics",
    "evaluate",
    "free_memory",
    "keep_memory",
    "kept_memory",
    "scorer",
]
__version__ = "0.2.0.dev0"
