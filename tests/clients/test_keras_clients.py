"""What searches and monitors Keras models, on TensorFlow, with our losses and metrics.

In float32, where a rounding is 6e-8 of a number: some thirty of them a step, on numbers below 4,
and up to eight steps: within 8 * 30 * 4 * 6e-8 = 6e-5.
"""

import keras
import keras_tuner as kt
import numpy as np
import pytest
from scikeras.wrappers import KerasRegressor

import l2keras
from l2core import Huber

tuner = pytest.mark.client("KerasTuner", "keras-tuner")
scikeras = pytest.mark.client("SciKeras", "scikeras")
callbacks = pytest.mark.client("Keras callbacks", "keras")

RNG = np.random.default_rng(9)
X, X_VAL = RNG.normal(size=(12, 3)).astype("f"), RNG.normal(size=(6, 3)).astype("f")
TRUTH = np.array([0.4, -0.3, 0.2], "f")
Y, Y_VAL = ((x @ TRUTH + 0.2 * RNG.normal(size=len(x))).astype("f") for x in (X, X_VAL))
WEIGHT, WEIGHT_VAL = (RNG.uniform(0.5, 2, size=n).astype("f") for n in (12, 6))
WEIGHT[2] = WEIGHT_VAL[1] = 0
RATES = [0.05, 0.4, 3.0]
CLOSE = {"rtol": 6e-5, "atol": 6e-5}


def layers():
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    return keras.Sequential([keras.Input((3,)), dense])


def linear(rate, name="exact"):
    model = layers()
    model.compile(
        optimizer=keras.optimizers.SGD(rate),
        loss=l2keras.Criterion(Huber(0.5)),
        weighted_metrics=[l2keras.CriterionMetric(l2keras.Criterion("absolute_error"), name=name)],
    )
    return model


DATA = {
    "x": X,
    "y": Y[:, None],
    "sample_weight": WEIGHT,
    "batch_size": 12,
    "validation_data": (X_VAL, Y_VAL[:, None], WEIGHT_VAL),
    "validation_batch_size": 4,  # the last has two: a mean of means shows
    "verbose": 0,
}


def by_hand(rate, epochs):
    """The weighted mean absolute error of the validation data after each epoch of one step."""
    k, seen = np.zeros(3), []
    for _ in range(epochs):
        k = k - rate * (WEIGHT * np.clip(X @ k - Y, -0.5, 0.5)) @ X / WEIGHT.sum()
        seen.append(WEIGHT_VAL @ abs(X_VAL @ k - Y_VAL) / WEIGHT_VAL.sum())
    return seen


class Search(kt.GridSearch):
    """Trials trained by `fit` alone: the tuner's own way imports TensorBoard, used or not."""

    def run_trial(self, trial, **data):
        return self.hypermodel.build(trial.hyperparameters).fit(**data)


@tuner
@pytest.mark.parametrize(
    ("name", "objective"),
    [("exact", kt.Objective("val_exact", "min")), ("huber", "val_huber")],
    ids=["objective", "name"],
)
def test_tuner(tmp_path, name, objective):
    """A search with our metric as the objective: `Objective("val_exact", "min")`, or the name \
alone if Keras has a loss of that name; every score by hand, and the best rate is chosen"""
    search = Search(
        lambda hp: linear(hp.Choice("rate", RATES), name=name),
        objective=objective,
        directory=tmp_path,
        project_name="a",
    )
    search.search(epochs=3, **DATA)
    found = {
        trial.hyperparameters.get("rate"): trial.score for trial in search.oracle.trials.values()
    }
    expected = {rate: min(by_hand(rate, 3)) for rate in RATES}
    assert found.keys() == expected.keys()
    for rate in RATES:
        np.testing.assert_allclose(found[rate], expected[rate], **CLOSE)
    best = search.get_best_hyperparameters()[0].get("rate")
    assert best == min(expected, key=expected.get)


@callbacks
def test_early_stopping():
    """`EarlyStopping` with mode "auto" on our metric knows that the least is the best: training \
stops where it first rises by hand"""
    expected = by_hand(3.0, 8)
    rises = [i for i in range(1, 8) if expected[i] > expected[i - 1]]
    assert rises
    assert rises[0] < 7  # else there is nothing to stop
    stop = keras.callbacks.EarlyStopping("val_exact", patience=1, mode="auto")
    seen = linear(3.0).fit(epochs=8, callbacks=[stop], **DATA).history["val_exact"]
    np.testing.assert_allclose(seen, expected[: rises[0] + 1], **CLOSE)


@callbacks
def test_model_checkpoint(tmp_path):
    """`ModelCheckpoint(save_best_only=True)` with mode "auto" on our metric: the model of the \
least by hand is kept, and loads with its loss"""
    path = tmp_path / "best.keras"
    keep = keras.callbacks.ModelCheckpoint(path, "val_exact", save_best_only=True)
    linear(3.0).fit(epochs=4, callbacks=[keep], **DATA)
    expected = by_hand(3.0, 4)
    assert int(np.argmin(expected)) < 3  # else the last would do
    again = keras.models.load_model(path)
    found = again.evaluate(
        X_VAL, Y_VAL[:, None], 4, sample_weight=WEIGHT_VAL, verbose=0, return_dict=True
    )
    np.testing.assert_allclose(found["exact"], min(expected), **CLOSE)
    assert again.loss.criterion.loss == Huber(0.5)


@scikeras
def test_scikeras():
    """`KerasRegressor(loss=...)` with sample weights: its weights are those by hand"""
    model = KerasRegressor(
        layers,
        loss=l2keras.Criterion(Huber(0.5)),
        optimizer=keras.optimizers.SGD(0.1),
        batch_size=12,
        epochs=3,
        verbose=0,
    )
    model.fit(X, Y[:, None], sample_weight=WEIGHT)
    k = np.zeros(3)
    for _ in range(3):
        k = k - 0.1 * (WEIGHT * np.clip(X @ k - Y, -0.5, 0.5)) @ X / WEIGHT.sum()
    np.testing.assert_allclose(model.model_.get_weights()[0][:, 0], k, **CLOSE)
