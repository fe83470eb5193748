"""What the fast paths of all backends share: how they are found, the switch, blocks.

The fast paths of a backend are one module, which has any of the functions ``quick``, ``fused`` and
``fused_value_and_grad`` of :class:`l2core.backend.Backend`, ``self`` included. A backend installs
it if it is there: deleting the file leaves the plain path, and nothing else changes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from l2core.arrays import Array
from l2core.losses import (
    AbsoluteError,
    Expectile,
    HalfSquaredError,
    Huber,
    Loss,
    Quantile,
    SmoothL1,
    SquaredError,
)

enabled = True
"""Whether a criterion asks for fast paths; see :func:`plain_only`."""

SQUARES = {SquaredError: 2.0, HalfSquaredError: 1.0}
"""k in rho = ½·k·r², psi = k·r."""
BY_PSI: dict[type[Loss], Callable[[Any], tuple[float, float]]] = {
    SquaredError: lambda loss: (0.5, 0.0),
    HalfSquaredError: lambda loss: (0.5, 0.0),
    AbsoluteError: lambda loss: (1.0, 0.0),
    Expectile: lambda loss: (0.5, 0.0),
    Huber: lambda loss: (1.0, 0.5),
    Quantile: lambda loss: (1.0, 0.0),
    SmoothL1: lambda loss: (1.0, 0.5 * loss.beta),
}
"""a and b in rho = a·psi·r - b·psi², of losses of arithmetic alone, which all frameworks round alike.
The second term is at most half of the first; both are 0 at r = 0."""


_USUAL = {
    *((reduction, "weight") for reduction in ("none", "sum")),
    *(("mean", denominator) for denominator in ("weight", "count", "size")),
}


def usual(meaning: Any) -> tuple[str, str] | None:
    """A criterion's reduction and denominator, if the arguments of a call say all the rest."""
    names = meaning.reduction, meaning.denominator
    all_alike = meaning.axis is None and meaning.nan_targets == "propagate"
    return names if all_alike and not meaning.loss.likelihood and names in _USUAL else None


def install(backend: type, module: str) -> None:
    """Give a backend's class the fast paths of this module, if there is such a module."""
    try:
        found = import_module(module)
    except Exception as error:  # noqa: BLE001 (whatever it is, the plain path serves)
        if not (isinstance(error, ModuleNotFoundError) and error.name == module):
            text = f"{module}: expected fast paths, got {type(error).__name__}: {error}"
            warnings.warn(f"{text}; the plain path serves", RuntimeWarning, stacklevel=2)
        return
    for name in ("quick", "quick_value_and_grad", "fused", "fused_value_and_grad"):
        if hasattr(found, name):
            setattr(backend, name, getattr(found, name))


@contextmanager
def plain_only() -> Iterator[None]:
    """Within it every call takes the plain path: for tests, which compare the two."""
    global enabled
    before, enabled = enabled, False
    try:
        yield
    finally:
        enabled = before


def blocks(rows: int, columns: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Slices that cover a matrix by contiguous blocks of at most ``size`` elements."""
    high, wide = max(1, size // columns), min(columns, size)
    for i in range(0, rows, high):
        for j in range(0, columns, wide):
            yield slice(i, i + high), slice(j, j + wide)


def part(x: Array, block: tuple[slice, slice]) -> Array:
    """The block of a matrix whose second axis may have length 1 for all columns."""
    return x[block] if x.shape[1] > 1 else x[block[0]]
