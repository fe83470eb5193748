"""How large the terms are of which a loss is made: what its roundings are in proportion to.

Of most losses that is the loss itself. Where terms of either sign cancel, or an exponential makes
the error of its argument as many times as large as that is, it is more. Each function takes absolute
residuals and the loss's parameters, aligned, as float64, and gives float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from l2core.conformance.harness import NumpyArray

Parameters = Mapping[str, Any]
Size = Callable[[NumpyArray, NumpyArray, Parameters], Any]
"""Of the exact result's absolute value, the absolute residual and the parameters."""


def _log(x: NumpyArray) -> Any:
    return np.abs(np.log(np.maximum(x, 1e-300)))


def _power(r: NumpyArray, p: Parameters, of: Callable[[Any], Any]) -> Any:
    """The size of the exponent of (1 + u²/|alpha - 2|) to the power of ``of(alpha)``."""
    alpha = p["alpha"]
    b = np.maximum(np.abs(alpha - 2), 2.0**-52)
    with np.errstate(all="ignore"):
        log = np.log1p((r / p["scale"]) ** 2 / b)
        return np.where(np.isfinite(alpha), np.abs(of(alpha)) * log, (r / p["scale"]) ** 2)


def _barron(x: NumpyArray, r: NumpyArray, p: Parameters) -> Any:
    return x * (1 + np.minimum(_power(r, p, lambda a: a / 2), 1e4))


def _barron_psi(x: NumpyArray, r: NumpyArray, p: Parameters) -> Any:
    return x * (1 + np.minimum(_power(r, p, lambda a: (a - 1) / 2), 1e4))


def _barron_curvature(x: NumpyArray, r: NumpyArray, p: Parameters) -> Any:
    """1 + (alpha - 1) w² may cancel."""
    alpha, scale = p["alpha"], p["scale"]
    with np.errstate(all="ignore"):
        b = np.maximum(np.abs(alpha - 2), 2.0**-52)
        square = (r / scale) ** 2
        general = (1 + np.abs(alpha - 1) * square / b) * (1 + square / b) ** (alpha / 2 - 2)
        found = np.where(np.isfinite(alpha), general, (1 + square) * np.exp(-square / 2))
    return found / scale**2 * (1 + np.minimum(_power(r, p, lambda a: a / 2 - 1), 1e4))


def _barron_nll(x: NumpyArray, r: NumpyArray, p: Parameters) -> Any:
    with np.errstate(all="ignore"):
        rho = np.abs(x) + _log(p["scale"]) + 3
    return _barron(rho, r, p)


def _laplace(x: NumpyArray, r: NumpyArray, p: Parameters) -> Any:
    return r / p["scale"] + _log(2 * p["scale"])


def _student(x: NumpyArray, r: NumpyArray, p: Parameters) -> Any:
    scale, df = p["scale"], p["df"]
    # Of the normaliser, shifted by 10, which is also what large terms cancel in for a small df.
    normal = 3 + 2 * np.log1p(20 / df)
    return (df + 1) / 2 * np.log1p((r / scale) ** 2 / df) + _log(scale) + normal


def _gaussian(x: NumpyArray, r: NumpyArray, p: Parameters) -> Any:
    constant = math.log(2 * math.pi) if p["full"] else 0.0
    v, log = _variance(p, r)
    return 0.5 * (log + r * r / v + constant) * _emphasis(v, log, p)


def _gaussian_psi(x: NumpyArray, r: NumpyArray, p: Parameters) -> Any:
    log = _variance(p, r)[1]
    return x * (1 + p["beta"] * log)


def _variance(p: Parameters, r: NumpyArray) -> tuple[NumpyArray, NumpyArray]:
    """The variance, and the size of its logarithm."""
    if p.get("log_variance") is not None:
        log = p["log_variance"]
        return np.exp(np.clip(log, -700, 700)), np.abs(log)
    v = np.maximum(np.ones(r.shape) if p.get("variance") is None else p["variance"], p["eps"])
    v = np.maximum(v, 1e-30)
    return v, np.abs(np.log(v))


def _emphasis(v: NumpyArray, log: NumpyArray, p: Parameters) -> Any:
    found: NumpyArray = v ** p["beta"] * (1 + p["beta"] * log)
    return found


RHO: dict[str, Size] = {
    "Barron": _barron,
    "BarronNLL": _barron_nll,
    "GaussianNLL": _gaussian,
    "LaplaceNLL": _laplace,
    "StudentTNLL": _student,
}
PSI: dict[str, Size] = {
    "Barron": _barron_psi,
    "BarronNLL": _barron_psi,
    "GaussianNLL": _gaussian_psi,
    "Tukey": lambda x, r, p: np.where(r <= p["c"] * (1 + 2**-20), r, x),  # a factor of about 0
}
CURVATURE: dict[str, Size] = {
    "Barron": _barron_curvature,
    "BarronNLL": _barron_curvature,
    "Cauchy": lambda x, r, p: 1 / (1 + (r / p["c"]) ** 2),  # 1 - w² may be about 0
    "GaussianNLL": _gaussian_psi,
    "StudentTNLL": lambda x, r, p: (
        (1 + 1 / p["df"]) / p["scale"] ** 2 / (1 + (r / p["scale"]) ** 2 / p["df"])
    ),
    "Tukey": lambda x, r, p: np.where(r <= p["c"], 6.0, x),
}


def by_parameter(name: str, which: str, r: NumpyArray, p: Parameters) -> NumpyArray:
    """The terms of the derivative of rho by a parameter."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found: NumpyArray = _BY_PARAMETER[name, which](r, p)
    return found


def _huber(r: NumpyArray, p: Parameters) -> Any:
    delta = p["delta"]
    return np.where(r > delta * (1 - 2.0**-22), r + delta, 0.0)


def _smooth(r: NumpyArray, p: Parameters) -> Any:
    beta = p["beta"]
    return np.where(r < beta, r * r / (2 * beta * beta), 0.5)


def _by_variance(r: NumpyArray, p: Parameters) -> Any:
    v, log = _variance(p, r)
    return (0.5 / v + r * r / (2 * v * v)) * _emphasis(v, log, p)


def _by_log_variance(r: NumpyArray, p: Parameters) -> Any:
    v, log = _variance(p, r)
    return (0.5 + r * r / (2 * v)) * _emphasis(v, log, p) * (1 + log)


def _cauchy(r: NumpyArray, p: Parameters) -> Any:
    c = p["c"]
    return c * 2 * np.log1p((r / c) ** 2) + 4 * np.minimum(c, r * r / c)


def _by_scale(r: NumpyArray, p: Parameters) -> Any:
    """Of Barron's: r·psi/scale, by each of its two factors and the power."""
    alpha, scale = p["alpha"], p["scale"]
    b = np.maximum(np.abs(alpha - 2), 2.0**-52)
    square = (r / scale) ** 2
    psi = square * (1 + square / b) ** (alpha / 2 - 1)
    return (psi * (1 + np.minimum(_power(r, p, lambda a: a / 2), 1e4)) + 1) / scale * 4


def _by_alpha(r: NumpyArray, p: Parameters) -> Any:
    """Of Barron's: rho's terms, times the logarithms by which they change."""
    alpha, scale = p["alpha"], p["scale"]
    b = np.maximum(np.abs(alpha - 2), 2.0**-52)
    square = (r / scale) ** 2
    log = np.log1p(square / b)
    grown = b * np.maximum(1.0, (1 + square / b) ** (alpha / 2))
    return 4 * (1 + log) ** 2 * (grown * (1 + 1 / b) + 1 + b) * (1 + np.abs(alpha))


def _by_df(r: NumpyArray, p: Parameters) -> Any:
    df = p["df"]
    square = (r / p["scale"]) ** 2 / df
    return np.log1p(square) + (df + 1) / df + 4 / df + 4


_BY_PARAMETER: dict[tuple[str, str], Callable[[NumpyArray, Parameters], Any]] = {
    ("Huber", "delta"): _huber,
    ("SmoothL1", "beta"): _smooth,
    ("Quantile", "q"): lambda r, p: r,
    ("Expectile", "tau"): lambda r, p: r * r,
    ("GaussianNLL", "variance"): _by_variance,
    ("GaussianNLL", "log_variance"): _by_log_variance,
    ("Cauchy", "c"): _cauchy,
    ("Tukey", "c"): lambda r, p: 4 * np.minimum(r, p["c"]) ** 2 / p["c"],
    ("Barron", "scale"): _by_scale,
    ("Barron", "alpha"): _by_alpha,
    ("BarronNLL", "scale"): _by_scale,
    ("BarronNLL", "alpha"): _by_alpha,
    ("LaplaceNLL", "scale"): lambda r, p: (1 + r / p["scale"]) / p["scale"],
    ("StudentTNLL", "scale"): lambda r, p: 4 * (2 + p["df"]) / p["scale"],
    ("StudentTNLL", "df"): _by_df,
}
