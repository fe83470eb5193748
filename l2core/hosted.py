"""Arrays of any framework, lists and columns of tables as NumPy arrays, for what looks at the data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from l2core.backend import backend_of
from l2core.checks import checked_dtype
from l2core.dtypes import COMPLEX_FLOATS, dtype_name
from l2core.prepared import cast_to


def hosted(x: Any, name: str) -> Any:
    """x as a NumPy array of real numbers; TypeError, naming the argument, for anything else.

    What carries a mask or a unit beside its numbers is refused, as by a criterion. bfloat16 becomes
    float32, and a gradient is left behind.
    """
    if isinstance(x, (list, tuple, np.generic, int, float)):
        x = np.asarray(x)
    elif hasattr(x, "to_numpy"):
        x = x.to_numpy()
    backend = backend_of(x, name)
    if checked_dtype(x, name, backend) in COMPLEX_FLOATS:
        raise TypeError(f"{name}: expected a real dtype, got {x.dtype}")
    if dtype_name(x.dtype) == "bfloat16":
        x = cast_to(x, "float32", backend)
    return x if isinstance(x, np.ndarray) else backend.numpy(backend.detached(x))


def hosted_weight(x: Any, shape: tuple[int, ...], name: str = "weight") -> Any:
    """Weights in float64, of this shape or of its leading axes; ValueError unless finite and >= 0."""
    w = hosted(x, name).astype(np.float64)
    if w.shape != shape[: w.ndim]:
        raise ValueError(f"{name}: expected shape {shape} or its leading axes, got {w.shape}")
    if not (np.all(np.isfinite(w)) and np.all(w >= 0)):
        raise ValueError(
            f"{name}: expected finite numbers >= 0, got {w[~(w >= 0) | np.isinf(w)][0]}"
        )
    return np.broadcast_to(w.reshape(w.shape + (1,) * (len(shape) - w.ndim)), shape)


def quantile(x: Any, weight: Any, q: Any) -> Any:
    """Weighted quantiles of NumPy numbers, linear between the middles of what each element covers."""
    order = np.argsort(x, kind="stable")
    below = np.cumsum(weight[order]) - 0.5 * weight[order]
    return np.interp(np.asarray(q) * np.sum(weight), below, x[order])


def standard(x: Any) -> Any:
    """What JSON can hold: null for numbers that are not finite."""
    if isinstance(x, dict):
        return {name: standard(value) for name, value in x.items()}
    if isinstance(x, (list, tuple)):
        return [standard(value) for value in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x
