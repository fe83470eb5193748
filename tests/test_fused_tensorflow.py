"""TensorFlow's fused sum of squares, eager: the bits of the plain path, in both derivatives."""

import numpy as np
import pytest
import tensorflow as tf

from l2core import Criterion, HalfSquaredError, Huber, SquaredError
from l2core.fastpath import plain_only
from paths import MEANS, inputs, no_plain_path, one_large_among_small


def results(criterion, pred, target):
    """Value, its gradients to pred and target, and theirs to pred."""
    pred, target = tf.Variable(pred), tf.constant(target)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as tape:
            tape.watch(target)
            value = criterion(pred, target)
        grads = tape.gradient(value, [pred, target])
    return value.numpy(), *(x.numpy() for x in grads), outer.gradient(grads[0], pred).numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("fields", MEANS, ids=str)
@pytest.mark.parametrize("loss", [SquaredError(), HalfSquaredError()], ids=repr)
def test_both_paths_agree(loss, fields, dtype):
    criterion = Criterion(loss, **fields)
    pred, target, _ = inputs("nothing", (40, 31), dtype)
    with no_plain_path():
        *found, value = reversed(results(criterion, pred, target))
    with plain_only():
        *expected, plain = reversed(results(criterion, pred, target))
    # Sums of 1240 elements in any order, and 5 roundings; of a root also in its derivatives.
    bound = (1240 + 5) * np.finfo(dtype).eps
    np.testing.assert_allclose(value, plain, rtol=bound)
    for x, y in zip(found, expected, strict=True):
        if criterion.reduction == "root_mean":
            np.testing.assert_allclose(x, y, rtol=4 * bound, atol=bound * np.abs(y).max())
        else:
            assert x.tobytes() == y.tobytes()


def test_the_sum_is_that_of_tensorflow():
    pred, target, total = one_large_among_small(100_000)
    with no_plain_path():
        value = Criterion(reduction="sum")(tf.constant(pred), tf.constant(target)).numpy()
    with plain_only():
        assert value == Criterion(reduction="sum")(tf.constant(pred), tf.constant(target)).numpy()
    assert abs(value - total) < 1e-3 * total


ONES = tf.ones((4, 6))
UNUSUAL = {
    "another loss": (Criterion(Huber()), ONES, {}),
    "axis": (Criterion(axis=0), ONES, {}),
    "weight": (Criterion(), ONES, {"weight": ONES}),
    "mask": (Criterion(), ONES, {"mask": ONES > 0}),
    "halves": (Criterion(), tf.cast(ONES, "bfloat16"), {}),
    "integers": (Criterion(), tf.cast(ONES, "int32"), {}),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_the_plain_path_serves_the_unusual(name):
    criterion, x, arguments = UNUSUAL[name]
    with no_plain_path(), pytest.raises(AssertionError, match="plain"):
        criterion(x, x, **arguments)


def test_the_plain_path_serves_a_graph():
    def f(x):
        with no_plain_path():
            return Criterion()(x, x)

    with pytest.raises(AssertionError, match="plain"):
        tf.function(f, autograph=False)(ONES)
    f(ONES)


def test_a_mean_over_nothing():
    for empty, expected in (("nan", np.nan), ("zero", 0.0)):
        np.testing.assert_equal(Criterion(empty=empty)(ONES[:0], ONES[:0]).numpy(), expected)
