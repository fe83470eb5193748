"""A criterion that is called (pred, target) does not get into Keras, which calls (true, pred)."""

import keras
import numpy as np
import pytest

import l2core
import l2jax
import l2keras
import l2torch
from l2core import Quantile

CRITERIA = {
    "core": l2core.Criterion(Quantile(0.9)),
    "torch": l2torch.Criterion(Quantile(0.9)),
    "torch drop-in": l2torch.QuantileLoss(0.9),
    "jax": l2jax.Criterion(Quantile(0.9)),
}
RIGHT = r"got one from keras.*l2keras\.Criterion\(\.\.\.\).*l2keras\.CriterionMetric\(\.\.\.\)"
X = np.ones((8, 1), "float32")
Y = np.arange(8, dtype="float32")[:, None]


@pytest.mark.parametrize("place", ["loss", "losses", "metrics", "weighted_metrics"])
@pytest.mark.parametrize("kind", CRITERIA)
def test_it_raises_and_names_the_right_object(kind, place):
    model = keras.Sequential([keras.layers.Dense(1)])
    criterion = CRITERIA[kind]
    given = {"loss": criterion, "losses": [criterion]}.get(place, "mse")
    more = {} if "loss" in place else {place: [criterion]}

    def train():
        model.compile(loss=given, **more)
        model.fit(X, Y, verbose=0)

    with pytest.raises(TypeError, match=RIGHT):
        train()


def test_the_right_object_learns_the_quantile():
    x = np.random.default_rng(0).random((512, 1)).astype("float32")
    criterion = l2keras.Criterion(Quantile(0.9))
    model = keras.Sequential([keras.layers.Dense(1, kernel_initializer="zeros")])
    metric = l2keras.CriterionMetric(l2keras.Criterion(Quantile(0.9)))
    model.compile(keras.optimizers.SGD(0.5), loss=criterion, weighted_metrics=[metric])
    # Two weights: half of the data does not count, and would drag the quantile along.
    target = np.concatenate([x[:256], x[256:] + 100])
    weight = np.repeat([1.0, 0.0], 256).astype("float32")
    model.fit(np.zeros_like(x), target, sample_weight=weight, batch_size=512, epochs=40, verbose=0)
    learned = keras.ops.convert_to_numpy(model.layers[0].bias).item()  # of zeros, nothing else does
    assert abs((x[:256] < learned).mean() - 0.9) < 0.05
