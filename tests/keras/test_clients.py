"""What Keras does with our losses beside calling them: shows, monitors, packs."""

import keras
import numpy as np
import pytest

import l2core
import l2keras

# Means of at most 52 float32 terms, added up over batches in another order: 64 of 2^-24.
RTOL = 64 * 2**-24

LOSSES = [
    l2keras.Criterion("huber"),
    l2keras.Criterion(l2core.Quantile(0.9)),
    l2keras.Huber(delta=0.5),
    l2keras.MeanSquaredError("mean_with_sample_weight"),
    l2keras.MeanAbsoluteError(),
    l2keras.LogCosh(),
]
OTHERS = [
    l2keras.Criterion(reduction="root_mean"),
    l2keras.Criterion(denominator="batch"),
    l2keras.Criterion(axis=0),
    l2keras.Criterion(nan_targets="ignore"),
    l2keras.MeanSquaredError("sum"),
    l2keras.MeanSquaredError(None),
]


def test_what_it_shows():
    shown = {
        "Criterion(loss=Huber(delta=0.5), axis=0)": l2keras.Criterion(l2core.Huber(0.5), axis=0),
        "Criterion(loss=SquaredError())": l2keras.Criterion(),
        "Criterion(loss=GaussianNLL(full=False, eps=1e-06, beta=0.0, variance=None), packed=['variance'])": (
            l2keras.Criterion("gaussian_nll", packed=["variance"])
        ),
        "Huber(delta=0.5, reduction='sum')": l2keras.Huber(0.5, "sum"),
        "LogCosh(reduction='sum_over_batch_size', dtype='float16')": l2keras.LogCosh(
            dtype="float16"
        ),
        "CriterionMetric(Criterion(loss=LogCosh()))": l2keras.CriterionMetric(
            l2core.Criterion("log_cosh")
        ),
    }
    assert {repr(x): text for text, x in shown.items()} == {text: text for text in shown}


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_loss_as_a_metric_is_the_mean_of_all_batches(linear, data, loss):
    """By weights in weighted_metrics=, as CriterionMetric, also where the last batch is short."""
    model = linear()
    again = type(loss).from_config({**loss.get_config(), "name": "weighted"})
    metric = l2keras.CriterionMetric(l2core.Criterion(loss.criterion.loss), name="exact")
    model.compile(loss="mse", metrics=[loss], weighted_metrics=[again, metric])
    seen = model.evaluate(
        data.x, data.y, sample_weight=data.weight, batch_size=8, verbose=0, return_dict=True
    )
    core, pred = l2core.Criterion(loss.criterion.loss), model.predict(data.x, verbose=0)
    weighted = core(pred, data.y, weight=data.weight)
    np.testing.assert_allclose(seen[loss.name], core(pred, data.y), rtol=RTOL)
    np.testing.assert_allclose(seen["weighted"], weighted, rtol=RTOL)
    np.testing.assert_allclose(seen["exact"], weighted, rtol=RTOL)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_metrics_of_other_ranks(loss):
    """One axis, and weights of each element, as in Keras's own metric of functions."""
    rng = np.random.default_rng(0)
    for shape in ((6,), (6, 4)):
        y, pred = rng.normal(size=(2, *shape)).astype("float32")
        weight = rng.random(shape).astype("float32")
        metric = keras.metrics.MeanMetricWrapper(loss)
        metric.update_state(y, pred, weight)
        expected = l2core.Criterion(loss.criterion.loss)(pred, y, weight=weight)
        np.testing.assert_allclose(metric.result(), expected, rtol=RTOL)


@pytest.mark.parametrize("loss", OTHERS, ids=repr)
def test_a_loss_that_is_no_mean_by_weights_is_no_metric(linear, data, loss):
    model = linear()
    model.compile(loss="mse", metrics=[loss])
    with pytest.raises(ValueError, match=r"metrics: expected l2keras\.CriterionMetric\("):
        model.evaluate(data.x, data.y, verbose=0)


@pytest.mark.parametrize("loss", LOSSES[1:3], ids=repr)
def test_callbacks_know_that_less_is_better(linear, data, loss, tmp_path):
    model = linear()
    metric = l2keras.CriterionMetric(loss, name="exact")
    model.compile(keras.optimizers.SGD(0.0), loss=loss, metrics=[loss], weighted_metrics=[metric])
    stop = keras.callbacks.EarlyStopping("val_exact", patience=1)
    path = tmp_path / "model.keras"
    save = keras.callbacks.ModelCheckpoint(path, f"val_{loss.name}", save_best_only=True)
    history = model.fit(
        data.x,
        data.y,
        validation_data=(data.x, data.y, data.weight),
        epochs=4,
        verbose=0,
        callbacks=[stop, save],
    )
    assert len(history.epoch) == 2  # nothing is learned at a rate of 0
    assert path.exists()
    for callback in (stop, save):
        assert callback.monitor_op(1.0, 2.0)


# --- several parameters in one output --------------------------------------------------------------


def packing():
    """Mean and variance of two targets, in one output."""
    inputs = keras.Input((3,))
    mean = keras.layers.Dense(2, kernel_initializer="ones")(inputs)
    variance = keras.layers.Dense(2, kernel_initializer="ones", activation="softplus")(inputs)
    return keras.Model(inputs, keras.layers.Concatenate()([mean, variance]))


def test_a_likelihood_of_one_output(data, tmp_path):
    loss = l2keras.Criterion("gaussian_nll", packed=["variance"])
    model = packing()
    metrics = [l2keras.CriterionMetric(loss, name="exact"), loss]
    model.compile(keras.optimizers.SGD(0.01), loss=loss, weighted_metrics=metrics)
    losses = model.fit(data.x, data.y, batch_size=26, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 0.1
    seen = model.evaluate(data.x, data.y, 8, sample_weight=data.weight, verbose=0, return_dict=True)
    out = model.predict(data.x, verbose=0)
    expected = l2core.Criterion("gaussian_nll")(
        out[:, :2], data.y, variance=out[:, 2:], weight=data.weight
    )
    # Terms of either sign: of the size of the largest, not of their sum.
    np.testing.assert_allclose([seen["exact"], seen[loss.name]], expected, rtol=0, atol=16 * RTOL)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras").loss
    assert again.packed == ("variance",)
    assert again.criterion == loss.criterion


def test_a_quantile_for_each_element():
    loss = l2keras.Criterion("quantile", packed=["q"])
    y, pred, q = (np.asarray([x], "float32") for x in ([0.0, 0.0], [1.0, -1.0], [0.25, 0.75]))
    found = loss(y, np.concatenate([pred, q], axis=1))
    assert float(found) == 0.75  # both are (1 - 0.25) and 0.75


def test_what_cannot_be_packed():
    with pytest.raises(ValueError, match="packed: expected a list of parameters of SquaredError"):
        l2keras.Criterion(packed=["variance"])
    with pytest.raises(ValueError, match="packed: expected a list of parameters of Huber"):
        l2keras.Criterion("huber", packed="delta")
    for wrong in (["delta", "delta"], None, 1, [["delta"]]):
        with pytest.raises(ValueError, match="packed: expected a list of parameters of Huber"):
            l2keras.Criterion("huber", packed=wrong)
    loss = l2keras.Criterion("huber", packed=["delta"])
    y, ok = np.zeros((4, 2), "float32"), np.ones((4, 4), "float32")
    loss(y, ok)
    loss(y, ok, delta=None)
    for attribute, value in (("packed", ["q"]), ("packed", "delta"), ("loss", "quantile")):
        with pytest.raises(ValueError, match="packed: expected a list of parameters of"):
            setattr(loss, attribute, value)
    loss.packed = []
    loss.loss = "quantile"
    loss.packed = ["q"]
    assert loss.packed == ("q",)
    loss = l2keras.Criterion("huber", packed=["delta"])
    for wrong in (np.ones((4, 2), "float32"), np.ones((4, 6), "float32"), ok[:, :3]):
        with pytest.raises(ValueError, match="y_pred: expected 2 times the last axis of y_true"):
            loss(y, wrong)
    with pytest.raises(ValueError, match="delta: expected None, since y_pred holds it"):
        loss(y, ok, delta=1.0)
    with pytest.raises(ValueError, match="delta: expected None with Huber"):
        l2keras.Criterion(l2core.Huber(0.5), packed=["delta"])(y, ok)
