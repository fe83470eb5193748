"""How each framework is written, for the code that answers print: the one list of it.

Nothing here is imported or run; a framework need not be installed for its line to be printed.
"""

from __future__ import annotations

import re

NAMESPACES = {"numpy": "np", "torch": "torch", "jax": "jnp", "keras": "keras.ops"}
"""Of functions over arrays."""

_CASTS = {
    "numpy": r"np.\1(\2)",
    "torch": r"\2.to(torch.\1)",
    "jax": r"jnp.\1(\2)",
    "keras": r'keras.ops.cast(\2, "\1")',
}
_CAST = re.compile(r"\b(b?float16|float32)\((pred|target)\)")
_BRAIN = re.compile(r"\bbfloat16\((pred|target)\)")

_F = "torch.nn.functional"
IDIOMS = {
    "mean squared error": {
        "torch": f"{_F}.mse_loss(pred, target)",
        "jax": "jnp.mean(optax.squared_error(pred, target))",
        "keras": "keras.losses.MeanSquaredError()(target, pred)",
    },
    "sum of the squared error": {"torch": f'{_F}.mse_loss(pred, target, reduction="sum")'},
    "mean half squared error": {"jax": "jnp.mean(optax.l2_loss(pred, target))"},
    "mean absolute error": {
        "torch": f"{_F}.l1_loss(pred, target)",
        "keras": "keras.losses.MeanAbsoluteError()(target, pred)",
    },
    "mean Huber or smooth L1 (delta or beta 1)": {
        "torch": f"{_F}.huber_loss(pred, target)",
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
"""What the frameworks call the commonest conventions."""


def over_arrays(framework: str, code: str) -> str:
    """An expression whose {xp}, casts and arrays of numbers are those of a framework."""
    if framework == "torch":
        code = code.replace("{xp}.array(", "torch.tensor(")
    if framework == "numpy":
        code = _BRAIN.sub(r"\1.astype(ml_dtypes.bfloat16)", code)
    return _CAST.sub(_CASTS[framework], code.replace("{xp}", NAMESPACES[framework]))


def options(core: str, others: str) -> dict[str, str]:
    """A criterion with these arguments, by l2core and by each adapter."""
    named = {name: f"{name}.Criterion({others})" for name in ("l2torch", "l2keras", "l2jax")}
    return {"l2core": f"Criterion({core})"} | {name[2:]: code for name, code in named.items()}


def calls(core: str, torch: str, keras: str, jax: str) -> dict[str, str]:
    """The same loss by the name that it has in each."""
    return {
        "l2core": core,
        "torch": f"l2torch.{torch}",
        "keras": f"l2keras.{keras}",
        "jax": f"l2jax.{jax}",
    }
