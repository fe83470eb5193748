"""l2core for PyTorch: a :class:`Criterion` module, drop-in losses, and ``functional``."""

from l2core.extras import require

require("torch", "torch")

from l2torch import functional, registry
from l2torch.criterion import Criterion
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
    "functional",
]

registry.register()
