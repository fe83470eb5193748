"""Least squares in closed form."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import array_api_compat

from l2core.arrays import Array
from l2core.backend import backend_of
from l2core.checks import checked_dtype
from l2core.dtypes import REAL_FLOATS
from l2core.losses.base import number


class LeastSquares(NamedTuple):
    """The answer of :func:`least_squares`, in arrays of X's framework and dtype."""

    coefficients: Array
    """(D,), or (D, K) for several targets."""
    rank: Array
    """A 0-d integer array: below D, many coefficients fit as well, and these are the smallest."""
    singular_values: Array
    """Of sqrt(ω)·X, with the penalty's rows below, falling."""


def least_squares(
    X: Array,
    y: Array,
    weight: Array | None = None,
    l2: float = 0.0,
) -> LeastSquares:
    """The w that minimises Σω(Xw - y)² + l2·Σw²: of several, that of least Σw².

    By the singular values of sqrt(ω)X, never by XᵀX, which squares the condition number. Those below
    max(N, D)·eps of the largest count as 0, and ``rank`` says how many do not: whatever the data, no
    digit is made up. There is no intercept: append a column of ones, or centre X and y (where l2 is
    not to shrink it).

    X: (N, D), y: (N,) or (N, K), real floats of one framework with the standard's ``linalg``
    extension (NumPy, PyTorch, JAX, CuPy, ...); weight: (N,) >= 0 or None; l2: a finite number >= 0,
    of a sum: beside a mean it is l2·Σω, see :class:`l2core.Ridge`. Golub and Van Loan, Matrix
    Computations, section 5.5.
    """
    arrays = {"X": X, "y": y, **({} if weight is None else {"weight": weight})}
    for name, x in arrays.items():
        if checked_dtype(x, name, backend_of(X, "X")) not in REAL_FLOATS:
            raise TypeError(f"{name}: expected a real float dtype, got {x.dtype}")
    penalty = number("l2", l2, -1.0, math.inf, "a finite number >= 0")
    if penalty < 0:
        raise ValueError(f"l2: expected a finite number >= 0, got {l2!r}")
    if len(X.shape) != 2 or 0 in X.shape:
        raise ValueError(f"X: expected shape (N, D), N and D > 0, got {tuple(X.shape)}")
    n, d = X.shape
    if len(y.shape) not in (1, 2) or y.shape[0] != n:
        raise ValueError(f"y: expected shape ({n},) or ({n}, K), got {tuple(y.shape)}")
    if weight is not None and weight.shape != (n,):
        raise ValueError(f"weight: expected shape ({n},), got {tuple(weight.shape)}")
    xp: Any = array_api_compat.array_namespace(*arrays.values())
    dtype = xp.result_type(*arrays.values())
    a, b = (xp.astype(x, dtype) for x in (X, xp.reshape(y, (n, -1))))
    if weight is not None:
        present = weight != 0  # absent rows may hold anything
        root = xp.reshape(xp.astype(weight, dtype), (n, 1)) ** 0.5
        a, b = (xp.where(present[:, None], root * x, 0 * root) for x in (a, b))
    if penalty:
        device = array_api_compat.device(X)
        a = xp.concat([a, penalty**0.5 * xp.eye(d, dtype=dtype, device=device)])
        b = xp.concat([b, xp.zeros((d, b.shape[1]), dtype=dtype, device=device)])
    u, s, vt = xp.linalg.svd(a, full_matrices=False)
    kept = s > max(a.shape) * xp.finfo(dtype).eps * xp.max(s)
    inverse = xp.where(kept, 1 / xp.where(kept, s, xp.ones_like(s)), xp.zeros_like(s))
    found = xp.matrix_transpose(vt) @ (inverse[:, None] * (xp.matrix_transpose(u) @ b))
    coefficients = found[:, 0] if len(y.shape) == 1 else found
    return LeastSquares(coefficients, xp.count_nonzero(kept), s)
