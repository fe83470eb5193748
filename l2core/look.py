"""What one look at some data finds: the numbers of which statistics are made."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from l2core import sketch
from l2core.arrays import Array, Namespace
from l2core.backend import Backend
from l2core.call import Call
from l2core.compensated import Sum
from l2core.criterion import Criterion
from l2core.dtypes import dtype_name
from l2core.prepared import Prepared, cast_to, prepared

BLOCK = 1 << 15
"""Elements that stay in cache while NumPy looks at them several times."""
TOGETHER = 256
"""Blocks whose looks are kept until they are merged at once."""


class Look(NamedTuple):
    """What one look at some data finds, output by output: numbers and means in two parts each."""

    count: Array
    uncounted: Array
    weight: Array
    unweighted: Array
    target_near: Array
    target_rest: Array
    target_square: Array
    error_near: Array
    error_rest: Array
    error_square: Array
    absolute: Array
    least: Array
    greatest: Array


def looked_at(
    meaning: Criterion, backend: Backend, call: Call, quantiles: bool
) -> tuple[Look, Sum | None, tuple[int, ...]]:
    """What is found, the sketch, and the shape of the outputs."""
    xp, inputs = backend.xp, prepared(meaning, backend, call)
    error, target, weight, outputs = _rows(inputs, call, backend)
    none = xp.sum(error[:, :0], axis=(1,))
    if weight is not None:
        found = xp.count_nonzero(weight, axis=(1,))
        count = cast_to(found, inputs.real, backend)
        rest = found - cast_to(count, dtype_name(found.dtype), backend)
        uncounted = cast_to(rest, inputs.real, backend)
    else:
        n = backend.length(error, 1)
        if isinstance(n, backend.arrays):
            count, uncounted = none + cast_to(n, inputs.real, backend), none
        else:
            near = float(np.dtype(inputs.real).type(n))
            count, uncounted = xp.full_like(none, near), xp.full_like(none, n - near)
    total, unweighted = count, uncounted
    if inputs.weight is not None:
        total, unweighted = xp.sum(weight, axis=(1,)), none
    size, limits = xp.abs(error), _extremes(error, weight, xp)
    look = Look(
        *(count, uncounted, total, unweighted),
        *_moments(target, weight, total, _extremes(target, weight, xp), xp),
        *_moments(error, weight, total, limits, xp),
        _sum(size, weight, xp),
        *limits,
    )
    if not quantiles:
        return look, None, outputs
    counted = inputs.weight is None and weight is not None
    return look, sketch.of(size, weight, counted, outputs, backend), outputs


def hosted(call: Call, backend: Backend) -> Call | None:
    """The call with NumPy's arrays in the same memory, if that is what a large call has."""
    if isinstance(call.pred, np.ndarray):
        return None
    given = call[:4]
    views: list[Any] = [backend.host(x) if hasattr(x, "dtype") else x for x in given]
    if any(v is None and x is not None for v, x in zip(views, given, strict=True)):
        return None
    return Call(views[0], views[1], views[2], views[3]) if views[0].size > BLOCK else None


def batched(calls: Iterator[Call], n: int) -> Iterator[list[Call]]:
    """The calls, up to n at a time (itertools has it from Python 3.12 on)."""
    while some := list(islice(calls, n)):
        yield some


def blocks(call: Call) -> Iterator[Call]:
    """The call by rows that stay in cache."""
    n = len(call.pred)
    step = max(1, BLOCK * n // call.pred.size)

    def rows(x: Any, block: slice) -> Any:
        along = isinstance(x, np.ndarray) and x.shape[:1] == (n,)
        return x[block] if along else x

    for i in range(0, n, step):
        block = slice(i, i + step)
        others = (rows(x, block) for x in (call.weight, call.mask))
        yield Call(call.pred[block], call.target[block], *others)


def _rows(inputs: Prepared, call: Call, backend: Backend) -> tuple[Any, ...]:
    """Errors, targets and weights (None: all 1) with a row for each output; and the outputs' shape."""
    xp = backend.xp
    error = inputs.pred - inputs.target
    target = cast_to(backend.matched(call.target, call.pred), inputs.real, backend)
    weight = None
    if inputs.present is not None:
        one = xp.full_like(error, 1.0) if inputs.weight is None else inputs.weight
        weight = xp.where(inputs.present, one + xp.full_like(error, 0.0), 0.0)
        present = weight != 0
        p, t = (xp.where(present, x, 0.0) for x in (inputs.pred, inputs.target))
        error, target = p - t, xp.where(present, target, 0.0)
    shape = tuple(inputs.pred.shape)
    axes = tuple(range(len(shape))) if inputs.axes is None else inputs.axes
    kept = tuple(i for i in range(len(shape)) if i not in axes)
    outputs = tuple(shape[i] for i in kept)
    if None in outputs:
        raise ValueError(f"axis: expected outputs of known lengths, got shape {shape} over {axes}")
    lengths = [shape[i] for i in axes]
    last = -1 if None in lengths else math.prod(lengths)

    def rowed(x: Array | None) -> Array | None:
        if x is None:
            return None
        if kept:
            x = xp.permute_dims(x, (*kept, *axes))
        return xp.reshape(x, (math.prod(outputs), last))

    return rowed(error), rowed(target), rowed(weight), outputs


def _sum(x: Array, weight: Array | None, xp: Namespace) -> Array:
    return xp.sum(x if weight is None else weight * x, axis=(1,))


def _extremes(x: Array, weight: Array | None, xp: Namespace) -> tuple[Array, Array]:
    """The least and the greatest of each row; inf and -inf of nothing."""
    if x.shape[1] == 0:
        nothing = xp.sum(x, axis=(1,))
        return xp.full_like(nothing, math.inf), xp.full_like(nothing, -math.inf)
    if weight is None:
        return xp.min(x, axis=1), xp.max(x, axis=1)
    present = weight != 0
    low, high = xp.where(present, x, math.inf), xp.where(present, x, -math.inf)
    return xp.min(low, axis=1), xp.max(high, axis=1)


def _moments(
    x: Array, weight: Array | None, total: Array, limits: tuple[Array, Array], xp: Namespace
) -> tuple[Array, Array, Array]:
    """The mean of each row, in two parts, and the sum of squares around it."""
    divisor = xp.where(total == 0, 1.0, total)
    near = _sum(x, weight, xp) / divisor
    low, high = limits
    # Between the limits, whatever rounding or an overflow made of the sum; of nothing 0.
    near = xp.where(near < low, low, xp.where(near > high, high, near))
    near = xp.where(total == 0, 0.0, near)
    # Around 0 where the mean is not finite: an infinite square then, or NaN, not inf - inf.
    apart = x - xp.expand_dims(_finite(near, xp), axis=1)
    rest = _finite(_sum(apart, weight, xp) / divisor, xp)
    apart = apart - xp.expand_dims(rest, axis=1)
    return near, rest, _sum(apart * apart, weight, xp)


def _finite(x: Array, xp: Namespace) -> Array:
    """x, and 0 where it is not finite."""
    return xp.where(xp.abs(x) < math.inf, x, 0.0)
