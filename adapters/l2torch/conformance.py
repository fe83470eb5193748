"""PyTorch as the conformance checks drive it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

import l2core
from l2core.conformance.harness import (
    DTYPES,
    AutogradHarness,
    NumpyArray,
    Writing,
    numpy_layouts,
)
from l2torch.criterion import Criterion


@dataclass(frozen=True)
class TorchHarness(AutogradHarness):
    """Eager, and compiled whole by inductor."""

    name: str = "torch"
    device: str = "cpu"
    modes: tuple[str, ...] = ("eager", "compile")
    dtypes: tuple[str, ...] = (*DTYPES, "bfloat16")

    def context(self) -> AbstractContextManager[Any]:
        """Nothing to enter."""
        return nullcontext()

    def array(self, x: Any, dtype: str | None = None) -> Tensor:
        """See :class:`l2core.conformance.Harness`."""
        tensor = torch.from_numpy(np.array(x)).to(self.device)
        return tensor if dtype is None else tensor.to(getattr(torch, dtype))

    def numpy(self, x: Tensor) -> NumpyArray:
        """See :class:`l2core.conformance.Harness`."""
        return (x.float() if x.dtype is torch.bfloat16 else x).numpy(force=True)

    def face(self, criterion: l2core.Criterion) -> Callable[..., Tensor]:
        """The module."""
        c = criterion
        return Criterion(**c.arguments)

    def run(self, f: Callable[..., Tensor], *args: Tensor, mode: str = "eager") -> Tensor:
        """See :class:`l2core.conformance.Harness`."""
        if mode == "eager":
            return f(*args)
        torch.compiler.reset()  # no limit on recompilations from one check to the next
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

    @property
    def features(self) -> dict[str, Callable[..., Any]]:
        """See :class:`l2core.conformance.Harness`."""
        return {
            "second": _second,
            "watched": _watched,
            "jvp": _jvp,
            "vmap": lambda f, *stacked: torch.func.vmap(f)(*stacked),
            "vmap_grad": lambda f, *stacked: torch.func.vmap(torch.func.grad(f))(*stacked),
            "layouts": self._layouts,
            "threads": _threads,
        }

    @property
    def writing(self) -> Writing:
        """See :class:`l2core.conformance.Writing`."""
        gradient = "{wrt}.requires_grad_()\n{call}.sum().backward()\nprint({wrt}.grad)"
        f = "lambda pred, target: {call}"
        place = "" if self.device == "cpu" else f", device={self.device!r}"
        return Writing(
            imports="import torch",
            array=f"torch.tensor({{data}}, dtype=torch.{{dtype}}{place})",
            gradient=gradient,
            modes={"compile": f"torch.compile({f}, fullgraph=True)(pred, target)"},
            features={
                "second": "torch.func.grad(lambda pred: torch.func.grad("
                "lambda pred: {call}.sum())(pred).sum())(pred)",
                "jvp": "torch.func.jvp(lambda pred: {call}, (pred,), (tangent,))[1]",
                "vmap": f"torch.func.vmap({f})(pred, target)",
                "vmap_grad": f"torch.func.vmap(torch.func.grad({f}))(pred, target)",
            },
        )

    def _layouts(self, x: NumpyArray) -> list[Tensor]:
        """NumPy's that torch can hold (none backwards in memory), and storage with an offset."""
        ordered = [y for y in numpy_layouts(x) if all(n >= 0 for n in y.strides)]
        held = [self._as_it_lies(torch.from_numpy(y)) for y in ordered]
        padded = self.array(np.pad(x.reshape(-1), 1))
        return [*held, padded[1:-1].view(x.shape)]

    def _as_it_lies(self, x: Tensor) -> Tensor:
        """x on the device, with its strides, where a copy alone would drop its gaps and repeats."""
        span = 1 + sum((n - 1) * step for n, step in zip(x.shape, x.stride(), strict=True))
        there = torch.as_strided(x, (span if x.numel() else 0,), (1,)).to(self.device)
        return torch.as_strided(there, x.shape, x.stride())


def _second(f: Callable[..., Tensor], x: Tensor) -> Tensor:
    x = x.detach().clone().requires_grad_()
    (first,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
    if not first.requires_grad:  # a gradient that does not depend on x
        return torch.zeros_like(x)
    found = torch.autograd.grad(first.sum(), x, allow_unused=True, materialize_grads=True)
    return found[0]


def _watched(f: Callable[..., Tensor], z: Tensor) -> Tensor:
    z = z.detach().clone().requires_grad_()
    pred = z + z
    pred.register_hook(lambda gradient: 2 * gradient)  # type: ignore[no-untyped-call]
    return torch.autograd.grad(f(pred, z).sum(), z, create_graph=True)[0].detach()


def _jvp(f: Callable[..., Tensor], x: Tensor, v: Tensor) -> Tensor:
    tangent: Tensor = torch.func.jvp(f, (x,), (v,))[1]
    return tangent


@contextmanager
def _threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def harnesses() -> list[TorchHarness]:
    """The one of PyTorch, and one on CUDA where there is such a device."""
    found = [TorchHarness()]
    return [*found, TorchHarness("torch-cuda", "cuda")] if torch.cuda.is_available() else found
