"""The convex losses of the residual alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

from l2core.arrays import Array, Namespace
from l2core.dtypes import is_complex
from l2core.losses.base import TINY, Loss, given, number


def _sign(r: Array, xp: Namespace) -> Array:
    """-1, 0 or 1 by the sign of r, and NaN for NaN; of complex r its direction."""
    if is_complex(r):
        size = xp.abs(r)
        return r / xp.where(size == 0, 1.0, size)
    return xp.sign(r)


def _square(r: Array, xp: Namespace) -> Array:
    if is_complex(r):
        real, imag = xp.real(r), xp.imag(r)
        return real * real + imag * imag
    return r * r


@dataclass(frozen=True)
class SquaredError(Loss):
    r"""rho = r², psi = 2r, curvature = 2; for complex r, rho = \|r\|². Fits the mean.

    Who uses this factor: PyTorch, Keras and scikit-learn "MSE"; optax ``squared_error``.
    """

    complex_valued: ClassVar[bool] = True
    symmetric: ClassVar[bool] = True

    def rho(self, r: Array, xp: Namespace) -> Array:
        return _square(r, xp)

    def psi(self, r: Array, xp: Namespace) -> Array:
        return 2.0 * r

    def curvature(self, r: Array, xp: Namespace) -> Array:
        return xp.full_like(r, 2.0)

    def irls_weight(self, r: Array, xp: Namespace) -> Array:  # of residuals without end too
        return self.curvature(r, xp)


@dataclass(frozen=True)
class HalfSquaredError(Loss):
    r"""rho = ½r², psi = r, curvature = 1; for complex r, rho = ½\|r\|². Fits the mean.

    Who uses this factor: optax ``l2_loss``; ``tf.nn.l2_loss`` (which sums); scikit-learn
    ``HalfSquaredError``.
    """

    complex_valued: ClassVar[bool] = True
    symmetric: ClassVar[bool] = True

    def rho(self, r: Array, xp: Namespace) -> Array:
        return 0.5 * _square(r, xp)

    def psi(self, r: Array, xp: Namespace) -> Array:
        return r

    def curvature(self, r: Array, xp: Namespace) -> Array:
        return xp.full_like(r, 1.0)

    def irls_weight(self, r: Array, xp: Namespace) -> Array:  # of residuals without end too
        return self.curvature(r, xp)


@dataclass(frozen=True)
class AbsoluteError(Loss):
    r"""rho = \|r\|, psi = sign(r) with 0 at 0, curvature = 0; complex r too. Fits the median.

    PyTorch ``L1Loss``, Keras ``MeanAbsoluteError``.
    """

    complex_valued: ClassVar[bool] = True
    symmetric: ClassVar[bool] = True

    def rho(self, r: Array, xp: Namespace) -> Array:
        return xp.abs(r)

    def psi(self, r: Array, xp: Namespace) -> Array:
        return _sign(r, xp)

    def curvature(self, r: Array, xp: Namespace) -> Array:
        return xp.full_like(r, 0.0)


@dataclass(frozen=True)
class Huber(Loss):
    r"""rho = ½r² for \|r\| <= delta, else delta(\|r\| - ½delta); psi = r clipped to ±delta.

    delta > 0; inf makes it ½r². Huber (1964), "Robust estimation of a location parameter"; the
    same factor in PyTorch, Keras and optax. Fits where the clipped residuals add up to 0.
    """

    delta: float = 1.0

    symmetric: ClassVar[bool] = True
    parameters: ClassVar[tuple[str, ...]] = ("delta",)

    def __post_init__(self) -> None:
        expected = "a number > 0 (inf allowed)"
        delta: Any = self.delta
        if not isinstance(delta, Real) or delta != math.inf:
            delta = number("delta", delta, 0.0, math.inf, expected)
        object.__setattr__(self, "delta", float(delta))

    def rho(self, r: Array, xp: Namespace, delta: Array | None = None) -> Array:
        if delta is None and self.delta == math.inf:
            return HalfSquaredError().rho(r, xp)
        clipped = self.psi(r, xp, delta)
        rho = clipped * (r - 0.5 * clipped)  # both branches in one; 0.5 * clipped is exact
        if delta is None:
            return rho
        return xp.where(delta == math.inf, HalfSquaredError().rho(r, xp), rho)

    def psi(self, r: Array, xp: Namespace, delta: Array | None = None) -> Array:
        limit = given(delta, self.delta)
        return xp.clip(r, -limit, limit)

    def curvature(self, r: Array, xp: Namespace, delta: Array | None = None) -> Array:
        limit = given(delta, self.delta)
        return xp.where(xp.abs(r) > limit, 0.0, xp.full_like(r, 1.0))


@dataclass(frozen=True)
class SmoothL1(Loss):
    r"""rho = ½r²/beta for \|r\| <= beta, else \|r\| - ½beta: Huber(beta)/beta; beta = 0 is \|r\|.

    beta is 0 or from 2^-126 up (so that 1/beta is finite in float32), and finite. Girshick (2015),
    "Fast R-CNN"; PyTorch ``SmoothL1Loss``. Fits where the clipped residuals add up to 0.
    """

    beta: float = 1.0

    symmetric: ClassVar[bool] = True
    parameters: ClassVar[tuple[str, ...]] = ("beta",)

    def __post_init__(self) -> None:
        expected = "0 or a finite number >= 2**-126"
        beta = number("beta", self.beta, -TINY, math.inf, expected)
        if beta != 0 and beta < TINY:
            raise ValueError(f"beta: expected {expected}, got {self.beta!r}")
        object.__setattr__(self, "beta", beta)

    def rho(self, r: Array, xp: Namespace, beta: Array | None = None) -> Array:
        if beta is None and self.beta == 0:
            return xp.abs(r)
        if beta is None:
            clipped = xp.clip(r, -self.beta, self.beta)
            return (
                clipped * (1 / self.beta) * (r - 0.5 * clipped)
            )  # does not overflow before r does
        # In two forms, of which the second keeps the digits of its slope in beta, -½, for large r;
        # each with numbers in place of those of the other, whose slopes would overflow there.
        size = xp.abs(r)
        inside = size < beta
        near, limit = xp.where(inside, r, 0.0), xp.where(inside, beta, 1.0)
        return xp.where(inside, 0.5 * near * (near / limit), size - 0.5 * beta)

    def psi(self, r: Array, xp: Namespace, beta: Array | None = None) -> Array:
        if beta is None and self.beta == 0:
            return _sign(r, xp)
        if beta is None:
            return xp.clip((1 / self.beta) * r, -1.0, 1.0)
        psi = xp.clip((1 / xp.where(beta == 0, 1.0, beta)) * r, -1.0, 1.0)
        return xp.where(beta == 0, _sign(r, xp), psi)

    def curvature(self, r: Array, xp: Namespace, beta: Array | None = None) -> Array:
        if beta is None:
            inside = 1 / self.beta if self.beta else 0.0
            return xp.where(xp.abs(r) > self.beta, 0.0, xp.full_like(r, inside))
        inside = xp.where(beta == 0, 0.0, 1 / xp.where(beta == 0, 1.0, beta))
        return xp.where(xp.abs(r) > beta, 0.0, inside + xp.full_like(r, 0.0))


@dataclass(frozen=True)
class LogCosh(Loss):
    r"""rho = log cosh r, psi = tanh r, curvature = sech² r. Fits where tanh r adds up to 0.

    Evaluated without cancellation: ½ log1p(sinh² r) for \|r\| < 1, else
    (\|r\| - log 2) + log1p(exp(-2\|r\|)). Forms without a case for small r, such as Keras's and
    optax's, lose every digit near 0.
    """

    symmetric: ClassVar[bool] = True

    def rho(self, r: Array, xp: Namespace) -> Array:
        size = xp.abs(r)
        sinh = xp.sinh(xp.where(size < 1, r, 0.0))
        near = 0.5 * xp.log1p(sinh * sinh)
        far = (size - math.log(2)) + xp.log1p(xp.exp(-2.0 * size))
        return xp.where(size < 1, near, far)

    def psi(self, r: Array, xp: Namespace) -> Array:
        return xp.tanh(r)

    def curvature(self, r: Array, xp: Namespace) -> Array:
        e = xp.exp(-2.0 * xp.abs(r))
        return 4.0 * e / ((1.0 + e) * (1.0 + e))


@dataclass(frozen=True)
class Quantile(Loss):
    """The pinball loss: rho = (1 - q) r for r > 0, -q r for r < 0; psi 0 at 0. Fits the q-quantile.

    0 < q < 1. With r = pred - target, predicting too low costs q a unit, too high 1 - q: the sign
    of scikit-learn's ``mean_pinball_loss(alpha=q)``. Koenker and Bassett (1978).
    """

    q: float = 0.5

    parameters: ClassVar[tuple[str, ...]] = ("q",)

    def __post_init__(self) -> None:
        q = number("q", self.q, 0.0, 1.0, "a number between 0 and 1, both excluded")
        object.__setattr__(self, "q", q)

    def rho(self, r: Array, xp: Namespace, q: Array | None = None) -> Array:
        p = given(q, self.q)
        return xp.where(r > 0, (1 - p) * r, -p * r)

    def psi(self, r: Array, xp: Namespace, q: Array | None = None) -> Array:
        p = given(q, self.q)
        return xp.where(r > 0, 1 - p, xp.where(r < 0, -p, r))

    def curvature(self, r: Array, xp: Namespace, q: Array | None = None) -> Array:
        return xp.full_like(r, 0.0)


@dataclass(frozen=True)
class Expectile(Loss):
    """Asymmetric squared error: rho = (1 - tau) r² for r > 0, tau r² for r < 0. Fits the expectile.

    0 < tau < 1; tau = ½ gives ½r². The sign is that of :class:`Quantile`: predicting too low costs
    tau. Newey and Powell (1987), "Asymmetric least squares estimation and testing".
    """

    tau: float = 0.5

    parameters: ClassVar[tuple[str, ...]] = ("tau",)

    def __post_init__(self) -> None:
        tau = number("tau", self.tau, 0.0, 1.0, "a number between 0 and 1, both excluded")
        object.__setattr__(self, "tau", tau)

    def rho(self, r: Array, xp: Namespace, tau: Array | None = None) -> Array:
        p = given(tau, self.tau)
        return xp.where(r > 0, (1 - p) * r, p * r) * r

    def psi(self, r: Array, xp: Namespace, tau: Array | None = None) -> Array:
        return self.curvature(r, xp, tau) * r

    def curvature(self, r: Array, xp: Namespace, tau: Array | None = None) -> Array:
        p = given(tau, self.tau)
        return xp.where(r > 0, 2 * (1 - p), 2 * p + xp.full_like(r, 0.0))
