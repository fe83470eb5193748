"""Exact sums in JAX: surely rounded ones in XLA, all others in NumPy; and the value that keeps another's derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import Array

from l2core.integers import InNumpy, Made, Usual

compiled: list[Callable[[Any, Any], Array | None]] = []
"""The one of :mod:`l2jax.criterion`, which stands on a floor above."""


class JaxIntegers(Usual):
    """See :class:`l2core.integers.Integers`; what these lack NumPy does, called by what was compiled."""

    flushes = True

    def sums(self, *arrays: Array) -> Sequence[Array]:
        # One reduction: of several XLA writes down what they share, at five times the cost.
        zeros = tuple(jnp.zeros((), x.dtype) for x in arrays)

        def plus(a: Any, b: Any) -> Any:
            return tuple(x + y for x, y in zip(a, b, strict=True))

        found = jax.lax.reduce(arrays, zeros, plus, (arrays[0].ndim - 1,))
        return cast(Sequence[Array], found)

    def wide(self) -> AbstractContextManager[Any]:
        return cast(AbstractContextManager[Any], jax.enable_x64(True))

    def bits(self, x: Array) -> Array:
        kind = jnp.int32 if x.dtype.itemsize == 4 else jnp.int64
        return jax.lax.bitcast_convert_type(x, kind).astype(jnp.int64)

    def floats(self, bits: Array, dtype: str) -> Array:
        kind = jnp.int32 if dtype == "float32" else jnp.int64
        return jax.lax.bitcast_convert_type(bits.astype(kind), jnp.dtype(dtype))

    def blocked(self, x: Array, length: int) -> Array:
        padded = jnp.pad(x, ((0, 0), (0, -x.shape[1] % length)))
        return padded.reshape(x.shape[0], -1, length)

    def broadcast(self, x: Array, like: Array) -> Array:
        return jnp.broadcast_to(x, like.shape)

    def known(self, x: Array) -> Any:
        return None  # but in an eager call, of which the criterion is compiled

    def on_host(self, f: InNumpy, arrays: Sequence[Array | None], made: Made) -> Array:
        # In XLA's own integers it would be some thousand kernels to compile, for each shape.
        struct: Any = jax.ShapeDtypeStruct
        shape, dtype = made
        found = jax.pure_callback(
            f, struct(shape, jnp.dtype(dtype)), *arrays, vmap_method="sequential"
        )
        return cast(Array, found)

    def whole(self, criterion: Any, call: Any) -> Array | None:
        return compiled[0](criterion, call)

    def mended(self, x: Array, wrong: Array, right: Callable[[Any], Array]) -> Array:
        def both() -> Array:
            return jnp.where(wrong, right(None), x)

        return cast(Array, jax.lax.cond(jnp.any(wrong), both, lambda: x))


INTEGERS = JaxIntegers()


@jax.custom_jvp
def kept(value: Array, total: Array) -> Array:
    """See :class:`l2core.backend.Backend`."""
    return value


@kept.defjvp
def _kept_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    return kept(*primals), tangents[1]
