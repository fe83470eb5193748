"""The exact oracle: what every loss means, in rational numbers, written out longhand and slowly.

It shares no code and no formula with the losses or the criterion that it judges. Polynomial losses
are exact fractions of the exact values of the inputs; logarithms, exponentials and roots have an
error below 10**-50 relative, far less than any float format can see. NaN and infinities stand as
the Python floats that they are, and follow the rules of IEEE 754.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, TypeAlias

from l2core.exact import (
    Exact,
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
from l2core.reference_families import (
    BY_PARAMETER,
    CURVATURE,
    PSI,
    RHO,
    gaussian_emphasis,
    gaussian_variance,
)

Residual: TypeAlias = Exact | tuple[Exact, Exact]
"""A real residual, or real and imaginary part of a complex one."""

Parameters: TypeAlias = Mapping[str, Any]
"""The fields of a loss by name, all of them; floats, or Exact where they came with a call."""

# --- the losses, element by element -------------------------------------------------------------

UNIT = Fraction(1)
HALF = Fraction(1, 2)


def rho(name: str, parameters: Parameters, r: Residual) -> Exact:
    """The loss of one residual."""
    if isinstance(r, tuple):
        return _rho_complex(name, *r)
    if is_nan(r):
        return math.nan
    if name == "GaussianNLL":
        return _gaussian(parameters, r)
    if name in RHO:
        return RHO[name](parameters, r)
    if isinstance(r, float):
        return math.inf  # each of these grows without bound on both sides
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


def psi(name: str, parameters: Parameters, r: Exact) -> Exact:
    """The derivative of rho; 0 at r = 0 where it has none."""
    if is_nan(r):
        return math.nan
    if name in PSI:
        return PSI[name](parameters, r)
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
            return times(gaussian_emphasis(parameters), over(r, gaussian_variance(parameters)))
    raise _unknown(name)


def curvature(name: str, parameters: Parameters, r: Exact) -> Exact:
    """The derivative of psi; at a jump of psi the value on the side of r = 0, at 0 on the left."""
    if is_nan(r):
        return math.nan
    if name in CURVATURE:
        return CURVATURE[name](parameters, r)
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
            return times(gaussian_emphasis(parameters), over(UNIT, gaussian_variance(parameters)))
    raise _unknown(name)


def by_parameter(name: str, which: str, parameters: Parameters, r: Exact) -> Exact:
    """The derivative of rho by a parameter."""
    if is_nan(r):
        return math.nan
    if (name, which) in BY_PARAMETER:
        return BY_PARAMETER[name, which](parameters, r)
    match name, which:
        case "Huber", "delta":
            delta = exact(parameters["delta"])
            return minus(size(r), delta) if size(r) > delta else Fraction(0)
        case "SmoothL1", "beta":
            beta = Fraction(parameters["beta"])
            return over(times(r, r), -2 * beta**2) if size(r) < beta else -HALF
        case "Quantile", "q":
            return minus(Fraction(0), r)
        case "Expectile", "tau":
            return times(times(r, r), Fraction(-1 if r > 0 else 1))
        case "GaussianNLL", "variance":
            v = exact(parameters["variance"])
            if is_nan(v) or v < parameters["eps"]:
                return v if is_nan(v) else Fraction(0)
            by = over(minus(UNIT, over(times(r, r), v)), times(Fraction(2), v))
            return times(gaussian_emphasis(parameters), by)  # of which no derivative is taken
        case "GaussianNLL", "log_variance":
            square = over(times(r, r), gaussian_variance(parameters))
            return times(gaussian_emphasis(parameters), over(minus(UNIT, square), Fraction(2)))
    raise ValueError(f"which: expected a parameter of {name}, got {which!r}")


def _asymmetry(tau: float, r: Exact) -> Fraction:
    return 1 - Fraction(tau) if r > 0 else Fraction(tau)


def _gaussian(parameters: Parameters, r: Exact) -> Exact:
    v = gaussian_variance(parameters)
    if isinstance(v, float):
        return math.nan if is_nan(v) or isinstance(r, float) else math.inf
    if isinstance(r, float):
        return math.inf
    if v == 0:
        return math.nan  # -inf + inf, or -inf + 0/0
    total = logarithm(Fraction(v)) + r**2 / v
    if parameters["full"]:
        total += logarithm(2 * pi())
    return times(gaussian_emphasis(parameters), total / 2)


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
