"""One look at a block of NumPy's float32 or float64 without weights, in buffers. It can be deleted.

A look of the plain path allocates a dozen arrays of the block's size; here there are two, and sums are
those of :mod:`l2core.sums`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from l2core.call import Call
from l2core.sums import sum_of


class Looker:
    """Looks at one block after another, of up to ``size`` elements."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.buffers: dict[Any, Any] = {}

    def __call__(self, call: Call, bins: np.ndarray[Any, Any] | None) -> tuple[float, ...] | None:
        """The numbers of a look, and its sketch added to ``bins``; None where the plain path serves:
        weights, other arrays, what is not finite, and targets that hardly vary."""
        p, t = call.pred, call.target
        usual = (
            type(p) is type(t) is np.ndarray
            and p.dtype == t.dtype
            and p.dtype.name in ("float32", "float64")
            and p.dtype.isnative
            and p.flags.c_contiguous
            and t.flags.c_contiguous
        )
        if (
            not usual
            or call.weight is not None
            or call.mask is not None
            or not 0 < p.size <= self.size
        ):
            return None
        if p.dtype not in self.buffers:
            self.buffers[p.dtype] = np.empty((2, self.size), p.dtype)
        first, second = self.buffers[p.dtype]
        n, p, t = p.size, p.reshape(-1), t.reshape(-1)
        one, other = first[:n], second[:n]
        with np.errstate(invalid="ignore", over="ignore"):
            target = _moments(t, one)
            error = np.subtract(p, t, out=one)
            low, high = float(error.min()), float(error.max())
            errors = _moments(error, other)
            size = np.abs(error, out=other)
            absolute = sum_of(size)
        found = (*target, *errors, absolute, low, high)
        if not all(np.isfinite(found)):
            return None
        if target[2] <= n * (8 * float(np.finfo(p.dtype).eps) * target[0]) ** 2:
            return None
        if bins is not None:
            narrow = size if size.dtype == np.float32 else size.astype(np.float32)
            bins += np.bincount(narrow.view(np.int32) >> 16, minlength=len(bins))
        return n, 0.0, n, 0.0, *found


def _moments(x: Any, out: Any) -> tuple[float, float, float]:
    """A mean in two parts, and the sum of squares around it."""
    near = x.dtype.type(sum_of(x) / x.size)
    apart = np.subtract(x, near, out=out)
    rest = sum_of(apart)
    return float(near), rest / x.size, max(sum_of(apart, apart) - rest * rest / x.size, 0.0)
