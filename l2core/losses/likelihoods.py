"""Negative log-likelihoods: losses of the residual and of how far it is expected to be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from l2core.arrays import Array, Namespace
from l2core.losses.base import TINY, Loss, number


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
        eps = number("eps", self.eps, -TINY, math.inf, "a finite number >= 0")
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
