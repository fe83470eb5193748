"""The criterion as a JAX callable: jitted, and NumPy arrays may stand for JAX ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from numbers import Real
from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, tree_util

import l2core
from l2core import Terms
from l2core.backend import Backend, check_array, narrowed
from l2core.call import Call
from l2core.checks import check_given_denominator, check_out, check_parameters
from l2core.config import Axis, LossLike
from l2core.dtypes import KNOWN, compute_dtypes, dtype_name
from l2core.exactly.terms import ExactTerms
from l2core.numpy_backend import NUMPY
from l2core.reach import value_over
from l2jax.backend import BACKEND
from l2jax.integers import compiled

tree_util.register_dataclass(
    ExactTerms, data_fields=["numerator", "denominator"], meta_fields=["dtype", "root", "empty"]
)
tree_util.register_dataclass(
    Terms, data_fields=["numerator", "denominator", "compensation"], meta_fields=["root", "empty"]
)


@dataclass(frozen=True, init=False)
class Criterion(l2core.Criterion):
    """An :class:`l2core.Criterion` of JAX arrays, for use under any transform.

    Call, shapes, dtypes, errors and fields are those of the core. It is a static pytree: models
    that hold one pass ``jit``, ``grad`` and ``tree.map``. Weights, masks, parameters and
    denominators may be traced; the loss's own parameters are constants to the compiler, so that one
    which changes from call to call belongs into the call. NumPy arrays, and what has
    ``__jax_array__``, are taken as JAX takes them, except that 64-bit integers become floats where
    JAX has no 64-bit types, instead of wrapping around.

    ``axis_name``: inside ``shard_map``, ``pmap`` or ``vmap``, the name of the mapped axis (or a tuple of
    names) along which a mean or sum is over all parts. Outside of them, and under plain ``jit`` over
    sharded arrays, nothing needs to be said. A gradient to parameters, taken inside, is that of the
    one global mean after ``jax.lax.pmean``, as the frameworks' recipes have it (``shard_map`` has
    done so already). It is no part of ``to_config``.
    """

    axis_name: Any = None
    _backend: ClassVar[Backend | None] = BACKEND

    def __init__(
        self,
        loss: LossLike = "squared_error",
        reduction: str = "mean",
        denominator: str | float = "weight",
        axis: Axis = None,
        empty: str = "nan",
        nan_targets: str = "propagate",
        exact: bool = False,
        *,
        axis_name: Any = None,
    ) -> None:
        super().__init__(loss, reduction, denominator, axis, empty, nan_targets, exact)
        names = axis_name if isinstance(axis_name, tuple) else (axis_name,)
        if axis_name == () or not all(isinstance(x, str) or x is axis_name is None for x in names):
            raise TypeError(
                f"axis_name: expected a name, a tuple of names or None, got {axis_name!r}"
            )
        object.__setattr__(self, "axis_name", axis_name)

    def __call__(
        self,
        pred: Array,
        target: Array,
        *,
        weight: Array | float | None = None,
        mask: Array | None = None,
        denominator: Array | float | None = None,
        **parameters: Any,
    ) -> Array:
        """The loss, as :meth:`l2core.Criterion.__call__` says."""
        plain = weight is None and mask is None and denominator is None and not parameters
        if plain and isinstance(pred, Array) and isinstance(target, Array):
            return cast(Array, _value(self, pred, target))  # without the tree that a call is
        return self._value_of(Call(pred, target, weight, mask, denominator, parameters))

    def _value_of(self, call: Call) -> Array:
        return cast(Array, _value(self, *self._arrays(call)))

    def _terms_of(self, call: Call) -> Terms:
        return cast(Terms, _terms(self, self._arrays(call)))

    def _denominator_of(self, call: Call) -> Array:
        return cast(Array, _denominator(self, cast(Criterion, self._pointless)._arrays(call)))

    def _gradient_of(self, call: Call, out: Array | None) -> tuple[Array, Array]:
        if self.axis_name is not None:
            raise ValueError(
                "axis_name: expected None for the closed form (jax.value_and_grad has a gradient over "
                f"all parts), got {self.axis_name!r}"
            )
        if out is not None:
            check_out(out, call, BACKEND)
        return cast(tuple[Array, Array], _value_and_grad(self, self._arrays(call)))

    def _arrays(self, call: Call) -> Call:
        """The call as JAX takes it."""
        pred_name, target_name, weight_name = self._names
        if isinstance(call.denominator, Real):
            check_given_denominator(self, call.denominator, BACKEND)
        check_parameters(self, call.parameters)
        call = Call(
            as_array(call.pred, pred_name),
            as_array(call.target, target_name),
            as_array(call.weight, weight_name, number=True),
            as_array(call.mask, "mask", optional=True),
            as_array(call.denominator, "denominator", number=True),
            {name: as_array(x, name, number=True) for name, x in call.parameters.items()},
        )
        leaves = tree_util.tree_leaves(call)
        if not any(isinstance(x, (int, float)) for x in leaves):
            return call
        # A number enters jit in the dtype of the loss: in JAX's own for numbers it would widen it,
        # and an int would be traced apart from a float.
        first, second, *others = (dtype_name(x.dtype) for x in leaves if hasattr(x, "dtype"))
        _, real = compute_dtypes(first, second, tuple(others), BACKEND.widest)
        number = np.dtype(real).type
        return _mapped(lambda x: number(x) if isinstance(x, (int, float)) else x, call)


@cache
def of(core: l2core.Criterion) -> Criterion:
    """The JAX criterion of a core criterion."""
    return Criterion(**core.arguments)


def _compiled(criterion: l2core.Criterion, call: Call) -> Array | None:
    return None if isinstance(criterion, Criterion) else of(criterion)._value_of(call)


compiled.append(_compiled)

for kind in (l2core.Criterion, Criterion):
    tree_util.register_static(kind)  # no leaves: it passes whatever maps over a model's


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
def _value(criterion: Criterion, *call: Any) -> Array:
    traced = _traced(Call(*call))
    if criterion.axis_name is None:
        return cast(Array, super(Criterion, criterion)._value_of(traced))
    own = replace(criterion, axis_name=None)
    return cast(Array, value_over(own, traced, partial(_psums, criterion.axis_name)))


def psum(x: Any, axis_name: Any) -> Any:
    """The sum over the parts along a mapped axis."""
    return cast(Any, jax.lax.psum)(x, axis_name)  # which has no types


def _psums(axis_name: Any, *sums: Array) -> Any:
    return psum(sums, axis_name)


@partial(jax.jit, static_argnums=0)
def _terms(criterion: Criterion, call: Call) -> Terms:
    return super(Criterion, criterion)._terms_of(_traced(call))


@partial(jax.jit, static_argnums=0)
def _denominator(criterion: Criterion, call: Call) -> Array:
    return cast(Array, super(Criterion, criterion)._denominator_of(_traced(call)))


@partial(jax.jit, static_argnums=0)
def _value_and_grad(criterion: Criterion, call: Call) -> tuple[Array, Array]:
    return super(Criterion, criterion)._gradient_of(_traced(call), None)


def _traced(call: Call) -> Call:
    """Under jax.disable_jit() numbers come as they are."""
    return _mapped(lambda x: jnp.asarray(x) if isinstance(x, np.generic) else x, call)


def _mapped(f: Callable[[Any], Any], call: Call) -> Call:
    return cast(Call, tree_util.tree_map(f, call))
