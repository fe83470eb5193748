"""l2core for PyTorch: a :class:`Criterion` module, drop-in losses, and ``functional``.

Beyond one call: ``process_group`` of a criterion, :class:`Window`, ``hf_loss``, ``all_reduced``; and with
torchmetrics ``CriterionMetric`` and ``ErrorMetric``.
"""

from typing import Any

from l2core.extras import require

require("torch", "torch")

from l2torch import functional, registry
from l2torch.criterion import Criterion
from l2torch.distributed import all_reduced
from l2torch.huggingface import hf_loss
from l2torch.losses import (
    GaussianNLLLoss,
    HuberLoss,
    L1Loss,
    LogCoshLoss,
    MSELoss,
    QuantileLoss,
    RMSELoss,
    SmoothL1Loss,
)
from l2torch.penalties import penalty
from l2torch.window import Window

__all__ = [
    "Criterion",
    "GaussianNLLLoss",
    "HuberLoss",
    "L1Loss",
    "LogCoshLoss",
    "MSELoss",
    "QuantileLoss",
    "RMSELoss",
    "SmoothL1Loss",
    "Window",
    "all_reduced",
    "functional",
    "hf_loss",
    "penalty",
]

METRICS = ("CriterionMetric", "ErrorMetric")
"""What needs torchmetrics, which is imported when the first of them is asked for."""

registry.register()


def __getattr__(name: str) -> Any:
    if name not in METRICS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require("torchmetrics", "metrics")
    from l2torch import metrics

    return getattr(metrics, name)


def __dir__() -> list[str]:
    return [*globals(), *METRICS]
