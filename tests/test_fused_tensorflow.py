"""TensorFlow's fused sum of squares, eager: the bits of the plain path, in both derivatives."""

import numpy as np
import pytest
import tensorflow as tf

from l2core import Criterion, HalfSquaredError, Huber, SquaredError
from l2core.fastpath import plain_only
from paths import ARGUMENTS, MEANS, inputs, no_plain_path, one_large_among_small


def results(criterion, pred, target, arguments):
    """Value, its gradients to pred, target and weight, and theirs to pred and weight."""
    pred, target = tf.Variable(pred), tf.constant(target)
    arguments = {name: tf.constant(x) for name, x in arguments.items()}
    weights = [x for name, x in arguments.items() if name == "weight"]
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(weights)
        with tf.GradientTape() as tape:
            tape.watch([target, *weights])
            value = criterion(pred, target, **arguments)
        grads = tape.gradient(value, [pred, target, *weights])
    second = [y for x in grads for y in outer.gradient(x, [pred, *weights])]
    return value.numpy(), *(None if x is None else x.numpy() for x in (*grads, *second))


@pytest.mark.parametrize("kind", ARGUMENTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("fields", MEANS, ids=str)
@pytest.mark.parametrize("loss", [SquaredError(), HalfSquaredError()], ids=repr)
def test_both_paths_agree(loss, fields, dtype, kind):
    criterion = Criterion(loss, **fields)
    pred, target, arguments = inputs(kind, (40, 31), dtype)
    with no_plain_path():
        value, *found = results(criterion, pred, target, arguments)
    with plain_only():
        plain, *expected = results(criterion, pred, target, arguments)
    # Sums of 1240 elements in any order, and 5 roundings; those of a root, and of a mean by the
    # weights, are in the derivatives too: the value in those to a weight, with its own sign.
    bound = (1240 + 5) * np.finfo(dtype).eps
    np.testing.assert_allclose(value, plain, rtol=bound)
    for i, (x, y) in enumerate(zip(found, expected, strict=True)):
        if y is None:
            assert x is None
        elif criterion.reduction == "root_mean" or i > 1:
            np.testing.assert_allclose(x, y, rtol=4 * bound, atol=4 * bound * np.abs(y).max())
        else:
            # Where absent, the gradient to a target is minus that to a prediction: -0.
            assert (x + 0).tobytes() == y.tobytes()


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
    "both": (Criterion(), ONES, {"weight": ONES, "mask": ONES > 0}),
    "a number": (Criterion(denominator="count"), ONES, {"weight": 2.0}),
    "weight per output": (Criterion(), ONES, {"weight": ONES[:1]}),
    "64-bit integers": (Criterion(), tf.cast(ONES, "int64"), {}),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_the_plain_path_serves_the_unusual(name):
    criterion, x, arguments = UNUSUAL[name]
    with no_plain_path(), pytest.raises(AssertionError, match="plain"):
        criterion(x, x, **arguments)


PAIRS = [
    ("bfloat16", "bfloat16"),
    ("float16", "float32"),
    ("float32", "float64"),
    ("int32", "int16"),
]


@pytest.mark.parametrize("weights", [None, "bfloat16", "float64", "int32"])
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_other_dtypes_are_cast(first, second, weights):
    pred, target, _ = inputs("nothing", (40, 31), "float64")
    pred, target = tf.cast(9 * pred, first), tf.cast(9 * target, second)
    arguments = {} if weights is None else {"weight": tf.cast(tf.range(40) % 4, weights)}

    def both():
        with tf.GradientTape() as tape:
            tape.watch([x for x in (pred, target) if x.dtype.is_floating])
            value = Criterion()(pred, target, **arguments)
        return value, *tape.gradient(value, [pred, target])

    with no_plain_path():
        value, *found = both()
    with plain_only():
        plain, *expected = both()
    assert value.dtype == plain.dtype
    bound = (1240 + 5) * np.finfo(value.dtype.as_numpy_dtype).eps
    np.testing.assert_allclose(value, plain, rtol=bound)
    for x, y in zip(found, expected, strict=True):
        assert (x is None) == (y is None)
        assert x is None or (x.dtype == y.dtype and np.all(x.numpy() == y.numpy()))


@pytest.mark.parametrize("open_length", [False, True])
@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("loss", [SquaredError(), HalfSquaredError()], ids=repr)
def test_a_graph_has_the_same_bits(loss, xla, open_length):
    pred, target, _ = inputs("nothing", (40, 31), "float32")
    criterion = Criterion(loss)

    def both(pred, target):
        with tf.GradientTape() as outer:
            outer.watch(pred)
            with tf.GradientTape() as tape:
                tape.watch([pred, target])
                value = criterion(pred, target)
            first = tape.gradient(value, [pred, target])
        return value, *first, outer.gradient(first[0], pred)

    spec = tf.TensorSpec([None if open_length else 40, 31], "float32")

    def made():
        def fresh(pred, target):
            return both(pred, target)

        kinds = {"jit_compile": True} if xla else {}
        return tf.function(fresh, input_signature=[spec, spec], autograph=False, **kinds)

    with no_plain_path():
        found = made()(pred, target)
    with plain_only():
        expected = made()(pred, target)
    for x, y in zip(found[1:], expected[1:], strict=True):
        assert (x.numpy() + 0).tobytes() == (y.numpy() + 0).tobytes()
    bound = (1240 + 5) * np.finfo("float32").eps
    np.testing.assert_allclose(found[0], expected[0], rtol=bound)


def test_a_graph_with_weights_takes_the_plain_path():
    def f(x):
        with no_plain_path():
            return Criterion()(x, x, weight=x)

    with pytest.raises(AssertionError, match="plain"):
        tf.function(f, autograph=False)(ONES)
    f(ONES)


@pytest.mark.parametrize("weight", [np.nan, np.inf, 3e38])
def test_what_is_not_finite_is_told_as_on_the_plain_path(weight):
    pred, factor = tf.constant([1.0, 2.0, 3e19]), tf.constant([1.0, weight, 2.0])

    def both():
        with tf.GradientTape() as tape:
            tape.watch([pred, factor])
            value = Criterion()(pred, 0 * pred, weight=factor)
        return value, *tape.gradient(value, [pred, factor])

    found = both()
    with plain_only():
        expected = both()
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_mean_over_nothing():
    for empty, expected in (("nan", np.nan), ("zero", 0.0)):
        np.testing.assert_equal(Criterion(empty=empty)(ONES[:0], ONES[:0]).numpy(), expected)
