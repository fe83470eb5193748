"""TensorFlow's squared errors by its own fused operations. They can be deleted.

``tf.nn.l2_loss`` is ½Σr², its gradient r, both without a tensor of squares: the same bits as the
plain path; its value, off by 60 units in the last place where elements are equal, is put right.
``tf.math.multiply_no_nan`` weighs and selects at once. In a graph ``tf.math.squared_difference`` takes no
residual, which the gradient makes anew; the sum is the plain path's, by rows, since XLA would add one by
one.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from l2core import Criterion
from l2core.arrays import Array
from l2core.backend import Backend
from l2core.call import Call
from l2core.fastpath import SQUARES
from l2core.prepared import Prepared
from l2core.sums import sum_of
from l2keras.tensorflow import XP, on_host, put_right, seen


def fused(backend: Backend, criterion: Criterion, call: Call) -> Array | None:
    """The value, or None where the plain path serves."""
    k = SQUARES.get(type(criterion.loss))
    if k is None:
        return None
    eager = tf.executing_eagerly()
    if not eager and not call.plain:
        return None
    inputs = criterion._single_sum(backend, call)
    if inputs is None:
        return None
    dtype = getattr(tf.dtypes, inputs.real)
    pred, target = (x if x.dtype == dtype else tf.cast(x, dtype) for x in (call.pred, call.target))
    if not eager:
        return criterion._reduced(_of_a_graph(pred, target, k), inputs)
    r = pred - target
    if inputs.weight is not None:
        weight = tf.convert_to_tensor(inputs.weight)
        value = _where_all_count(r, weight, k, criterion, inputs)
        if value is not None:
            return value
        total = _weighted(r, weight, k)
    else:
        r = r if inputs.present is None else tf.where(inputs.present, r, tf.zeros((), r.dtype))
        total = k * tf.nn.l2_loss(r)
        if on_host(r):
            x = seen(r)
            total = put_right(total, lambda: 0.5 * k * sum_of(x, x))
    return criterion._reduced(total, inputs)


def _of_a_graph(pred: Array, target: Array, k: float) -> Array:
    """½·k·Σr², whose gradient needs nothing but what is there anyway."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def squares(pred: Array, target: Array) -> Any:
        def gradients(upstream: Array) -> tuple[Array, Array]:
            to_pred = (k * upstream) * (pred - target)
            return to_pred, -to_pred

        total = XP.sum(tf.math.squared_difference(pred, target))
        return total if k == 2 else 0.5 * k * total, gradients

    return squares(tf.convert_to_tensor(pred), tf.convert_to_tensor(target))


def _where_all_count(
    r: Array, weight: Array, k: float, criterion: Criterion, inputs: Prepared
) -> Array | None:
    """The value where no weight is 0 and all is finite, which needs no derivative of its own; None
    elsewhere, and where a look would wait for a device."""
    if not on_host(r) or not weight.shape.num_elements() or not tf.reduce_min(weight).numpy() > 0:
        return None
    total = XP.sum(weight * tf.square(r))
    total = total if k == 2 else 0.5 * k * total
    if not math.isfinite(total.numpy()):
        return None
    if criterion._simple != ("mean", "weight") or inputs.denominator is not None:
        return criterion._reduced(total, inputs)
    times = r.shape.num_elements() // weight.shape.num_elements()
    divisor = XP.sum(weight)
    return total / (divisor if times == 1 else divisor * float(times))


def _weighted(r: Array, weight: Array, k: float) -> Array:
    """½·k·Σω·r², where ω = 0 counts as 0 in value and gradient to r, whatever r is.

    Where ω = 0 hides what is not finite, there is no derivative to ω either. Each of the two gradients
    is made only if it is asked for.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def total(r: Array) -> Any:
        def gradient(upstream: Array) -> Array:
            return _scaled(r, tf.math.multiply_no_nan(k * upstream, weight))

        each = tf.math.multiply_no_nan(tf.square(r), weight)
        return 0.5 * k * XP.sum(each), gradient

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def nothing(weight: Array) -> Any:
        def gradient(upstream: Array) -> Array:
            kept = (weight != 0) | tf.math.is_finite(tf.square(r))
            selected = tf.where(kept, r, tf.zeros((), r.dtype))
            to_each = 0.5 * k * upstream * tf.square(selected)
            alike = [i for i, n in enumerate(weight.shape) if n == 1]
            return tf.reduce_sum(to_each, alike, keepdims=True)

        return tf.zeros((), weight.dtype), gradient

    return total(r) + nothing(weight)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _scaled(r: Array, by: Array) -> Any:
    """by·r, and 0 where by is 0, in the derivative to it too unless r is finite."""

    def gradients(upstream: Array) -> tuple[Array, Array]:
        kept = (by != 0) | tf.math.is_finite(r)
        to_each = upstream * tf.where(kept, r, tf.zeros((), r.dtype))
        alike = [i for i, n in enumerate(by.shape) if n == 1]
        return tf.math.multiply_no_nan(upstream, by), tf.reduce_sum(to_each, alike, keepdims=True)

    return tf.math.multiply_no_nan(r, by), gradients
