"""Accumulated gradients are those of the mean over each window; metrics those of all batches."""

from itertools import pairwise

import keras
import numpy as np
import pytest

import l2core
import l2keras
from l2core.figures import FIGURES
from splits import row

# Three steps at rate 0.1, each of a matrix product of 20 rows and sums of 40 float32 terms near 4.
CLOSE = 3 * 0.1 * 4 * 64 * 2.0**-24
NAMES = {"jax": "JAX", "tensorflow": "TensorFlow", "torch": "torch"}
SIZES = [5, 2, 1, 7, 3, 3, 4, 1]  # of the batches: two windows of four


def batches(data):
    edges = np.cumsum([0, *SIZES])
    return [(data.x[a:b], data.y[a:b], data.weight[a:b]) for a, b in pairwise(edges)]


def by_hand(criterion, parts, k, rounds):
    """One step for each window of k batches, in float64."""
    kernel, bias = np.ones((3, 2)), np.zeros(2)
    parts = parts * rounds
    for i in range(0, len(parts) - k + 1, k):
        x, y, w = (
            np.concatenate(column).astype("f8") for column in zip(*parts[i : i + k], strict=True)
        )
        _, g = criterion.value_and_grad(x @ kernel + bias, y, weight=w)
        kernel, bias = kernel - 0.1 * x.T @ g, bias - 0.1 * g.sum(axis=0)
    return [kernel, bias]


@pytest.mark.parametrize(
    ("loss", "core"),
    [
        (l2keras.Criterion(l2core.Huber(0.5)), l2core.Criterion(l2core.Huber(0.5))),
        (l2keras.MeanSquaredError("mean_with_sample_weight"), l2core.Criterion()),
        (l2keras.MeanAbsoluteError(), l2core.Criterion("absolute_error", denominator="size")),
    ],
    ids=repr,
)
def test_accumulated_gradients(data, linear, loss, core, keras_backend, record_property):
    """Four batches a step, six of eight an epoch: windows reach over its end."""
    parts, k = batches(data), 4
    wanted = by_hand(core, parts, k, 3)[:2]

    def trained(batches, loss):
        model = linear()
        sgd = keras.optimizers.SGD(0.1, gradient_accumulation_steps=k)
        metric = l2keras.CriterionMetric(core, "mean")
        options = {"jit_compile": False, "weighted_metrics": [metric]}
        model.compile(sgd, loss=loss, **options)
        model.fit(batches, steps_per_epoch=6, epochs=4, verbose=0, shuffle=False)
        return model.get_weights()

    windows = l2keras.Windows(parts, loss, k)
    found = trained(iter(windows), windows.loss)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=CLOSE * 2)
    if loss.told().get("loss") == l2core.Huber(0.5):
        naive = trained((part for _ in range(3) for part in parts), loss)
        start = [np.ones((3, 2)), np.zeros(2)]
        steps = [[b - a for a, b in zip(start, end, strict=True)] for end in (found, wanted, naive)]
        told = row(
            f"Keras on {NAMES[keras_backend]}: gradient_accumulation_steps",
            "4 uneven weighted batches (gradient column: six steps)",
            None,
            steps[:2],
            (steps[2], steps[1]),
        )
        record_property("splits", told)
        assert told["alone"] > 0.01


def test_denominators_ahead(data):
    """On the backend's tensors; of Keras's reductions too."""
    total = 2 * data.weight.sum()
    for loss, wanted in (
        (l2keras.Criterion("gaussian_nll"), total),
        (l2keras.Criterion("gaussian_nll", packed=["variance"]), total),
        (l2keras.MeanSquaredError("mean_with_sample_weight"), total),
        (l2keras.MeanSquaredError(), 52),
    ):
        found = loss.denominator_of(data.y, data.weight)
        assert tuple(found.shape) == ()
        np.testing.assert_allclose(keras.ops.convert_to_numpy(found), wanted, rtol=1e-6)
    with pytest.raises(ValueError, match=r"^reduction: expected"):
        l2keras.Criterion(reduction="sum").denominator_of(data.y)


def test_a_window_without_weights_or_anything_that_counts(data, linear):
    windows = iter(l2keras.Windows([(data.x[:4], data.y[:4])], l2keras.MeanSquaredError(), 2))
    _, _, weight = next(windows)
    np.testing.assert_allclose(weight, np.full(4, 2 / 16, "f4"))
    half = (data.x[:4], data.y[:4], np.full(4, 6e4, "f2"))
    _, _, weight = next(iter(l2keras.Windows(300 * [half], l2keras.Criterion(), 300)))
    np.testing.assert_allclose(weight, np.full(4, 1 / 8, "f4"), rtol=1e-6)
    with pytest.raises(ValueError, match=r"^batches: expected at least one"):
        next(iter(l2keras.Windows([], l2keras.Criterion(), 2)))
    # A drop-in's fix-up of shapes is kept, and a criterion's strictness.
    y = data.y[:, 0]
    loss = l2keras.Windows([(data.x, y)], l2keras.MeanSquaredError(), 2).loss
    assert keras.ops.convert_to_numpy(loss(y, 2 * y[:, None])) == pytest.approx((y**2).sum(), 1e-5)
    with pytest.raises(ValueError, match="expected equal shapes"):
        l2keras.Windows([(data.x, y)], l2keras.Criterion(), 2).loss(y, 2 * y[:, None])
    zero = np.zeros(4, "f4")
    nothing = l2keras.Windows([(data.x[:4], data.y[:4], zero)], l2keras.Criterion(), 2)
    assert (next(iter(nothing))[2] == 0).all()


def test_what_windows_refuse(data):
    for wrong, error in (
        (keras.losses.MeanSquaredError(), TypeError),
        (l2keras.Criterion(reduction="root_mean"), ValueError),
        (l2keras.MeanSquaredError("sum"), ValueError),
        (l2keras.Criterion(axis=0), ValueError),
        (l2keras.Criterion(denominator=8.0), ValueError),
    ):
        with pytest.raises(error, match=r"^criterion: expected"):
            l2keras.Windows([], wrong, 2)
    with pytest.raises(ValueError, match=r"^steps: expected a whole number"):
        l2keras.Windows([], l2keras.Criterion(), 0)
    loss = l2keras.Windows([], l2keras.Criterion(), 2).loss
    with pytest.raises(ValueError, match=r"^mask: expected None with l2keras.Windows"):
        loss(data.y, data.y, mask=keras.ops.convert_to_tensor(data.weight > 0))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()


@pytest.mark.parametrize("figure", ["mse", "r2", "bias", "quantile"])
@pytest.mark.parametrize("outputs", [None, 2])
def test_figures_of_errors(data, figure, outputs):
    q = 0.9 if figure == "quantile" else None
    metric = l2keras.ErrorMetric(figure, outputs, q)
    pred = 2 * data.y + data.x[:, :2]
    for a, b in ((0, 8), (8, 8), (8, 9), (9, 26)):
        metric.update_state(data.y[a:b], pred[a:b], data.weight[a:b])
    state = l2core.ErrorStatistics.of(
        pred, data.y, weight=data.weight, axis=None if outputs is None else 0
    )
    wanted = state.quantile(q) if q else getattr(state, figure)
    found = keras.ops.convert_to_numpy(metric.result())
    # Sums of 52 float32 terms, a ratio of two, near 1.
    np.testing.assert_allclose(found, wanted, rtol=256 * 2.0**-24, atol=64 * 2.0**-24)
    assert metric._direction == FIGURES[figure]
    again = l2keras.ErrorMetric.from_config(metric.get_config())
    assert again.get_config() == metric.get_config()
    metric.reset_state()
    assert np.isnan(keras.ops.convert_to_numpy(metric.result())).all()


def test_figures_in_fit(data, linear):
    """Weighted, over partial batches, with Keras's fix-up of (n,) against (n, 1)."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
    metrics = [
        l2keras.ErrorMetric("r2"),
        l2keras.ErrorMetric("median_absolute_error", name="median"),
    ]
    model.compile(loss="mse", weighted_metrics=metrics, jit_compile=False)
    y = data.y[:, 0]
    _, r2, median = model.evaluate(data.x, y, sample_weight=data.weight, batch_size=8, verbose=0)
    state = l2core.ErrorStatistics.of(data.x.sum(axis=1), y, weight=data.weight)
    np.testing.assert_allclose([r2, median], [state.r2, state.median_absolute_error], rtol=1e-5)


def test_what_figures_refuse(data):
    with pytest.raises(ValueError, match=r"^figure: expected one of"):
        l2keras.ErrorMetric("mape")
    with pytest.raises(ValueError, match=r"^y_pred: expected shape \(N, 3\)"):
        l2keras.ErrorMetric("mse", 3).update_state(data.y, data.y)
    with pytest.raises(ValueError, match=r"^y_pred and y_true: expected equal shapes"):
        l2keras.ErrorMetric("mse").update_state(data.y[:, :1], data.y)


def test_process_group(keras_backend):
    if keras_backend == "torch":
        for loss in (l2keras.Criterion(process_group="world"), l2keras.MeanSquaredError()):
            loss.process_group = "world"
            again = type(loss).from_config(loss.get_config())
            assert again.process_group == "world"
        assert "process_group='world'" in repr(l2keras.Criterion(process_group="world"))
        with pytest.raises(TypeError, match=r"^process_group: expected a torch"):
            l2keras.Criterion(process_group="local")
    else:
        with pytest.raises(ValueError, match=r"^process_group: expected None with Keras on"):
            l2keras.Criterion(process_group="world")
