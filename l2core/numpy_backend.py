"""NumPy as a backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from l2core import fastpath
from l2core.arrays import Array
from l2core.backend import PlainBackend, register
from l2core.integers import INTEGERS
from l2core.numpy_namespace import XP


class NumpyBackend(PlainBackend):
    """A class of its own, since NumPy's fast paths are not for every namespace."""

    integers = INTEGERS

    @property
    def writes(self) -> bool:
        """See :class:`l2core.backend.Backend`."""
        return True

    def scalar(self, value: float, dtype: str, like: Array) -> Array:
        """See :class:`l2core.backend.Backend`."""
        return np.dtype(dtype).type(value)

    def constant(self, x: np.ndarray[Any, Any], like: Array) -> Array:
        """See :class:`l2core.backend.Backend`."""
        return x


NUMPY = NumpyBackend(XP, (np.ndarray, np.generic))
register(NUMPY, np.ndarray)
fastpath.install(NumpyBackend, "l2core.fused")
