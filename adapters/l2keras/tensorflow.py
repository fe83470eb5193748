"""TensorFlow as a backend of l2core; imported only when a TensorFlow tensor comes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import numpy as np
import tensorflow as tf

from l2core import Loss, fastpath
from l2core.arrays import Array, Namespace
from l2core.backend import PlainPathOnly
from l2core.numpy_namespace import XP as NUMPY
from l2keras.integers import INTEGERS, kept
from l2keras.internals import traced_as_it_is

# Series in x², to a last term below 2^-26 of the whole: for |y| < 1/3, and for |x| < 1.
_ATANH = tuple(1.0 / n for n in range(1, 17, 2))
_SINH = tuple(1.0 / math.factorial(n) for n in range(1, 13, 2))


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    *rest, total = coefficients
    for coefficient in reversed(rest):
        total = total * x + coefficient
    return total


class _TensorFlow:
    """TensorFlow's functions under the names of the array standard."""

    abs = staticmethod(tf.abs)
    astype = staticmethod(tf.cast)
    clip = staticmethod(tf.clip_by_value)
    exp = staticmethod(tf.exp)
    imag = staticmethod(tf.math.imag)
    log = staticmethod(tf.math.log)
    permute_dims = staticmethod(tf.transpose)
    real = staticmethod(tf.math.real)
    reshape = staticmethod(tf.reshape)
    sqrt = staticmethod(tf.sqrt)
    stack = staticmethod(tf.stack)
    stop_gradient = staticmethod(tf.stop_gradient)
    tanh = staticmethod(tf.tanh)

    def __getattr__(self, name: str) -> Any:
        return getattr(tf.dtypes, name)

    @staticmethod
    def argsort(x: Array, /) -> Array:
        return tf.argsort(x, stable=True)

    @staticmethod
    def count_nonzero(x: Array, /, *, axis: Any = None) -> Array:
        return tf.math.count_nonzero(x, axis=axis)

    @staticmethod
    def cumulative_sum(x: Array, /, *, axis: int) -> Array:
        return tf.cumsum(x, axis)

    @staticmethod
    def max(x: Array, /, *, axis: int) -> Array:
        return tf.reduce_max(x, axis)

    @staticmethod
    def min(x: Array, /, *, axis: int) -> Array:
        return tf.reduce_min(x, axis)

    @staticmethod
    def expand_dims(x: Array, /, *, axis: int) -> Array:
        return tf.expand_dims(x, axis)

    @staticmethod
    def full_like(x: Array, /, fill_value: float) -> Array:
        return tf.fill(tf.shape(x), tf.constant(fill_value, x.dtype))

    @staticmethod
    def log1p(x: Array, /) -> Array:
        if tf.executing_eagerly() or x.dtype != tf.float32:
            return tf.math.log1p(x)
        # TFLite's is log(1 + x), which has no digits near 0. There 2 atanh(x / (x + 2)) by its series.
        small = tf.abs(x) < 0.5
        near = tf.where(small, x, tf.zeros_like(x))
        y = near / (near + 2.0)
        return tf.where(small, 2.0 * y * _polynomial(y * y, _ATANH), tf.math.log(1.0 + x))

    @staticmethod
    def sign(x: Array, /) -> Array:
        if tf.executing_eagerly():
            return tf.sign(x)
        return _TensorFlow.where(x > 0, 1.0, _TensorFlow.where(x < 0, -1.0, x))

    @staticmethod
    def sinh(x: Array, /) -> Array:
        if tf.executing_eagerly() or x.dtype != tf.float32:
            return tf.sinh(x)
        # TFLite has none.
        small = tf.abs(x) < 1.0
        near = tf.where(small, x, tf.zeros_like(x))
        far = 0.5 * (tf.exp(x) - tf.exp(-x))
        return tf.where(small, near * _polynomial(near * near, _SINH), far)

    @staticmethod
    def isnan(x: Array, /) -> Array:
        if x.dtype.is_complex:
            return tf.math.is_nan(tf.math.real(x)) | tf.math.is_nan(tf.math.imag(x))
        return tf.math.is_nan(x)

    @staticmethod
    def sum(x: Array, /, *, axis: tuple[int, ...] | None = None) -> Array:
        axes = tuple(range(len(x.shape))) if axis is None else axis
        if not axes:
            return x
        x = tf.convert_to_tensor(x)  # of a variable
        if on_host(x):
            return put_right(tf.reduce_sum(x, axes), lambda: NUMPY.sum(seen(x), axis=axes))
        if tf.executing_eagerly():
            return tf.reduce_sum(x, axes)
        # Along any but the last axes TensorFlow adds row after row.
        kept = [i for i in range(len(x.shape)) if i not in axes]
        return _in_rows(tf.transpose(x, [*kept, *axes]) if kept else x, len(axes))

    @staticmethod
    def take(x: Array, indices: Array, /, *, axis: int) -> Array:
        return tf.gather(x, indices, axis=axis)

    @staticmethod
    def where(condition: Array, x1: Any, x2: Any, /) -> Array:
        dtype = x1.dtype if hasattr(x1, "dtype") else x2.dtype
        return tf.where(condition, tf.convert_to_tensor(x1, dtype), tf.convert_to_tensor(x2, dtype))


ROW, NEXT = 32, 8
"""Elements of a row, and of a row of rows. XLA adds them one by one."""
OPEN = (ROW, 32, 32, 32)
"""Where the length is not known while tracing: to 1 million terms for a sum of one row."""


def on_host(x: Array) -> bool:
    """Whether NumPy reads it where it is."""
    return tf.executing_eagerly() and "CPU:" in x.device and x.dtype.name in ("float32", "float64")


def seen(x: Array) -> Any:
    """A tensor on the host as NumPy's array in the same memory, which ``numpy()`` would copy."""
    return np.asarray(memoryview(x))


def put_right(total: Array, value: Callable[[], Any]) -> Array:
    """A sum of the host's, at this value, with its derivatives: the difference of two numbers so close
    is exact, and so is its sum with one of them."""
    with np.errstate(invalid="ignore", over="ignore"):
        by = np.asarray(value() - seen(total), total.dtype.as_numpy_dtype)
    by = np.where(np.isfinite(by), by, 0).astype(by.dtype)
    return total + by if by.any() else total


def _in_rows(x: Array, axes: int) -> Array:
    """The sum over so many last axes, in rows of rows.

    XLA adds one by one: 1e7 equal float32 values would err by 0.02 %, in float64 not, which TFLite
    lacks. Differentiated as the plain sum, without the passes that rows take.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def total(x: Array) -> Any:
        def gradient(upstream: Array) -> Array:
            for _ in range(axes):
                upstream = tf.expand_dims(upstream, -1)
            return tf.broadcast_to(upstream, tf.shape(x))

        added = x.shape[len(x.shape) - axes :]
        if added.is_fully_defined():
            return _rows_of(x, axes, math.prod(added)), gradient
        # In a branch of its own: what computes its shapes moves the memory of a whole graph in
        # TensorFlow Lite, whose XNNPACK then went on reading a layer's input where it had been.
        few = tf.reduce_prod(tf.shape(x)[-axes:]) <= ROW
        found = tf.cond(
            few, lambda: tf.reduce_sum(x, [*range(-axes, 0)]), lambda: _rows_of(x, axes, None)
        )
        return found, gradient

    return total(x)


def _rows_of(x: Array, axes: int, n: int | None) -> Array:
    lengths = tf.shape(x)
    kept = lengths[:-axes]
    rows = tf.reshape(x, tf.concat([kept, [tf.reduce_prod(lengths[-axes:])]], 0))
    for level, row in enumerate(OPEN if n is None else _rows(n)):
        length = tf.shape(rows)[-1]
        # With zeros at the end, a whole row of them if need be, or XLA makes one sum of two levels.
        zeros = row - length % row if level else -length % row
        padding = [[0, 0]] * (len(rows.shape) - 1) + [[0, zeros]]
        shape = tf.concat([kept, [(length + zeros) // row, row]], 0)
        rows = tf.reduce_sum(tf.reshape(tf.pad(rows, padding), shape), -1)
    found = tf.reduce_sum(tf.pad(rows, [[0, 0]] * (len(rows.shape) - 1) + [[0, 1]]), -1)
    found.set_shape(x.shape[: len(x.shape) - axes])
    return found


def _rows(n: int) -> Iterator[int]:
    """The lengths of rows, of rows of rows, ... of n elements, until one row is left."""
    row = ROW
    while n > row:
        yield row
        n, row = -(-n // row), NEXT


XP = cast(Namespace, _TensorFlow())


def _rule(loss: Loss, order: int, r: Array, given: Mapping[str, Array]) -> Array:
    """rho of r (order 0) with psi as its derivative, or psi (order 1) with curvature as its own."""
    plain = loss.psi if order else loss.rho

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def rule(r: Array, *arrays: Array) -> Any:
        named = dict(zip(given, arrays, strict=True))

        def gradient(upstream: Array) -> Any:
            by_r = loss.curvature(r, XP, **named) if order else _rule(loss, 1, r, named)
            if not arrays:
                return upstream * by_r
            with tf.GradientTape() as tape:
                tape.watch(arrays)
                value = plain(r, XP, **named)
            found = tape.gradient(value, arrays, upstream, tf.UnconnectedGradients.ZERO)
            return upstream * by_r, *found

        return plain(r, XP, **named), gradient

    return rule(r, *given.values())


class TensorFlowBackend(PlainPathOnly):
    """The one instance is BACKEND."""

    xp = XP
    arrays: tuple[type, ...] = (tf.Tensor, tf.Variable)
    integers = INTEGERS

    def check(self, x: Array, name: str) -> None:
        pass

    def rho(self, loss: Loss, r: Array, given: Mapping[str, Array]) -> Array:
        return _rule(loss, 0, r, given)

    def with_slope(
        self,
        total: Array,
        weight: Array,
        slope: Callable[..., tuple[Array, Array]],
        arguments: tuple[Any, ...],
        axes: tuple[int, ...] | None,
    ) -> Array:
        # Of the weight alone, so that without a derivative to it no slope is taken.
        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def zero(weight: Array) -> Any:
            def gradient(upstream: Array) -> Array:
                where, by = slope(weight, *arguments)
                if axes is not None:
                    for axis in sorted(axes):
                        upstream = tf.expand_dims(upstream, axis)
                each = tf.where(where, upstream * by, tf.zeros((), by.dtype))
                alike = [i for i, n in enumerate(weight.shape) if n == 1]
                return tf.reduce_sum(each, alike, keepdims=True)

            return tf.zeros_like(total), gradient

        return total + zero(weight)

    def kept(self, value: Array, total: Callable[[], Array], of: tuple[Any, ...]) -> Array:
        return kept(value, total())

    def detached(self, x: Array) -> Array:
        return tf.stop_gradient(x)

    def moved(self, x: Array, where: Any) -> Array:
        try:
            return tf.cast(x, tf.as_dtype(where))
        except TypeError:
            with tf.device(where):
                return tf.identity(x)

    def length(self, x: Array, axis: int) -> Any:
        static = x.shape[axis]
        return tf.shape(x, tf.int64)[axis] if static is None else static

    def scalar(self, value: float, dtype: str, like: Array) -> Array:
        return tf.constant(value, getattr(tf.dtypes, dtype))

    def constant(self, x: Any, like: Array) -> Array:
        return tf.convert_to_tensor(x)

    def numpy(self, x: Array) -> Any:
        return x.numpy()

    def binned(self, size: Array, weight: Array | None, n: int) -> Array:
        rows = size.shape[0]
        index = tf.bitwise.right_shift(tf.bitcast(size, tf.int32), 16)
        index = tf.reshape(index + n * tf.range(rows)[:, None], [-1])
        if weight is None:
            each = tf.ones_like(index, tf.int64)
        else:
            each = tf.reshape(weight, [-1])
            each = each if each.dtype.is_floating else tf.cast(each, tf.int64)
        return tf.reshape(tf.math.unsorted_segment_sum(each, index, rows * n), [rows, n])

    def matched(self, x: Array, pred: Array) -> Array:
        axes = [i for i, n in enumerate(x.shape) if n is None or (n != 1 and pred.shape[i] is None)]
        if not axes:
            return x
        lengths, wanted = tf.shape(x), tf.shape(pred)
        agree = tf.debugging.assert_equal(
            tf.gather(lengths, axes),
            tf.gather(wanted, axes),
            "expected arrays of equal lengths along the axes that were open while tracing",
        )
        # XLA drops assertions; what does not fit it refuses while it compiles.
        fits = [
            tf.add_n([tf.zeros(lengths[i]), tf.zeros(wanted[i])], "expected_equal_lengths")
            for i in axes
        ]
        with tf.control_dependencies([*fits, *([agree] if agree is not None else [])]):
            return tf.identity(x)


traced_as_it_is("l2core", "l2keras")
fastpath.install(TensorFlowBackend, "l2keras.fused")
BACKEND = TensorFlowBackend()
