"""PyTorch's 64-bit integers, for exact sums; and the value that keeps another's derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function

from l2core.integers import Usual
from l2torch import internals

nodes: list[Callable[..., Tensor]] = []
"""The one of :mod:`l2torch.exact_node`, which stands on a floor above."""


class TorchIntegers(Usual):
    """See :class:`l2core.integers.Integers`."""

    eager = True
    flushes = True  # torch.set_flush_denormal, and devices of their own

    def sums(self, *arrays: Tensor) -> Sequence[Tensor]:
        return [torch.sum(x, -1) for x in arrays]

    def threads(self) -> int:
        return torch.get_num_threads()

    def bits(self, x: Tensor) -> Tensor:
        x = x.resolve_neg()
        return x.view(torch.int32 if x.element_size() == 4 else torch.int64).to(torch.int64)

    def floats(self, bits: Tensor, dtype: str) -> Tensor:
        narrow = dtype == "float32"
        return bits.to(torch.int32 if narrow else torch.int64).view(getattr(torch, dtype))

    def binned(self, index: Tensor, values: Tensor, n: int) -> Tensor:
        bins = torch.zeros((index.shape[0], n), dtype=torch.int64, device=index.device)
        return bins.scatter_add(1, index, values)

    def along(self, x: Tensor, index: Tensor) -> Tensor:
        return torch.take_along_dim(x, index, -1)

    def blocked(self, x: Tensor, length: int) -> Tensor:
        padded = torch.nn.functional.pad(x, (0, -x.shape[1] % length))
        return padded.reshape(x.shape[0], -1, length)

    def broadcast(self, x: Tensor, like: Tensor) -> Tensor:
        return x.expand(like.shape)

    def known(self, x: Tensor) -> Any:
        usual = type(x) is Tensor and x.is_cpu and not torch.compiler.is_compiling()
        return x.numpy() if usual and not internals.recording() else None

    def array(self, x: Any) -> Tensor:
        return torch.from_numpy(x)

    def node(self, what: str, criterion: Any, call: Any) -> Tensor | None:
        watched = torch.compiler.is_compiling() or internals.tracing() or call.pred.is_meta
        if not (watched or internals.transforms_active() or internals.dispatch_modes()):
            return None
        found: Tensor = nodes[0](what, criterion, call)
        return found

    def mended(self, x: Tensor, wrong: Tensor, right: Callable[[Any], Tensor]) -> Tensor:
        (rows,) = torch.nonzero(wrong, as_tuple=True)
        if rows.numel():
            x = x.clone()
            x[rows] = right(rows)
        return x


INTEGERS = TorchIntegers()


class _Kept(Function):
    """``value``, with the derivatives of ``total``."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, total: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return None, grads[0]

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        return tangents[1].clone()


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def kept(value: Tensor, total: Tensor) -> Tensor:
    """See :class:`l2core.backend.Backend`."""
    return cast(Tensor, _Kept.apply(value, total))  # type: ignore[no-untyped-call]
