"""A mean over the ranks of a process group: its two sums go through one all-reduce.

Each rank has the value of all ranks' data, and a gradient that the engine which follows makes that
of the one global mean: an engine that averages the ranks' gradients (DistributedDataParallel, FSDP)
divides by their number, so each is multiplied by it first; one that sums takes them as they are.
Backward sends nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function

from l2core import ErrorStatistics, ExactTerms, Terms
from l2torch import internals

WORLD = "world"
GRADIENTS = ("average", "sum")


@dataclass(frozen=True)
class Ranks:
    """The ranks that share a mean, and what the engine does with their gradients.

    ``group`` is a ``torch.distributed.ProcessGroup``, or ``"world"``: the default group, looked up at
    each call; before there is one, this process alone.
    """

    group: Any
    gradients: str = "average"

    def __post_init__(self) -> None:
        known = self.group == WORLD if isinstance(self.group, str) else _is_group(self.group)
        if not known:
            raise TypeError(
                'process_group: expected a torch.distributed.ProcessGroup, "world" or None, got '
                f"{self.group!r}"
            )
        if not isinstance(self.gradients, str) or self.gradients not in GRADIENTS:
            raise ValueError(
                f"gradients: expected one of {', '.join(map(repr, GRADIENTS))}, "
                f"got {self.gradients!r}"
            )

        internals.load_all_reduce_node()

    def __deepcopy__(self, memo: Any) -> Ranks:
        return self

    def __reduce__(self) -> Any:
        """The default group by its name; any other is of this process."""
        if self.group != WORLD and self.group is not _world():
            raise TypeError(
                'process_group: expected None or "world" in what is saved, since a group belongs to '
                f"its process, got {self.group!r}"
            )
        return Ranks, (WORLD, self.gradients)

    def found(self) -> Any:
        """The process group; None: this process is alone."""
        if self.group != WORLD:
            return self.group
        if dist.is_available() and dist.is_initialized():
            return _world()
        told = os.environ.get("WORLD_SIZE", "1")
        if told != "1":
            raise RuntimeError(
                "process_group: expected torch.distributed.init_process_group() before the loss of "
                f"all ranks, got WORLD_SIZE={told} without it"
            )
        return None

    def share(self) -> float:
        """What the engine divides by that this rank's gradient has to be multiplied by."""
        group = self.found()
        alone = group is None or self.gradients == "sum"
        return 1.0 if alone else float(dist.get_world_size(group))

    def add_up(self, *sums: Tensor) -> Sequence[Tensor]:
        """The sums of all ranks, with the gradient to each rank's own."""
        group = self.found()
        if group is None:
            return sums
        if internals.tracing():
            raise RuntimeError(
                "process_group: expected None under torch.jit.trace, which would keep the sums of these "
                f"ranks, got {self.group!r}"
            )
        total: Tensor = _AllReduced.apply(torch.stack(sums), group, self.share())  # type: ignore[no-untyped-call]
        # A sum of what has no gradient has none, though it went in one tensor with another.
        return [
            x if own.requires_grad else x.detach()
            for x, own in zip(total.unbind(), sums, strict=True)
        ]

    def total(self, *sums: Tensor) -> Sequence[Tensor]:
        """The sums of all ranks, without gradient."""
        with torch.no_grad():
            return self.add_up(*sums)


class _AllReduced(Function):
    @staticmethod
    def forward(ctx: Any, sums: Tensor, group: Any, factor: float) -> Tensor:
        ctx.factor = factor
        if internals.all_reduce_node is not None and torch.compiler.is_compiling():
            total: Tensor = internals.all_reduce_node(sums, "sum", group)
            return total
        total = sums.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (upstream,) = grads
        # A compiler, which knows no second backward, may not ask (Dynamo of PyTorch 2.6).
        if not torch.compiler.is_compiling() and upstream.requires_grad:
            # It depends on the sums of all ranks, whose derivatives this rank does not have.
            raise RuntimeError(
                "create_graph: expected a loss over a process group whose gradient depends on no sum "
                "of all ranks (a mean, not its root or square), got one that does"
            )
        return upstream * ctx.factor, None, None


def all_reduced(state: Terms | ExactTerms | ErrorStatistics, process_group: Any = WORLD) -> Any:
    """The terms or statistics of all ranks together, on each of them; without gradients.

    ``process_group``: a ``torch.distributed.ProcessGroup``, or ``"world"``, the default group.
    """
    group = Ranks(process_group).found()
    if isinstance(state, ExactTerms):
        return state._each(lambda x: _added_up(x, group))
    if isinstance(state, Terms):
        terms = state.detach()._whole()
        parts = _gathered([terms.numerator, terms.denominator], group)
        each = (Terms(n, d, terms.root, terms.empty) for n, d in zip(*parts, strict=True))
        return sum(each)
    if not isinstance(state, ErrorStatistics):
        raise TypeError(f"state: expected Terms or ErrorStatistics, got {type(state).__name__}")
    # Some ranks may have weights or masks, and others none.
    return state.alike().stacked(lambda x: _gathered([x.detach()], group)[0]).merged()


def _added_up(table: Tensor, group: Any) -> Tensor:
    total = table.clone()
    if group is not None:
        dist.all_reduce(total, group=group)
    return total


def _gathered(tensors: Sequence[Tensor], group: Any) -> list[Any]:
    """For each tensor those of all ranks, stacked in their order."""
    found = []
    for x in tensors:
        if group is None:
            found.append(x[None])
            continue
        each = [torch.empty_like(x, memory_format=torch.contiguous_format)]
        each += [torch.empty_like(each[0]) for _ in range(dist.get_world_size(group) - 1)]
        dist.all_gather(each, x.contiguous(), group=group)
        found.append(torch.stack(each))
    return found


def _is_group(x: Any) -> bool:
    return dist.is_available() and isinstance(x, dist.ProcessGroup)


def _world() -> Any:
    return dist.group.WORLD if dist.is_available() else None
