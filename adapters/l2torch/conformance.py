"""PyTorch as the conformance checks drive it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

import l2core
from l2core.conformance.harness import DTYPES, AutogradHarness, NumpyArray
from l2torch.criterion import Criterion


@dataclass(frozen=True)
class TorchHarness(AutogradHarness):
    """Eager, and compiled whole by inductor."""

    name: str = "torch"
    modes: tuple[str, ...] = ("eager", "compile")
    dtypes: tuple[str, ...] = (*DTYPES, "bfloat16")

    def context(self) -> AbstractContextManager[Any]:
        """Nothing to enter."""
        return nullcontext()

    def array(self, x: Any, dtype: str | None = None) -> Tensor:
        """See :class:`l2core.conformance.Harness`."""
        tensor = torch.from_numpy(np.array(x))
        return tensor if dtype is None else tensor.to(getattr(torch, dtype))

    def numpy(self, x: Tensor) -> NumpyArray:
        """See :class:`l2core.conformance.Harness`."""
        x = x.detach().resolve_conj().cpu()
        return x.float().numpy() if x.dtype is torch.bfloat16 else x.numpy()

    def face(self, criterion: l2core.Criterion) -> Callable[..., Tensor]:
        """The module."""
        c = criterion
        return Criterion(c.loss, c.reduction, c.denominator, c.axis, c.empty, c.nan_targets)

    def run(self, f: Callable[..., Tensor], *args: Tensor, mode: str = "eager") -> Tensor:
        """See :class:`l2core.conformance.Harness`."""
        if mode == "eager":
            return f(*args)
        torch._dynamo.reset()  # no limit on recompilations from one check to the next
        return torch.compile(f, fullgraph=True, dynamic=False)(*args)

    def vjp(
        self,
        f: Callable[..., Tensor],
        *args: Tensor,
        cotangent: Tensor | None = None,
        mode: str = "eager",
    ) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        """See :class:`l2core.conformance.Harness`; None for arguments without a gradient."""
        leaves = [
            x.detach().clone().requires_grad_(x.is_floating_point() or x.is_complex()) for x in args
        ]
        value = self.run(f, *leaves, mode=mode)
        wanted = [x for x in leaves if x.requires_grad]
        cotangent = torch.ones_like(value) if cotangent is None else cotangent
        found = iter(torch.autograd.grad(value, wanted, cotangent, allow_unused=True))
        return value.detach(), tuple(next(found) if x.requires_grad else None for x in leaves)


def harnesses() -> list[TorchHarness]:
    """The one of PyTorch."""
    return [TorchHarness()]
