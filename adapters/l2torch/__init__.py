"""l2core for PyTorch: a :class:`Criterion` module, drop-in losses, and ``functional``."""

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
]

registry.register()
