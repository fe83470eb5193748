"""The arguments of one call, as the checks hold them: NumPy arrays and a dtype."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from l2core.conformance.harness import NumpyArray
from l2core.exact import exact, rounded

HALVES = ("float16", "bfloat16")


@dataclass(frozen=True, eq=False)
class Case:
    """The arguments of one call, as NumPy arrays; ``dtype`` is that of pred and target.

    bfloat16, which NumPy lacks, stands as float32 arrays of its values. ``code`` gives NumPy
    expressions for arrays that are too long to print.
    """

    pred: NumpyArray
    target: NumpyArray
    weight: NumpyArray | float | None = None
    mask: NumpyArray | None = None
    variance: NumpyArray | None = None
    denominator: float | None = None
    dtype: str = "float32"
    code: str | None = None

    @property
    def others(self) -> dict[str, Any]:
        """The arguments beside pred and target that are given."""
        names = ("weight", "mask", "variance", "denominator")
        return {name: x for name in names if (x := getattr(self, name)) is not None}

    def but(self, **changes: Any) -> Case:
        """The same with these changes."""
        return replace(self, **changes)

    @property
    def real(self) -> str:
        """The dtype of weights and variances that go with it."""
        return "float64" if self.dtype == "float64" else "float32"


def make_case(pred: Any, target: Any, dtype: str = "float32", **others: Any) -> Case:
    """A case from lists, cast to this dtype."""
    real = "float64" if dtype == "float64" else "float32"
    for name in ("weight", "variance"):
        if isinstance(others.get(name), list):
            others[name] = np.asarray(others[name], real)
    if others.get("mask") is not None:
        others["mask"] = np.asarray(others["mask"], bool)
    return Case(cast(pred, dtype), cast(target, dtype), dtype=dtype, **others)


def cast(x: Any, dtype: str) -> NumpyArray:
    """x in this dtype, rounded to nearest; bfloat16's values as float32."""
    if dtype != "bfloat16":
        with np.errstate(over="ignore"):
            return np.asarray(x, np.float64 if dtype in HALVES else None).astype(dtype)
    wide = np.asarray(x, np.float64)
    halves = [rounded(exact(float(v)), "bfloat16") for v in wide.ravel()]
    return np.asarray(halves, np.float32).reshape(wide.shape)


def recast(case: Case, dtype: str) -> Case:
    """The same numbers in another dtype."""
    found = case.but(pred=cast(case.pred, dtype), target=cast(case.target, dtype), dtype=dtype)
    if isinstance(case.weight, np.ndarray):
        found = found.but(weight=case.weight.astype(found.real))
    return found
