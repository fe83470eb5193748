"""Losses that let go of outliers: their psi falls back to 0, or grows slower than the residual.

None is convex but for some values of Barron's alpha: a fit depends on where it starts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

from l2core.arrays import Array, Namespace
from l2core.losses.base import TINY, Loss, given, number
from l2core.losses.special import (
    bell,
    bend,
    beside_2,
    divided,
    expm1_ratio,
    fixed,
    inverted,
    log1p_far,
    log1p_ratio,
    root_of,
)

SCALE = "a finite number >= 2**-126"


def scale_of(name: str, x: Any) -> float:
    """A number that divides residuals: its reciprocal is finite in float32."""
    found = number(name, x, 0.0, math.inf, SCALE)
    if found < TINY:
        raise ValueError(f"{name}: expected {SCALE}, got {x!r}")
    return found


@dataclass(frozen=True)
class Cauchy(Loss):
    r"""rho = ½c² log(1 + (r/c)²), psi = r / (1 + (r/c)²): near 0 it is ½r².

    c > 0; 2.3849 has 95 % of the efficiency of least squares on Gaussian errors. SciPy's
    ``least_squares(loss="cauchy", f_scale=c)``; also called Lorentzian.
    """

    c: float = 1.0

    symmetric: ClassVar[bool] = True
    parameters: ClassVar[tuple[str, ...]] = ("c",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "c", scale_of("c", self.c))

    def rho(self, r: Array, xp: Namespace, c: Array | None = None) -> Array:
        k = given(c, self.c)
        w = divided(r, k)
        far, _, square = inverted(w, xp)
        near = xp.where(far, 0.0, r)
        log = xp.where(far, log1p_far(r, k, w, far, square, xp), 0.0)
        return (0.5 * near) * (near * log1p_ratio(square, xp)) + (0.5 * k) * (k * log)

    def psi(self, r: Array, xp: Namespace, c: Array | None = None) -> Array:
        k = given(c, self.c)
        return k * bell(divided(r, k), xp)

    def curvature(self, r: Array, xp: Namespace, c: Array | None = None) -> Array:
        return bend(divided(r, given(c, self.c)), xp)


@dataclass(frozen=True)
class Tukey(Loss):
    r"""Tukey's biweight: psi = r(1 - (r/c)²)² for \|r\| <= c, else 0; rho is then c²/6.

    c > 0; 4.685 has 95 % of the efficiency of least squares on Gaussian errors. Beaton and Tukey
    (1974), "The fitting of power series, meaning polynomials, illustrated on band-spectroscopic
    data"; statsmodels ``norms.TukeyBiweight``. Near 0 it is ½r².
    """

    c: float = 4.685

    symmetric: ClassVar[bool] = True
    parameters: ClassVar[tuple[str, ...]] = ("c",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "c", scale_of("c", self.c))

    def rho(self, r: Array, xp: Namespace, c: Array | None = None) -> Array:
        k = given(c, self.c)
        x = xp.clip(r, -k, k)
        t = divided(x, k)
        square = t * t
        # c²/6 (1 - (1 - t²)³), without the difference.
        return (0.5 * x) * (x * (1.0 - square + square * square * (1 / 3)))

    def psi(self, r: Array, xp: Namespace, c: Array | None = None) -> Array:
        k = given(c, self.c)
        kept = xp.clip(r, -k, k)
        t = divided(kept, k)
        left = (1.0 - t) * (1.0 + t)
        return xp.where(xp.abs(r) >= k, 0.0, kept * (left * left))

    def curvature(self, r: Array, xp: Namespace, c: Array | None = None) -> Array:
        k = given(c, self.c)
        t = divided(xp.clip(r, -k, k), k)
        return xp.where(xp.abs(r) > k, 0.0, (1.0 - t) * (1.0 + t) * (1.0 - 5.0 * (t * t)))


@dataclass(frozen=True)
class Barron(Loss):
    r"""Barron's general robust loss: rho = \|a - 2\|/a ((u²/\|a - 2\| + 1)^(a/2) - 1), u = r/scale.

    alpha = a: 2 is ½u², 1 Charbonnier's (pseudo-Huber) sqrt(u² + 1) - 1, 0 log(½u² + 1) (Cauchy),
    -2 Geman and McClure's 2u²/(u² + 4), -inf Welsch's 1 - exp(-½u²); above 2 it grows faster than
    least squares. Barron (2019), "A General and Adaptive Robust Loss Function". An alpha or scale
    that is learned needs its normaliser: :class:`BarronNLL`. The derivative by alpha is true at 0;
    at 2, where it is infinite, it is that of the neighbouring number.
    """

    alpha: float = 1.0
    scale: float = 1.0

    symmetric: ClassVar[bool] = True
    parameters: ClassVar[tuple[str, ...]] = ("alpha", "scale")

    def __post_init__(self) -> None:
        alpha: Any = self.alpha
        if not isinstance(alpha, Real) or alpha != -math.inf:
            expected = "a finite number or -inf"
            alpha = number("alpha", alpha, -math.inf, math.inf, expected)
        object.__setattr__(self, "alpha", float(alpha))
        object.__setattr__(self, "scale", scale_of("scale", self.scale))

    def rho(
        self, r: Array, xp: Namespace, alpha: Array | None = None, scale: Array | None = None
    ) -> Array:
        return barron(r, given(alpha, self.alpha), given(scale, self.scale), xp)

    def psi(
        self, r: Array, xp: Namespace, alpha: Array | None = None, scale: Array | None = None
    ) -> Array:
        return barron_psi(r, given(alpha, self.alpha), given(scale, self.scale), xp)

    def curvature(
        self, r: Array, xp: Namespace, alpha: Array | None = None, scale: Array | None = None
    ) -> Array:
        return barron_curvature(r, given(alpha, self.alpha), given(scale, self.scale), xp)


def barron(r: Array, alpha: Any, scale: Any, xp: Namespace) -> Array:
    """rho of :class:`Barron`."""
    u = divided(r, scale)
    if fixed(alpha) and alpha == 2:
        return (0.5 * u) * u
    if fixed(alpha) and alpha == -math.inf:
        u = xp.clip(u, -_FAR, _FAR)
        return (0.5 * u) * (u * expm1_ratio((-0.5 * u) * u, xp))
    alpha = beside_2(alpha, r.dtype, xp)
    b = abs(alpha - 2.0)
    far, _, square, log = _opened(u, root_of(b, xp), r, scale, xp)
    half = 0.5 * alpha
    y = half * xp.clip(log, 0.0, _BEYOND)
    # Far out in two forms: for alpha about 0, and of a log that may be infinite.
    steep = far & (xp.abs(y) >= 1)
    power = expm1_ratio(xp.where(steep, 0.0, y), xp)
    ratio = (0.5 * b) / xp.where(steep, half + xp.full_like(y, 0.0), 1.0)
    level = (xp.exp(xp.where(steep, y, 0.0)) - 1.0) * ratio
    outside = xp.where(steep, level, (0.5 * b) * (xp.where(far, log, 0.0) * power))
    if not fixed(alpha):
        # About 2 the slopes of b and of 1 + u²/b in alpha are of size 1/b and cancel; not so those of
        # ((u² + b)^(a/2) b^(1 - a/2) - b) / a, the same.
        close = far & (b < 1)
        raised = half * log1p_far(r, scale, u, close, square, xp) + (1.0 - half) * xp.log(b)
        inner = xp.exp(xp.where(close, raised, 0.0)) - b
        outside = xp.where(close, inner / xp.where(close, alpha, 1.0), outside)
    near = xp.where(far, 0.0, u)
    return (0.5 * near) * (near * (log1p_ratio(square, xp) * power)) + outside


def barron_psi(r: Array, alpha: Any, scale: Any, xp: Namespace) -> Array:
    """Its derivative."""
    u = divided(r, scale)
    if fixed(alpha) and alpha == 2:
        return divided(u, scale)
    if fixed(alpha) and alpha == -math.inf:
        u = xp.clip(u, -_FAR, _FAR)
        return divided(u * xp.exp((-0.5 * u) * u), scale)
    alpha = beside_2(alpha, r.dtype, xp)
    width = root_of(abs(alpha - 2.0), xp)
    far, v, square, log = _opened(u, width, r, scale, xp)
    # u (1 + w²)^(a/2 - 1), as w / sqrt(1 + w²), which is at most 1, times a power.
    direction = xp.where(far, xp.sign(u), v) / xp.sqrt(1.0 + square)
    power = xp.exp((0.5 * (alpha - 1.0)) * xp.clip(log, 0.0, _BEYOND))
    return divided(width * (direction * power), scale)


def barron_curvature(r: Array, alpha: Any, scale: Any, xp: Namespace) -> Array:
    """Its second derivative."""
    u = divided(r, scale)
    if fixed(alpha) and alpha == 2:
        return divided(divided(xp.full_like(r, 1.0), scale), scale)
    if fixed(alpha) and alpha == -math.inf:
        u = xp.clip(u, -_FAR, _FAR)
        square = u * u
        return divided(divided((1.0 - square) * xp.exp(-0.5 * square), scale), scale)
    alpha = beside_2(alpha, r.dtype, xp)
    far, _, square, log = _opened(u, root_of(abs(alpha - 2.0), xp), r, scale, xp)
    inner = xp.where(far, square + (alpha - 1.0), 1.0 + (alpha - 1.0) * square)
    power = xp.exp((0.5 * alpha - 1.0) * xp.clip(log, 0.0, _BEYOND))
    return divided(divided((inner / (1.0 + square)) * power, scale), scale)


_BEYOND = 1e30
"""More than log(1 + w²) of any finite w: a stand-in for infinity that 0 may meet."""


def _opened(
    u: Array, root: Any, r: Array, scale: Any, xp: Namespace
) -> tuple[Array, Array, Array, Array]:
    """What :func:`inverted` gives of w = u / root, and log(1 + w²)."""
    w = divided(u, root)
    far, v, square = inverted(w, xp)
    near = xp.log1p(xp.where(far, 0.0, square))
    return far, v, square, xp.where(far, log1p_far(r, scale * root, w, far, square, xp), near)


_FAR = 100.0
"""exp of minus half of its square is 0 in every float."""
