"""l2core for Keras 3, on TensorFlow, JAX or torch: a :class:`Criterion`, drop-ins, their metric."""

from contextlib import suppress

from l2keras.criterion import Criterion
from l2keras.losses import Huber, LogCosh, MeanAbsoluteError, MeanSquaredError
from l2keras.metrics import CriterionMetric

__all__ = [
    "Criterion",
    "CriterionMetric",
    "Huber",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanSquaredError",
]

with suppress(ImportError):  # no public name; without it callbacks ask for a mode
    from keras.src.losses import ALL_OBJECTS

    # So that the metric that Keras makes of a loss is to be minimised.
    ALL_OBJECTS.update({Criterion, Huber, LogCosh, MeanAbsoluteError, MeanSquaredError})
