"""The exact oracle: what every loss means, in rational numbers, written out longhand and slowly.

It shares no code and no formula with the losses or the criterion that it judges. Polynomial losses
are exact fractions of the exact values of the inputs; logarithms, exponentials and roots have an
error below 10**-50 relative, far less than any float format can see. NaN and infinities stand as
the Python floats that they are, and follow the rules of IEEE 754.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from l2core.exact import (
    Exact,
    ExactArray,
    exact,
    is_nan,
    log_cosh,
    logarithm,
    minus,
    over,
    pi,
    plus,
    root,
    sech_squared,
    size,
    tanh,
    times,
)

Residual: TypeAlias = Exact | tuple[Exact, Exact]
"""A real residual, or real and imaginary part of a complex one."""

Parameters: TypeAlias = Mapping[str, Any]
"""The fields of a loss by name, all of them."""

NumpyArray: TypeAlias = np.ndarray[Any, Any]

# --- the losses, element by element -------------------------------------------------------------

UNIT = Fraction(1)
HALF = Fraction(1, 2)


def rho(name: str, parameters: Parameters, r: Residual, variance: Exact = UNIT) -> Exact:
    """The loss of one residual."""
    if isinstance(r, tuple):
        return _rho_complex(name, *r)
    if is_nan(r):
        return math.nan
    if name == "GaussianNLL":
        return _gaussian(parameters, r, variance)
    if isinstance(r, float):
        return math.inf  # every loss grows without bound on both sides
    match name:
        case "SquaredError":
            return r**2
        case "HalfSquaredError":
            return r**2 / 2
        case "AbsoluteError":
            return abs(r)
        case "Huber":
            delta = exact(parameters["delta"])
            if abs(r) <= delta:
                return r**2 / 2
            return Fraction(delta) * (abs(r) - Fraction(delta) / 2)
        case "SmoothL1":
            beta = Fraction(parameters["beta"])
            return abs(r) - beta / 2 if abs(r) >= beta else r**2 / (2 * beta)
        case "LogCosh":
            return log_cosh(Fraction(r))
        case "Quantile":
            return max((1 - Fraction(parameters["q"])) * r, -Fraction(parameters["q"]) * r)
        case "Expectile":
            return r**2 * _asymmetry(parameters["tau"], r)
    raise _unknown(name)


def psi(name: str, parameters: Parameters, r: Exact, variance: Exact = UNIT) -> Exact:
    """The derivative of rho; 0 at r = 0 where it has none."""
    if is_nan(r):
        return math.nan
    sign = Fraction((r > 0) - (r < 0))
    match name:
        case "SquaredError":
            return times(Fraction(2), r)
        case "HalfSquaredError":
            return r
        case "AbsoluteError":
            return sign
        case "Huber":
            delta = exact(parameters["delta"])
            return r if size(r) <= delta else times(sign, delta)
        case "SmoothL1":
            beta = Fraction(parameters["beta"])
            return sign if size(r) >= beta else over(r, beta)
        case "LogCosh":
            return tanh(r) if isinstance(r, Fraction) else sign
        case "Quantile":
            q = Fraction(parameters["q"])
            return (1 - q if r > 0 else -q) if r != 0 else Fraction(0)
        case "Expectile":
            return times(2 * _asymmetry(parameters["tau"], r), r)
        case "GaussianNLL":
            return over(r, _clamped(parameters, variance))
    raise _unknown(name)


def curvature(name: str, parameters: Parameters, r: Exact, variance: Exact = UNIT) -> Exact:
    """The derivative of psi; at a jump of psi the value on the side of r = 0, at 0 on the left."""
    if is_nan(r):
        return math.nan
    match name:
        case "SquaredError":
            return Fraction(2)
        case "HalfSquaredError":
            return Fraction(1)
        case "AbsoluteError" | "Quantile":
            return Fraction(0)
        case "Huber":
            return Fraction(1 if size(r) <= exact(parameters["delta"]) else 0)
        case "SmoothL1":
            beta = Fraction(parameters["beta"])
            return 1 / beta if beta > 0 and size(r) <= beta else Fraction(0)
        case "LogCosh":
            return sech_squared(r) if isinstance(r, Fraction) else Fraction(0)
        case "Expectile":
            return 2 * _asymmetry(parameters["tau"], r)
        case "GaussianNLL":
            return over(Fraction(1), _clamped(parameters, variance))
    raise _unknown(name)


def _asymmetry(tau: float, r: Exact) -> Fraction:
    return 1 - Fraction(tau) if r > 0 else Fraction(tau)


def _clamped(parameters: Parameters, variance: Exact) -> Exact:
    if is_nan(variance):
        return variance
    return max(variance, Fraction(parameters["eps"]))


def _gaussian(parameters: Parameters, r: Exact, variance: Exact) -> Exact:
    v = _clamped(parameters, variance)
    if isinstance(v, float):
        return math.nan if is_nan(v) or isinstance(r, float) else math.inf
    if isinstance(r, float):
        return math.inf
    if v == 0:
        return math.nan  # -inf + inf, or -inf + 0/0
    total = logarithm(Fraction(v)) + r**2 / v
    if parameters["full"]:
        total += logarithm(2 * pi())
    return total / 2


def _rho_complex(name: str, real: Exact, imag: Exact) -> Exact:
    square = plus(times(real, real), times(imag, imag))
    match name:
        case "SquaredError":
            return square
        case "HalfSquaredError":
            return over(square, Fraction(2))
        case "AbsoluteError":
            return root(square)
    raise ValueError(f"name: expected a loss with a complex meaning, got {name!r}")


def psi_complex(name: str, real: Exact, imag: Exact) -> tuple[Exact, Exact]:
    """The derivatives of rho by the real and by the imaginary part of the residual."""
    match name:
        case "SquaredError":
            return times(Fraction(2), real), times(Fraction(2), imag)
        case "HalfSquaredError":
            return real, imag
        case "AbsoluteError":
            size = _rho_complex(name, real, imag)
            if size == 0:
                return Fraction(0), Fraction(0)
            return over(real, size), over(imag, size)
    raise ValueError(f"name: expected a loss with a complex meaning, got {name!r}")


def _unknown(name: str) -> ValueError:
    return ValueError(f"name: expected a loss that the oracle knows, got {name!r}")


# --- whole arrays -------------------------------------------------------------------------------

Index: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class _Element:
    """One element that is not absent: where it stands, and the cell of the result it goes to."""

    index: Index
    cell: Index
    residual: Residual
    weight: Exact
    variance: Exact


def value(
    name: str,
    parameters: Parameters,
    pred: NumpyArray,
    target: NumpyArray,
    *,
    weight: NumpyArray | float | None = None,
    mask: NumpyArray | None = None,
    variance: NumpyArray | float | None = None,
    reduction: str = "mean",
    denominator: str | float | NumpyArray = "weight",
    axis: int | tuple[int, ...] | None = None,
    empty: str = "nan",
    nan_targets: str = "propagate",
) -> ExactArray:
    """The loss of NumPy arrays of equal shapes; the arguments are those of a criterion."""
    pred, target = np.asarray(pred), np.asarray(target)
    elements = _elements(pred, target, weight, mask, variance, axis, nan_targets)
    if reduction == "none":
        found = _filled(pred.shape)
        for e in elements:
            found[e.index] = times(e.weight, rho(name, parameters, e.residual, e.variance))
        return found
    total = _filled(_kept(pred.shape, axis))
    for e in elements:
        loss = times(e.weight, rho(name, parameters, e.residual, e.variance))
        total[e.cell] = plus(total[e.cell], loss)
    if reduction == "sum":
        return total
    divisor = _divisor(total, elements, denominator, pred.shape, empty)
    mean = _each(over, total, divisor)
    return mean if reduction == "mean" else _each(root, mean)


def gradient(
    name: str,
    parameters: Parameters,
    pred: NumpyArray,
    target: NumpyArray,
    *,
    cotangent: NumpyArray | float = 1.0,
    weight: NumpyArray | float | None = None,
    mask: NumpyArray | None = None,
    variance: NumpyArray | float | None = None,
    reduction: str = "mean",
    denominator: str | float | NumpyArray = "weight",
    axis: int | tuple[int, ...] | None = None,
    empty: str = "nan",
    nan_targets: str = "propagate",
) -> ExactArray:
    """The gradient to ``pred`` of the sum of ``cotangent`` times the loss; the target's is minus it.

    For complex ``pred`` an array of pairs: the derivatives by the real and by the imaginary part.
    """
    pred, target = np.asarray(pred), np.asarray(target)
    elements = _elements(pred, target, weight, mask, variance, axis, nan_targets)
    shape = pred.shape if reduction == "none" else _kept(pred.shape, axis)
    scale = _filled(shape)
    for cell in np.ndindex(shape):
        scale[cell] = exact(np.broadcast_to(cotangent, shape)[cell].item())
    if reduction in ("mean", "root_mean"):
        total = _filled(shape)
        for e in elements:
            loss = times(e.weight, rho(name, parameters, e.residual, e.variance))
            total[e.cell] = plus(total[e.cell], loss)
        divisor = _divisor(total, elements, denominator, pred.shape, empty)
        scale = _each(over, scale, divisor)
        if reduction == "root_mean":
            roots = _each(root, _each(over, total, divisor))
            scale = _each(_slope_of_root, scale, roots)
    found = _filled(pred.shape)
    if np.iscomplexobj(pred):
        for index in np.ndindex(pred.shape):
            found[index] = (Fraction(0), Fraction(0))
    for e in elements:
        factor = times(scale[e.index if reduction == "none" else e.cell], e.weight)
        if isinstance(e.residual, tuple):
            real, imag = (times(factor, d) for d in psi_complex(name, *e.residual))
            found[e.index] = (real, imag) if np.iscomplexobj(pred) else real
        else:
            found[e.index] = times(factor, psi(name, parameters, e.residual, e.variance))
    return found


def _slope_of_root(scale: Exact, root: Exact) -> Exact:
    return Fraction(0) if root == 0 else over(scale, times(Fraction(2), root))


def _elements(
    pred: NumpyArray,
    target: NumpyArray,
    weight: NumpyArray | float | None,
    mask: NumpyArray | None,
    variance: NumpyArray | float | None,
    axis: int | tuple[int, ...] | None,
    nan_targets: str,
) -> list[_Element]:
    """The elements that are not absent."""
    if pred.shape != target.shape:
        raise ValueError(
            f"pred and target: expected equal shapes, got {pred.shape} and {target.shape}"
        )
    return list(_present(pred, target, weight, mask, variance, axis, nan_targets))


def _present(
    pred: NumpyArray,
    target: NumpyArray,
    weight: NumpyArray | float | None,
    mask: NumpyArray | None,
    variance: NumpyArray | float | None,
    axis: int | tuple[int, ...] | None,
    nan_targets: str,
) -> Iterator[_Element]:
    reduced = _reduced(pred.ndim, axis)
    for index in np.ndindex(pred.shape):
        p, t = pred[index].item(), target[index].item()
        if mask is not None and not _aligned(mask, index, pred.shape):
            continue
        if nan_targets == "ignore" and np.isnan(t):
            continue
        w = Fraction(1) if weight is None else exact(_aligned(weight, index, pred.shape))
        if w == 0:
            continue
        v = Fraction(1) if variance is None else exact(_aligned(variance, index, pred.shape))
        cell = tuple(i for a, i in enumerate(index) if a not in reduced)
        yield _Element(index, cell, _residual(p, t), w, v)


def _residual(p: complex, t: complex) -> Residual:
    if isinstance(p, complex) or isinstance(t, complex):
        return (
            minus(exact(p.real), exact(t.real)),
            minus(exact(p.imag), exact(t.imag)),
        )
    return minus(exact(p), exact(t))


def _aligned(x: NumpyArray | float, index: Index, shape: Index) -> Any:
    """The element of x that stands for this index: x has leading axes of shape, or its rank."""
    x = np.asarray(x)
    if x.ndim == len(shape):
        fits = all(n in (1, m) for n, m in zip(x.shape, shape, strict=True))
        where = tuple(0 if n == 1 else i for n, i in zip(x.shape, index, strict=True))
    else:
        fits = x.shape == shape[: x.ndim]
        where = index[: x.ndim]
    if not fits:
        raise ValueError(f"expected leading axes of {shape} or its rank, got {x.shape}")
    return x[where].item()


def _reduced(ndim: int, axis: int | tuple[int, ...] | None) -> set[int]:
    if axis is None:
        return set(range(ndim))
    axes = axis if isinstance(axis, tuple) else (axis,)
    return {a + ndim if a < 0 else a for a in axes}


def _kept(shape: Index, axis: int | tuple[int, ...] | None) -> Index:
    reduced = _reduced(len(shape), axis)
    return tuple(n for a, n in enumerate(shape) if a not in reduced)


def _divisor(
    total: ExactArray,
    elements: list[_Element],
    denominator: str | float | NumpyArray,
    shape: Index,
    empty: str,
) -> ExactArray:
    """What the mean of each cell divides by; NaN or 1 for a mean over nothing."""
    found = _filled(total.shape)
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
            found[cell] = Fraction(1) if empty == "zero" else math.nan
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
