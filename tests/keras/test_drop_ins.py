"""The losses with Keras's names: Keras's value where it is well defined, the right one where not."""

from functools import partial

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose

import l2core
import l2keras

PAIRS = [
    (l2keras.MeanSquaredError, keras.losses.MeanSquaredError),
    (l2keras.MeanAbsoluteError, keras.losses.MeanAbsoluteError),
    (partial(l2keras.Huber, 0.5), partial(keras.losses.Huber, 0.5)),
    (l2keras.LogCosh, keras.losses.LogCosh),
]
OURS = [ours for ours, _ in PAIRS]
REDUCTIONS = ["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None]
WEIGHTS = {
    "none": None,
    "number": 2.5,
    "per sample": np.array([1.0, 0.0, 3.0], "float32"),
    "column": np.array([[1.0], [0.0], [3.0]], "float32"),
}
# Twelve terms; Keras's log-cosh loses digits that residuals near 1 still have: 64 of 2^-24.
close = partial(assert_allclose, rtol=64 * 2**-24)


def _arrays(*shape):
    rng = np.random.default_rng(0)
    return (rng.normal(size=shape).astype("float32") for _ in range(2))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=list(WEIGHTS))
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_agrees_with_keras(ours, theirs, reduction, weight):
    y, p = _arrays(3, 4)
    arguments = {} if weight is None else {"sample_weight": weight}
    if reduction == "mean_with_sample_weight" and isinstance(weight, float):
        # It cancels; Keras divides the sum of three by the one number.
        with pytest.raises(ValueError, match="sample_weight: expected an array with axes"):
            ours(reduction=reduction)(y, p, **arguments)
        return
    expected = keras.ops.convert_to_numpy(theirs(reduction=reduction)(y, p, **arguments))
    result = keras.ops.convert_to_numpy(ours(reduction=reduction)(y, p, **arguments))
    assert result.dtype == expected.dtype
    if reduction in ("none", None) and np.ndim(weight) == 2:
        expected = expected[:, 0]  # Keras gives its losses the rank of the weights
    close(result, expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_agrees_with_keras_on_time_steps_and_masks(reduction):
    y, p = _arrays(3, 5, 2)
    mask = np.arange(5) < np.array([[5], [2], [1]])
    weight = np.arange(15, dtype="float32").reshape(3, 5)
    results = []
    for kind in (l2keras.MeanSquaredError, keras.losses.MeanSquaredError):
        pred = keras.ops.convert_to_tensor(p)
        keras.src.backend.set_keras_mask(pred, keras.ops.convert_to_tensor(mask))
        for w in (None, weight):
            results.append(keras.ops.convert_to_numpy(kind(reduction)(y, pred, w)))
    for ours, theirs in zip(results[:2], results[2:], strict=True):
        close(ours, theirs)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_call_is_per_sample(ours, theirs):
    y, p = _arrays(3, 4)
    tensors = [keras.ops.convert_to_tensor(x) for x in (y, p)]
    close(
        keras.ops.convert_to_numpy(ours().call(*tensors)),
        keras.ops.convert_to_numpy(theirs().call(*tensors)),
    )


@pytest.mark.parametrize("shapes", [((4,), (4, 1)), ((4, 1), (4,)), ((4, 2, 1), (4, 2))])
def test_a_last_axis_of_length_one_may_be_missing(shapes):
    y, p = np.arange(4.0).repeat(2)[: np.prod(shapes[0])], np.ones(8)[: np.prod(shapes[1])]
    y, p = y.reshape(shapes[0]).astype("float32"), p.reshape(shapes[1]).astype("float32")
    expected = keras.losses.MeanSquaredError()(y, p)
    close(l2keras.MeanSquaredError()(y, p), expected)


@pytest.mark.parametrize("ours", OURS)
@pytest.mark.parametrize("shapes", [((3, 1), (1, 3)), ((4, 1), (4, 3)), ((3,), (2, 3)), ((), ())])
def test_other_shapes_raise(ours, shapes):
    with pytest.raises(ValueError, match=r"y_pred"):
        ours()(np.zeros(shapes[0], "float32"), np.zeros(shapes[1], "float32"))


def test_weights_select_in_one_dimension():
    y, p = np.zeros(3, "float32"), np.array([1, 100, 1], "float32")
    close(l2keras.MeanSquaredError()(y, p, np.array([1.0, 0.0, 1.0], "float32")), 2 / 3)


def test_weights_align_with_the_leading_axes_also_when_lengths_agree():
    p = np.zeros((2, 2, 1), "float32")
    y = np.array([[[1.0], [1.0]], [[2.0], [4.0]]], "float32")
    loss = l2keras.MeanSquaredError("mean_with_sample_weight")
    close(loss(y, p, np.array([1.0, 0.0], "float32")), 1.0)


@pytest.mark.parametrize("ours", OURS)
@pytest.mark.parametrize("nothing", [np.nan, np.inf])
def test_weight_zero_selects(ours, nothing, value_and_grad):
    y = np.array([[1.0, 2.0], [nothing, 3.0]], "float32")
    w = np.array([1.0, 0.0], "float32")
    for p in (np.zeros((2, 2), "float32"), np.array([[0.0, 0.0], [nothing, 1.0]], "float32")):
        value, gradient = value_and_grad(lambda p: ours()(y, p, w), p)
        expected = keras.ops.convert_to_numpy(ours(reduction="none")(y[:1], p[:1]))
        close(value, expected[0] / 2)
        assert np.isfinite(gradient).all()
        assert gradient[0].any()
        assert not gradient[1].any()


def test_denominators_differ_as_they_are_named():
    y, p, w = np.array([[1.0], [2.0]]), np.zeros((2, 1)), np.array([1.0, 3.0])
    y, p = y.astype("float32"), p.astype("float32")  # losses 1 and 4
    close(l2keras.MeanSquaredError()(y, p, w), 6.5)
    close(l2keras.MeanSquaredError("mean_with_sample_weight")(y, p, w), 3.25)
    close(l2keras.Criterion()(y, p, w), 3.25)
    close(l2keras.Criterion(denominator="count")(y, p, w), 6.5)


def test_a_mean_over_nothing_is_zero():
    y = np.ones((2, 3), "float32")
    for reduction in REDUCTIONS[:3]:
        assert l2keras.MeanSquaredError(reduction)(y, 2 * y, np.zeros(2, "float32")) == 0
        assert l2keras.MeanSquaredError(reduction)(y[:0], y[:0]) == 0


def test_gradient_of_the_absolute_error_is_zero_at_zero(value_and_grad):
    y = np.array([[1.0, 2.0]], "float32")
    _, gradient = value_and_grad(lambda p: l2keras.MeanAbsoluteError()(y, p), y)
    assert not gradient.any()


def test_huber_far_out(value_and_grad):
    y, p = np.zeros((1, 1), "float32"), np.full((1, 1), 1e30, "float32")
    _, gradient = value_and_grad(lambda p: l2keras.Huber(0.5)(y, p), p)
    assert gradient == 0.5
    for delta in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="delta: expected a number > 0"):
            l2keras.Huber(delta)


def test_float64_stays(keras_backend):
    y = np.zeros((1, 1))
    loss = l2keras.MeanSquaredError()(y, y + 1e-9)
    if keras_backend == "jax":  # without 64-bit types
        assert loss.dtype == "float32"
    else:
        assert keras.ops.convert_to_numpy(loss) == 1e-9**2


def test_pixels_and_complex_numbers():
    y = np.array([[0, 0]], "uint8")
    assert l2keras.MeanSquaredError()(y, y + np.uint8(20)) == 400
    z = np.array([[1 + 2j]], "complex64")
    assert l2keras.MeanSquaredError()(z, 0 * z) == 5
    with pytest.raises(TypeError, match="expected real dtypes for Huber"):
        l2keras.Huber()(z, z)


def test_errors_name_the_argument():
    y = np.zeros((2, 2), "float32")
    loss = l2keras.MeanSquaredError()
    with pytest.raises(TypeError, match="denominator: expected None for MeanSquaredError"):
        loss(y, y, denominator=3.0)
    with pytest.raises(TypeError, match=r"y_pred: expected .*, got None"):
        loss(y, None)
    with pytest.raises(TypeError, match=r"y_true: expected .*, got list"):
        loss([[1.0]], y)
    with pytest.raises(ValueError, match=r"sample_weight: expected .* got \(3,\)"):
        loss(y, y, np.ones(3, "float32"))
    with pytest.raises(ValueError, match="reduction"):
        l2keras.MeanSquaredError("avg")


def test_criterion_refuses_two_masks():
    y = keras.ops.zeros((2, 2))
    mask = keras.ops.ones((2, 2), "bool")
    keras.src.backend.set_keras_mask(y, mask)
    with pytest.raises(ValueError, match="mask: expected None with a y_pred that carries"):
        l2keras.Criterion()(np.zeros((2, 2), "float32"), y, mask=mask)


def test_variables_are_tensors_too(value_and_grad):
    variable = keras.Variable(np.array([[3.0]], "float32"))
    criterion = l2keras.Criterion(l2core.GaussianNLL())
    y = np.zeros((1, 1), "float32")
    assert l2keras.Criterion()(y, variable) == 9
    value = keras.ops.convert_to_numpy(criterion(y, variable, variance=variable))
    close(value, (np.log(3.0) + 3) / 2)


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i2", ">i8"])
def test_arrays_of_the_other_byte_order(dtype):
    """As files of instruments have them; Keras's own losses take them."""
    y, p = np.array([1, 2, 5]), np.array([2, 2, 3])
    expected = l2keras.MeanSquaredError()(y.astype(dtype[1:]), p.astype(dtype[1:]))
    found = l2keras.MeanSquaredError()(
        y.astype(dtype), p.astype(dtype), sample_weight=np.ones(3, ">f4")
    )
    assert float(found) == float(expected) == pytest.approx(5 / 3)
    loss = l2keras.Criterion(l2core.Huber())
    assert float(loss(y.astype(dtype), p.astype(dtype), mask=y > 1)) == 0.75
