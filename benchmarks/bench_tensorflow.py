"""TensorFlow, eager and in a graph: Keras's loss as the built-in, expressions by hand, and ours."""

from __future__ import annotations

import os
from collections.abc import Iterator

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf

import l2core
from benchmarks.floor import floor
from benchmarks.measure import Task, main

OURS = l2core.Criterion()
KERAS = keras.losses.MeanSquaredError()


def contenders(variant, w, m):
    if variant == "unweighted":
        return {
            "ours": OURS,
            "built-in": lambda p, t: KERAS(t, p),
            "hand": lambda p, t: tf.reduce_mean(tf.math.squared_difference(p, t)),
        }
    if variant == "weighted":
        return {
            "ours": lambda p, t: OURS(p, t, weight=w),
            "hand": lambda p, t: (
                tf.reduce_sum(w * tf.math.squared_difference(p, t)) / tf.reduce_sum(w)
            ),
        }
    return {
        "ours": lambda p, t: OURS(p, t, mask=m),
        "hand": lambda p, t: tf.reduce_mean(tf.boolean_mask(tf.math.squared_difference(p, t), m)),
    }


def with_gradient(f, p, t):
    def call(p, t):
        with tf.GradientTape() as tape:
            tape.watch(p)
            value = f(p, t)
        return value, tape.gradient(value, p)

    return call


def tasks(sizes: list[int]) -> Iterator[Task]:
    for n in sizes:
        for dtype in ("float32", "float64", "bfloat16"):
            if dtype != "float32" and n not in (1_000_000, 10_000_000):
                continue
            rng = np.random.default_rng(0)
            real = "float32" if dtype == "bfloat16" else dtype
            p, t, w = rng.standard_normal((3, n), dtype=real)
            arrays = p, t, np.abs(w), rng.random(n) < 0.7
            for variant in ("unweighted", "weighted", "masked"):
                yield from _tasks(variant, dtype, arrays)


def _tasks(variant, dtype, arrays):
    p, t, w, m = arrays
    pred, target, weight = (tf.cast(tf.constant(x), dtype) for x in (p, t, w))
    functions, n = contenders(variant, weight, tf.constant(m)), p.size
    extra = {"weighted": {"weight": w}, "masked": {"mask": m}}.get(variant, {})
    gradients = {name: with_gradient(f, pred, target) for name, f in functions.items()}
    for what, fs, grad in (("f", functions, None), ("f+g", gradients, np.zeros_like(p))):
        # A tensor's numpy() waits for it; eager operations of a CPU have finished anyway.
        calls = {name: (lambda f=f: f(pred, target)) for name, f in fs.items()}
        if dtype != "bfloat16":
            calls["floor"] = floor(p, t, **extra, grad=grad)
        yield Task("tensorflow", what, variant, dtype, n, calls)
        if variant == "unweighted":
            graphs = {name: tf.function(f) for name, f in fs.items() if name != "built-in"}
            calls = {name: (lambda f=f: f(pred, target)) for name, f in graphs.items()}
            yield Task("tensorflow", what, "in a graph", dtype, n, calls)


if __name__ == "__main__":
    main(tasks)
