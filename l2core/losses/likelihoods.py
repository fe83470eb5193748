"""Negative log-likelihoods: losses of the residual and of how far it is expected to be.

Their values are those of the density, constants included (but for :class:`GaussianNLL` without
``full``), so scales, degrees of freedom and shapes can be learned, and likelihoods compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from l2core.arrays import Array, Namespace
from l2core.losses.base import TINY, Loss, given, number
from l2core.losses.convex import AbsoluteError
from l2core.losses.normaliser import log_normaliser
from l2core.losses.redescending import Barron, scale_of
from l2core.losses.special import (
    bell,
    bend,
    constant,
    divided,
    half_step,
    inverted,
    log1p_far,
    log1p_ratio,
    log_of,
    root_of,
)


@dataclass(frozen=True)
class GaussianNLL(Loss):
    """Gaussian negative log-likelihood: rho = ½(log v + r²/v) with v = max(variance, eps).

    ``full`` adds the constant ½ log 2π; eps >= 0. The gradient with respect to a variance below
    eps is 0, since the value does not depend on it there. ``variance`` is fixed here or comes with
    the call; or ``log_variance`` does, in which eps has no part. ``beta`` > 0 multiplies each
    element by v^beta, of which no derivative is taken (β-NLL), so that large variances do not
    silence the mean; at 1 the gradient to the mean is that of ½r². Nix and Weigend (1994),
    "Estimating the mean and variance of the target probability distribution"; Seitzer et al. (2022),
    "On the Pitfalls of Heteroscedastic Uncertainty Estimation"; PyTorch ``GaussianNLLLoss``.
    """

    full: bool = False
    eps: float = 1e-6
    beta: float = 0.0
    variance: float | None = None

    symmetric: ClassVar[bool] = True
    likelihood: ClassVar[bool] = True
    parameters: ClassVar[tuple[str, ...]] = ("variance", "log_variance")
    instead: ClassVar[Mapping[str, str]] = {"log_variance": "variance"}

    def __post_init__(self) -> None:
        if not isinstance(self.full, bool):
            raise TypeError(f"full: expected True or False, got {self.full!r}")
        eps = number("eps", self.eps, -TINY, math.inf, "a finite number >= 0")
        if eps < 0:
            raise ValueError(f"eps: expected a finite number >= 0, got {self.eps!r}")
        object.__setattr__(self, "eps", eps)
        expected = "a number from 0 to 1"
        beta = number("beta", self.beta, -1.0, 2.0, expected)
        if not 0 <= beta <= 1:
            raise ValueError(f"beta: expected {expected}, got {self.beta!r}")
        object.__setattr__(self, "beta", beta)
        if self.variance is not None:
            variance = number("variance", self.variance, 0.0, math.inf, "a finite number > 0")
            object.__setattr__(self, "variance", variance)

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]  # a constant of the others
        """The variance, unless it is fixed."""
        return ("variance",) if self.variance is None else ()

    def fixes(self, name: str) -> bool:
        return self.variance is not None if name in self.parameters else super().fixes(name)

    def check_parameter(self, name: str, value: float) -> None:
        if name == "log_variance":
            number(name, value, -math.inf, math.inf, "an array or a finite number")
        elif isinstance(value, bool) or not value >= 0:
            raise ValueError(f"{name}: expected an array or a number >= 0, got {value!r}")

    def rho(
        self,
        r: Array,
        xp: Namespace,
        variance: Array | None = None,
        log_variance: Array | None = None,
    ) -> Array:
        if log_variance is not None:
            scaled = r * xp.exp(-0.5 * log_variance)
            rho = 0.5 * log_variance + (0.5 * scaled) * scaled
        else:
            v = self._clamped(variance, xp)
            # The second term does not overflow before r²/v does.
            rho = 0.5 * log_of(v, xp) + (0.5 * r) * divided(r, v)
        rho = rho + 0.5 * math.log(2 * math.pi) if self.full else rho
        return self._emphasis(variance, log_variance, xp) * rho if self.beta else rho

    def psi(
        self,
        r: Array,
        xp: Namespace,
        variance: Array | None = None,
        log_variance: Array | None = None,
    ) -> Array:
        if log_variance is not None:
            psi = r * xp.exp(-log_variance)
        else:
            psi = divided(r, self._clamped(variance, xp))
        return self._emphasis(variance, log_variance, xp) * psi if self.beta else psi

    def curvature(
        self,
        r: Array,
        xp: Namespace,
        variance: Array | None = None,
        log_variance: Array | None = None,
    ) -> Array:
        return self.psi(xp.full_like(r, 1.0), xp, variance, log_variance)

    def _clamped(self, variance: Array | None, xp: Namespace) -> Any:
        if variance is None:
            return max(1.0 if self.variance is None else self.variance, self.eps)
        return xp.where(variance < self.eps, self.eps, variance)

    def _emphasis(self, variance: Array | None, log_variance: Array | None, xp: Namespace) -> Any:
        if log_variance is not None:
            return constant(xp.exp(self.beta * log_variance), xp)
        v = self._clamped(variance, xp)
        if isinstance(v, float):
            return v**self.beta
        return constant(xp.exp(self.beta * xp.log(v)), xp)


@dataclass(frozen=True)
class LaplaceNLL(Loss):
    r"""Laplace negative log-likelihood: rho = \|r\|/scale + log(2 scale). Its location is the median.

    scale > 0, whose best value is the mean of \|r\|; the standard deviation is sqrt(2) scale.
    """

    scale: float = 1.0

    symmetric: ClassVar[bool] = True
    likelihood: ClassVar[bool] = True
    parameters: ClassVar[tuple[str, ...]] = ("scale",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", scale_of("scale", self.scale))

    def rho(self, r: Array, xp: Namespace, scale: Array | None = None) -> Array:
        s = given(scale, self.scale)
        return divided(xp.abs(r), s) + log_of(2.0 * s, xp)

    def psi(self, r: Array, xp: Namespace, scale: Array | None = None) -> Array:
        return divided(AbsoluteError().psi(r, xp), given(scale, self.scale))

    def curvature(self, r: Array, xp: Namespace, scale: Array | None = None) -> Array:
        return xp.full_like(r, 0.0)


@dataclass(frozen=True)
class StudentTNLL(Loss):
    """Student's t negative log-likelihood, u = r/scale: rho = ½(df + 1) log(1 + u²/df) + log(scale)
    + ½ log(df π) + log Γ(½df) - log Γ(½(df + 1)).

    scale, df > 0; df = 1 is Cauchy's distribution, and a large one Gauss's. A fit with a fixed df of 4
    is robust: Lange, Little and Taylor (1989), "Robust statistical modeling using the t distribution".
    ``scipy.stats.t``.
    """

    scale: float = 1.0
    df: float = 4.0

    symmetric: ClassVar[bool] = True
    likelihood: ClassVar[bool] = True
    parameters: ClassVar[tuple[str, ...]] = ("scale", "df")

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", scale_of("scale", self.scale))
        object.__setattr__(self, "df", scale_of("df", self.df))

    def rho(
        self, r: Array, xp: Namespace, scale: Array | None = None, df: Array | None = None
    ) -> Array:
        s, nu = given(scale, self.scale), given(df, self.df)
        u = divided(r, s)
        root = root_of(nu, xp)
        w = divided(u, root)
        far, _, square = inverted(w, xp)
        near = xp.where(far, 0.0, u)
        log = xp.where(far, log1p_far(r, s * root, w, far, square, xp), 0.0)
        rest = 0.5 * math.log(2 * math.pi) - half_step(0.5 * nu, xp) + log_of(s, xp)
        factor = divided(nu + 1.0, nu)  # near 1 for a large nu, where w² may be 0
        inside = (0.5 * near) * (near * (factor * log1p_ratio(square, xp)))
        return inside + (0.5 * (nu + 1.0)) * log + rest

    def psi(
        self, r: Array, xp: Namespace, scale: Array | None = None, df: Array | None = None
    ) -> Array:
        s, nu = given(scale, self.scale), given(df, self.df)
        width = root_of(nu, xp)
        w = divided(divided(r, s), width)
        return divided(divided(nu + 1.0, width) * bell(w, xp), s)

    def curvature(
        self, r: Array, xp: Namespace, scale: Array | None = None, df: Array | None = None
    ) -> Array:
        s, nu = given(scale, self.scale), given(df, self.df)
        w = divided(divided(r, s), root_of(nu, xp))
        return divided(divided(divided(nu + 1.0, nu) * bend(w, xp), s), s)


@dataclass(frozen=True)
class BarronNLL(Barron):
    """The density of Barron's loss: rho = Barron(alpha, scale) + log(scale) + log Z(alpha).

    alpha >= 0, below which there is no density; 2 is Gauss's, 0 Cauchy's with scale sqrt(2). Of
    heavier tails than its data needs the likelihood is lower, so alpha and scale can be learned.
    log Z to 1e-14. Derivatives by alpha as :class:`Barron`, whose derivatives they are.
    """

    likelihood: ClassVar[bool] = True

    def __post_init__(self) -> None:
        alpha = number("alpha", self.alpha, -TINY, math.inf, "a finite number >= 0")
        if alpha < 0:
            raise ValueError(f"alpha: expected a finite number >= 0, got {self.alpha!r}")
        super().__post_init__()

    def rho(
        self, r: Array, xp: Namespace, alpha: Array | None = None, scale: Array | None = None
    ) -> Array:
        rest = log_normaliser(given(alpha, self.alpha), xp) + log_of(given(scale, self.scale), xp)
        return super().rho(r, xp, alpha, scale) + rest
