"""CriterionMetric: the loss, its metric and a computation by hand mean the same."""

from functools import partial

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose

import l2core
import l2keras

# Sums of at most 52 float32 terms of a few roundings, in another order than by hand: 64 of 2^-24.
close = partial(assert_allclose, rtol=64 * 2**-24)

CRITERIA = [
    l2core.Criterion(),
    l2core.Criterion(reduction="root_mean"),
    l2core.Criterion(l2core.Huber(0.5), denominator="count"),
    l2core.Criterion(l2core.Quantile(0.9), denominator="batch"),
    l2core.Criterion(l2core.AbsoluteError(), axis=0),
    l2core.Criterion(l2core.SquaredError(), "root_mean", axis=0),
]


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("sizes", [[26], [8, 8, 8, 2], [1, 25], [20, 0, 6]])
def test_any_split_gives_the_loss_of_the_whole(data, criterion, sizes):
    metric = l2keras.CriterionMetric(criterion)
    for part in np.split(np.arange(26), np.cumsum(sizes)[:-1]):
        metric.update_state(data.y[part], data.y[part] * 2 + 1, sample_weight=data.weight[part])
    expected = criterion(data.y * 2 + 1, data.y, weight=data.weight)
    loss = l2keras.Criterion.of(criterion)(data.y, data.y * 2 + 1, data.weight)
    close(metric.result(), expected)
    close(loss, expected)
    metric.reset_state()
    assert np.isnan(keras.ops.convert_to_numpy(metric.result())).all()  # a mean over nothing
    metric.update_state(data.y, data.y)
    assert not keras.ops.convert_to_numpy(metric.result()).any()


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "mean_with_sample_weight"])
def test_metric_of_a_drop_in(data, reduction):
    loss = l2keras.MeanSquaredError(reduction)
    metric = l2keras.CriterionMetric(loss)
    for part in np.split(np.arange(26), [8, 16, 24]):
        metric.update_state(data.y[part], data.y[part] * 2, data.weight[part])
    total = (data.weight[:, None] * data.y**2).sum() / 2
    n = data.weight.sum() if reduction == "mean_with_sample_weight" else 26
    close(metric.result(), total / n)
    close(loss(data.y, data.y * 2, data.weight), total / n)


def test_fit_reports_what_the_whole_data_gives(linear, data):
    model = linear()
    criterion = l2core.Criterion(l2core.Huber(0.5))
    loss = l2keras.Criterion.of(criterion)
    unweighted = l2keras.CriterionMetric(loss, name="unweighted")
    columns = l2core.Criterion(l2core.AbsoluteError(), axis=0, denominator="count")
    model.compile(
        keras.optimizers.SGD(0.0),
        loss=loss,
        metrics=[unweighted],
        weighted_metrics=[
            l2keras.CriterionMetric(loss),
            l2keras.CriterionMetric(columns, "columns"),
        ],
    )
    validation = (data.x[:9], data.y[:9], data.weight[:9])
    logs = model.fit(
        data.x, data.y, sample_weight=data.weight, validation_data=validation,
        batch_size=8, epochs=2, verbose=0,
    ).history  # fmt: skip
    pred = np.repeat(data.x.sum(axis=1, keepdims=True), 2, axis=1)
    for prefix, rows in (("", slice(26)), ("val_", slice(9))):
        p, y, w = pred[rows], data.y[rows], data.weight[rows]
        for epoch in range(2):
            close(logs[prefix + loss.name][epoch], criterion(p, y, weight=w))
            close(logs[prefix + "unweighted"][epoch], criterion(p, y))
            close(logs[prefix + "columns"][epoch], columns(p, y, weight=w))


def test_masks_and_absent_elements_count_as_in_the_loss():
    x = np.array([[[1.0], [2.0]], [[3.0], [0.0]]], "float32")
    y = np.array([[[0.0], [0.0]], [[0.0], [np.nan]]], "float32")
    masking = keras.Sequential([keras.Input((2, 1)), keras.layers.Masking()])
    loss = l2keras.Criterion()
    masking.compile("sgd", loss=loss, weighted_metrics=[l2keras.CriterionMetric(loss, "twin")])
    result = masking.evaluate(
        x, y, sample_weight=np.array([1.0, 2.0]), batch_size=1, verbose=0, return_dict=True
    )
    close(result["twin"], (1 + 4 + 2 * 9) / 4)


def test_it_takes_what_the_loss_takes(data):
    """Mask, variance, and each part's share of the denominator."""
    criterion = l2core.Criterion(l2core.GaussianNLL())
    mask, variance = data.y > -0.5, 1 + data.weight
    metric = l2keras.CriterionMetric(criterion)
    for part in np.split(np.arange(26), [8, 16, 24]):
        rest = {"mask": mask[part], "variance": variance[part], "denominator": len(part) / 2}
        metric.update_state(data.y[part], data.y[part] * 2, data.weight[part], **rest)
    rest = {"mask": mask, "variance": variance, "denominator": 13.0}
    close(metric.result(), criterion(data.y * 2, data.y, weight=data.weight, **rest))


def test_half_precision_neither_overflows_nor_loses_small_weights():
    # Trap: 300² is no float16, and 70,000 no float16 either.
    metric = l2keras.CriterionMetric(l2core.Criterion())
    y = np.zeros((2, 1), "float16")
    metric.update_state(y, y + 300, sample_weight=np.array([70000.0, 1e-3], "float32"))
    close(metric.result(), 90000.0)


def test_sums_are_as_wide_as_the_backend_has_them(keras_backend):
    metric = l2keras.CriterionMetric(l2core.Criterion(l2core.AbsoluteError()))
    assert metric.dtype == ("float32" if keras_backend == "jax" else "float64")
    if metric.dtype == "float64":
        metric.update_state(np.array([0.0]), np.array([2.0**30]))
        metric.update_state(np.array([0.0]), np.array([1.0]))
        assert metric.result() == (2**30 + 1) / 2
    assert l2keras.CriterionMetric(l2core.Criterion(), dtype="float32").dtype == "float32"


@pytest.mark.parametrize("dtype", [None, "float32"])
def test_serialises(data, dtype):
    for criterion in (l2keras.Criterion(l2core.Huber(0.5), "root_mean"), l2keras.Huber(0.5)):
        metric = l2keras.CriterionMetric(criterion, name="twin", dtype=dtype)
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
        assert again.get_config() == metric.get_config()
        assert (again.name, again.dtype) == ("twin", metric.dtype)
        metric.update_state(data.y, data.y + 1)
        again.update_state(data.y, data.y + 1)
        assert metric.result() == again.result()


@pytest.mark.parametrize(
    ("argument", "error", "message"),
    [
        ("mse", TypeError, "criterion: expected a loss of l2keras or an l2core.Criterion, got"),
        (l2core.Criterion(reduction="sum"), ValueError, "expected one whose reduction is a mean"),
        (l2keras.Huber(reduction=None), ValueError, "expected one whose reduction is a mean"),
    ],
)
def test_errors(argument, error, message):
    with pytest.raises(error, match=message):
        l2keras.CriterionMetric(argument)
