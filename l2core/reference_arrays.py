"""The exact oracle on whole arrays: selection, weights, denominators, reductions, longhand.

As :mod:`l2core.reference`, which has the losses, it shares no code with what it judges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from l2core.exact import Exact, ExactArray, exact, minus, over, plus, root, times
from l2core.reference import (
    UNIT,
    Parameters,
    Residual,
    by_parameter,
    psi,
    psi_complex,
    rho,
)

NumpyArray: TypeAlias = np.ndarray[Any, Any]
Index: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class _Call:
    """What a criterion and a call say beside the loss, in their names; ``given`` are parameters."""

    weight: NumpyArray | float | None = None
    mask: NumpyArray | None = None
    reduction: str = "mean"
    denominator: str | float | NumpyArray = "weight"
    axis: int | tuple[int, ...] | None = None
    empty: str = "nan"
    nan_targets: str = "propagate"
    given: Parameters = field(default_factory=dict)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> _Call:
        own = {each.name for each in fields(cls)}
        known = {name: x for name, x in options.items() if name in own}
        rest = {name: x for name, x in options.items() if name not in own and x is not None}
        return cls(**known, given=rest)


@dataclass(frozen=True)
class _Element:
    """One element that is not absent: where it stands, and the cell of the result it goes to."""

    index: Index
    cell: Index
    residual: Residual
    weight: Exact
    parameters: Parameters


def value(
    name: str, parameters: Parameters, pred: NumpyArray, target: NumpyArray, **options: Any
) -> ExactArray:
    """The loss of NumPy arrays of equal shapes.

    ``options`` are the fields of a criterion, and the arguments of its call, by name.
    """
    pred, call = np.asarray(pred), _Call.of(options)
    elements = _elements(parameters, pred, np.asarray(target), call)
    losses = [times(e.weight, rho(name, e.parameters, e.residual)) for e in elements]
    if call.reduction == "none":
        found = _filled(pred.shape)
        for e, loss in zip(elements, losses, strict=True):
            found[e.index] = loss
        return found
    total = _total(elements, losses, pred.shape, call)
    if call.reduction == "sum":
        return total
    mean = _each(over, total, _divisor(total, elements, pred.shape, call))
    return mean if call.reduction == "mean" else _each(root, mean)


def gradient(
    name: str,
    parameters: Parameters,
    pred: NumpyArray,
    target: NumpyArray,
    *,
    cotangent: NumpyArray | float = 1.0,
    **options: Any,
) -> ExactArray:
    """The gradient to ``pred`` of the sum of ``cotangent`` times the loss; the target's is minus it.

    For complex ``pred`` an array of pairs: the derivatives by the real and by the imaginary part.
    Options as in :func:`value`.
    """
    pred, call = np.asarray(pred), _Call.of(options)
    elements = _elements(parameters, pred, np.asarray(target), call)
    found = _filled(pred.shape)
    if np.iscomplexobj(pred):
        for index in np.ndindex(pred.shape):
            found[index] = (Fraction(0), Fraction(0))
    for e, factor in zip(elements, _factors(name, elements, pred, cotangent, call), strict=True):
        if isinstance(e.residual, tuple):
            real, imag = (times(factor, d) for d in psi_complex(name, *e.residual))
            found[e.index] = (real, imag) if np.iscomplexobj(pred) else real
        else:
            found[e.index] = times(factor, psi(name, e.parameters, e.residual))
    return found


def gradient_to_parameter(
    which: str,
    name: str,
    parameters: Parameters,
    pred: NumpyArray,
    target: NumpyArray,
    *,
    cotangent: NumpyArray | float = 1.0,
    **options: Any,
) -> ExactArray:
    """The gradient to an array that was given as this parameter, in its shape; as :func:`gradient`."""
    pred, call = np.asarray(pred), _Call.of(options)
    elements = _elements(parameters, pred, np.asarray(target), call)
    found = _filled(np.shape(call.given[which]))
    for e, factor in zip(elements, _factors(name, elements, pred, cotangent, call), strict=True):
        residual: Any = e.residual
        slope = times(factor, by_parameter(name, which, e.parameters, residual))
        where = _aligned(found.shape, e.index, pred.shape)
        found[where] = plus(found[where], slope)
    return found


def _factors(
    name: str,
    elements: list[_Element],
    pred: NumpyArray,
    cotangent: NumpyArray | float,
    call: _Call,
) -> list[Exact]:
    """Of each element, the derivative by its rho of the sum of cotangent times the loss."""
    shape = pred.shape if call.reduction == "none" else _kept(pred.shape, call.axis)
    scale = _filled(shape)
    for cell in np.ndindex(shape):
        scale[cell] = exact(np.broadcast_to(cotangent, shape)[cell].item())
    if call.reduction in ("mean", "root_mean"):
        losses = [times(e.weight, rho(name, e.parameters, e.residual)) for e in elements]
        total = _total(elements, losses, pred.shape, call)
        divisor = _divisor(total, elements, pred.shape, call)
        scale = _each(over, scale, divisor)
        if call.reduction == "root_mean":
            roots = _each(root, _each(over, total, divisor))
            scale = _each(_slope_of_root, scale, roots)
    return [
        times(scale[e.index if call.reduction == "none" else e.cell], e.weight) for e in elements
    ]


def _slope_of_root(scale: Exact, root: Exact) -> Exact:
    return Fraction(0) if root == 0 else over(scale, times(Fraction(2), root))


def _total(elements: list[_Element], losses: list[Exact], shape: Index, call: _Call) -> ExactArray:
    total = _filled(_kept(shape, call.axis))
    for e, loss in zip(elements, losses, strict=True):
        total[e.cell] = plus(total[e.cell], loss)
    return total


def _elements(
    parameters: Parameters, pred: NumpyArray, target: NumpyArray, call: _Call
) -> list[_Element]:
    """The elements that are not absent."""
    if pred.shape != target.shape:
        raise ValueError(
            f"pred and target: expected equal shapes, got {pred.shape} and {target.shape}"
        )
    return list(_present(parameters, pred, target, call))


def _present(
    parameters: Parameters, pred: NumpyArray, target: NumpyArray, call: _Call
) -> Iterator[_Element]:
    reduced = _reduced(pred.ndim, call.axis)
    for index in np.ndindex(pred.shape):
        p, t = pred[index].item(), target[index].item()
        if call.mask is not None and not _of(call.mask, index, pred.shape):
            continue
        if call.nan_targets == "ignore" and np.isnan(t):
            continue
        w = UNIT if call.weight is None else exact(_of(call.weight, index, pred.shape))
        if w == 0:
            continue
        given = {name: exact(_of(x, index, pred.shape)) for name, x in call.given.items()}
        cell = tuple(i for a, i in enumerate(index) if a not in reduced)
        yield _Element(index, cell, _residual(p, t), w, {**parameters, **given})


def _residual(p: complex, t: complex) -> Residual:
    if isinstance(p, complex) or isinstance(t, complex):
        return (
            minus(exact(p.real), exact(t.real)),
            minus(exact(p.imag), exact(t.imag)),
        )
    return minus(exact(p), exact(t))


def _of(x: NumpyArray | float, index: Index, shape: Index) -> Any:
    """The element of x that stands for this index."""
    x = np.asarray(x)
    return x[_aligned(x.shape, index, shape)].item()


def _aligned(own: Index, index: Index, shape: Index) -> Index:
    """Where in an array of shape ``own``, leading axes of shape or its rank, an index belongs."""
    if len(own) == len(shape):
        fits = all(n in (1, m) for n, m in zip(own, shape, strict=True))
        where = tuple(0 if n == 1 else i for n, i in zip(own, index, strict=True))
    else:
        fits = own == shape[: len(own)]
        where = index[: len(own)]
    if not fits:
        raise ValueError(f"expected leading axes of {shape} or its rank, got {own}")
    return where


def _reduced(ndim: int, axis: int | tuple[int, ...] | None) -> set[int]:
    if axis is None:
        return set(range(ndim))
    axes = axis if isinstance(axis, tuple) else (axis,)
    return {a + ndim if a < 0 else a for a in axes}


def _kept(shape: Index, axis: int | tuple[int, ...] | None) -> Index:
    reduced = _reduced(len(shape), axis)
    return tuple(n for a, n in enumerate(shape) if a not in reduced)


def _divisor(total: ExactArray, elements: list[_Element], shape: Index, call: _Call) -> ExactArray:
    """What the mean of each cell divides by; NaN or 1 for a mean over nothing."""
    found, denominator = _filled(total.shape), call.denominator
    if isinstance(denominator, str) and denominator in ("weight", "count"):
        for e in elements:
            more = e.weight if denominator == "weight" else Fraction(1)
            found[e.cell] = plus(found[e.cell], more)
    else:
        named = {"batch": shape[:1], "size": [math.prod(shape) // max(1, found.size)]}
        if isinstance(denominator, str):
            (given,) = named[denominator]
        else:
            given = np.asarray(denominator).item()
        for cell in np.ndindex(found.shape):
            found[cell] = exact(given)
    for cell in np.ndindex(found.shape):
        if found[cell] == 0 and total[cell] == 0:
            found[cell] = Fraction(1) if call.empty == "zero" else math.nan
    return found


def _filled(shape: Index) -> ExactArray:
    found = np.empty(shape, dtype=np.object_)
    found.fill(Fraction(0))
    return found


def _each(f: Callable[..., Exact], *arrays: ExactArray) -> ExactArray:
    found = _filled(arrays[0].shape)
    for cell in np.ndindex(found.shape):
        found[cell] = f(*(x[cell] for x in arrays))
    return found
