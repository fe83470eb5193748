"""Losses as they are commonly written over NumPy: what the traps are there to catch."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from l2core.conformance.harness import DTYPES, ArrayApiHarness


@dataclass(frozen=True)
class Peer(ArrayApiHarness):
    """NumPy with a textbook expression in place of ours; fields that it does not know do nothing."""

    name: str = "numpy"
    xp: Any = np
    dtypes: tuple[str, ...] = DTYPES

    def face(self, criterion):
        return lambda pred, target, **more: self.value_and_grad(criterion, pred, target, **more)[0]

    def value_and_grad(self, criterion, pred, target, *, weight=1.0, mask=None, **others):
        with np.errstate(all="ignore"):
            r = pred - target
            rho, psi = POINTWISE[type(criterion.loss).__name__](r)
            weight = weight if mask is None else weight * mask.astype(rho.dtype)
            rho, psi = weight * rho, weight * psi
            if criterion.reduction == "none":
                return rho, psi
            if criterion.reduction == "sum":
                return rho.sum(), psi
            mean = rho.sum() / (rho.size if mask is None else mask.sum())
            if criterion.reduction == "root_mean":
                return np.sqrt(mean), psi / r.size / (2 * np.sqrt(mean))
            return mean, psi / r.size


POINTWISE = {
    "SquaredError": lambda r: (r**2, 2 * r),
    "HalfSquaredError": lambda r: (r**2 / 2, r),
    "AbsoluteError": lambda r: (abs(r), np.where(r >= 0, 1.0, -1.0)),
    "Huber": lambda r: (np.where(abs(r) < 1, r**2 / 2, abs(r) - 0.5), np.clip(r, -1, 1)),
    "LogCosh": lambda r: (np.log(np.cosh(r)), np.tanh(r)),
}
