"""TensorFlow's squared errors by its own fused sum of squares. It can be deleted.

``tf.nn.l2_loss`` is ½Σr², its gradient r, both without a tensor of squares: the same bits as the
plain path, and the same sum. In a graph XLA would add its terms one by one; there the plain path
fuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from l2core import Criterion
from l2core.backend import Array
from l2core.fastpath import SQUARES

if TYPE_CHECKING:
    from l2core.backend import Backend


def fused(
    backend: Backend,
    criterion: Criterion,
    pred: Array,
    target: Array,
    weight: Any,
    mask: Any,
    denominator: Any,
) -> Array | None:
    """The value, or None where the plain path serves."""
    k = SQUARES.get(type(criterion.loss))
    if k is None or not tf.executing_eagerly():
        return None
    if weight is not None or mask is not None:
        return None
    inputs = criterion._single_sum(backend, pred, target, None, None, denominator)
    if inputs is None:
        return None
    return criterion._reduced(k * tf.nn.l2_loss(pred - target), inputs)
