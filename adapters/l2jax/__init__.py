"""l2core for JAX: a :class:`Criterion` for any transform, and losses named as in optax.

Elementwise, as in optax, ``(predictions, targets)``: ``squared_error``, ``l2_loss``, ``huber_loss``,
``log_cosh``. Reduced: ``mse_loss`` and the others. Where optax broadcasts shapes, these raise.
"""

from l2core.extras import require

require("jax", "jax")

from l2jax.criterion import Criterion
from l2jax.functional import (
    expectile_loss,
    gaussian_nll_loss,
    huber_loss,
    l1_loss,
    l2_loss,
    log_cosh,
    mse_loss,
    quantile_loss,
    rmse_loss,
    smooth_l1_loss,
    squared_error,
)

__all__ = [
    "Criterion",
    "expectile_loss",
    "gaussian_nll_loss",
    "huber_loss",
    "l1_loss",
    "l2_loss",
    "log_cosh",
    "mse_loss",
    "quantile_loss",
    "rmse_loss",
    "smooth_l1_loss",
    "squared_error",
]
