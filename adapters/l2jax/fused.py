"""A criterion of the core on JAX arrays as one jitted expression. It can be deleted.

JAX compiles the plain path into one pass over the data, but op by op it makes as many passes as
there are operations.
"""

from __future__ import annotations

from dataclasses import fields
from functools import cache

from jax import Array

from l2core import Criterion
from l2core.backend import Backend
from l2core.call import Call
from l2jax import criterion as jitted


def fused(backend: Backend, criterion: Criterion, call: Call) -> Array | None:
    """The value, or None for l2jax's own criterion, which is jitted."""
    if isinstance(criterion, jitted.Criterion):
        return None
    return _jitted(criterion)._value_of(call)


@cache
def _jitted(criterion: Criterion) -> jitted.Criterion:
    return jitted.Criterion(*(getattr(criterion, field.name) for field in fields(Criterion)))
