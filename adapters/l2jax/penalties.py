"""Penalties over a pytree of parameters."""

from __future__ import annotations

from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import Array

from l2core import Penalty

BIASES = ("b", "bias")
NORMS = ("beta", "gamma", "offset", "scale")
"""How Flax, Haiku and Equinox call what their layers add, and by what normalisation layers multiply."""


def penalty(kind: Penalty, params: Any, *, biases: bool = False, norms: bool = False) -> Array:
    """The penalty of a pytree's float leaves, to be added to a loss: a 0-d array.

    ``biases``: those named "b" or "bias" too; ``norms``: those of normalisation layers, named
    "scale", "offset", "gamma" or "beta", too. Leaves without a name are weights.
    """
    found = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = _name(path[-1]) if path else ""
        kept = (biases or name not in BIASES) and (norms or name not in NORMS)
        if kept and jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
            found.append(jnp.asarray(leaf))
    if not found:
        raise ValueError("params: expected a pytree with weights to penalise, got none")
    return cast(Array, kind(found))


def _name(key: Any) -> str:
    """The name in one step of a path, whatever tree it is in."""
    for attribute in ("key", "name"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return ""
