"""TensorFlow: raw tensors without a Keras model, open shapes, XLA, and replicas."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

import l2core
import l2keras

CRITERION = l2core.Criterion(l2core.Huber(0.5))
# Eight steps at rate 0.1, gradients of 16 float32 products of size 10 or less: 8e-6 (test_fit.py).
close = partial(assert_allclose, rtol=0, atol=1e-5)


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_gradient_tape_loop(data, trained_by_hand, mode):
    kernel, bias = tf.Variable(tf.ones((3, 2))), tf.Variable(tf.zeros(2))

    def step(x, y, w):
        with tf.GradientTape() as tape:
            loss = CRITERION(x @ kernel + bias, y, weight=w)
        for variable, gradient in zip(
            (kernel, bias), tape.gradient(loss, [kernel, bias]), strict=True
        ):
            variable.assign_sub(0.1 * gradient)

    if mode != "eager":
        step = tf.function(step, jit_compile=mode == "xla", reduce_retracing=True)
    batches = tf.data.Dataset.from_tensor_slices((data.x, data.y, data.weight)).batch(8).repeat(2)
    for batch in batches:
        step(*batch)
    for ours, expected in zip(
        (kernel, bias), trained_by_hand(CRITERION, data.x, data.y, data.weight), strict=True
    ):
        close(ours, expected)


def test_every_loss_under_xla_and_open_shapes(loss, data):
    """Values and gradients in eager mode, in a graph with no known length, and under XLA."""
    variance = {"variance": 1.5} if loss.needs else {}
    criterion = l2core.Criterion(loss)

    def value_and_grad(pred, target, weight):
        with tf.GradientTape() as tape:
            tape.watch(pred)
            value = criterion(pred, target, weight=weight, **variance)
        return value, tape.gradient(value, pred)

    inputs = [tf.constant(x, tf.float64) for x in (data.y * 2, data.y, data.weight)]
    expected = criterion.value_and_grad(*(x.numpy() for x in inputs[:2]), weight=data.weight.astype("float64"), **variance)  # fmt: skip
    open_shapes = [tf.TensorSpec([None] * x.ndim, tf.float64) for x in inputs]
    for f in (
        value_and_grad,
        tf.function(value_and_grad, input_signature=open_shapes),
        tf.function(value_and_grad, jit_compile=True),
    ):
        for ours, theirs in zip(f(*inputs), expected, strict=True):
            # 52 terms of a few roundings of 2^-53, an exponential or logarithm among them.
            assert_allclose(ours, theirs, rtol=1e-14, atol=1e-16)


def test_second_derivative(loss):
    r = np.array([0.0, 1.0, -1.0, 0.25, 300.0])
    variance = {"variance": 2.0} if loss.needs else {}
    p = tf.constant(r)
    with tf.GradientTape() as outer:
        outer.watch(p)
        with tf.GradientTape() as inner:
            inner.watch(p)
            value = l2core.Criterion(loss, "sum")(p, tf.zeros_like(p), **variance)
        gradient = inner.gradient(value, p)
    xp = l2core.numpy_backend.NUMPY.xp
    assert_allclose(gradient, loss.psi(r, xp, *variance.values()), rtol=1e-15, atol=1e-15)
    assert_allclose(
        outer.gradient(gradient, p),
        loss.curvature(r, xp, *variance.values()),
        rtol=4e-15,
        atol=1e-15,
    )


@pytest.mark.parametrize("jit", [False, True])
def test_lengths_that_tracing_leaves_open_are_checked_when_it_runs(jit):
    shape = tf.TensorSpec([None, None], tf.float32)

    @tf.function(input_signature=[shape, shape, tf.TensorSpec([None], tf.float32)])
    def loss(p, t, w):
        return l2core.Criterion()(p, t, weight=w)

    assert loss(tf.ones((3, 2)), tf.zeros((3, 2)), tf.ones(3)) == 1
    for shapes in (((3, 2), (3, 1), (3,)), ((3, 2), (1, 2), (3,)), ((3, 2), (3, 2), (1,))):
        with pytest.raises(
            tf.errors.InvalidArgumentError, match="expected arrays of equal lengths"
        ):
            loss(*map(tf.ones, shapes))


OPEN = {
    "all": ([None], [None], (4,), (1,), {}),
    "exchanged": ([None, None], [None, None], (4, 1), (1, 4), {}),
    "one of three": ([None, 5, 1], [None, None, 1], (3, 5, 1), (3, 1, 1), {}),
    "weight": ([None, 3], [None, 3], (4, 3), (4, 3), {"weight": ([None], (1,))}),
    "column": ([None, 3], [None, 3], (4, 3), (4, 3), {"weight": ([None, 1], (2, 1))}),
    "mask": ([None], [None], (4,), (4,), {"mask": ([None], (1,))}),
}


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", OPEN)
def test_nothing_broadcasts_along_open_axes_when_compiled_either(name, jit, gradient):
    """XLA drops TensorFlow's assertions."""
    *shapes, pred, target, others = OPEN[name]
    kinds = {"weight": tf.float32, "mask": tf.bool}
    signature = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    signature += [tf.TensorSpec(shape, kinds[k]) for k, (shape, _) in others.items()]

    @tf.function(jit_compile=jit, input_signature=signature)
    def f(pred, target, *rest):
        with tf.GradientTape() as tape:
            tape.watch(pred)
            value = CRITERION(pred, target, **dict(zip(others, rest, strict=True)))
        return tape.gradient(value, pred) if gradient else value

    rest = [tf.cast(tf.ones(shape), kinds[k]) for k, (_, shape) in others.items()]
    with pytest.raises(tf.errors.InvalidArgumentError, match="equal"):
        f(tf.ones(pred), tf.zeros(target), *rest)
    whole = [tf.cast(tf.ones(pred[: len(shape)]), kinds[k]) for k, (_, shape) in others.items()]
    if name != "column":
        f(tf.ones(pred), tf.zeros(pred), *whole)


FIRST_CALL = """
import logging
import tensorflow as tf, l2core

class Seen(logging.Handler):
    def emit(self, record):
        raise AssertionError(record.getMessage())

tf.get_logger().addHandler(Seen())
tf.get_logger().setLevel("WARNING")
f = tf.function(lambda x: l2core.Criterion()(x, x))
assert f(tf.ones(3)).numpy() == 0
"""


def test_the_search_for_the_backend_is_silent_in_a_trace():
    done = subprocess.run(
        [sys.executable, "-c", FIRST_CALL], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "AutoGraph" not in done.stderr


def test_denominators_of_open_shapes():
    shape = tf.TensorSpec([None, None, 2], tf.float32)
    p = tf.ones((3, 4, 2))
    for criterion, n in (
        (l2core.Criterion(), 24),
        (l2core.Criterion(denominator="batch"), 3),
        (l2core.Criterion(axis=(0, 2)), 6),
        (l2core.Criterion(denominator=5.0), 5),
    ):
        f = tf.function(lambda p, c=criterion: c(p, tf.zeros_like(p)), input_signature=[shape])
        assert_allclose(f(p), 24 / n / (4 if criterion.axis else 1))
    f = tf.function(
        lambda p: l2keras.MeanSquaredError()(tf.zeros_like(p), p), input_signature=[shape]
    )
    assert f(p) == 1
    assert f(p[:0]) == 0


def test_variables_are_taken_and_arrays_of_others_are_not():
    assert l2core.Criterion()(tf.Variable([3.0]), tf.constant([1.0])) == 4
    with pytest.raises(TypeError, match="target: expected tensorflow"):
        l2core.Criterion()(tf.constant([3.0]), np.ones(1))


def test_two_replicas_train_as_one(record_property):
    support = Path(__file__).parent.parent / "support"
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("two_replicas.py")],
        env=os.environ | {"PYTHONPATH": f"{support}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    record_property("splits", json.loads(done.stdout.splitlines()[-1]))


def test_no_float64_hides_in_a_float32_graph():
    """TFLite has none: of every loss, weighted and masked, with its gradient."""

    def program(pred, target, weight, mask):
        with tf.GradientTape() as tape:
            tape.watch(pred)
            total = 0.0
            for kind in l2core.LOSSES.values():
                more = {"variance": pred * pred} if kind.needs else {}
                loss = l2keras.Criterion(kind())
                total += loss(target, pred, weight, **more) + loss(target, pred, mask=mask, **more)
        return tape.gradient(total, pred)

    spec = tf.TensorSpec((None, 3))
    rows = tf.TensorSpec((None,))
    graph = tf.function(program).get_concrete_function(
        spec, spec, rows, tf.TensorSpec((None,), bool)
    )
    pending, seen = [graph.graph], []
    while pending:
        current = pending.pop()
        seen += [x.dtype for op in current.get_operations() for x in op.outputs]
    assert tf.float32 in seen
    assert tf.float64 not in seen


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("n", [0, 1, 127, 128, 129, 16_385, 3_000_001])
def test_sums_in_graphs(jit, known, n):
    """Equal terms, which one after the other err by n times 2^-24 in float32, and axes of any length."""
    from l2keras.tensorflow import XP

    x = tf.fill((n,), 0.1)
    shape = tf.TensorSpec((n if known else None,))
    found = tf.function(XP.sum, input_signature=[shape], jit_compile=jit)(x)
    exact = n * float(np.float32(0.1))
    # Rows of 128, three times, and what is left: that many roundings of 2^-24 at most.
    assert abs(float(found) - exact) <= (3 * 128 + n / 128**3) * 2**-24 * exact
    if 0 < n < 20_000:
        wide = tf.TensorSpec((2, None, 3))
        by_axis = tf.function(
            lambda x: XP.sum(x, axis=(1,)), input_signature=[wide], jit_compile=jit
        )
        assert by_axis(tf.ones((2, n, 3))).numpy().tolist() == [[n] * 3] * 2


def test_functions_of_graphs_near_0_and_far():
    """log1p and sinh of graphs, which TFLite lacks: 4 ULP of float32."""
    from l2keras.tensorflow import XP

    x = np.concatenate([10.0 ** np.linspace(-30, 1.5, 400), [0.0, 0.5, 1.0]]).astype("float32")
    x = np.concatenate([x, -x])
    wide = x.astype(float)
    for f, expected, where in (
        (XP.log1p, np.log1p(np.where(wide > -0.9, wide, 0.0)), wide > -0.9),
        (XP.sinh, np.sinh(wide), wide > -np.inf),
    ):
        found = tf.function(f)(tf.constant(x)).numpy()
        np.testing.assert_allclose(found[where], expected[where], rtol=8 * 2**-24, atol=0)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
@pytest.mark.parametrize("shape", [(3, 2), (3, 1)])
def test_variables_as_weights_of_eager_calls(loss, shape):
    weight = tf.Variable(tf.fill(shape, 2.0))
    with tf.GradientTape() as tape:
        value = l2core.Criterion(loss, denominator="count")(
            tf.ones((3, 2)), tf.zeros((3, 2)), weight=weight
        )
    assert value.numpy() == 2
    assert tape.gradient(value, weight).numpy().sum() == 1


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("n", [1, 31, 32, 33, 1000])
def test_sums_of_lengths_that_are_open_while_tracing(n, compiled):
    """Below and above where rows begin: the value, and the gradient where weight and prediction are one."""
    vector = tf.TensorSpec([None])

    @tf.function(input_signature=[vector], jit_compile=compiled)
    def both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = l2core.Criterion(reduction="sum")(x, tf.zeros_like(x), weight=x)
        return value, tape.gradient(value, x)

    x = np.arange(1, n + 1, dtype=np.float32) % 8  # of which all sums are exact
    value, grad = both(tf.constant(x))
    assert value.numpy() == np.sum(x**3, dtype=np.float64)
    np.testing.assert_array_equal(grad.numpy(), 3 * x**2)
