"""TensorFlow, and Keras on its backend of this process, as the conformance checks drive them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np

import l2core
from l2core.arrays import Array
from l2core.conformance.harness import DTYPES, AutogradHarness, NumpyArray, Writing


@dataclass(frozen=True)
class TensorFlowHarness(AutogradHarness):
    """Eager, in a graph, and compiled by XLA; the face is the core's own criterion."""

    name: str = "tensorflow"
    modes: tuple[str, ...] = ("eager", "function", "xla")
    dtypes: tuple[str, ...] = (*DTYPES, "bfloat16")
    flushes = True
    thrift = 2

    def context(self) -> AbstractContextManager[Any]:
        """Nothing to enter."""
        return nullcontext()

    def array(self, x: Any, dtype: str | None = None) -> Array:
        """See :class:`l2core.conformance.Harness`."""
        import tensorflow as tf

        tensor = tf.constant(np.asarray(x))
        return tensor if dtype is None else tf.cast(tensor, dtype)

    def numpy(self, x: Array) -> NumpyArray:
        """See :class:`l2core.conformance.Harness`."""
        import tensorflow as tf

        return np.asarray(tf.cast(x, tf.float32) if x.dtype == tf.bfloat16 else x)

    def face(self, criterion: l2core.Criterion) -> Callable[..., Array]:
        """The core's criterion, which finds TensorFlow by itself."""
        return criterion

    def run(self, f: Callable[..., Array], *args: Array, mode: str = "eager") -> Array:
        """See :class:`l2core.conformance.Harness`."""
        import tensorflow as tf

        if mode == "eager":
            return f(*args)
        return tf.function(f, jit_compile=mode == "xla", autograph=False)(*args)

    def vjp(
        self,
        f: Callable[..., Array],
        *args: Array,
        cotangent: Array | None = None,
        mode: str = "eager",
    ) -> tuple[Array, tuple[Any, ...]]:
        """See :class:`l2core.conformance.Harness`; None for arguments without a gradient."""
        import tensorflow as tf

        smooth = [x for x in args if x.dtype.is_floating or x.dtype.is_complex]

        def both(*args: Array) -> Any:
            with tf.GradientTape() as tape:
                watched = [x for x in args if x.dtype.is_floating or x.dtype.is_complex]
                tape.watch(watched)
                value = f(*args)
            zero = tf.UnconnectedGradients.ZERO
            return value, tape.gradient(value, watched, cotangent, unconnected_gradients=zero)

        value, grads = self.run(both, *args, mode=mode)
        found = iter(grads)
        wanted = [any(x is s for s in smooth) for x in args]
        return value, tuple(next(found) if want else None for want in wanted)

    @property
    def features(self) -> dict[str, Callable[..., Any]]:
        """See :class:`l2core.conformance.Harness`."""
        return {"second": _second, "jvp": _jvp, "vmap": _vmap, "vmap_grad": _vmap_grad}

    @property
    def writing(self) -> Writing:
        """See :class:`l2core.conformance.Writing`."""
        f = "lambda pred, target: {call}"
        tape = "with tf.GradientTape() as tape:\n    tape.watch({wrt})\n    value = {call}\n"
        return Writing(
            imports="import tensorflow as tf",
            array="tf.constant({data}, dtype=tf.{dtype})",
            gradient=tape + "print(tape.gradient(value, {wrt}))",
            modes={
                "function": f"tf.function({f})(pred, target)",
                "xla": f"tf.function({f}, jit_compile=True)(pred, target)",
            },
            features={"vmap": f"tf.vectorized_map(lambda x: ({f})(*x), (pred, target))"},
        )


def _second(f: Callable[..., Array], x: Array) -> Array:
    import tensorflow as tf

    zero = tf.UnconnectedGradients.ZERO
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = f(x)
        first = inner.gradient(value, x, unconnected_gradients=zero)
    return outer.gradient(first, x, unconnected_gradients=zero)


def _jvp(f: Callable[..., Array], x: Array, v: Array) -> Array:
    import tensorflow as tf

    with tf.autodiff.ForwardAccumulator(x, v) as accumulator:
        value = f(x)
    return accumulator.jvp(value, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _vmap(f: Callable[..., Array], *stacked: Array) -> Array:
    import tensorflow as tf

    return tf.vectorized_map(lambda row: f(*row), stacked)


def _vmap_grad(f: Callable[..., Array], *stacked: Array) -> Array:
    import tensorflow as tf

    def gradient(row: tuple[Array, ...]) -> Array:
        with tf.GradientTape() as tape:
            tape.watch(row[0])
            value = f(*row)
        return tape.gradient(value, row[0])

    return tf.vectorized_map(gradient, stacked)


@dataclass(frozen=True)
class KerasHarness(AutogradHarness):
    """``l2keras.Criterion`` on the tensors of Keras's backend, driven as that framework is."""

    name: str
    under: Any

    @property
    def modes(self) -> tuple[str, ...]:
        """Those of the framework underneath."""
        modes: tuple[str, ...] = self.under.modes
        return modes

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Those of the framework underneath."""
        dtypes: tuple[str, ...] = self.under.dtypes
        return dtypes

    def context(self) -> AbstractContextManager[Any]:
        """That of the framework underneath."""
        context: AbstractContextManager[Any] = self.under.context()
        return context

    def array(self, x: Any, dtype: str | None = None) -> Array:
        """See :class:`l2core.conformance.Harness`."""
        return self.under.array(x, dtype)

    def numpy(self, x: Array) -> NumpyArray:
        """See :class:`l2core.conformance.Harness`."""
        return np.asarray(self.under.numpy(x))

    def face(self, criterion: l2core.Criterion) -> Callable[..., Array]:
        """The Keras loss, called with the core's argument names."""
        from l2keras.criterion import Criterion

        c = criterion
        loss = Criterion(**c.arguments)

        def face(pred: Array, target: Array, *, weight: Any = None, **others: Any) -> Array:
            return loss(target, pred, weight, **others)

        return face

    def run(self, f: Callable[..., Array], *args: Array, mode: str = "eager") -> Array:
        """See :class:`l2core.conformance.Harness`."""
        return self.under.run(f, *args, mode=mode)

    def vjp(
        self,
        f: Callable[..., Array],
        *args: Array,
        cotangent: Array | None = None,
        mode: str = "eager",
    ) -> tuple[Array, tuple[Any, ...]]:
        """See :class:`l2core.conformance.Harness`."""
        found: tuple[Array, tuple[Any, ...]]
        found = self.under.vjp(f, *args, cotangent=cotangent, mode=mode)
        return found

    @property
    def flushes(self) -> bool:  # type: ignore[override]
        """Whether the framework underneath does."""
        return bool(self.under.flushes)

    @property
    def thrift(self) -> int:  # type: ignore[override]
        """That of the framework underneath."""
        return int(self.under.thrift)

    @property
    def features(self) -> dict[str, Callable[..., Any]]:
        """Those of the framework underneath."""
        features: dict[str, Callable[..., Any]] = self.under.features
        return features

    @property
    def writing(self) -> Writing:
        """That of the framework underneath, with Keras told to run on it."""
        under: Writing = self.under.writing
        switch = f'import os\n\nos.environ["KERAS_BACKEND"] = "{self.name.partition("-")[2]}"\n'
        return replace(under, imports=switch + under.imports)


def tensorflow_harnesses() -> list[TensorFlowHarness]:
    """The one of TensorFlow."""
    return [TensorFlowHarness()]


def keras_harnesses() -> list[KerasHarness]:
    """The one of Keras on the backend that it has, or will have, in this process."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        return [KerasHarness("keras-tensorflow", TensorFlowHarness())]
    under = import_module(f"l2{backend}.conformance").harnesses()[0]
    return [KerasHarness(f"keras-{backend}", under)]
