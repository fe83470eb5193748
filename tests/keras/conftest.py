"""These tests run once per KERAS_BACKEND (tensorflow, jax, torch), each time in its own process."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

import l2core

BACKEND = keras.backend.backend()
# What is TensorFlow's or JAX's own needs no run per backend.
collect_ignore = {
    "tensorflow": ["test_jax.py", "test_torch.py"],
    "jax": ["test_tensorflow.py", "test_torch.py"],
    "torch": ["test_tensorflow.py", "test_jax.py"],
}[BACKEND]


# Keras's variables implement __array__ as NumPy 1 had it; get_weights() on JAX and torch says so.
NOISE = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings(NOISE))


@pytest.fixture
def keras_backend() -> str:
    return BACKEND


@pytest.fixture
def data() -> SimpleNamespace:
    """26 rows, so that batches of 8 end with one of 2; a third of the weights is 0."""
    rng = np.random.default_rng(0)
    return SimpleNamespace(
        x=rng.normal(size=(26, 3)).astype("float32"),
        y=rng.normal(size=(26, 2)).astype("float32"),
        weight=np.where(rng.random(26) < 1 / 3, 0, rng.uniform(0.1, 3, 26)).astype("float32"),
    )


@pytest.fixture
def linear() -> Callable[..., keras.Model]:
    """A linear model of 3 inputs and 2 outputs whose weights start at 1 and 0."""

    def build(**layer: Any) -> keras.Model:
        dense = keras.layers.Dense(2, kernel_initializer="ones", **layer)
        return keras.Sequential([keras.Input((3,)), dense])

    return build


@pytest.fixture
def trained_by_hand() -> Callable[..., list[np.ndarray]]:
    """Gradient descent on that model in NumPy and float64, batch after batch of 8."""

    def train(criterion, x, y, weight=None, epochs=2, rate=0.1):
        x, y = x.astype("float64"), y.astype("float64")
        kernel, bias = np.ones((3, 2)), np.zeros(2)
        for _ in range(epochs):
            for at in range(0, len(x), 8):
                part = slice(at, at + 8)
                w = None if weight is None else weight[part].astype("float64")
                _, g = criterion.value_and_grad(x[part] @ kernel + bias, y[part], weight=w)
                kernel, bias = kernel - rate * x[part].T @ g, bias - rate * g.sum(axis=0)
        return [kernel, bias]

    return train


@pytest.fixture
def value_and_grad() -> Callable[..., tuple[Any, np.ndarray]]:
    """f(x) and its gradient at x, by the autograd of Keras's backend."""

    def tensorflow(f, x):
        import tensorflow as tf

        x = tf.convert_to_tensor(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = f(x)
        return value, tape.gradient(value, x)

    def jax(f, x):
        import jax
        import jax.numpy as jnp

        return jax.value_and_grad(f)(jnp.asarray(x))

    def torch(f, x):
        import torch

        x = torch.as_tensor(x).requires_grad_()
        value = f(x)
        value.backward()
        return value.detach(), x.grad

    backend = {"tensorflow": tensorflow, "jax": jax, "torch": torch}[BACKEND]

    def call(f, x):
        value, gradient = backend(f, x)
        return keras.ops.convert_to_numpy(value), keras.ops.convert_to_numpy(gradient)

    return call


def unusual(kind: type[l2core.Loss]) -> l2core.Loss:
    """A loss with no parameter at its default."""
    values = {f.name: getattr(kind(), f.name) for f in fields(kind)}
    values = {name: x for name, x in values.items() if x is not None}  # what comes with the call
    return kind(**{k: not v if isinstance(v, bool) else v / 2 + 0.1 for k, v in values.items()})


@pytest.fixture(params=l2core.LOSSES.values(), ids=list(l2core.LOSSES))
def loss(request: pytest.FixtureRequest) -> l2core.Loss:
    return unusual(request.param)


@pytest.fixture
def all_losses() -> list[l2core.Loss]:
    return [unusual(kind) for kind in l2core.LOSSES.values()]
