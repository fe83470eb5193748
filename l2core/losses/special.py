"""Functions that losses need and no array namespace has, without overflow or cancellation.

Each takes a Python number or an array; a number is computed once, in float64.
"""

from __future__ import annotations

import math
from typing import Any

from l2core.arrays import Array, Namespace
from l2core.dtypes import dtype_name


def fixed(x: Any) -> bool:
    """Whether x is a number (or what a tracer has in its place), not an array."""
    return not hasattr(x, "shape")


def beside_2(alpha: Any, dtype: Any, xp: Namespace) -> Any:
    """alpha, or the number below 2 in the place of 2, about which Barron's loss and its normaliser
    go as |alpha - 2| log |alpha - 2|: so that both have the derivative of one number there."""
    step = 2.0**-52 if dtype_name(dtype) == "float64" else 2.0**-23
    if fixed(alpha):
        return 2.0 - step if alpha == 2 else alpha
    return xp.where(alpha == 2.0, alpha - step, alpha)


def root_of(x: Any, xp: Namespace) -> Any:
    """The square root."""
    return math.sqrt(x) if fixed(x) else xp.sqrt(x)


def log_of(x: Any, xp: Namespace) -> Any:
    """The logarithm."""
    return math.log(x) if fixed(x) else xp.log(x)


def divided(x: Any, by: Any) -> Any:
    """x / by; by a number as the product with its reciprocal, which no compiler rewrites."""
    return x * (1 / by) if fixed(by) else x / by


def constant(x: Any, xp: Namespace) -> Any:
    """x, of which no derivative is taken."""
    stop = getattr(xp, "stop_gradient", None)
    return x if stop is None or fixed(x) else stop(x)


def inverted(w: Array, xp: Namespace) -> tuple[Array, Array, Array]:
    r"""Where \|w\| > 1; w, or 1/w there; and its square, at most 1."""
    far = xp.abs(w) > 1
    v = xp.where(far, 1.0 / xp.where(far, w, 1.0), w)
    return far, v, v * v


def log1p_ratio(square: Array, xp: Namespace) -> Array:
    """log(1 + x) / x for x in [0, 1]; 1 at 0."""
    nothing = square == 0
    safe = xp.where(nothing, 1.0, square)
    return xp.where(nothing, 1.0, xp.log1p(safe) / safe)


def log1p_far(r: Array, width: Any, w: Array, far: Array, square: Array, xp: Namespace) -> Array:
    """log(1 + w²) where ``far``, of w = r / width, which may overflow where this does not."""
    size = xp.where(far, xp.abs(w), 1.0)
    beyond = size == math.inf
    apart = xp.log(xp.where(beyond, xp.abs(r), 1.0)) - log_of(width, xp)
    return 2.0 * xp.where(beyond, apart, xp.log(xp.where(beyond, 1.0, size))) + xp.log1p(square)


def bell(w: Array, xp: Namespace) -> Array:
    """w / (1 + w²)."""
    _, v, square = inverted(w, xp)
    return v / (1.0 + square)


def bend(w: Array, xp: Namespace) -> Array:
    """Its derivative, (1 - w²) / (1 + w²)²."""
    far, _, square = inverted(w, xp)
    sign = xp.where(far, -square, xp.full_like(square, 1.0))
    return sign * (1.0 - square) / ((1.0 + square) * (1.0 + square))


_SHIFT = 10
_HALF_STEP = (-1 / 8, 1 / 192, -1 / 640, 17 / 14336, -31 / 18432, 691 / 180224, -5461 / 425984)
"""Stirling's series of log Γ(z + ½) - log Γ(z) - ½ log z, in 1/z, 1/z³, ... (DLMF 5.11.8): at
z = 10 what is left out is below 1e-16."""


def half_step(a: Any, xp: Namespace) -> Any:
    """log Γ(a + ½) - log Γ(a) - ½ log a for a > 0, which goes to 0 as a grows."""
    z = a + float(_SHIFT)
    inverse = 1.0 / z
    square = inverse * inverse
    series: Any = 0.0
    for coefficient in reversed(_HALF_STEP):
        series = series * square + coefficient
    product = 1.0
    for k in range(_SHIFT):
        product = product * (1.0 + 0.5 / (a + float(k)))
    shift: Any = math.log1p(_SHIFT / a) if fixed(a) else xp.log1p(float(_SHIFT) / a)
    return 0.5 * shift - log_of(product, xp) + series * inverse


_SINHC = tuple(1 / math.factorial(2 * k + 1) for k in range(8))


def expm1_ratio(y: Array, xp: Namespace) -> Array:
    r"""(exp(y) - 1) / y; 1 at 0. For \|y\| < 1 as exp(y/2) times the series of sinh(y/2) / (y/2), so
    that its derivative keeps its digits too."""
    near = xp.abs(y) < 1
    half = 0.5 * xp.where(near, y, 0.0)
    square = half * half
    series: Any = 0.0
    for coefficient in reversed(_SINHC):
        series = series * square + coefficient
    safe = xp.where(near, 1.0, y)
    return xp.where(near, xp.exp(half) * series, (xp.exp(safe) - 1.0) / safe)
