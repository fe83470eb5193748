"""The criterion as a JAX callable: jitted, and NumPy arrays may stand for JAX ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, tree_util

import l2core
from l2core import Terms
from l2core.backend import NUMPY, Backend, check_array, narrowed
from l2core.checks import check_out
from l2core.dtypes import KNOWN, compute_dtypes, dtype_name
from l2jax.backend import BACKEND

tree_util.register_dataclass(
    Terms, data_fields=["numerator", "denominator", "compensation"], meta_fields=["root", "empty"]
)


@dataclass(frozen=True)
class Criterion(l2core.Criterion):
    """An :class:`l2core.Criterion` of JAX arrays, for use under any transform.

    ``criterion(pred, target, *, weight=None, mask=None, variance=None, denominator=None)``: shapes,
    dtypes, errors and fields are those of the core. It is hashable, hence static under ``jit``;
    weights, masks and denominators may be traced. NumPy arrays, and what has ``__jax_array__``, are
    taken as JAX takes them, except that 64-bit integers become floats where JAX has no 64-bit
    types, instead of wrapping around.
    """

    _backend: ClassVar[Backend | None] = BACKEND

    def __call__(
        self,
        pred: Array,
        target: Array,
        *,
        weight: Array | float | None = None,
        mask: Array | None = None,
        variance: Array | float | None = None,
        denominator: Array | float | None = None,
    ) -> Array:
        """The loss, as :meth:`l2core.Criterion.__call__` says."""
        arrays = self._arrays(pred, target, weight, mask, variance, denominator)
        return cast(Array, _call(self, *arrays))

    def terms(
        self,
        pred: Array,
        target: Array,
        *,
        weight: Array | float | None = None,
        mask: Array | None = None,
        variance: Array | float | None = None,
        denominator: Array | float | None = None,
    ) -> Terms:
        """Numerator and denominator of the mean, a pytree: :meth:`l2core.Criterion.terms`."""
        arrays = self._arrays(pred, target, weight, mask, variance, denominator)
        return cast(Terms, _terms(self, *arrays))

    def value_and_grad(
        self,
        pred: Array,
        target: Array,
        *,
        weight: Array | float | None = None,
        mask: Array | None = None,
        variance: Array | float | None = None,
        denominator: Array | float | None = None,
        out: Array | None = None,
    ) -> tuple[Array, Array]:
        """In closed form: :meth:`l2core.Criterion.value_and_grad`. Complex gradients unconjugated."""
        if out is not None:
            check_out(out, pred, target, (), BACKEND)
        arrays = self._arrays(pred, target, weight, mask, variance, denominator)
        return cast(tuple[Array, Array], _value_and_grad(self, *arrays))

    def _arrays(
        self, pred: Any, target: Any, weight: Any, mask: Any, variance: Any, denominator: Any
    ) -> tuple[Any, ...]:
        plain = weight is None and mask is None and variance is None and denominator is None
        if plain and isinstance(pred, Array) and isinstance(target, Array):
            return pred, target, None, None, None, None  # the rest is a third of a small call
        pred_name, target_name, weight_name = self._names
        if isinstance(denominator, Real):
            self._check_given_denominator(denominator, BACKEND)
        arrays = (
            as_array(pred, pred_name),
            as_array(target, target_name),
            as_array(weight, weight_name, number=True),
            as_array(mask, "mask", optional=True),
            as_array(variance, "variance", number=True),
            as_array(denominator, "denominator", number=True),
        )
        if not any(isinstance(x, (int, float)) for x in arrays):
            return arrays
        # A number enters jit in the dtype of the loss: in JAX's own for numbers it would widen it,
        # and an int would be traced apart from a float.
        first, second, *factors = (dtype_name(x.dtype) for x in arrays if hasattr(x, "dtype"))
        _, real = compute_dtypes(first, second, tuple(factors), BACKEND.widest)
        number = np.dtype(real).type
        return tuple(number(x) if isinstance(x, (int, float)) else x for x in arrays)


def as_array(x: Any, name: str, *, optional: bool = False, number: bool = False) -> Any:
    """x as JAX takes it: arrays (of NumPy too), and None or a number where one may stand."""
    if (x is None and (optional or number)) or (number and isinstance(x, (int, float))):
        return x
    if isinstance(x, (np.ndarray, np.generic)):
        check_array(x, name, NUMPY)
        if dtype_name(x.dtype) in KNOWN:
            return jnp.asarray(narrowed(x, BACKEND.widest))
    if not isinstance(x, jax.Array) and hasattr(x, "__jax_array__"):  # a parameter of a model, say
        return jnp.asarray(x)
    check_array(x, name, BACKEND)
    return x


@partial(jax.jit, static_argnums=0)
def _call(criterion: Criterion, *arrays: Any) -> Array:
    return cast(Array, super(Criterion, criterion).__call__(**_named(arrays)))


@partial(jax.jit, static_argnums=0)
def _terms(criterion: Criterion, *arrays: Any) -> Terms:
    return super(Criterion, criterion).terms(**_named(arrays))


@partial(jax.jit, static_argnums=0)
def _value_and_grad(criterion: Criterion, *arrays: Any) -> tuple[Array, Array]:
    return super(Criterion, criterion).value_and_grad(**_named(arrays))


def _named(arrays: tuple[Any, ...]) -> dict[str, Any]:
    names = ("pred", "target", "weight", "mask", "variance", "denominator")
    # Under jax.disable_jit() numbers come as they are.
    arrays = tuple(jnp.asarray(x) if isinstance(x, np.generic) else x for x in arrays)
    return dict(zip(names, arrays, strict=True))
