"""PyTorch's functions under the names of the array standard, as far as the core uses them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import array_api_compat.torch as compat
import torch
from torch import Tensor

from l2core.arrays import Namespace
from l2core.dtypes import KNOWN


def log1p(x: Tensor) -> Tensor:
    """log(1 + x), also in ONNX, which has no such function: there 2 atanh(x / (x + 2)), the same."""
    if torch.onnx.is_in_onnx_export():
        return 2.0 * torch.atanh(x / (x + 2.0))
    return torch.log1p(x)


def sign(x: Tensor) -> Tensor:
    """The sign, and NaN for NaN, where torch.sign is 0; without a branch for each element."""
    return torch.maximum(torch.sign(x), torch.clamp(x, max=-1.0))


def argsort(x: Tensor) -> Tensor:
    """The order, of equal ones as they stand."""
    return torch.argsort(x, stable=True)


def cumulative_sum(x: Tensor, *, axis: int) -> Tensor:
    """Without compat's look for a namespace, at which Dynamo warns."""
    return torch.cumsum(x, axis)


def take(x: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    """The elements of an axis at these places."""
    return torch.index_select(x, axis, indices)


_NAMES = [name for name in vars(Namespace) if not name.startswith("_")]
_OWN = {"clip": torch.clamp, "log1p": log1p, "sign": sign}  # compat's clip looks at the data
_OWN |= {"argsort": argsort, "cumulative_sum": cumulative_sum, "take": take}
_OWN["stop_gradient"] = torch.detach
XP = cast(
    Namespace,
    SimpleNamespace(
        **{name: getattr(compat, name) for name in _NAMES}
        | {name: getattr(torch, name) for name in KNOWN if hasattr(torch, name)}
        | _OWN
    ),
)
