"""TensorFlow's 64-bit integers, for exact sums; and the value that keeps another's derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from l2core.arrays import Array
from l2core.integers import InNumpy, Made, Usual


class TensorFlowIntegers(Usual):
    """See :class:`l2core.integers.Integers`."""

    flushes = True

    def sums(self, *arrays: Array) -> Sequence[Array]:
        return [tf.reduce_sum(x, -1) for x in arrays]

    def reshaped(self, x: Array, like: Array, axes: tuple[int, ...]) -> Array:
        found = tf.reshape(x, tf.gather(tf.shape(like), axes) if axes else [])
        found.set_shape([like.shape[a] for a in axes])
        return found

    def bits(self, x: Array) -> Array:
        return tf.cast(tf.bitcast(x, tf.int32 if x.dtype.size == 4 else tf.int64), tf.int64)

    def floats(self, bits: Array, dtype: str) -> Array:
        kind = tf.int32 if dtype == "float32" else tf.int64
        return tf.bitcast(tf.cast(bits, kind), getattr(tf, dtype))

    def left(self, x: Array, n: Any) -> Array:
        return tf.bitwise.left_shift(x, tf.convert_to_tensor(n, tf.int64) + tf.zeros_like(x))

    def right(self, x: Array, n: Any) -> Array:
        return tf.bitwise.right_shift(x, tf.convert_to_tensor(n, tf.int64) + tf.zeros_like(x))

    def binned(self, index: Array, values: Array, n: int) -> Array:
        rows = tf.shape(index, tf.int64)[0]
        flat = tf.reshape(index + n * tf.range(rows, dtype=tf.int64)[:, None], [-1])
        found = tf.math.unsorted_segment_sum(tf.reshape(values, [-1]), flat, rows * n)
        return tf.reshape(found, [-1, n])

    def along(self, x: Array, index: Array) -> Array:
        return tf.gather(x, index, batch_dims=len(x.shape) - 1)

    def blocked(self, x: Array, length: int) -> Array:
        padded = tf.pad(x, [[0, 0], [0, -x.shape[1] % length]])
        return tf.reshape(padded, [-1, padded.shape[1] // length, length])

    def broadcast(self, x: Array, like: Array) -> Array:
        return tf.broadcast_to(x, tf.shape(like))

    def on_host(self, f: InNumpy, arrays: Sequence[Array | None], made: Made) -> Array | None:
        if not tf.executing_eagerly():  # XLA would not call it
            return None
        return tf.convert_to_tensor(f(*(None if x is None else x.numpy() for x in arrays)))

    def known(self, x: Array) -> Any:
        return x.numpy() if tf.executing_eagerly() else None

    def array(self, x: Any) -> Array:
        return tf.convert_to_tensor(x)

    def mended(self, x: Array, wrong: Array, right: Callable[[Any], Array]) -> Array:
        def both() -> Array:
            found = right(None)
            return tf.where(wrong, found, x)

        return tf.cond(tf.reduce_any(wrong), both, lambda: tf.identity(x))


INTEGERS = TensorFlowIntegers()


@tf.custom_gradient  # type: ignore[untyped-decorator]
def kept(value: Array, total: Array) -> Any:
    """See :class:`l2core.backend.Backend`."""

    def gradient(upstream: Array) -> Any:
        return None, upstream

    return tf.identity(value), gradient
