"""The exact oracle of robust losses and likelihoods, longhand, as :mod:`l2core.reference` has it.

Each is given by name what it is computed of; residuals may be infinite, parameters are finite but for
an alpha of -inf.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

from l2core.exact import (
    BIG,
    Exact,
    exact,
    exponential,
    exponential_minus_one,
    is_nan,
    log_gamma,
    log_of_one_plus,
    logarithm,
    minus,
    over,
    pi,
    plus,
    size,
    slope,
    times,
)

Parameters = Mapping[str, Any]
HALF = Fraction(1, 2)
ONE = Fraction(1)
ZERO = Fraction(0)


def sign(r: Exact) -> Fraction:
    """-1, 0 or 1."""
    return Fraction((r > 0) - (r < 0))


# --- Cauchy's and Tukey's ------------------------------------------------------------------------


def _cauchy(p: Parameters, r: Exact) -> Exact:
    c = Fraction(p["c"])
    return math.inf if isinstance(r, float) else c**2 / 2 * log_of_one_plus((r / c) ** 2)


def _cauchy_psi(p: Parameters, r: Exact) -> Exact:
    return ZERO if isinstance(r, float) else r / (1 + (r / Fraction(p["c"])) ** 2)


def _cauchy_curvature(p: Parameters, r: Exact) -> Exact:
    if isinstance(r, float):
        return ZERO
    square = (r / Fraction(p["c"])) ** 2
    return (1 - square) / (1 + square) ** 2


def _cauchy_by_c(p: Parameters, r: Exact) -> Exact:
    if isinstance(r, float):
        return math.inf
    c = Fraction(p["c"])
    square = (r / c) ** 2
    return c * (log_of_one_plus(square) - square / (1 + square))


def _tukey(p: Parameters, r: Exact) -> Exact:
    c = Fraction(p["c"])
    return c**2 / 6 if size(r) > c else c**2 / 6 * (1 - (1 - (Fraction(r) / c) ** 2) ** 3)


def _tukey_psi(p: Parameters, r: Exact) -> Exact:
    c = Fraction(p["c"])
    return ZERO if size(r) > c else Fraction(r) * (1 - (Fraction(r) / c) ** 2) ** 2


def _tukey_curvature(p: Parameters, r: Exact) -> Exact:
    c = Fraction(p["c"])
    if size(r) > c:
        return ZERO
    square = (Fraction(r) / c) ** 2
    return (1 - square) * (1 - 5 * square)


def _tukey_by_c(p: Parameters, r: Exact) -> Exact:
    c = Fraction(p["c"])
    if size(r) > c:
        return c / 3
    square = (Fraction(r) / c) ** 2
    return c * square**2 * (1 - 2 * square / 3)


# --- Barron's ------------------------------------------------------------------------------------


def _opened(p: Parameters, r: Exact) -> tuple[Any, Fraction, Fraction, Fraction, Fraction]:
    """alpha, |alpha - 2|, u, 1 + u²/|alpha - 2| and its logarithm."""
    alpha, u = exact(p["alpha"]), Fraction(r) / Fraction(p["scale"])
    b = abs(Fraction(alpha) - 2) if isinstance(alpha, Fraction) else ONE
    square = u**2 / b if b else ZERO
    return alpha, b, u, 1 + square, log_of_one_plus(square)


def _barron(p: Parameters, r: Exact) -> Exact:
    if isinstance(r, float):
        alpha = exact(p["alpha"])
        if isinstance(alpha, float):
            return ONE
        return (2 - alpha) / -alpha if alpha < 0 else math.inf
    alpha, b, u, _, log = _opened(p, r)
    if alpha == 2:
        return u**2 / 2
    if isinstance(alpha, float):
        return minus(ZERO, exponential_minus_one(-(u**2) / 2))
    if alpha == 0:
        return log
    return times(b / alpha, exponential_minus_one(alpha / 2 * log))


def _barron_psi(p: Parameters, r: Exact) -> Exact:
    scale = Fraction(p["scale"])
    if isinstance(r, float):
        alpha = exact(p["alpha"])
        return sign(r) / scale if alpha == 1 else ZERO if alpha < 1 else r
    alpha, _, u, _, log = _opened(p, r)
    if alpha == 2:
        return u / scale
    power = -(u**2) / 2 if isinstance(alpha, float) else (alpha / 2 - 1) * log
    return ZERO if u == 0 else times(u / scale, exponential(power))


def _barron_curvature(p: Parameters, r: Exact) -> Exact:
    scale = Fraction(p["scale"])
    if isinstance(r, float):
        alpha = exact(p["alpha"])
        return 1 / scale**2 if alpha == 2 else ZERO if alpha < 2 else math.inf
    alpha, _, u, base, log = _opened(p, r)
    if alpha == 2:
        return 1 / scale**2
    if isinstance(alpha, float):
        return times((1 - u**2) / scale**2, exponential(-(u**2) / 2))
    inner = 1 + (alpha - 1) * (base - 1)
    return ZERO if inner == 0 else times(inner / scale**2, exponential((alpha / 2 - 2) * log))


def _barron_by_scale(p: Parameters, r: Exact) -> Exact:
    if r == 0:
        return ZERO
    if isinstance(r, float):
        alpha = exact(p["alpha"])
        return -math.inf if alpha > 0 else -math.inf if alpha == 2 else math.nan
    return times(-r / Fraction(p["scale"]), _barron_psi(p, r))


def _barron_by_alpha(p: Parameters, r: Exact) -> Exact:
    if isinstance(r, float):
        return math.inf
    alpha, b, u, base, log = _opened(p, r)
    if alpha == 2:
        return math.inf if r != 0 else ZERO
    if alpha == 0:
        return -log / 2 + log**2 / 4 + u**2 / 4 / base
    step = 1 if alpha > 2 else -1
    power = exponential(alpha / 2 * log)
    if isinstance(power, float):
        return power
    less = exponential_minus_one(alpha / 2 * log)
    bent = log / 2 - alpha / 2 * step * (base - 1) / b / base
    return plus(times(Fraction(step) / alpha - b / alpha**2, less), b / alpha * power * bent)


@cache
def log_z(alpha: Fraction) -> Fraction:
    """log of the integral of exp(-rho) at scale 1, to 36 digits: trapezoids in y, where u is
    sqrt|alpha - 2| sinh y and 1 + u²/|alpha - 2| is cosh² y. They err as exp(-2π·(π/4)/h)."""
    if alpha == 2:
        return logarithm(2 * pi()) / 2
    context = decimal.Context(prec=48, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
    with decimal.localcontext(context):
        a = Decimal(alpha.numerator) / Decimal(alpha.denominator)
        b = abs(a - 2)
        h = Decimal("0.025" if a > 2 else "0.05") / max(
            Decimal(1), b.sqrt()
        )  # as u runs, where b is large
        total, last, k = Decimal("0.5"), Decimal(1), 0
        while last > total * Decimal("1e-40"):
            k += 1
            up = (k * h).exp()
            cosh = (up + 1 / up) / 2
            log = cosh.ln()
            rho = b * log if a == 0 else b / a * ((a * log).exp() - 1)
            last = cosh * (-rho).exp()
            total += last
        return Fraction((2 * h * b.sqrt() * total).ln())


def _barron_nll(p: Parameters, r: Exact) -> Exact:
    rest = logarithm(Fraction(p["scale"])) + log_z(Fraction(p["alpha"]))
    return plus(_barron(p, r), rest)


def _barron_nll_by_alpha(p: Parameters, r: Exact) -> Exact:
    alpha = Fraction(p["alpha"])
    room = abs(alpha - 2) or ONE
    return plus(_barron_by_alpha(p, r), slope(log_z, alpha, alpha < Fraction(1, 100), room))


def _barron_nll_by_scale(p: Parameters, r: Exact) -> Exact:
    return plus(_barron_by_scale(p, r), 1 / Fraction(p["scale"]))


# --- Laplace's and Student's ----------------------------------------------------------------------


def _laplace(p: Parameters, r: Exact) -> Exact:
    scale = Fraction(p["scale"])
    return plus(over(size(r), scale), logarithm(2 * scale))


def _student(p: Parameters, r: Exact) -> Exact:
    if isinstance(r, float):
        return math.inf
    scale, df = Fraction(p["scale"]), Fraction(p["df"])
    rest = logarithm(df * pi()) / 2 + log_gamma(df / 2) - log_gamma((df + 1) / 2)
    return (df + 1) / 2 * log_of_one_plus((r / scale) ** 2 / df) + logarithm(scale) + rest


def _student_psi(p: Parameters, r: Exact) -> Exact:
    scale, df = Fraction(p["scale"]), Fraction(p["df"])
    return ZERO if isinstance(r, float) else (df + 1) * r / (df * scale**2 + r**2)


def _student_curvature(p: Parameters, r: Exact) -> Exact:
    scale, df = Fraction(p["scale"]), Fraction(p["df"])
    if isinstance(r, float):
        return ZERO
    width = df * scale**2
    return (df + 1) * (width - r**2) / (width + r**2) ** 2


def _student_by_scale(p: Parameters, r: Exact) -> Exact:
    scale, df = Fraction(p["scale"]), Fraction(p["df"])
    if isinstance(r, float):
        return -df / scale
    square = (r / scale) ** 2
    return (1 - (df + 1) * square / (df + square)) / scale


def _student_by_df(p: Parameters, r: Exact) -> Exact:
    if isinstance(r, float):
        return math.inf
    df = Fraction(p["df"])
    square = (r / Fraction(p["scale"])) ** 2 / df
    rest = slope(lambda x: log_gamma(x / 2) - log_gamma((x + 1) / 2), df)
    bent = log_of_one_plus(square) / 2 - (df + 1) / 2 * square / df / (1 + square)
    return bent + rest + 1 / (2 * df)


Function = Callable[[Parameters, Exact], Exact]

RHO: dict[str, Function] = {
    "Cauchy": _cauchy,
    "Tukey": _tukey,
    "Barron": _barron,
    "BarronNLL": _barron_nll,
    "LaplaceNLL": _laplace,
    "StudentTNLL": _student,
}
PSI: dict[str, Function] = {
    "Cauchy": _cauchy_psi,
    "Tukey": _tukey_psi,
    "Barron": _barron_psi,
    "BarronNLL": _barron_psi,
    "LaplaceNLL": lambda p, r: sign(r) / Fraction(p["scale"]),
    "StudentTNLL": _student_psi,
}
CURVATURE: dict[str, Function] = {
    "Cauchy": _cauchy_curvature,
    "Tukey": _tukey_curvature,
    "Barron": _barron_curvature,
    "BarronNLL": _barron_curvature,
    "LaplaceNLL": lambda p, r: ZERO,
    "StudentTNLL": _student_curvature,
}
BY_PARAMETER: dict[tuple[str, str], Function] = {
    ("Cauchy", "c"): _cauchy_by_c,
    ("Tukey", "c"): _tukey_by_c,
    ("Barron", "alpha"): _barron_by_alpha,
    ("Barron", "scale"): _barron_by_scale,
    ("BarronNLL", "alpha"): _barron_nll_by_alpha,
    ("BarronNLL", "scale"): _barron_nll_by_scale,
    ("LaplaceNLL", "scale"): lambda p, r: over(
        minus(Fraction(p["scale"]), size(r)), Fraction(p["scale"]) ** 2
    ),
    ("StudentTNLL", "scale"): _student_by_scale,
    ("StudentTNLL", "df"): _student_by_df,
}


# --- Gauss's -------------------------------------------------------------------------------------


def gaussian_variance(p: Parameters) -> Exact:
    """The variance that a residual is compared with."""
    if p.get("log_variance") is not None:
        log = exact(p["log_variance"])
        return exponential(log) if isinstance(log, Fraction) else log
    given = p.get("variance")
    variance: Exact = ONE if given is None else exact(given)
    return variance if is_nan(variance) else max(variance, Fraction(p["eps"]))


def gaussian_emphasis(p: Parameters) -> Exact:
    """v to the power of beta."""
    beta, v = Fraction(p.get("beta", 0)), gaussian_variance(p)
    if beta == 0 or not isinstance(v, Fraction) or v == 0:
        return ONE
    power = beta * logarithm(v)
    return exponential(power) if abs(power) < BIG else math.inf
