"""Keras on the backend of KERAS_BACKEND, eager: its own loss, and ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

import l2core
import l2keras
from benchmarks.floor import floor
from benchmarks.measure import Task, main

BACKEND = keras.backend.backend()


def with_gradient(f: Callable[[Any], Any], p: Any) -> Callable[[], object]:
    """A call that gives value and gradient by the backend's own means."""
    if BACKEND == "jax":
        import jax

        both = jax.value_and_grad(f)
        return lambda: jax.block_until_ready(both(p))
    if BACKEND == "torch":
        leaf = p.detach().requires_grad_()

        def call():
            f(leaf).backward()
            grad, leaf.grad = leaf.grad, None
            return grad

        return call
    import tensorflow as tf

    def call():
        with tf.GradientTape() as tape:
            tape.watch(p)
            value = f(p)
        return value, tape.gradient(value, p)

    return call


def alone(f, p):
    if BACKEND == "jax":
        import jax

        return lambda: jax.block_until_ready(f(p))
    return lambda: f(p)


def tasks(sizes: list[int]) -> Iterator[Task]:
    forget = l2core.free_memory  # a gradient's memory is part of what it costs
    builtin, ours = keras.losses.MeanSquaredError(), l2keras.MeanSquaredError()
    for n in sizes:
        rng = np.random.default_rng(0)
        p, t = rng.standard_normal((2, n), dtype="float32")
        pred, target = (keras.ops.convert_to_tensor(x) for x in (p, t))
        functions = {
            "ours": lambda p, t=target: ours(t, p),
            "built-in": lambda p, t=target: builtin(t, p),
            "hand": lambda p, t=target: keras.ops.mean(keras.ops.square(p - t)),
        }
        for what, made, grad in (
            ("f", alone, None),
            ("f+g", with_gradient, np.zeros_like(p)),
        ):
            calls = {name: made(f, pred) for name, f in functions.items()}
            calls["floor"] = floor(p, t, grad=grad)
            yield Task(f"keras-{BACKEND}", what, "unweighted", "float32", n, calls, forget)


if __name__ == "__main__":
    main(tasks)
