"""l2core for JAX: a :class:`Criterion` for any transform, and losses named as in optax.

Elementwise, as in optax, ``(predictions, targets)``: ``squared_error``, ``l2_loss``, ``huber_loss``,
``log_cosh``. Reduced: ``mse_loss`` and the others. Where optax broadcasts shapes, these raise.

Beyond one call: ``axis_name`` of a criterion, ``window``, ``multi_steps``, ``all_reduced``; and with Flax
``CriterionMetric`` and ``ErrorMetric``.
"""

from typing import Any

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
from l2jax.penalties import penalty
from l2jax.windows import all_reduced, multi_steps, window

__all__ = [
    "Criterion",
    "all_reduced",
    "expectile_loss",
    "gaussian_nll_loss",
    "huber_loss",
    "l1_loss",
    "l2_loss",
    "log_cosh",
    "mse_loss",
    "multi_steps",
    "penalty",
    "quantile_loss",
    "rmse_loss",
    "smooth_l1_loss",
    "squared_error",
    "window",
]
METRICS = ("CriterionMetric", "ErrorMetric")
"""What needs Flax, which is imported when the first of them is asked for."""


def __getattr__(name: str) -> Any:
    if name not in METRICS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require("flax", "flax")
    from l2jax import metrics

    return getattr(metrics, name)


def __dir__() -> list[str]:
    return [*globals(), *METRICS]
