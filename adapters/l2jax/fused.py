"""Fast paths of JAX: a criterion of the core as one jitted expression, and large weighted sums on a
CPU. They can be deleted.

JAX compiles the plain path into one pass over the data, but op by op it makes as many passes as
there are operations. On a CPU, XLA adds up what a selection leaves at less than half the speed of
a plain product: so a large weighted sum multiplies first, and selects only if that is not finite.
Its derivatives are the plain path's.
"""

from __future__ import annotations

from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import Array

from l2core import Criterion
from l2core.backend import Backend
from l2core.call import Call
from l2core.prepared import Prepared, prepared
from l2jax import criterion as jitted

LARGE = 1 << 18
"""Elements from which the second way costs less than that there are two."""


def fused(backend: Backend, criterion: Criterion, call: Call) -> Array | None:
    """The value, or None where the plain path of l2jax's own criterion serves, which is jitted."""
    if not isinstance(criterion, jitted.Criterion):
        return jitted.of(criterion)._value_of(call)
    config: Any = jax.config
    size = call.pred.size
    if (
        (call.weight is None or call.mask is not None)
        or (criterion.axis is not None or criterion.reduction == "none")
        or criterion.nan_targets != "propagate"
        or not (isinstance(size, int) and size >= LARGE)
        or config.jax_debug_nans  # which would meet what a selection leaves out
    ):
        return None
    inputs = prepared(criterion, backend, call)
    if inputs.pred.dtype != inputs.real:
        return None
    return cast(Array, criterion._reduced(_weighted(criterion, inputs), inputs))


def _weighted(criterion: Criterion, inputs: Prepared) -> Array:
    """Σ ω·rho."""

    def plain(pred: Array, target: Array, weight: Array) -> Array:
        own: dict[str, Any] = {"pred": pred, "target": target, "weight": weight}
        return cast(Array, criterion._numerator(inputs._replace(**own, present=weight != 0)))

    def quick(pred: Array, target: Array, weight: Array) -> Array:
        rho = criterion._rho(inputs.backend, pred - target, {})
        total = inputs.backend.total(weight * rho, None)
        arrays = pred, target, weight
        found = jax.lax.cond(jnp.isfinite(total), lambda *_: total, plain, *arrays)
        return cast(Array, found)

    @jax.custom_jvp
    def summed(*arrays: Array) -> Array:
        return cast(Array, jax.lax.platform_dependent(*arrays, cpu=quick, default=plain))

    @summed.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        return jax.jvp(plain, primals, tangents)

    return summed(inputs.pred, inputs.target, inputs.weight)
