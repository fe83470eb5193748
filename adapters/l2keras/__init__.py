"""l2core for Keras 3, on TensorFlow, JAX or torch: a :class:`Criterion` and drop-in losses."""

from l2keras.criterion import Criterion
from l2keras.losses import Huber, LogCosh, MeanAbsoluteError, MeanSquaredError

__all__ = ["Criterion", "Huber", "LogCosh", "MeanAbsoluteError", "MeanSquaredError"]
