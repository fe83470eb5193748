"""A criterion of the core on JAX arrays as one jitted expression. It can be deleted.

JAX compiles the plain path into one pass over the data, but op by op it makes as many passes as
there are operations.
"""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any

from jax import Array

from l2core import Criterion
from l2jax import criterion as jitted

if TYPE_CHECKING:
    from l2core.backend import Backend


def fused(
    backend: Backend,
    criterion: Criterion,
    pred: Array,
    target: Array,
    weight: Any,
    mask: Any,
    denominator: Any,
) -> Array | None:
    """The value, or None for l2jax's own criterion, which is jitted."""
    if isinstance(criterion, jitted.Criterion):
        return None
    return _jitted(criterion)(pred, target, weight=weight, mask=mask, denominator=denominator)


@cache
def _jitted(criterion: Criterion) -> jitted.Criterion:
    return jitted.Criterion(*(getattr(criterion, field.name) for field in fields(Criterion)))
