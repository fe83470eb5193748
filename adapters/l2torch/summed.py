"""Sums of losses in one pass over a CPU's tensors, as nodes of PyTorch's graph: for fast paths alone."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from l2core import Criterion, Loss
from l2core.backend import Backend
from l2core.call import Call
from l2core.fastpath import BY_PSI
from l2core.memory import place
from l2core.onepass import BLOCK, Rule, one_pass, rule
from l2core.prepared import elements, prepared
from l2torch.backend import derivative, total_of
from l2torch.halves import GRAIN, HalfOperands, host
from l2torch.internals import legacy_batched, transforms_active
from l2torch.namespace import XP

Tensors: TypeAlias = tuple[Tensor, Tensor, Tensor | None, Tensor | None]
"""pred, target, weight, mask."""
REALS: dict[torch.dtype, Any] = {torch.float32: np.float32, torch.float64: np.float64}
_NAMES = ("pred", "target", "weight", "mask")


class Made(NamedTuple):
    """A value, and what its gradient needs."""

    criterion: Criterion
    backend: Backend
    value: float
    dtype: torch.dtype
    divisor: float
    """By what the sum was divided."""
    upstream: float
    """The upstream gradient for which ``grad``, or None, is that to pred."""
    grad: Tensor | None


def recorded_sum(tensors: Tensors, made: Made) -> Tensor:
    """The value in the graph."""
    return cast(Tensor, _Value.apply(*tensors, made))  # type: ignore[no-untyped-call]


class _Value(Function):
    @staticmethod
    def forward(
        ctx: Any, pred: Tensor, target: Tensor, weight: Any, mask: Any, made: Made
    ) -> Tensor:
        ctx.save_for_backward(pred, target, weight, mask)  # which notices changes in place
        ctx.made = made
        return torch.full((), made.value, dtype=made.dtype, device=pred.device)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        tensors, (to_pred, to_target) = ctx.saved_tensors, ctx.needs_input_grad[:2]
        criterion, backend, _, dtype, divisor, made_for, grad = ctx.made
        if torch.is_grad_enabled() or batched(grads[0]):
            scale = grads[0] if divisor == 1 else grads[0] / divisor
            found = plain_gradients(backend, criterion, tensors, (to_pred, to_target), scale)
            return (*found, *_REST)
        upstream = grads[0].item()
        ctx.made = ctx.made._replace(grad=None)  # its next owner may write into it
        again, opposite = to_pred and (grad is None or made_for != upstream), None
        if again or to_target:
            kind = REALS[dtype]
            with np.errstate(over="ignore", invalid="ignore"):
                factor = kind(upstream) / kind(divisor)
            if again:
                grad = buffer(tensors[0]) if grad is None else grad
                summed(criterion.loss, tensors, dtype, grad, factor)
            if to_target:
                opposite = buffer(tensors[1])
                summed(criterion.loss, tensors, dtype, opposite, -factor)
        return (grad, opposite, *_REST)


_REST = (None,) * 3
"""The gradients to what is no tensor, or has none."""


def batched(x: Tensor) -> bool:
    """Whether x stands for several tensors, as under ``autograd.grad(is_grads_batched=True)``."""
    return transforms_active() or legacy_batched(x)


def plain_gradients(
    backend: Backend,
    criterion: Criterion,
    tensors: Tensors,
    needed: tuple[bool, bool],
    upstream: Tensor,
) -> list[Tensor | None]:
    """The gradients to pred and target by plain expressions: differentiable, and can be batched.

    Not by autograd: within backward it would walk on into the graph that pred and target come from,
    and run the hooks on them. In the order in which autograd multiplies on the plain path.
    """
    pred, target, weight, mask = tensors
    inputs = prepared(criterion, backend, Call(pred, target, weight, mask))
    p, t, _ = elements(inputs)
    scale = upstream if inputs.weight is None else upstream * inputs.weight
    grad = scale * derivative(criterion.loss, 0, p - t)
    if inputs.present is not None:
        grad = torch.where(inputs.present, grad, 0.0)
    pairs = ((pred, needed[0], grad), (target, needed[1], -grad))
    return [g.to(x.dtype) if need else None for x, need, g in pairs]


def divisor(
    simple: tuple[str, str], pred: Tensor, weight: Tensor | None, mask: Tensor | None
) -> Tensor | float:
    """What the value is divided by, as the plain path has it to the last bit."""
    reduction, by = simple
    factor, size = mask if weight is None else weight, pred.numel()
    if reduction == "sum" or by == "size" or factor is None:
        return 1.0 if reduction == "sum" else float(size)
    weighs = by == "weight" and mask is None
    total = total_of(factor) if weighs else factor.count_nonzero().to(pred.dtype)
    return total if factor.numel() == size else total * (size // factor.numel())


def buffer(x: Tensor) -> Tensor:
    """A place for a gradient: the last one's, once nobody holds it any more, or a new one."""
    memory = place(x.numel() * x.element_size())
    return torch.from_numpy(memory).view(x.dtype).view(x.shape)


def summed(
    loss: Loss, tensors: Tensors, dtype: torch.dtype, grad: Tensor | None, scale: Any
) -> float:
    """Σ ω·rho over the present elements; ``grad`` becomes scale·ω·psi, and 0 where absent.

    Computed in ``dtype``; a block of other tensors is converted in cache.
    """
    given = dict(zip(_NAMES, tensors, strict=True), grad=grad)
    halves = [name for name, x in given.items() if x is not None and x.dtype is torch.bfloat16]
    arrays = [None if x is None else host(x) for x in given.values()]
    operands = HalfOperands(frozenset(halves), *arrays, np.dtype(REALS[dtype]))
    return one_pass(rule_of(loss), operands, scale, torch.get_num_threads())


def rule_of(loss: Loss) -> Rule:
    """That of a loss in NumPy's arithmetic, or else in PyTorch's functions, which round as they do
    on the plain path."""
    return rule(loss) if type(loss) in BY_PSI else _functions(loss)


@lru_cache(maxsize=256)
def _functions(loss: Loss) -> Rule:
    def rho(r: Any) -> Any:
        return loss.rho(torch.from_numpy(r), XP).numpy()

    def psi(r: Any) -> Any:
        return loss.psi(torch.from_numpy(r), XP).numpy()

    return Rule(0.0, psi, None, rho, BLOCK // GRAIN)
