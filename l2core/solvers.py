"""A loss for the solvers of SciPy and statsmodels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from l2core.arrays import Array
from l2core.config import LossLike, loss_of
from l2core.losses import Loss
from l2core.numpy_namespace import XP

__all__ = ["Norm", "ScipyLoss", "scipy_loss", "statsmodels_norm"]


def scipy_loss(loss: LossLike) -> ScipyLoss:
    """For ``scipy.optimize.least_squares(loss=...)``, whose cost is then Σrho of the residuals.

    With ``f_scale`` = C it is C²·Σrho(r/C). ValueError for a loss that is not symmetric: SciPy gives
    no sign; or that needs a parameter with each call.
    """
    found = _whole(loss)
    if not found.symmetric:
        raise ValueError(f"loss: expected a symmetric one, since SciPy gives r², got {found!r}")
    return ScipyLoss(found)


def statsmodels_norm(loss: LossLike) -> Norm:
    """For ``statsmodels.api.RLM(..., M=...)``, which gives it residuals in units of the scale.

    ValueError for a loss that needs a parameter with each call.
    """
    return Norm(_whole(loss))


@dataclass(frozen=True)
class ScipyLoss:
    """2·rho as a function of z = r², and its first two derivatives."""

    loss: Loss

    def __call__(self, z: Array) -> Array:
        """(3, N) of z, (N,)."""
        r = np.sqrt(np.asarray(z, np.float64))
        slope, curvature = self.loss.irls_weight(r, XP), self.loss.curvature(r, XP)
        square = r * r
        second = np.divide(
            curvature - slope, 2 * square, out=np.zeros_like(r), where=square > 2.0**-1000
        )
        return np.stack([2 * self.loss.rho(r, XP), slope, second])


@dataclass(frozen=True)
class Norm:
    """rho, psi, weights and psi_deriv, as statsmodels names them."""

    loss: Loss

    def __call__(self, z: Array) -> Array:
        """rho."""
        return self.rho(z)

    def rho(self, z: Array) -> Array:
        """rho of each residual."""
        return self.loss.rho(_floats(z), XP)

    def psi(self, z: Array) -> Array:
        """Its derivative."""
        return self.loss.psi(_floats(z), XP)

    def weights(self, z: Array) -> Array:
        """psi(z)/z, by which least squares is weighted."""
        return self.loss.irls_weight(_floats(z), XP)

    def psi_deriv(self, z: Array) -> Array:
        """The curvature."""
        return self.loss.curvature(_floats(z), XP)


def _floats(z: Any) -> Any:
    return np.asarray(z, np.float64)


def _whole(loss: LossLike) -> Loss:
    found = loss_of(loss)
    if found.needs:
        raise ValueError(f"loss: expected one with all of its parameters, got {found!r}")
    return found
