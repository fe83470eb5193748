"""PyTorch as a backend of l2core: its namespace, and rho with psi registered as its derivative."""

from __future__ import annotations

from typing import Any, cast

import array_api_compat.torch as namespace
import torch
from torch import Tensor
from torch.autograd import Function

from l2core import Criterion, Loss
from l2core.backend import Array, Namespace, register

XP = cast(Namespace, namespace)


class _Rule(Function):
    """A pointwise function whose derivative is given, with forward mode: for eager and torch.func.

    ``order`` 0 is rho and 1 is psi; curvature is a plain expression, so third derivatives are
    autograd's own.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(r: Tensor, loss: Loss, order: int) -> Tensor:
        return _value(loss, order, r)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        r, ctx.loss, ctx.order = inputs
        ctx.save_for_backward(r)
        ctx.save_for_forward(r)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (r,) = ctx.saved_tensors
        return grads[0] * _derivative(ctx.loss, ctx.order, r), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        (r,) = ctx.saved_tensors
        return tangents[0] * _derivative(ctx.loss, ctx.order, r)


class _CompiledRule(Function):
    """The same without forward mode, which torch.compile refuses in a Function."""

    @staticmethod
    def forward(r: Tensor, loss: Loss, order: int) -> Tensor:
        return _value(loss, order, r)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        r, ctx.loss, ctx.order = inputs
        ctx.save_for_backward(r)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (r,) = ctx.saved_tensors
        return grads[0] * _derivative(ctx.loss, ctx.order, r), None, None


def _value(loss: Loss, order: int, r: Tensor) -> Tensor:
    value = cast(Tensor, loss.psi(r, XP) if order else loss.rho(r, XP))
    return value.view_as(value) if value is r else value  # autograd wants no input as an output


def _derivative(loss: Loss, order: int, r: Tensor) -> Tensor:
    return cast(Tensor, loss.curvature(r, XP)) if order else _apply(loss, 1, r)


def _apply(loss: Loss, order: int, r: Tensor) -> Tensor:
    rule = _CompiledRule if torch.compiler.is_compiling() else _Rule
    return cast(Tensor, rule.apply(r, loss, order))


class TorchBackend:
    """The one instance is BACKEND."""

    xp = XP
    arrays: tuple[type, ...] = (Tensor,)
    widest = "float64"

    def rho(self, loss: Loss, r: Tensor) -> Tensor:
        return _apply(loss, 0, r)

    def length(self, x: Tensor, axis: int) -> int:
        return x.shape[axis]

    def scalar(self, value: float, dtype: str, like: Tensor) -> Tensor:
        return torch.full((), value, dtype=getattr(torch, dtype), device=like.device)

    def matched(self, x: Tensor, pred: Tensor) -> Tensor:
        return x

    def fused(
        self,
        criterion: Criterion,
        pred: Array,
        target: Array,
        weight: Array | None,
        mask: Array | None,
    ) -> Tensor | None:
        return None


BACKEND = TorchBackend()
register(BACKEND, Tensor, torch.nn.Parameter)
