"""Means over windows of micro-batches, and over mapped axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

import jax
import jax.numpy as jnp
from jax import Array, tree_util
from jax.custom_derivatives import SymbolicZero

from l2core import ErrorStatistics, ExactTerms, Terms
from l2core.extras import require
from l2jax.criterion import psum
from l2jax.integers import INTEGERS

tree_util.register_dataclass(
    ErrorStatistics, data_fields=[f.name for f in fields(ErrorStatistics)], meta_fields=[]
)
State = TypeVar("State", Terms, ExactTerms, ErrorStatistics)


def window(terms: Callable[..., Terms]) -> Callable[..., tuple[Array, Any]]:
    """The value and gradient of a mean over stacked micro-batches, by a scan that holds one at a time.

    ``terms(params, batch)`` are the terms of a criterion on one micro-batch, without axes, and with
    weights that do not depend on ``params``. The result, called with ``(params, batches)``, whose
    leaves have the micro-batches along their first axis (padded and masked to one shape), returns the
    value of the mean over all of them and its gradient to ``params``: those of one large batch. A
    denominator that is a number counts for each of them, as in any sum of terms.
    """

    def value_and_grad(params: Any, batches: Any) -> tuple[Array, Any]:
        def part(params: Any, batch: Any) -> tuple[Array, tuple[Terms, Array]]:
            found = terms(params, batch)
            if not isinstance(found, Terms):
                raise TypeError(
                    "terms: expected Terms of a criterion with exact=False, which have a gradient, got "
                    f"{type(found).__name__}"
                )
            fixed = Terms(found.numerator, _fixed(found.denominator), found.root, found.empty)
            # A power of two near the denominator: no rounding, and no overflow of half gradients.
            whole = jnp.abs(fixed.denominator)
            unit = jnp.exp2(jnp.floor(jnp.log2(jnp.where(whole > 0, whole, 1.0))))
            unit = jax.lax.stop_gradient(unit)
            return found.numerator / unit, (fixed, unit)

        graded = jax.value_and_grad(part, has_aux=True)
        first = tree_util.tree_map(lambda x: x[0], batches)
        shapes: Any = jax.eval_shape(graded, params, first)
        (_, (nothing, _)), slopes = shapes
        none = tree_util.tree_map(lambda x: jnp.zeros(x.shape, _wide(x.dtype)), slopes)
        zero = jnp.zeros((), nothing.numerator.dtype)
        start = Terms(zero, zero, nothing.root, nothing.empty, (zero, zero))

        def step(carry: Any, batch: Any) -> tuple[Any, None]:
            total, grads = carry
            (_, (found, unit)), more = graded(params, batch)
            grads = tree_util.tree_map(lambda a, b: a + b.astype(a.dtype) * unit, grads, more)
            return (total + found, grads), None

        (total, grads), _ = jax.lax.scan(step, (start, none), batches)
        scaled = _scaled(grads, total)
        return total.value(), tree_util.tree_map(lambda g, x: g.astype(x.dtype), scaled, slopes)

    return value_and_grad


def _wide(dtype: Any) -> Any:
    """A dtype in which gradients of this one add up."""
    return jnp.promote_types(dtype, jnp.float32)


@partial(jax.custom_jvp)
def _fixed(x: Array) -> Array:
    return x


@partial(_fixed.defjvp, symbolic_zeros=True)
def _fixed_jvp(primals: Any, tangents: Any) -> Any:
    if isinstance(tangents[0], SymbolicZero):
        return primals[0], tangents[0]
    raise ValueError(
        "weight: expected one that does not depend on params in a window, got one that does"
    )


def _scaled(grads: Any, total: Terms) -> Any:
    """Gradients of the numerator as those of the mean, or of its root."""
    whole = total._whole()
    factor = 1 / jnp.where(whole.denominator == 0, 1.0, whole.denominator)
    if whole.root:
        value = whole.value()
        zero = value == 0
        factor = jnp.where(zero, 0.0, factor * 0.5 / jnp.where(zero, 1.0, value))
    return tree_util.tree_map(lambda g: g * factor.astype(_wide(g.dtype)), grads)


class WindowState(NamedTuple):
    """optax's state, and the terms of the window so far."""

    inner: Any
    total: Any


def multi_steps(
    optimizer: Any, every_k_schedule: int | Callable[[Array], Array], **options: Any
) -> Any:
    """``optax.MultiSteps`` whose windows are exact means, however uneven their micro-batches are.

    ``update(grads, state, params, terms=terms)`` takes the gradient of the numerator (not of the mean)
    of each micro-batch, and its terms (no axes; weights without gradient)::

        grads, terms = jax.grad(lambda p: ((t := terms_of(p)).numerator, t), has_aux=True)(params)

    At the last one of a window the sum of gradients is divided by the denominators of all, and goes to
    ``optimizer``, in float32 where ``params`` are halves; of float16, in which a sum may be infinite,
    divide the numerator by a power of two, and the terms' both sums too. ``options`` are those of ``optax.MultiSteps`` (``accumulator_dtype``). Returns an
    ``optax.GradientTransformationExtraArgs``.
    """
    optax = require("optax", "optax")
    taken = {"use_grad_mean", "should_skip_update_fn"}.intersection(options)
    if taken:
        raise TypeError(f"{min(taken)}: expected none, since windows add up all terms, got one")
    given = optax.with_extra_args_support(optimizer)

    def whole(grads: Any, state: Any, params: Any = None, *, window: Terms, **extra: Any) -> Any:
        return given.update(_scaled(grads, window), state, params, **extra)

    inner = optax.MultiSteps(
        optax.GradientTransformationExtraArgs(given.init, whole),
        every_k_schedule,
        use_grad_mean=False,
        **options,
    )

    def init(params: Any) -> WindowState:
        zero = jnp.zeros(())
        return WindowState(inner.init(params), (zero, zero, zero, zero))

    def update(
        grads: Any, state: WindowState, params: Any = None, *, terms: Terms, **extra: Any
    ) -> tuple[Any, WindowState]:
        if not isinstance(terms, Terms) or terms.numerator.shape != ():
            raise TypeError(f"terms: expected Terms without axes, got {terms!r}")
        numerator, denominator, *lost = (x.astype(terms.numerator.dtype) for x in state.total)
        total = Terms(numerator, denominator, terms.root, terms.empty, (lost[0], lost[1])) + terms
        # Sums over a window are beyond what halves hold.
        grads = tree_util.tree_map(lambda g: g.astype(_wide(g.dtype)), grads)
        updates, after = inner.update(grads, state.inner, params, window=total, **extra)
        kept = after.mini_step != 0
        sums = (total.numerator, total.denominator, *total.compensation)
        left = tuple(
            jnp.where(kept, new, 0.0).astype(old.dtype)
            for new, old in zip(sums, state.total, strict=True)
        )
        return updates, WindowState(after, left)

    return optax.GradientTransformationExtraArgs(init, update)


def all_reduced(state: State, axis_name: Any) -> State:
    """The terms or statistics of all parts along a mapped axis, on each of them.

    Inside ``shard_map``, ``pmap`` or ``vmap``; ``axis_name`` is the axis's name, or a tuple of names.
    """
    if isinstance(state, ExactTerms):
        with INTEGERS.wide():
            return state._each(lambda x: psum(x, axis_name))
    if isinstance(state, Terms):
        return cast(State, psum(state._whole(), axis_name))
    if not isinstance(state, ErrorStatistics):
        raise TypeError(f"state: expected Terms or ErrorStatistics, got {type(state).__name__}")
    n, i = psum(1, axis_name), jax.lax.axis_index(axis_name)

    def gather(x: Array) -> Array:
        # A sum with zeros: the same on all parts for the compiler too, as a gather is not.
        with INTEGERS.wide():  # of exact sums
            return cast(Array, psum(jnp.zeros((n, *x.shape), x.dtype).at[i].set(x), axis_name))

    return state.stacked(gather).merged()
