"""Every loss, once: ``rho``, its derivative ``psi`` and its second derivative ``curvature``.

All are functions of the residual ``r = pred - target``, element by element, written over an array
namespace ``xp`` (:class:`l2core.arrays.Namespace`); the result has the shape and dtype of ``r``.
NaN in gives NaN out. The expressions avoid what compilers may rewrite into other bits (an array
divided by a constant) and branches that overflow where the true result does not.

A loss is a frozen dataclass, hence hashable and static under ``jit``. Defining a subclass registers
it under its class name, which is how :meth:`l2core.Criterion.from_config` and the tests find it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, ClassVar

from l2core.arrays import Array, Namespace
from l2core.dtypes import is_complex

LOSSES: dict[str, type[Loss]] = {}
"""Every known loss by class name, in order of definition."""

_FLOAT32_TINY = 2.0**-126


class Loss(ABC):
    """A pointwise loss of the residual; subclass it, as a frozen dataclass, to add one.

    ``complex_valued`` says that rho has a meaning for complex residuals (real result);
    ``symmetric`` that rho(-r) = rho(r). ``parameters`` may come with a call, as numbers or arrays,
    which rho, psi and curvature take by name; those in ``needs``, which are no fields, have to.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]  # of each, though not of this base
    complex_valued: ClassVar[bool] = False
    symmetric: ClassVar[bool] = False
    parameters: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        plain = (getattr(cls, name) for name in ("rho", "psi", "curvature"))
        if any(getattr(function, "__isabstractmethod__", False) for function in plain):
            return  # a base of losses
        known = LOSSES.get(cls.__name__)
        if known is not None and (known.__module__, known.__qualname__) != (
            cls.__module__,
            cls.__qualname__,
        ):
            raise ValueError(
                f"{cls.__name__}: expected a name that no other loss has, "
                f"got the name of {known.__module__}.{known.__qualname__}"
            )
        LOSSES[cls.__name__] = cls

    def fixes(self, name: str) -> bool:
        """Whether it was made with a value for this parameter other than its default."""
        field = self.__dataclass_fields__.get(name)
        return field is not None and getattr(self, name) != field.default

    def check_parameter(self, name: str, value: float) -> None:
        """TypeError or ValueError if a number given with a call is not one for this parameter."""
        replace(self, **{name: value})

    # Each names the parameters that it takes: hence the untyped rest.
    @abstractmethod
    def rho(self, r: Array, xp: Namespace, *args: Any, **parameters: Any) -> Array:
        """The loss of each residual."""

    @abstractmethod
    def psi(self, r: Array, xp: Namespace, *args: Any, **parameters: Any) -> Array:
        """The derivative of rho; at a kink the chosen subgradient, 0 at r = 0."""

    @abstractmethod
    def curvature(self, r: Array, xp: Namespace, *args: Any, **parameters: Any) -> Array:
        """The derivative of psi; at a jump of psi the value from inside."""


def _number(name: str, value: Any, low: float, high: float, expected: str) -> float:
    """``value`` as a float if it is a real number with low < value < high, else an error."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: expected {expected}, got {type(value).__name__} {value!r}")
    number = float(value)
    if not low < number < high:
        raise ValueError(f"{name}: expected {expected}, got {value!r}")
    return number


def _given(parameter: Any, fixed: float) -> Any:
    """The parameter that came with the call, or the fixed one."""
    return fixed if parameter is None else parameter


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
    same factor in PyTorch, Keras and optax. Fits between the mean and the median.
    """

    delta: float = 1.0

    symmetric: ClassVar[bool] = True
    parameters: ClassVar[tuple[str, ...]] = ("delta",)

    def __post_init__(self) -> None:
        expected = "a number > 0 (inf allowed)"
        delta: Any = self.delta
        if not isinstance(delta, Real) or delta != math.inf:
            delta = _number("delta", delta, 0.0, math.inf, expected)
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
        limit = _given(delta, self.delta)
        return xp.clip(r, -limit, limit)

    def curvature(self, r: Array, xp: Namespace, delta: Array | None = None) -> Array:
        limit = _given(delta, self.delta)
        return xp.where(xp.abs(r) > limit, 0.0, xp.full_like(r, 1.0))


@dataclass(frozen=True)
class SmoothL1(Loss):
    r"""rho = ½r²/beta for \|r\| <= beta, else \|r\| - ½beta: Huber(beta)/beta; beta = 0 is \|r\|.

    beta is 0 or from 2^-126 up (so that 1/beta is finite in float32), and finite. Girshick (2015),
    "Fast R-CNN"; PyTorch ``SmoothL1Loss``. Fits between the mean and the median.
    """

    beta: float = 1.0

    symmetric: ClassVar[bool] = True
    parameters: ClassVar[tuple[str, ...]] = ("beta",)

    def __post_init__(self) -> None:
        expected = "0 or a finite number >= 2**-126"
        beta = _number("beta", self.beta, -_FLOAT32_TINY, math.inf, expected)
        if beta != 0 and beta < _FLOAT32_TINY:
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
    r"""rho = log cosh r, psi = tanh r, curvature = sech² r. Fits between the mean and the median.

    Evaluated without cancellation: ½ log1p(sinh² r) for \|r\| < 1, else
    (\|r\| - log 2) + log1p(exp(-2\|r\|)). Keras and optax compute the second form throughout, which
    loses every digit near 0.
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
        q = _number("q", self.q, 0.0, 1.0, "a number between 0 and 1, both excluded")
        object.__setattr__(self, "q", q)

    def rho(self, r: Array, xp: Namespace, q: Array | None = None) -> Array:
        p = _given(q, self.q)
        return xp.where(r > 0, (1 - p) * r, -p * r)

    def psi(self, r: Array, xp: Namespace, q: Array | None = None) -> Array:
        p = _given(q, self.q)
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
        tau = _number("tau", self.tau, 0.0, 1.0, "a number between 0 and 1, both excluded")
        object.__setattr__(self, "tau", tau)

    def rho(self, r: Array, xp: Namespace, tau: Array | None = None) -> Array:
        p = _given(tau, self.tau)
        return xp.where(r > 0, (1 - p) * r, p * r) * r

    def psi(self, r: Array, xp: Namespace, tau: Array | None = None) -> Array:
        return self.curvature(r, xp, tau) * r

    def curvature(self, r: Array, xp: Namespace, tau: Array | None = None) -> Array:
        p = _given(tau, self.tau)
        return xp.where(r > 0, 2 * (1 - p), 2 * p + xp.full_like(r, 0.0))


@dataclass(frozen=True)
class GaussianNLL(Loss):
    """Gaussian negative log-likelihood: rho = ½(log v + r²/v) with v = max(variance, eps).

    ``full`` adds the constant ½ log 2π; eps >= 0. The gradient with respect to a variance below
    eps is 0, since the value does not depend on it there. Nix and Weigend (1994), "Estimating the
    mean and variance of the target probability distribution"; PyTorch ``GaussianNLLLoss``.
    """

    full: bool = False
    eps: float = 1e-6

    symmetric: ClassVar[bool] = True
    parameters: ClassVar[tuple[str, ...]] = ("variance",)
    needs: ClassVar[tuple[str, ...]] = ("variance",)

    def __post_init__(self) -> None:
        if not isinstance(self.full, bool):
            raise TypeError(f"full: expected True or False, got {self.full!r}")
        eps = _number("eps", self.eps, -_FLOAT32_TINY, math.inf, "a finite number >= 0")
        if eps < 0:
            raise ValueError(f"eps: expected a finite number >= 0, got {self.eps!r}")
        object.__setattr__(self, "eps", eps)

    def check_parameter(self, name: str, value: float) -> None:
        if isinstance(value, bool) or not value >= 0:
            raise ValueError(f"{name}: expected an array or a number >= 0, got {value!r}")

    def rho(self, r: Array, xp: Namespace, variance: Array = 1.0) -> Array:
        v = self._clamped(variance, xp)
        rho = 0.5 * xp.log(v) + (0.5 * r) * (r / v)  # does not overflow before r²/v does
        return rho + 0.5 * math.log(2 * math.pi) if self.full else rho

    def psi(self, r: Array, xp: Namespace, variance: Array = 1.0) -> Array:
        return r / self._clamped(variance, xp)

    def curvature(self, r: Array, xp: Namespace, variance: Array = 1.0) -> Array:
        return xp.full_like(r, 1.0) / self._clamped(variance, xp)

    def _clamped(self, variance: Array, xp: Namespace) -> Array:
        return xp.where(variance < self.eps, self.eps, variance)
