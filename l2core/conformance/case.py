"""The arguments of one call, as the checks hold them: NumPy arrays and a dtype."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from l2core.conformance.harness import NumpyArray
from l2core.exact import exact, rounded

HALVES = ("float16", "bfloat16")


@dataclass(frozen=True, eq=False)
class Case:
    """The arguments of one call, as NumPy arrays; ``dtype`` is that of pred and target.

    bfloat16, which NumPy lacks, stands as float32 arrays of its values. ``code`` gives NumPy
    expressions for arrays that are too long to print. ``parameters`` are those of the loss that
    come with the call, by name.
    """

    pred: NumpyArray
    target: NumpyArray
    weight: NumpyArray | float | None = None
    mask: NumpyArray | None = None
    denominator: float | None = None
    dtype: str = "float32"
    code: str | None = None
    parameters: Mapping[str, NumpyArray | float] = field(default_factory=dict)

    @property
    def others(self) -> dict[str, Any]:
        """The arguments beside pred and target that are given."""
        names = ("weight", "mask", "denominator")
        own = {name: x for name in names if (x := getattr(self, name)) is not None}
        return {**own, **self.parameters}

    def but(self, **changes: Any) -> Case:
        """The same with these changes, of parameters too."""
        own = {each.name for each in fields(self)}
        given = {name: x for name, x in changes.items() if name not in own}
        changes = {name: x for name, x in changes.items() if name in own}
        if given:
            changes["parameters"] = {**self.parameters, **given}
        return replace(self, **changes)

    @property
    def real(self) -> str:
        """The dtype of weights and parameters that go with it."""
        return "float64" if self.dtype == "float64" else "float32"


def make_case(pred: Any, target: Any, dtype: str = "float32", **others: Any) -> Case:
    """A case from lists, cast to this dtype."""
    real = "float64" if dtype == "float64" else "float32"
    for name, x in others.items():
        if isinstance(x, list):
            others[name] = np.asarray(x, bool if name == "mask" else real)
    return Case(cast(pred, dtype), cast(target, dtype), dtype=dtype).but(**others)


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
    given = {"weight": case.weight, **case.parameters}
    arrays = {name: x for name, x in given.items() if isinstance(x, np.ndarray)}
    return found.but(**{name: x.astype(found.real) for name, x in arrays.items()})
