"""PyTorch as a backend of l2core: its namespace, and rho with psi registered as its derivative."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad

from l2core import LOSSES, Loss, fastpath
from l2core.backend import PlainPathOnly, register
from l2core.call import Call
from l2core.dtypes import dtype_name
from l2core.sums import sum_of
from l2torch import internals
from l2torch.integers import INTEGERS, kept
from l2torch.namespace import XP


class _Rule(Function):
    """A pointwise function whose derivative is given: reverse, forward and batched.

    ``order`` 0 is rho and 1 is psi; curvature is a plain expression, so third derivatives are
    autograd's own. So are those to ``given``, parameters of the loss with these names (in one string,
    since vmap takes a tuple for a tree).
    """

    generate_vmap_rule = True

    @classmethod
    def apply(cls, *args: Any) -> Any:
        if internals.unwrapped is None or internals.transforms_active():
            return super().apply(*args)  # type: ignore[no-untyped-call]
        # As there, without the half of the time that it takes to bind forward's signature.
        return super(Function, cls).apply(*internals.unwrapped(args))  # type: ignore[misc]

    @staticmethod
    def forward(r: Tensor, loss: Loss, order: int, names: str, *given: Tensor) -> Tensor:
        value = _plainly(loss, order, r, names, given)
        return value.clone() if value is r else value  # autograd wants no input as an output

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        r, loss, order, names, *given = inputs
        ctx.kind = loss, order, names
        ctx.save_for_backward(r, *given)
        ctx.save_for_forward(r, *given)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        r, *given = ctx.saved_tensors
        loss, order, names = ctx.kind
        by_r = grads[0] * derivative(loss, order, r, names, given)
        if not any(ctx.needs_input_grad[4:]):
            return by_r, None, None, None, *[None for _ in given]
        return by_r, None, None, None, *_by_given(loss, order, r, names, given, grads[0])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        # torch calls this with forward mode off, at the levels below too: jacfwd(jacfwd) would be 0
        # (pytorch/pytorch#197867). On again, this level's own tangent has to be left out.
        with internals.forward_grad_enabled(True):
            r, *given = (_primal(x) for x in ctx.saved_tensors)
            loss, order, names = ctx.kind
            pushed: Tensor = tangents[0] * derivative(loss, order, r, names, given)
            if given:
                each = [x.expand_as(r) for x in given]
                slopes = _by_given(loss, order, r, names, each, torch.ones_like(r))
                for slope, tangent in zip(slopes, tangents[4:], strict=True):
                    pushed = pushed if tangent is None else pushed + slope * tangent
            return pushed


def _plainly(loss: Loss, order: int, r: Tensor, names: str, given: Sequence[Tensor]) -> Tensor:
    plain = loss.psi if order else loss.rho
    return cast(Tensor, plain(r, XP, **dict(zip(names.split(), given, strict=True))))


def _by_given(
    loss: Loss,
    order: int,
    r: Tensor,
    names: str,
    given: Sequence[Tensor],
    upstream: Tensor,
) -> tuple[Tensor, ...]:
    """The gradients to what is given, by autograd of the plain expression.

    Never of r and given themselves, from which autograd would walk on into the graph they come from.
    """
    again = torch.is_grad_enabled() or internals.transforms_active() or internals.dispatch_modes()
    if not again:  # no gradient of these gradients is wanted: in a third of the time
        with torch.enable_grad():
            apart = [x.detach().requires_grad_() for x in given]
            value = _plainly(loss, order, r.detach(), names, apart)
            return torch.autograd.grad(value, apart, upstream)
    made = torch.func.vjp(lambda *given: _plainly(loss, order, r, names, given), *given)
    found: tuple[Tensor, ...] = made[1](upstream)
    return found


def _primal(x: Any) -> Any:
    return x if x is None else forward_ad.unpack_dual(x, level=0).primal  # type: ignore[no-untyped-call]


_apply = cast(Callable[..., Tensor], _Rule.apply)


def derivative(
    loss: Loss, order: int, r: Tensor, names: str = "", given: Sequence[Tensor] = ()
) -> Tensor:
    """psi of r (order 0) with its derivative registered, or curvature (order 1)."""
    if order:
        return cast(Tensor, loss.curvature(r, XP, **dict(zip(names.split(), given, strict=True))))
    return _apply(r, loss, 1, names, *given)


class _Slope(Function):
    """``total``, whose derivative to ``weight`` is that of a sum of slope·weight over ``axes``."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        total: Tensor, weight: Tensor, slope: Any, axes: tuple[int, ...] | None, *arguments: Any
    ) -> Tensor:
        return total.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, weight, ctx.slope, ctx.axes, *arguments = inputs
        ctx.save_for_backward(weight, *arguments)
        ctx.save_for_forward(weight, *arguments)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        weight, *arguments = ctx.saved_tensors
        where, by = ctx.slope(weight, *arguments)
        upstream = grads[0]
        for axis in sorted(ctx.axes or ()):
            upstream = upstream.unsqueeze(axis)
        each = torch.where(where, upstream * by, 0.0)
        return grads[0], each.sum_to_size(weight.shape), None, None, *[None for _ in arguments]

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        with internals.forward_grad_enabled(True):  # as above
            where, by = ctx.slope(*(_primal(x) for x in ctx.saved_tensors))
            return tangents[0] + _summed(torch.where(where, tangents[1] * by, 0.0), ctx.axes)


_slope = cast(Callable[..., Tensor], _Slope.apply)


def _summed(x: Tensor, axes: tuple[int, ...] | None) -> Tensor:
    return x if axes == () else torch.sum(x, axes)


# Dynamo cannot trace a Function that has forward mode, and the Function that it makes of one without
# cannot be batched. Left whole, as a node of its graph, the rule keeps all its transforms, and the
# compiler behind Dynamo traces it down to the same kernels. A node takes numbers and strings, so
# the loss travels as its name and parameters.
@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def _rho_node(r: Tensor, name: str, values: tuple[Any, ...], names: str, *given: Tensor) -> Tensor:
    loss = object.__new__(LOSSES[name])
    # Past the constructor, which would refuse the symbol that Dynamo may make of a parameter.
    for field, value in zip(fields(loss), values, strict=True):
        object.__setattr__(loss, field.name, value)
    return _apply(r, loss, 0, names, *given)


def _expanded(loss: Loss, r: Tensor, given: Mapping[str, Tensor]) -> Tensor:
    """rho with its derivatives as an expression: for a trace, which keeps no Python function.

    Taylor's around r itself: its value is rho, its derivatives are psi and curvature. They are 0
    where the residual is not finite.
    """
    at = r.detach()
    finite = torch.isfinite(at)
    inner = torch.where(finite, at, 0.0)
    step = torch.where(finite, r, 0.0) - inner
    slope, bend = (f(inner, XP, **given) for f in (loss.psi, loss.curvature))
    return cast(Tensor, loss.rho(at, XP, **given) + step * (slope + 0.5 * step * bend))


# It keeps what it has seen in a dict, on which Dynamo would guard: every new dtype a recompilation.
torch.compiler.assume_constant_result(dtype_name)  # type: ignore[no-untyped-call]


_PLAIN = (Tensor, torch.nn.Parameter)
TOGETHER = 1 << 17
"""Elements whose float64 stay in the processor's cache."""


def total_of(x: Tensor) -> Tensor:
    """The same of everything, where nothing watches and nothing is traced."""
    usual = x.dtype is not torch.float32 or not x.is_cpu
    return x.sum() if usual else _eager_total(x, None)


def _eager_total(x: Tensor, axes: tuple[int, ...] | None) -> Tensor:
    if not (x.requires_grad and torch.is_grad_enabled()):
        return wide(x, axes).to(torch.float32)
    # A sum saves nothing for its gradient, so another value may take the place of its own.
    total = torch.sum(x, axes)
    total.detach().copy_(wide(x.detach(), axes))
    return total


def wide(x: Tensor, axes: tuple[int, ...] | None) -> Tensor:
    """The sum in float64: by NumPy where that reads the same memory, else of a part of the first axis
    at a time."""
    if x.numel() <= TOGETHER:
        return torch.sum(x, axes, dtype=torch.float64)
    if axes is None and x.dtype is torch.float32 and x.is_contiguous():
        host = BACKEND.host(x)
        if host is not None:
            return torch.full((), sum_of(host), dtype=torch.float64, device=x.device)
    high = max(1, TOGETHER // (x.numel() // len(x)))
    parts = [torch.sum(part, axes, dtype=torch.float64) for part in torch.split(x, high)]
    return torch.stack(parts).sum(0) if axes is None or 0 in axes else torch.cat(parts)


WITHOUT_FLOAT64 = ("mps",)
"""Types of devices that have no float64."""


_NUMPY = frozenset({torch.float32, torch.float64, torch.bool})


class TorchBackend(PlainPathOnly):
    """The one instance is BACKEND."""

    xp = XP
    arrays: tuple[type, ...] = (Tensor,)
    integers = INTEGERS

    def widest_of(self, x: Tensor) -> str:
        return "float32" if x.device.type in WITHOUT_FLOAT64 else "float64"

    def check(self, x: Tensor, name: str) -> None:
        if type(x).__module__.startswith("torch.masked"):
            raise TypeError(
                f"{name}: expected a plain tensor, with its mask as the argument mask, got "
                f"{type(x).__name__}"
            )
        if x.is_nested or x.layout is not torch.strided:
            kind = "a nested tensor" if x.is_nested else f"layout {x.layout}"
            raise TypeError(f"{name}: expected a dense tensor (torch.strided), got {kind}")

    def rho(self, loss: Loss, r: Tensor, given: Mapping[str, Tensor]) -> Tensor:
        names, arrays = " ".join(given), tuple(given.values())
        if torch.compiler.is_dynamo_compiling():
            values = tuple([getattr(loss, field.name) for field in fields(loss)])
            return cast(Tensor, _rho_node(r, type(loss).__name__, values, names, *arrays))
        if internals.tracing() or (internals.forward_grad_enabled is None and self.transforms()):
            return _expanded(loss, r, given)
        return _apply(r, loss, 0, names, *arrays)

    def fused_sum(self, criterion: Any, call: Call, /) -> Tensor | None:
        if torch.compiler.is_compiling():  # which meets the lock of a cached property
            return None
        return cast("Tensor | None", super().fused_sum(criterion, call))

    def total(self, x: Tensor, axes: tuple[int, ...] | None) -> Tensor:
        if x.dtype is not torch.float32 or not x.is_cpu or internals.exporting():
            return torch.sum(x, axes)  # where it will run there may be no float64
        if torch.compiler.is_compiling() or internals.dispatch_modes() or self.transforms():
            return torch.sum(x, axes, dtype=torch.float64).to(torch.float32)
        return _eager_total(x, axes) if type(x) in _PLAIN else torch.sum(x, axes)

    def halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.dtype is torch.uint64:  # which knows no arithmetic
            high, low = super().halves(x.view(torch.int64))
            return torch.where(high < 0, high + (1 << 32), high), low
        return super().halves(x)

    def number(self, x: float, like: Tensor) -> float | Tensor:
        # In forward mode a tensor of rank 0 over a Python float has a float64 tangent.
        if self.transforms() and not torch.compiler.is_compiling():
            return torch.full((), x, dtype=like.dtype, device=like.device)
        return x

    @staticmethod
    def transforms() -> bool:
        """Whether forward mode or a transform of torch.func may be at work."""
        return internals.forward_mode() or internals.transforms_active()

    def with_slope(
        self,
        total: Tensor,
        weight: Tensor,
        slope: Callable[..., tuple[Tensor, Tensor]],
        arguments: tuple[Any, ...],
        axes: tuple[int, ...] | None,
    ) -> Tensor:
        # A transform may stand around a tensor that does not say so.
        wanted = weight.requires_grad and torch.is_grad_enabled()
        if not (wanted or internals.recording() or self.transforms()):
            return total
        expressed = torch.compiler.is_compiling() or internals.tracing()
        expressed = expressed or not (wanted or self.transforms())
        if not (expressed or internals.forward_grad_enabled is None):
            return _slope(total, weight, slope, axes, *arguments)
        # As an expression: the weight, which is 0 there, times what its derivative is.
        where, by = slope(weight, *arguments)
        if torch.compiler.is_compiling() and not self.transforms():
            by = by.detach()  # autograd runs once there, and the weight's 0 would come of it
        return total + _summed(torch.where(where, weight * by, 0.0), axes)

    def kept(self, value: Tensor, total: Callable[[], Tensor], of: tuple[Any, ...]) -> Tensor:
        wanted = torch.is_grad_enabled() and any(getattr(x, "requires_grad", False) for x in of)
        if not (wanted or internals.recording() or self.transforms()):
            return value
        found: Tensor = kept(value, total())
        return found

    def detached(self, x: Tensor) -> Tensor:
        return x.detach()

    def moved(self, x: Tensor, where: Any) -> Tensor:
        return x.to(where)

    def length(self, x: Tensor, axis: int) -> int:
        return x.shape[axis]

    def scalar(self, value: float, dtype: str, like: Tensor) -> Tensor:
        return torch.full((), value, dtype=getattr(torch, dtype), device=like.device)

    def matched(self, x: Tensor, pred: Tensor) -> Tensor:
        return x

    def constant(self, x: Any, like: Tensor) -> Tensor:
        return torch.as_tensor(x, device=like.device)

    def numpy(self, x: Tensor) -> Any:
        return x.detach().cpu().numpy()

    def host(self, x: Tensor) -> Any:
        usual = type(x) in (Tensor, torch.nn.Parameter) and not internals.recording()
        if not usual or torch.compiler.is_compiling() or internals.transforms_active():
            return None
        plain = x.is_cpu and x.dtype in _NUMPY and not x.is_neg()
        return x.detach().numpy() if plain else None

    def binned(self, size: Tensor, weight: Tensor | None, n: int) -> Tensor:
        index = (size.contiguous().view(torch.int32) >> 16).to(torch.int64)
        if weight is None:
            weight = torch.ones((), dtype=torch.int64, device=size.device)
        elif not weight.is_floating_point():
            weight = weight.to(torch.int64)
        bins = torch.zeros((len(size), n), dtype=weight.dtype, device=size.device)
        return bins.scatter_add(1, index, weight.expand(index.shape))


BACKEND = TorchBackend()
register(BACKEND, Tensor, torch.nn.Parameter)
fastpath.install(TorchBackend, "l2torch.fused")  # which imports what imports this
