"""JAX as a backend of l2core: its namespace, and rho with psi registered as its derivative."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.custom_derivatives import SymbolicZero

from l2core import Loss, fastpath
from l2core.arrays import Namespace
from l2core.backend import PlainPathOnly
from l2core.compensated import added
from l2jax.integers import INTEGERS, kept


class _Jax:
    """jax.numpy with counts beyond 2^31, which its integers do not hold without 64-bit types."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(jnp, name)
        setattr(self, name, value)
        return value

    stop_gradient = staticmethod(jax.lax.stop_gradient)

    @staticmethod
    def count_nonzero(x: Array, /, *, axis: tuple[int, ...] | None = None) -> Array:
        axes = tuple(range(x.ndim)) if axis is None else axis
        lengths = [x.shape[a] for a in axes]
        if not all(isinstance(n, int) for n in lengths) or math.prod(lengths) < _INTEGERS:
            return jnp.count_nonzero(x, axis=axis)
        # Rows as integers, which are exact, and their counts as floats.
        *rest, last = sorted(axes)
        if x.shape[last] < _INTEGERS:
            rows = jnp.count_nonzero(x, axis=last, keepdims=True)
        else:
            full = x.shape[last] // _ROW * _ROW
            head, tail = jnp.split(jnp.moveaxis(x, last, -1), [full], axis=-1)
            rows = jnp.count_nonzero(head.reshape(*head.shape[:-1], -1, _ROW), axis=-1)
            ends = jnp.count_nonzero(tail, axis=-1, keepdims=True)
            rows = jnp.moveaxis(jnp.concatenate([rows, ends], -1), -1, last)
        return jnp.sum(rows.astype(jnp.float32), axis=(*rest, last))


_INTEGERS, _ROW = 1 << 31, 1 << 16
XP = cast(Namespace, _Jax())


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def rho(loss: Loss, r: Array, given: dict[str, Array]) -> Array:
    """See :class:`l2core.backend.Backend`."""
    return cast(Array, loss.rho(r, XP, **given))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _psi(loss: Loss, r: Array, given: dict[str, Array]) -> Array:
    return cast(Array, loss.psi(r, XP, **given))


def _curvature(loss: Loss, r: Array, given: dict[str, Array]) -> Array:
    return cast(Array, loss.curvature(r, XP, **given))


def _rule(
    plain: str, derivative: Callable[..., Array], loss: Loss, primals: Any, tangents: Any
) -> tuple[Array, Any]:
    (r, given), (dr, others) = primals, tangents
    value = getattr(loss, plain)(r, XP, **given)
    found: Any = None if _none(dr) else derivative(loss, r, given) * dr
    moving = {name: t for name, t in others.items() if not _none(t)}
    if moving:

        def by_given(moved: dict[str, Array]) -> Array:
            return cast(Array, getattr(loss, plain)(r, XP, **{**given, **moved}))

        (more,) = jax.jvp(by_given, ({name: given[name] for name in moving},), (moving,))[1:]
        found = more if found is None else found + more
    return value, jnp.zeros_like(value) if found is None else found


def _none(tangent: Any) -> bool:
    return isinstance(tangent, SymbolicZero)


rho.defjvp(partial(_rule, "rho", _psi), symbolic_zeros=True)
_psi.defjvp(partial(_rule, "psi", _curvature), symbolic_zeros=True)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _with_slope(
    slope: Callable[..., tuple[Array, Array]],
    axes: tuple[int, ...] | None,
    total: Array,
    weight: Array,
    *arguments: Any,
) -> Array:
    return total


@partial(_with_slope.defjvp, symbolic_zeros=True)
def _with_slope_jvp(
    slope: Callable[..., tuple[Array, Array]],
    axes: tuple[int, ...] | None,
    primals: Any,
    tangents: Any,
) -> tuple[Array, Array]:
    total, *given = primals
    found = jnp.zeros_like(total) if _none(tangents[0]) else tangents[0]
    if not _none(tangents[1]):
        where, by = slope(*given)
        found = found + jnp.sum(jnp.where(where, tangents[1] * by, 0.0), axis=axes)
    return total, found


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _total(x: Array, axes: tuple[int, ...] | None) -> Array:
    def wide(x: Array) -> Array:
        with jax.enable_x64(True):
            return jnp.sum(x.astype(jnp.float64), axis=axes).astype(jnp.float32)

    # On a CPU alone: elsewhere sums are trees, and float64 may be slow or missing.
    plain = partial(jnp.sum, axis=axes)
    return cast(Array, jax.lax.platform_dependent(x, cpu=wide, default=plain))


@_total.defjvp
def _total_jvp(axes: tuple[int, ...] | None, primals: Any, tangents: Any) -> tuple[Array, Array]:
    return _total(primals[0], axes), jnp.sum(tangents[0], axis=axes)


class JaxBackend(PlainPathOnly):
    """The one instance is BACKEND."""

    xp = XP
    arrays: tuple[type, ...] = (jax.Array,)
    integers = INTEGERS

    @property
    def widest(self) -> str:
        config: Any = jax.config  # jax's types leave its options out
        return "float64" if config.jax_enable_x64 else "float32"

    def check(self, x: Array, name: str) -> None:
        pass

    def rho(self, loss: Loss, r: Array, given: Mapping[str, Array]) -> Array:
        return rho(loss, r, dict(given))

    def total(self, x: Array, axes: tuple[int, ...] | None) -> Array:
        return _total(x, axes) if x.dtype == jnp.float32 else jnp.sum(x, axis=axes)

    def with_slope(
        self,
        total: Array,
        weight: Array,
        slope: Callable[..., tuple[Array, Array]],
        arguments: tuple[Any, ...],
        axes: tuple[int, ...] | None,
    ) -> Array:
        return _with_slope(slope, axes, total, weight, *arguments)

    def kept(self, value: Array, total: Callable[[], Array], of: tuple[Any, ...]) -> Array:
        return kept(value, total())

    def detached(self, x: Array) -> Array:
        return jax.lax.stop_gradient(x)

    def moved(self, x: Array, where: Any) -> Array:
        try:
            dtype = jnp.dtype(where)
        except TypeError:
            moved: Array = jax.device_put(x, where)
            return moved
        return x.astype(dtype)

    def length(self, x: Array, axis: int) -> float | Array:
        n = x.shape[axis]
        # Floats: JAX may have no integers that hold products of lengths. A symbol, in jax.export.
        return float(n) if isinstance(n, int) else jnp.asarray(n, self.widest)

    def scalar(self, value: float, dtype: str, like: Array) -> Array:
        return jnp.asarray(value, dtype)

    def matched(self, x: Array, pred: Array) -> Array:
        return x

    def constant(self, x: np.ndarray[Any, Any], like: Array) -> Array:
        return jnp.asarray(x)

    def numpy(self, x: Array) -> np.ndarray[Any, Any]:
        return np.asarray(x)

    def binned(self, size: Array, weight: Array | None, n: int) -> Array:
        index = jax.lax.bitcast_convert_type(size, jnp.int32) >> 16
        each = jnp.ones((), jnp.int32) if weight is None else weight
        each = jnp.broadcast_to(each, index.shape)
        rows, m = index.shape
        row = jnp.arange(rows)[:, None]
        bins = jnp.zeros((rows, n), each.dtype)
        if m <= _ROW or each.dtype != jnp.float32:
            return bins.at[row, index].add(each)
        # One float32 after the other would stop at 2^24; rows by themselves, then their sums.
        full = m // _ROW * _ROW
        total, lost = bins.at[row, index[:, full:]].add(each[:, full:]), bins

        def step(carry: Any, part: Any) -> tuple[Any, None]:
            total, lost = carry
            at, by = part
            return added(total, bins.at[row, at].add(by), lost, XP), None

        parts = [jnp.moveaxis(x[:, :full].reshape(rows, -1, _ROW), 1, 0) for x in (index, each)]
        (total, lost), _ = jax.lax.scan(step, (total, lost), parts)
        return total + lost


BACKEND = JaxBackend()
fastpath.install(JaxBackend, "l2jax.fused")  # which imports what imports this
