"""A convention as code of each framework."""

from __future__ import annotations

import re

import numpy as np

from l2core.explanation.data import Data
from l2core.explanation.search import Candidate
from l2core.explanation.tallies import M, W
from l2core.written import IDIOMS, NAMESPACES, over_arrays

_NAMED = re.compile(r"\b(pred|target)\b(?!\.shape)")
WRAPS = "wrap around"


def code_of(candidate: Candidate, data: Data) -> dict[str, str]:
    """By framework: an expression of pred, target, weight, mask, and the modules that it names."""
    found = {}
    integer = any(x.dtype.kind in "iub" for x in (data.pred, data.target))
    halves = data.pred.dtype == np.float16 or data.target.dtype == np.float16
    halves &= "float16" not in candidate.code
    for framework, xp in NAMESPACES.items():
        code = _NAMED.sub(r"float32(\1)", candidate.code) if halves else candidate.code
        code = over_arrays(framework, code)
        if integer and WRAPS not in candidate.words:
            code = _NAMED.sub(r"(1.0 * \1)", code)  # or they do
        found[framework] = _reshaped(_aligned(code, data), data, xp)
    plain = data.weight is None and data.mask is None
    if plain and not (integer or halves or data.unequal or data.several > 1):
        found |= IDIOMS.get(candidate.words, {})
    if candidate.criterion:
        code = candidate.criterion.replace("{xp}", "np")
        if integer and "data" in candidate.parts:
            code = _NAMED.sub(r"(1.0 * \1)", code)
        elif halves and "data" in candidate.parts:
            code = _NAMED.sub(r"np.float32(\1)", code)
        found["l2core"] = _reshaped(_aligned(code, data), data, "np")
    return found


def _reshaped(code: str, data: Data, xp: str) -> str:
    """With the one of another shape in the shape of the other."""
    if data.several > 1:
        lifted = "target[..., None]" if data.bare else "target"
        code = re.sub(r"\btarget\b", lifted, code)
        if "Criterion(" in code:  # which does not broadcast
            code = code.replace(lifted, f"np.broadcast_to({lifted}, pred.shape)")
        return code
    if not data.unequal:
        return code
    other = "pred" if data.unequal == "target" else "target"
    code = code.replace(f"{data.unequal}.shape", f"{other}.shape")
    whole = f"{xp}.reshape({data.unequal}, {other}.shape)"
    return re.sub(rf"\b{data.unequal}\b(?!=)", whole, code)


def _aligned(code: str, data: Data) -> str:
    """With weight and mask of pred's rank."""
    for mark, name, lift in ((W, "weight", data.lift[0]), (M, "mask", data.lift[1])):
        x = data.weight if name == "weight" else None
        if x is not None and x.dtype.kind in "iub":
            name = "(1.0 * weight)"
        axes = f"[..., {', '.join(['None'] * lift)}]" if lift else ""
        code = re.sub(rf"{mark}\b", f"{name}{axes}", code)
    return code
