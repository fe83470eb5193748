"""Penalties over the parameters of a module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from torch import Tensor, nn

from l2core import Penalty

NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
)
"""PyTorch's layers whose weights are scales of what they normalise."""


def penalty(
    kind: Penalty, module: nn.Module, *, biases: bool = False, norms: bool = False
) -> Tensor:
    """The penalty of a module's parameters, to be added to its loss: a 0-d tensor with gradient.

    Of those that require a gradient; one that several layers share counts once. ``biases``: those
    whose name begins with "bias" too; ``norms``: the weights of PyTorch's normalisation layers too.
    """
    found = list(weights(module, biases=biases, norms=norms))
    if not found:
        raise ValueError(f"module: expected one with weights to penalise, got {module!r}")
    return cast(Tensor, kind(found))


def weights(module: nn.Module, *, biases: bool = False, norms: bool = False) -> Iterator[Tensor]:
    """The parameters that a penalty is of, also for an optimizer's groups."""
    seen: set[int] = set()
    for layer in module.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            bias = name.startswith("bias")
            wanted = biases if bias else norms or not isinstance(layer, NORMS)
            if wanted and parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                yield parameter
