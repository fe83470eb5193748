"""Tolerances, derived: how far a value computed in floating point may be from the exact one.

Notation: u is half an ULP of 1 (2**-24 in float32); every operation errs by at most u relative, or
by one smallest number where it underflows. All bounds are first-order sums of such errors times
SECOND_ORDER, which covers their products. What is exact comes from the oracle.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from l2core import reference, reference_arrays
from l2core.conformance import sizes
from l2core.conformance.case import Case
from l2core.conformance.harness import NumpyArray
from l2core.conformance.roundings import PSI_ROUNDINGS, RHO_ROUNDINGS
from l2core.exact import FORMATS, Exact, ExactArray, exact, rounded, ulp, ulps
from l2core.losses import Loss

SECOND_ORDER = 1 + 2**-5
"""(1 + u)**k - 1 <= k u (1 + 2**-5) while k u <= 2**-5: k <= 16 in float16, 2**19 in float32."""


def unit(dtype: str) -> float:
    """Half an ULP of 1."""
    return 2.0 ** -FORMATS[dtype][0]


def smallest(dtype: str, flushes: bool) -> float:
    """The least positive number: a normal one if subnormals are flushed to 0."""
    bits, top = FORMATS[dtype]
    return 2.0 ** (1 - top - (0 if flushes else bits - 1))


def largest(dtype: str) -> float:
    """The largest finite number."""
    bits, top = FORMATS[dtype]
    return (2 - 2.0 ** (1 - bits)) * 2.0**top


def height(n: int, pairwise: bool) -> int:
    """The most additions that a term of a sum of n goes through.

    Any order: n - 1. Array libraries add blocks of at most 128 terms (NumPy: 8 lanes of 16; PyTorch:
    four levels of 2**ceil(log2(n) / 4); Eigen: leaves of 1024 in 8 lanes; XLA: windows of 32, or
    lanes), and combine blocks as a tree.
    """
    if n < 2:
        return 0
    return min(n - 1, 128 + math.ceil(math.log2(n))) if pairwise else n - 1


@dataclass(frozen=True)
class Arithmetic:
    """What a subject computes with: the dtype, whether it flushes subnormals, how it adds."""

    dtype: str
    flushes: bool
    pairwise: bool

    @property
    def u(self) -> float:
        """Half an ULP of 1."""
        return unit(self.dtype)

    @property
    def tiny(self) -> float:
        """What an operation may lose to underflow."""
        return smallest(self.dtype, self.flushes)


@dataclass(frozen=True)
class Bounds:
    """Absolute errors that the value and the gradient of a case may have, and what overflows."""

    value: NumpyArray
    gradient: NumpyArray
    overflows: NumpyArray  # whether the sum does, so that an infinite value is right


class Exacts:
    """The oracle's numbers for one case under one claim."""

    def __init__(self, loss: Loss, options: dict[str, Any], case: Case) -> None:
        self.loss, self.case = loss, case
        self.name, self.parameters = type(loss).__name__, vars(loss)
        self.options = options
        self._elements: dict[str, NumpyArray] = {}

    def value(self) -> ExactArray:
        """The loss."""
        case = self.case
        return reference_arrays.value(
            self.name, self.parameters, case.pred, case.target, **self._arrays(), **self.options
        )

    def gradient(self, cotangent: Any = 1.0) -> ExactArray:
        """Its gradient to pred."""
        case = self.case
        return reference_arrays.gradient(
            self.name,
            self.parameters,
            case.pred,
            case.target,
            cotangent=cotangent,
            **self._arrays(),
            **self.options,
        )

    def gradient_to_parameter(self, which: str) -> ExactArray:
        """The gradient to a parameter that came with the call."""
        case = self.case
        return reference_arrays.gradient_to_parameter(
            which,
            self.name,
            self.parameters,
            case.pred,
            case.target,
            **self._arrays(),
            **self.options,
        )

    def _arrays(self) -> dict[str, Any]:
        return {k: v for k, v in self.case.others.items() if k != "denominator"}

    def elements(self, f: Callable[..., Exact]) -> NumpyArray:
        """rho, psi or curvature of the oracle, element by element, as nearest floats; inf, NaN 0."""
        if f.__name__ in self._elements:
            return self._elements[f.__name__]
        case = self.case
        found = self._elements[f.__name__] = np.zeros(case.pred.shape)
        given = {name: aligned(x, found.shape) for name, x in case.parameters.items()}
        for index in np.ndindex(found.shape):
            p, t = float(case.pred[index]), float(case.target[index])
            own = {name: exact(x[index].item()) for name, x in given.items()}
            if math.isfinite(p) and math.isfinite(t):
                r: Exact = Fraction(p) - Fraction(t)
                found[index] = rounded(f(self.name, {**self.parameters, **own}, r), "float64")
            elif math.isinf(p - t):  # of which a bounded loss is finite
                at = f(self.name, {**self.parameters, **own}, p - t)
                found[index] = float(at) if isinstance(at, Fraction) else 0.0
        return found

    def weighted_sum(self, x: NumpyArray) -> ExactArray:
        """The sum of ω x over what the value sums over, for x >= 0, by the oracle."""
        options = {**self.options, "reduction": "sum"}
        for name in ("denominator", "empty"):
            options.pop(name, None)
        target = self._absent(np.zeros_like(x))
        return reference_arrays.value("AbsoluteError", {}, x, target, **self._present(), **options)

    def divisor(self) -> NumpyArray:
        """What the mean divides by, by the oracle: its sum of ones over its mean of ones."""
        ones = np.ones(self.case.pred.shape)
        options = {**self.options, "reduction": "mean"}
        mean = reference_arrays.value(
            "AbsoluteError", {}, ones, self._absent(ones * 0), **self._present(), **options
        )
        return as_floats(self.weighted_sum(ones)) / as_floats(mean)

    def _present(self) -> dict[str, Any]:
        return {k: v for k, v in self._arrays().items() if k not in self.case.parameters}

    def _absent(self, target: NumpyArray) -> NumpyArray:
        """NaN where the case's target is, if NaN targets are absent."""
        if self.options.get("nan_targets") != "ignore":
            return target
        return np.where(np.isnan(self.case.target), np.nan, target)


def as_floats(x: ExactArray) -> NumpyArray:
    """Exact numbers as the nearest float64s."""
    found = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        number: Any = x[index]
        found[index] = rounded(number, "float64")
    return found


def rho_errors(exacts: Exacts, how: Arithmetic) -> NumpyArray:
    """Of each element's rho: the subtraction, times rho's slope, and the roundings of rho."""
    r = residuals(exacts.case)
    slope = np.abs(exacts.elements(reference.psi))
    size = magnitude(exacts)
    roundings = RHO_ROUNDINGS[exacts.name]
    underflow = how.tiny * (2 + roundings) * (2 + 2 * slope)
    found: NumpyArray = (how.u * (slope * np.abs(r) + roundings * size) + underflow) * SECOND_ORDER
    return found


def psi_errors(exacts: Exacts, how: Arithmetic) -> NumpyArray:
    """Of each element's psi, in the same way."""
    r = residuals(exacts.case)
    slope = np.abs(exacts.elements(reference.curvature))
    size = sized(exacts, reference.psi, sizes.PSI)
    # Rounded residuals may lie on the other side of an edge, where the slope is another.
    slope = np.where(_at_edge(exacts, r, how), np.maximum(slope, 1 / _width(exacts)), slope)
    errors: NumpyArray = how.u * (slope * np.abs(r) + PSI_ROUNDINGS[exacts.name] * size)
    errors = (errors + how.tiny * (2 + 2 * slope)) * SECOND_ORDER
    if exacts.name in ("Barron", "BarronNLL"):  # a power that may underflow, times u / scale
        scale = told(exacts)["scale"]
        errors = errors + how.tiny * (2 + np.abs(r) / scale) / scale
    if how.flushes:
        edge = smallest(how.dtype, True)
        small = [
            (x != 0) & (np.abs(x) < 2 * edge) for x in (r, exacts.case.pred, exacts.case.target)
        ]
        errors = np.where(np.logical_or.reduce(small), errors + size, errors)  # psi of 0 will do
    return errors


def magnitude(exacts: Exacts) -> NumpyArray:
    """|rho|; for a sum of terms of either sign, the sum of their sizes."""
    return sized(exacts, reference.rho, sizes.RHO)


def sized(exacts: Exacts, f: Callable[..., Exact], table: Mapping[str, sizes.Size]) -> NumpyArray:
    """The absolute values of the oracle's rho, psi or curvature, or what they are rounded like."""
    size = np.abs(exacts.elements(f))
    if exacts.name not in table:
        return size
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = table[exacts.name](size, np.abs(residuals(exacts.case)), told(exacts))
    # Beyond the largest float64, or of what is not finite.
    return np.where(np.isfinite(found), np.maximum(found, size), np.maximum(size, 0.0))


def told(exacts: Exacts) -> dict[str, Any]:
    """The loss's parameters, numbers or aligned arrays."""
    shape = exacts.case.pred.shape
    given = {name: aligned(x, shape) for name, x in exacts.case.parameters.items()}
    return {**exacts.parameters, **given}


def residuals(case: Case) -> NumpyArray:
    """pred - target as float64; 0 where that is not finite."""
    p, t = case.pred.astype(np.float64), case.target.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        r = p - t
    return np.where(np.isfinite(r), r, 0.0)


def aligned(x: NumpyArray | float, shape: tuple[int, ...]) -> NumpyArray:
    """A weight or parameter over all of shape, as float64: by leading axes, or of its rank."""
    x = np.asarray(x, np.float64)
    return np.broadcast_to(x.reshape(x.shape + (1,) * (len(shape) - x.ndim)), shape)


def edges(exacts: Exacts) -> list[NumpyArray]:
    """Where a loss may change its form: at its parameters, fixed or given, element by element."""
    given = exacts.case.parameters
    own = [x for name, x in exacts.parameters.items() if type(x) is float and name not in given]
    shape = exacts.case.pred.shape
    return [aligned(x, shape) for x in (*own, *given.values()) if np.all(np.isfinite(x))]


def _width(exacts: Exacts) -> NumpyArray:
    positive = [np.where(x > 0, x, np.inf) for x in edges(exacts)]
    least = np.minimum.reduce(positive) if positive else np.inf
    found: NumpyArray = np.where(np.isinf(least), 1.0, least)
    return found


def _at_edge(exacts: Exacts, r: NumpyArray, how: Arithmetic) -> NumpyArray:
    near = np.zeros(r.shape, bool)
    for edge in edges(exacts):
        near |= np.abs(np.abs(r) - edge) <= 4 * how.u * np.maximum(edge, how.tiny)
    return near


def bounds(exacts: Exacts, how: Arithmetic, scale: float = 1.0, terms: int | None = None) -> Bounds:
    """The bounds of a case, for a gradient with a cotangent of this size, and sums of this length
    (if it is not that of the arrays)."""
    case, options = exacts.case, exacts.options
    reduction = options["reduction"]
    rho, psi = magnitude(exacts), np.abs(exacts.elements(reference.psi))
    errors, slopes = rho_errors(exacts, how), psi_errors(exacts, how)
    u, more = how.u, SECOND_ORDER
    if reduction == "none":
        weight = _weights(exacts)
        value = weight * (errors + u * rho) * more + how.tiny
        gradient = scale * weight * (slopes + 2 * u * psi) * more + how.tiny
        return Bounds(value, gradient, np.zeros(value.shape, bool))
    n = terms or _count(case, options.get("axis"))
    h = height(n, how.pairwise)
    total = as_floats(exacts.weighted_sum(rho))
    slack = as_floats(exacts.weighted_sum(errors)) + u * (h + 2) * total * more + how.tiny * n
    overflows = total + slack >= largest(how.dtype)
    weight, axis = _weights(exacts), options.get("axis")
    if reduction == "sum":
        gradient = scale * weight * (slopes + 2 * u * psi) * more + how.tiny
        return Bounds(slack, gradient, overflows)
    d = exacts.divisor()
    with np.errstate(all="ignore"):
        relative = u * (h + 4) * more  # of the divisor, which may be a sum of weights, and of the /
        mean, slack = total / d, slack / d
        slack = slack + relative * mean + how.tiny
        value = slack
        factor, loose = scale / d, np.full(d.shape, relative)
        if reduction == "root_mean":
            exact_mean = as_floats(exacts.value()) ** 2
            root = np.sqrt(exact_mean)
            up = np.sqrt(exact_mean + slack) - root
            value = np.maximum(up, root - np.sqrt(np.maximum(exact_mean - slack, 0))) + u * root
            factor = factor / (2 * root)
            # The slope of a root of about 0 may be anything from 0 on.
            loose = np.where(value < root / 4, relative + 2 * value / root + 4 * u, np.inf)
        kept = _spread(factor, case.pred.ndim, axis), _spread(loose, case.pred.ndim, axis)
        size = kept[0] * weight * psi
        gradient = kept[0] * weight * slopes + size * (kept[1] + 5 * u) + 2 * how.tiny
        gradient = np.where(np.isnan(gradient), np.inf, gradient)
    return Bounds(np.where(np.isnan(value), 0.0, value), gradient, overflows)


def _weights(exacts: Exacts) -> NumpyArray:
    """ω of each element, 0 where absent, by the oracle: the value of ones without a reduction."""
    ones = np.ones(exacts.case.pred.shape)
    options = {k: v for k, v in exacts.options.items() if k == "nan_targets"}
    return as_floats(
        reference_arrays.value(
            "AbsoluteError",
            {},
            ones,
            exacts._absent(ones * 0),
            reduction="none",
            **exacts._present(),
            **options,
        )
    )


def _count(case: Case, axis: int | tuple[int, ...] | None) -> int:
    shape = case.pred.shape
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return math.prod(shape[a] for a in axes)


def _spread(x: NumpyArray, ndim: int, axis: int | tuple[int, ...] | None) -> NumpyArray:
    """A reduced array against the whole: with length 1 along the reduced axes."""
    axes = tuple(range(ndim)) if axis is None else axis
    return np.expand_dims(x, axes)


def within(
    observed: float, expected: Exact, error: float, dtype: str, overflows: bool = False
) -> bool:
    """Whether a number of this dtype is what ``expected`` may come out as, given the error."""
    if not isinstance(expected, Fraction):
        return ulps(observed, expected, dtype) == 0
    if math.isnan(observed) or error == math.inf:
        return not math.isnan(observed)
    reach = Fraction(error)
    if math.isinf(observed):
        return overflows or observed in (
            rounded(expected + reach, dtype),
            rounded(expected - reach, dtype),
        )
    # The result of this dtype is itself rounded once.
    return abs(Fraction(observed) - expected) <= reach + ulp(expected, dtype) / 2
