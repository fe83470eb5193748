"""l2core for Keras 3, on TensorFlow, JAX or torch: a :class:`Criterion`, drop-ins, metrics, windows."""

from l2core.extras import require

require("keras", "keras")

from l2keras.criterion import Criterion
from l2keras.internals import minimised
from l2keras.losses import Huber, LogCosh, MeanAbsoluteError, MeanSquaredError
from l2keras.metrics import CriterionMetric, ErrorMetric
from l2keras.penalties import ElasticNet, Lasso, Ridge
from l2keras.windows import WindowLoss, Windows

__all__ = [
    "Criterion",
    "CriterionMetric",
    "ElasticNet",
    "ErrorMetric",
    "Huber",
    "Lasso",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Ridge",
    "Windows",
]

# The metrics that Keras makes of losses are then to be minimised.
minimised({Criterion, Huber, LogCosh, MeanAbsoluteError, MeanSquaredError, WindowLoss})
