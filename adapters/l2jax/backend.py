"""JAX as a backend of l2core: its namespace, and rho with psi registered as its derivative."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import Array

from l2core import Loss, fastpath
from l2core.backend import Namespace, PlainPathOnly

XP = cast(Namespace, jnp)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _rho(loss: Loss, r: Array) -> Array:
    return cast(Array, loss.rho(r, XP))


@_rho.defjvp
def _rho_jvp(loss: Loss, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _rho(loss, *primals), _psi(loss, *primals) * tangents[0]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _psi(loss: Loss, r: Array) -> Array:
    return cast(Array, loss.psi(r, XP))


@_psi.defjvp
def _psi_jvp(loss: Loss, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _psi(loss, *primals), loss.curvature(primals[0], XP) * tangents[0]


class JaxBackend(PlainPathOnly):
    """The one instance is BACKEND."""

    xp = XP
    arrays: tuple[type, ...] = (jax.Array,)

    @property
    def widest(self) -> str:
        config: Any = jax.config  # jax's types leave its options out
        return "float64" if config.jax_enable_x64 else "float32"

    def check(self, x: Array, name: str) -> None:
        pass

    def rho(self, loss: Loss, r: Array) -> Array:
        return _rho(loss, r)

    def differentiates(self, x: Array) -> bool:
        return isinstance(x, jax.core.Tracer)

    def length(self, x: Array, axis: int) -> int | Array:
        n = x.shape[axis]
        return n if isinstance(n, int) else jnp.asarray(n)  # a symbol, in jax.export

    def scalar(self, value: float, dtype: str, like: Array) -> Array:
        return jnp.asarray(value, dtype)

    def matched(self, x: Array, pred: Array) -> Array:
        return x


BACKEND = JaxBackend()
fastpath.install(JaxBackend, "l2jax.fused")  # which imports what imports this
