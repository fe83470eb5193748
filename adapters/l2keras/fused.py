"""TensorFlow's squared errors by its own fused operations. It can be deleted.

``tf.nn.l2_loss`` is ½Σr², its gradient r, both without a tensor of squares: the same bits as the
plain path, and the same sum. ``tf.math.multiply_no_nan`` weighs and selects at once. In a graph XLA
would add their terms one by one; there the plain path fuses.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from l2core import Criterion
from l2core.arrays import Array
from l2core.backend import Backend
from l2core.call import Call
from l2core.fastpath import SQUARES


def fused(backend: Backend, criterion: Criterion, call: Call) -> Array | None:
    """The value, or None where the plain path serves."""
    pred, target, weight, *_ = call
    k = SQUARES.get(type(criterion.loss))
    if k is None or not tf.executing_eagerly():
        return None
    inputs = criterion._single_sum(backend, call)
    tensors: tuple[Any, ...] = (pred, target, weight)
    if inputs is None or any(x is not None and x.dtype != inputs.real for x in tensors):
        return None
    r = pred - target
    if inputs.weight is not None:
        total = _weighted(r, inputs.weight, k)
    else:
        r = r if inputs.present is None else tf.where(inputs.present, r, tf.zeros((), r.dtype))
        total = k * tf.nn.l2_loss(r)
    return criterion._reduced(total, inputs)


def _weighted(r: Array, weight: Array, k: float) -> Array:
    """½·k·Σω·r², where ω = 0 counts as 0 in value and gradient to r, whatever r is.

    Where ω = 0 hides what is not finite, there is no derivative to ω either.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def total(r: Array, weight: Array) -> Any:
        def gradients(upstream: Array) -> tuple[Array, Array]:
            kept = (weight != 0) | tf.math.is_finite(tf.square(r))
            selected = tf.where(kept, r, tf.zeros((), r.dtype))
            to_r = k * selected * tf.math.multiply_no_nan(upstream, weight)
            to_each = 0.5 * k * upstream * tf.square(selected)
            alike = [i for i, n in enumerate(weight.shape) if n == 1]
            return to_r, tf.reduce_sum(to_each, alike, keepdims=True)

        return 0.5 * k * tf.reduce_sum(tf.math.multiply_no_nan(tf.square(r), weight)), gradients

    return total(r, weight)
