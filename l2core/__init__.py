"""One definition of squared error and its relatives, the same in every array framework."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from l2core import numpy_backend  # noqa: F401 (it registers itself)
from l2core.blocks import dask_statistics
from l2core.criterion import Criterion
from l2core.decomposition import BiasVariance, bias_variance
from l2core.exactly.terms import ExactTerms
from l2core.losses import (
    LOSSES,
    AbsoluteError,
    Barron,
    BarronNLL,
    Cauchy,
    Expectile,
    GaussianNLL,
    HalfSquaredError,
    Huber,
    LaplaceNLL,
    LogCosh,
    Loss,
    Quantile,
    SmoothL1,
    SquaredError,
    StudentTNLL,
    Tukey,
)
from l2core.memory import free_memory, keep_memory, kept_memory
from l2core.scoring import scorer
from l2core.statistics import ErrorStatistics
from l2core.streams import evaluate
from l2core.terms import Terms

if TYPE_CHECKING:
    from l2core import boosting, plot, robust, solvers
    from l2core.closed_form import LeastSquares, least_squares
    from l2core.constant import best_constant
    from l2core.diagnosis import Diagnosis, diagnose
    from l2core.explanation import Explanation, explain
    from l2core.penalties import ElasticNet, Lasso, Penalty, Ridge
    from l2core.quantiles import crossing
    from l2core.shares import decile_shares

__all__ = [
    "LOSSES",
    "AbsoluteError",
    "Barron",
    "BarronNLL",
    "BiasVariance",
    "Cauchy",
    "Criterion",
    "Diagnosis",
    "ElasticNet",
    "ErrorStatistics",
    "ExactTerms",
    "Expectile",
    "Explanation",
    "GaussianNLL",
    "HalfSquaredError",
    "Huber",
    "LaplaceNLL",
    "Lasso",
    "LeastSquares",
    "LogCosh",
    "Loss",
    "Penalty",
    "Quantile",
    "Ridge",
    "SmoothL1",
    "SquaredError",
    "StudentTNLL",
    "Terms",
    "Tukey",
    "best_constant",
    "bias_variance",
    "boosting",
    "crossing",
    "dask_statistics",
    "decile_shares",
    "diagnose",
    "evaluate",
    "explain",
    "free_memory",
    "keep_memory",
    "kept_memory",
    "least_squares",
    "plot",
    "robust",
    "scorer",
    "solvers",
]
__version__ = "0.2.0.dev0"

_LATER = {
    **dict.fromkeys(("Diagnosis", "diagnose"), "l2core.diagnosis"),
    **dict.fromkeys(("Explanation", "explain"), "l2core.explanation"),
    **dict.fromkeys(("LeastSquares", "least_squares"), "l2core.closed_form"),
    "best_constant": "l2core.constant",
    "crossing": "l2core.quantiles",
    "decile_shares": "l2core.shares",
    **dict.fromkeys(("ElasticNet", "Lasso", "Penalty", "Ridge"), "l2core.penalties"),
}
"""What no loss needs, and is imported when it is asked for."""
_ROOMS = ("boosting", "plot", "robust", "solvers")
"""Modules of which the same holds."""


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"l2core.{name}")
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_LATER[name]), name)
    return found


def __dir__() -> list[str]:
    return [*globals(), *_LATER, *_ROOMS]
