"""The arguments of a call, cast to the dtypes of the loss, aligned, and with what is absent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from l2core.arrays import Array
from l2core.backend import Backend
from l2core.call import Call, Meaning
from l2core.checks import axes_of, factors, residual_dtypes
from l2core.dtypes import COMPLEX_FLOATS, LONG_INTEGERS, REAL_FLOATS, dtype_name


class Prepared(NamedTuple):
    """A call that has been checked, with arrays that fit each other."""

    backend: Backend
    pred: Array
    target: Array
    weight: Array | None  # of pred's rank, with axes of length 1 where it does not vary
    present: Array | None  # likewise; None: every element
    parameters: Mapping[str, Array]  # likewise
    axes: tuple[int, ...] | None
    denominator: Any  # given in the call
    real: str  # the dtype of the loss


def prepared(meaning: Meaning, backend: Backend, call: Call) -> Prepared:
    """Everything cast and aligned, and what is absent."""
    xp, pred = backend.xp, call.pred
    target = backend.matched(call.target, pred)
    residual, real = residual_dtypes(pred, target, factors(call), backend)
    present = call.mask
    if present is not None:
        present = _aligned(backend.matched(present, pred), pred, backend)
    if meaning.nan_targets == "ignore" and dtype_name(target.dtype) in REAL_FLOATS + COMPLEX_FLOATS:
        present = _both(present, ~xp.isnan(target))
    if _subtract_first(pred, target):
        pred = _difference(pred, target, residual, backend)
        target = xp.full_like(pred, 0.0)
    else:
        pred, target = cast_to(pred, residual, backend), cast_to(target, residual, backend)
    parameters = {
        name: _factor(x, pred, real, backend)
        for name, x in call.parameters.items()
        if x is not None
    }
    weight = call.weight
    if weight is not None:
        weight = _factor(weight, pred, real, backend)
        if present is not None:
            weight = xp.where(present, weight, 0.0)
        present = _both(present, weight != 0)
    axes = None if meaning.axis is None else axes_of(meaning.axis, len(pred.shape))
    denominator = _given(call.denominator, real, backend)
    return Prepared(backend, pred, target, weight, present, parameters, axes, denominator, real)


class Divisor(NamedTuple):
    """What a sum is divided by: ``given``, or else the number of elements along ``axes``, or else the sum
    of ``counted`` weights, or how many elements are."""

    given: Any = None
    axes: tuple[int, ...] | None = None
    counted: Any = None
    weighs: bool = False


def divisor_of(meaning: Meaning, inputs: Prepared) -> Divisor:
    """That of a criterion's mean of these inputs; 1 where it divides by nothing."""
    if meaning.reduction in ("none", "sum"):
        return Divisor(1.0)
    given = meaning.denominator if inputs.denominator is None else inputs.denominator
    if not isinstance(given, str):
        return Divisor(given)
    if given == "batch":
        return Divisor(axes=(0,))
    over = tuple(range(len(inputs.pred.shape))) if inputs.axes is None else inputs.axes
    weighs = given == "weight" and inputs.weight is not None
    counted = None if given == "size" else inputs.weight if weighs else inputs.present
    return Divisor(axes=over) if counted is None else Divisor(counted=counted, weighs=weighs)


def lengths(inputs: Prepared, axes: Iterable[int], dtype: str) -> Any:
    """The product of pred's lengths: a number, or an array of this dtype where one is open while tracing."""
    backend = inputs.backend
    n = math.prod([backend.length(inputs.pred, axis) for axis in axes])
    return cast_to(n, dtype, backend) if isinstance(n, backend.arrays) else n


def single_sum(
    meaning: Meaning, backend: Backend, call: Call, cast: bool = True
) -> Prepared | None:
    """The same with pred and target as they are, for a fused path to sum up; without ``cast`` the
    weight is too.

    None unless the value comes of one sum over real arrays, with at most one array of weights, or
    one mask, along the leading axes. Weights of 0 are still present, unless present elements are
    the denominator.
    """
    pred, target, weight, mask, denominator, _ = call
    factor = mask if weight is None else weight
    if (
        (meaning.reduction == "none" or meaning.axis is not None)
        or meaning.nan_targets != "propagate"
        or meaning.loss.likelihood  # of which absent elements, put at 0, would add something
    ):
        return None
    if factor is not None and (
        isinstance(factor, (int, float))
        or len(factor.shape) == 0
        or factor.shape != pred.shape[: len(factor.shape)]
        or (weight is not None and mask is not None)
    ):
        return None
    residual, real = residual_dtypes(pred, target, (weight,), backend)
    if residual != real or _subtract_first(pred, target):
        return None
    if factor is not None:
        factor = _aligned(factor, pred, backend)
    present = factor if weight is None else None
    if weight is not None:
        weight = cast_to(factor, real, backend) if cast else factor
        present = weight != 0 if meaning.denominator == "count" else None
    given = _given(denominator, real, backend)
    return Prepared(backend, pred, target, weight, present, {}, None, given, real)


def selected(
    backend: Backend,
    present: Array | None,
    pred: Array,
    target: Array,
    parameters: Mapping[str, Array],
) -> tuple[Array, Array, dict[str, Array]]:
    """pred and target, 0 where absent, before subtracting, so that no NaN is ever met; and the
    parameters, 1 there."""
    if present is None:
        return pred, target, dict(parameters)
    where = backend.xp.where
    ones = {name: where(present, x, 1.0) for name, x in parameters.items()}
    return where(present, pred, 0.0), where(present, target, 0.0), ones


def elements(inputs: Prepared) -> tuple[Array, Array, dict[str, Array]]:
    """The same of a whole call; no method, which Dynamo of PyTorch 2.6 does not know of a tuple."""
    backend, present, parameters = inputs.backend, inputs.present, inputs.parameters
    return selected(backend, present, inputs.pred, inputs.target, parameters)


def cast_to(x: Array, dtype: str, backend: Backend) -> Array:
    """x in the dtype of this name."""
    return x if dtype_name(x.dtype) == dtype else backend.xp.astype(x, getattr(backend.xp, dtype))


def _given(denominator: Any, dtype: str, backend: Backend) -> Any:
    if denominator is None or isinstance(denominator, backend.arrays):
        return None if denominator is None else cast_to(denominator, dtype, backend)
    return float(denominator)


def _subtract_first(pred: Array, target: Array) -> bool:
    """Whether these are 64-bit integers, whose difference a float of each would lose."""
    name = dtype_name(pred.dtype)
    return name in LONG_INTEGERS and dtype_name(target.dtype) == name


def _difference(pred: Array, target: Array, dtype: str, backend: Backend) -> Array:
    """pred - target of 64-bit integers, in halves that do not wrap around."""
    high, low = (
        cast_to(cast_to(p, "int64", backend) - cast_to(t, "int64", backend), dtype, backend)
        for p, t in zip(backend.halves(pred), backend.halves(target), strict=True)
    )
    return high * 2.0**32 + low


def _both(mask: Array | None, other: Array) -> Array:
    return other if mask is None else mask & other


def _factor(x: Any, pred: Array, dtype: str, backend: Backend) -> Array:
    """A weight or parameter as an array of this dtype and of pred's rank."""
    if isinstance(x, (int, float)):
        return _aligned(backend.scalar(x, dtype, pred), pred, backend)
    return _aligned(cast_to(backend.matched(x, pred), dtype, backend), pred, backend)


def _aligned(x: Array, pred: Array, backend: Backend) -> Array:
    for _ in range(len(pred.shape) - len(x.shape)):
        x = backend.xp.expand_dims(x, axis=-1)
    return x
