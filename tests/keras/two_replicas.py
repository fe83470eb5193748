"""Run by test_tensorflow.py in a process of its own: MirroredStrategy on two virtual CPU devices.

Loss, metric and weights after training equal those of one device, although the replicas' sums of
weights differ and the last batch leaves them unequal numbers of rows.
"""

import json
from contextlib import nullcontext

import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

import keras  # the devices must exist first

import l2core
import l2keras
from splits import row

rng = np.random.default_rng(0)
x = rng.normal(size=(13, 3)).astype("float32")
y = rng.normal(size=(13, 2)).astype("float32")
weight = np.where(np.arange(13) % 8 < 4, 0.1, 3).astype("float32") * rng.uniform(size=13)


def trained(make, strategy):
    with strategy.scope() if strategy else nullcontext():
        dense = keras.layers.Dense(2, kernel_initializer="ones")
        model = keras.Sequential([keras.Input((3,)), dense])
        loss = make()
        ours = isinstance(loss, l2keras.base.KerasLoss)
        means = ours and loss.reduction != "sum" and not loss.criterion.exact
        metrics = [l2keras.CriterionMetric(loss, "twin")] if means else []
        if getattr(loss, "reduction", None) == "root_mean":  # once: they are the loss's no more
            metrics += [l2keras.ErrorMetric("r2"), l2keras.ErrorMetric("quantile", q=0.7)]
        options = {"weighted_metrics": metrics, "jit_compile": False}
        model.compile(keras.optimizers.SGD(0.1), loss=loss, **options)
    history = model.fit(x, y, sample_weight=weight, batch_size=8, shuffle=False, verbose=0).history
    if loss.reduction == "sum":
        history = {}  # Keras reports a mean of sums, weighted by rows
    return [*model.get_weights(), *(np.array(values) for values in history.values())]


def difference(make):
    one, two = trained(make, None), trained(make, strategy)
    return max(np.abs(a - b).max() for a, b in zip(one, two, strict=True))


strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for make in (
    lambda: l2keras.Criterion(l2core.Huber(0.5), "root_mean", "count"),
    lambda: l2keras.Criterion(denominator=10.0),
    lambda: l2keras.Criterion(l2core.LogCosh(), "sum"),
    lambda: l2keras.MeanSquaredError("mean_with_sample_weight"),
):
    # Two steps at rate 0.1, gradients of 16 products of size 10, summed in another order: 2e-6,
    # and 16 times that for a sum in a mean's place.
    assert difference(make) < (3e-5 if make().reduction == "sum" else 2e-6), make().get_config()

# The test could fail: Keras's own loss averages the replicas' means.
assert difference(lambda: keras.losses.MeanSquaredError("mean_with_sample_weight")) > 0.01


def steps(make, strategy):
    kernel, bias = trained(make, strategy)[:2]
    return [kernel - 1, bias]


def mean(library):
    return lambda: library.MeanSquaredError("mean_with_sample_weight")


one = steps(mean(l2keras), None)
found = row(
    "Keras on TensorFlow: tf.distribute.MirroredStrategy",
    "2 uneven replicas (gradient column: 2 steps)",
    None,
    (steps(mean(l2keras), strategy), one),
    (steps(mean(keras.losses), strategy), one),
)
print(json.dumps(found))

exact = l2keras.Criterion(exact=True)
halves = (
    tf.constant(np.stack([x[:6], x[6:12]])),
    tf.constant(np.stack([y[:6], y[6:12]]) @ np.ones((2, 3), "f")),
)


def part():
    i = tf.distribute.get_replica_context().replica_id_in_sync_group
    return exact(halves[1][i], halves[0][i])


whole = exact(tf.reshape(halves[1], [12, 3]), tf.reshape(halves[0], [12, 3]))
for value in strategy.experimental_local_results(strategy.run(part)):
    np.testing.assert_array_equal(2 * value, whole)  # Keras multiplies by the number of replicas
plain = steps(l2keras.Criterion, strategy)
for a, b in zip(steps(lambda: exact, strategy), plain, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5)

# A mean for each sample is none of the batch, and the replicas share nothing of it.
pair = tf.constant(y[:2]), tf.constant(2 * y[:2])
each = l2keras.Criterion(axis=-1)
for value in strategy.experimental_local_results(strategy.run(each, pair)):
    np.testing.assert_array_equal(value, each(*pair))
