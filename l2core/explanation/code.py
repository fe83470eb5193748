"""A convention as code of each framework."""

from __future__ import annotations

import re

import numpy as np

from l2core.explanation.data import Data
from l2core.explanation.search import Candidate
from l2core.explanation.tallies import M, W

NAMESPACES = {"numpy": "np", "torch": "torch", "jax": "jnp", "keras": "keras.ops"}
CASTS = {
    "numpy": r"np.\1(\2)",
    "torch": r"\2.to(torch.\1)",
    "jax": r"jnp.\1(\2)",
    "keras": r'keras.ops.cast(\2, "\1")',
}
_CAST = re.compile(r"\b(b?float16|float32)\((pred|target)\)")

_NAMED = re.compile(r"\b(pred|target)\b(?!\.shape)")
WRAPS = "wrap around"

F = "torch.nn.functional"
IDIOMS = {
    "mean squared error": {
        "torch": f"{F}.mse_loss(pred, target)",
        "jax": "jnp.mean(optax.squared_error(pred, target))",
        "keras": "keras.losses.MeanSquaredError()(target, pred)",
    },
    "sum of the squared error": {"torch": f'{F}.mse_loss(pred, target, reduction="sum")'},
    "mean half squared error": {"jax": "jnp.mean(optax.l2_loss(pred, target))"},
    "mean absolute error": {
        "torch": f"{F}.l1_loss(pred, target)",
        "keras": "keras.losses.MeanAbsoluteError()(target, pred)",
    },
    "mean Huber or smooth L1 (delta or beta 1)": {
        "torch": f"{F}.huber_loss(pred, target)",
        "jax": "jnp.mean(optax.huber_loss(pred, target))",
        "keras": "keras.losses.Huber()(target, pred)",
    },
    "mean log cosh": {
        "jax": "jnp.mean(optax.log_cosh(pred, target))",
        "keras": "keras.losses.LogCosh()(target, pred)",
    },
    "mean squared logarithmic error": {
        "keras": "keras.losses.MeanSquaredLogarithmicError()(target, pred)"
    },
    "mean absolute relative error; times 100": {
        "keras": "keras.losses.MeanAbsolutePercentageError()(target, pred)"
    },
}
"""What the frameworks call the commonest."""


def code_of(candidate: Candidate, data: Data) -> dict[str, str]:
    """By framework: an expression of pred, target, weight, mask, and the modules that it names."""
    found = {}
    integer = any(x.dtype.kind in "iub" for x in (data.pred, data.target))
    halves = data.pred.dtype == np.float16 or data.target.dtype == np.float16
    halves &= "float16" not in candidate.code
    for framework, xp in NAMESPACES.items():
        code = candidate.code.replace("{xp}", xp)
        if halves:
            code = _NAMED.sub(r"float32(\1)", code)
        if framework == "numpy" and "bfloat16" in code:
            code = code.replace("bfloat16(pred)", "pred.astype(ml_dtypes.bfloat16)")
            code = code.replace("bfloat16(target)", "target.astype(ml_dtypes.bfloat16)")
        else:
            code = _CAST.sub(CASTS[framework], code)
        if integer and WRAPS not in candidate.words:
            code = _NAMED.sub(r"(1.0 * \1)", code)  # or they do
        found[framework] = _reshaped(_aligned(code, data), data, xp)
    plain = data.weight is None and data.mask is None
    if plain and not (integer or halves or data.unequal):
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
