"""Run by test_jax.py: keras.distribution.DataParallel on two devices trains as one device does."""

import json

import jax
import keras
import numpy as np

import l2core
import l2keras
from splits import row

assert len(jax.devices()) == 2
rng = np.random.default_rng(0)
x = rng.normal(size=(16, 3)).astype("float32")
y = rng.normal(size=(16, 2)).astype("float32")
weight = np.where(np.arange(16) % 8 < 4, 0.1, 3).astype("float32")


def trained():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
    loss = l2keras.Criterion(l2core.Huber(0.5), "root_mean")
    metric = l2keras.CriterionMetric(loss, "twin")
    model.compile(keras.optimizers.SGD(0.1), loss=loss, weighted_metrics=[metric])
    options = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0}
    history = model.fit(x, y, sample_weight=weight, **options).history
    return [*model.get_weights(), *(np.array(values) for values in history.values())]


one = trained()
keras.distribution.set_distribution(keras.distribution.DataParallel())
two = trained()
for a, b in zip(one, two, strict=True):
    # Four steps at rate 0.1, gradients of 16 products of size 10 in another order: 4e-6.
    np.testing.assert_allclose(b, a, rtol=0, atol=4e-6)
found = row(
    "Keras on JAX: keras.distribution.DataParallel",
    "2 uneven devices (gradient column: 4 steps)",
    None,
    ([two[0] - 1, two[1]], [one[0] - 1, one[1]]),
)
print(json.dumps(found))
