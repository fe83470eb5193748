"""Sums of losses in one pass over blocks that stay in the CPU's cache. It can be deleted.

A large tensor costs what it moves through memory: ``mse_loss`` writes the squares and reads them,
then reads everything once more for the gradient. Here the gradient is made while the residual is in
cache, for the upstream gradient that the reduction will send; ``backward`` hands it over, or makes
it anew if another comes. A block is summed up by PyTorch, the blocks in float64. Gradients have the
bits of the plain path. A sum that is not finite is left to the plain path.

In smaller tensors, and on GPUs, the mean of r² is PyTorch's own function, with the plain path's
bits; its gradient for an upstream gradient that is no power of 2 may differ in the last one. So are
weighted squares of which none is absent.
"""

from __future__ import annotations

import weakref
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from l2core import Criterion, Loss, SquaredError
from l2core.backend import Backend
from l2core.call import Call
from l2core.fastpath import SQUARES, blocks, part
from l2core.prepared import elements, prepared
from l2torch.backend import derivative
from l2torch.internals import (
    dispatch_modes,
    forward_mode,
    is_tracing,
    legacy_batched,
    mse_loss,
    transforms_active,
)

LARGE, LARGE_SELECTED = 500_000, 30_000
"""Elements from which blocks are faster than the plain path, and than what it does to select."""
LARGE_SQUARES = 2_500_000
"""The same of the mean of r², for which PyTorch has a function of its own."""
BLOCK = 1 << 20
KEPT = 1 << 29
"""Bytes of the largest gradient whose memory is kept for the next one."""
ROW = 512
"""Elements of a norm, which PyTorch adds up in 8 lanes; the norms' squares are added in float64."""

_Tensors: TypeAlias = tuple[Tensor, Tensor, Tensor | None, Tensor | None]  # weight and mask last
_KINDS = (Tensor, torch.nn.Parameter)
_BITS = {torch.float32: torch.int32, torch.float64: torch.int64}
_NUMBERS = {torch.float16, torch.bfloat16, *_BITS}
_NUMBERS |= {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
_NATIVE = {"mean": 1, "sum": 2, None: 0}


def quick(backend: Backend, criterion: Criterion, pred: Any, target: Any) -> Tensor | None:
    """The mean or sum of r² by PyTorch's function, of what nothing is wrong with; else None."""
    if torch.compiler.is_compiling() or is_tracing():
        return None
    native = _NATIVE[criterion._unweighted]
    if (
        not native
        or type(criterion.loss) is not SquaredError
        or type(pred) not in _KINDS
        or type(target) not in _KINDS
        or pred.dtype not in _BITS
        or target.dtype is not pred.dtype
        or forward_mode()
        or transforms_active()
    ):
        return None
    try:
        size = pred.numel() if pred.shape == target.shape else 0
        if 0 < size < LARGE_SQUARES or (size and not pred.is_cpu):
            return cast(Tensor, mse_loss(pred, target, native))
    except RuntimeError:  # other layouts, which the checks name: asking each tensor costs too much
        pass
    return None


def fused(backend: Backend, criterion: Criterion, call: Call) -> Tensor | None:
    """The value, or None where the plain path serves."""
    pred, target, weight, mask, *_ = call
    if torch.compiler.is_compiling() or is_tracing() or not _usual(pred, target):
        return None  # a trace would keep what this data decides
    selects, size = weight is not None or mask is not None, pred.numel()
    if size < LARGE and not selects:
        return None
    inputs = criterion._single_sum(backend, call)
    if inputs is None:
        return None
    if size < LARGE and type(weight) in _KINDS:
        value = _where_all_count(criterion, inputs)
        if value is not None:
            return value
    if size < LARGE_SELECTED:
        return None
    if not all(map(_dense, (pred, target, weight, mask))):
        return None
    if inputs.weight is not None and inputs.weight.requires_grad:
        return None
    tensors = pred, target, inputs.weight, inputs.present
    recorded = _recorded(pred, target)
    dtype: torch.dtype = getattr(torch, inputs.real)
    upstream, grad = 1.0, None
    with torch.no_grad():
        if recorded and pred.requires_grad and criterion.reduction != "root_mean":
            if criterion.reduction == "mean":
                inputs = inputs._replace(denominator=criterion._denominator(inputs))
            one = torch.ones((), dtype=dtype, device=pred.device)
            upstream, grad = float(criterion._reduced(one, inputs)), _buffer(pred)
        total = _pass(backend, criterion.loss, tensors, dtype, grad, upstream)
    if not abs(total) <= torch.finfo(dtype).max:
        return None
    result = torch.full((), total, dtype=dtype, device=pred.device)
    if recorded:
        made = upstream, grad
        result = _Sum.apply(*tensors, criterion, backend, result, made)  # type: ignore[no-untyped-call]
    return cast(Tensor, criterion._reduced(result, inputs))


def _where_all_count(criterion: Criterion, inputs: Any) -> Tensor | None:
    """The value of weighted squared errors without a weight of 0, by PyTorch's function."""
    k, dtype = SQUARES.get(type(criterion.loss)), getattr(torch, inputs.real)
    pred, target, weight = inputs.pred, inputs.target, inputs.weight
    if k is None or not (pred.dtype is target.dtype is dtype):
        return None
    if not (weight.numel() and weight.amin() > 0):
        return None
    total = (weight * mse_loss(pred, target, 0)).sum()
    return cast(Tensor, criterion._reduced(total if k == 2 else 0.5 * k * total, inputs))


class _Sum(Function):
    """``total``; ``made`` is an upstream gradient and the gradient to pred for it, or None."""

    @staticmethod
    def forward(
        ctx: Any,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None,
        mask: Tensor | None,
        criterion: Criterion,
        backend: Backend,
        total: Tensor,
        made: tuple[float, Tensor | None],
    ) -> Tensor:
        ctx.save_for_backward(pred, target, weight, mask)  # which notices changes in place
        ctx.criterion, ctx.backend, ctx.made = criterion, backend, made
        ctx.dtype = total.dtype
        return total.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        tensors, (to_pred, to_target) = ctx.saved_tensors, ctx.needs_input_grad[:2]
        if torch.is_grad_enabled() or _batched(grads[0]):
            found = _plain(ctx.backend, ctx.criterion, tensors, (to_pred, to_target), grads[0])
            return (*found, *[None] * 6)
        upstream, common = float(grads[0]), (ctx.backend, ctx.criterion.loss, tensors, ctx.dtype)
        (made_for, grad), ctx.made = ctx.made, (1.0, None)  # its next owner may write into it
        if to_pred and (grad is None or made_for != upstream):
            grad = _buffer(tensors[0]) if grad is None else grad
            _pass(*common, grad, upstream)
        opposite = None
        if to_target:
            opposite = _buffer(tensors[1])
            _pass(*common, opposite, -upstream)
        return (grad, opposite, *[None] * 6)


def _batched(x: Tensor) -> bool:
    """Whether x stands for several tensors, as under ``autograd.grad(is_grads_batched=True)``."""
    return transforms_active() or legacy_batched(x)


def _plain(
    backend: Backend,
    criterion: Criterion,
    tensors: _Tensors,
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


def _usual(pred: Tensor, target: Tensor) -> bool:
    """Whether these are tensors of numbers of which plain memory is all, and nobody watches."""
    return (
        type(pred) in _KINDS
        and type(target) in _KINDS
        and pred.dtype in _NUMBERS
        and target.dtype in _NUMBERS
        and pred.layout is target.layout is torch.strided
        and pred.is_cpu
        and target.is_cpu
        and not transforms_active()
        and dispatch_modes() == 0
        and not forward_mode()
    )


def _recorded(pred: Tensor, target: Tensor) -> bool:
    return torch.is_grad_enabled() and (pred.requires_grad or target.requires_grad)


def _dense(x: Any) -> bool:
    return x is None or (type(x) in _KINDS and x.is_contiguous())


def _buffer(x: Tensor) -> Tensor:
    """A place for a gradient: the last one's, once nobody holds it any more, or a new one.

    The first touch of fresh pages costs as much as the whole pass.
    """
    size = x.numel() * x.element_size()
    memory = _kept.pop(size, None)
    if memory is None:  # NumPy asks for huge pages, whose first touch costs less than small ones'
        memory = np.empty(size, np.uint8)
    array = memory.view()
    weakref.finalize(array, _keep, memory).atexit = False
    return torch.from_numpy(array).view(x.dtype).view(x.shape)


_kept: dict[int, np.ndarray[Any, np.dtype[np.uint8]]] = {}


def _keep(memory: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    if memory.size <= KEPT:
        _kept.clear()
        _kept[memory.size] = memory


def _pass(
    backend: Backend,
    loss: Loss,
    tensors: _Tensors,
    dtype: torch.dtype,
    grad: Tensor | None,
    upstream: float,
) -> float:
    """Σ ω·rho over the present elements; ``grad`` becomes upstream·ω·psi, and 0 where absent.

    Computed in ``dtype``; a block of other tensors is converted in cache.
    """
    # Matrices, with a row for each element of a weight or mask that has fewer elements than pred.
    factor = tensors[3] if tensors[2] is None else tensors[2]
    size = tensors[0].numel()
    rows = 1 if factor is None or factor.numel() == size else factor.numel()
    p, t = tensors[0].view(rows, -1), tensors[1].view(rows, -1)
    w, m, g = (None if x is None else x.view(rows, -1) for x in (*tensors[2:], grad))
    k = SQUARES.get(type(loss), 0.0)  # rho = ½·k·r², psi = k·r
    wide = BLOCK if k else BLOCK // 4  # other losses hold more at a time
    residual, scratch = torch.empty((2, min(wide, size)), dtype=dtype, device=p.device)
    exact = torch.promote_types(p.dtype, t.dtype) is dtype  # as PyTorch subtracts them
    total = 0.0
    for block in blocks(rows, size // rows, wide):
        r = g[block] if g is not None and g.dtype is dtype else _like(residual, p[block])
        if exact:
            torch.sub(p[block], t[block], out=r)
        else:
            r.copy_(p[block]).sub_(t[block])
        by = None if w is None else part(w, block)
        present = None if m is None else part(m, block)
        if by is not None and not by.amin() > 0:
            present = by != 0
        bits = None if present is None else present.to(_BITS[r.dtype]).neg_()
        if k and by is None:
            total += _squares(_select(r, bits))
        else:
            rho = torch.mul(r, r, out=_like(scratch, r)) if k else loss.rho(r, backend.xp)
            if by is not None:
                rho = torch.mul(rho, by, out=_like(scratch, r))
            total += float(_select(rho, bits).sum())
        if g is not None:
            psi = r if k else loss.psi(r, backend.xp)
            scale: Any = k * upstream if k else upstream
            if by is not None:
                scale = torch.mul(by, scale, out=_like(scratch, by))
            _select(torch.mul(psi, scale, out=r), bits)
            if g.dtype is not dtype:
                g[block] = r
    return 0.5 * k * total if k else total


def _squares(x: Tensor) -> float:
    """Σ x² by rows."""
    flat = x.view(-1)
    whole = flat.numel() // ROW * ROW
    rows = torch.linalg.vector_norm(flat[:whole].view(-1, ROW), dim=1).double()
    total = float(rows.dot(rows))
    if whole < flat.numel():
        total += float(torch.linalg.vector_norm(flat[whole:])) ** 2
    return total


def _like(buffer: Tensor, x: Tensor) -> Tensor:
    """The front of a buffer, in the shape of x."""
    return buffer[: x.numel()].view(x.shape)


def _select(x: Tensor, bits: Tensor | None) -> Tensor:
    """x with 0 where absent, whatever stands there: 0·NaN would not do, and a branch is slow."""
    if bits is not None:
        x.view(bits.dtype).bitwise_and_(bits)
    return x
