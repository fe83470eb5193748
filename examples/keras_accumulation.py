"""Keras's `gradient_accumulation_steps` with unequal weights: the step of one large batch.

Keras averages the gradients of the batches, which is a mean of means. `l2keras.Windows` gives each
batch the weights by which that average is the mean over the whole window.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np

import l2keras

rng = np.random.default_rng(0)
x = rng.normal(size=(128, 3)).astype("f4")
y = (x @ [[1.0], [2.0], [3.0]] + 0.1 * rng.normal(size=(128, 1))).astype("f4")
weight = np.where(np.arange(128) % 32 < 8, 5.0, 0.05).astype("f4")  # heavy batches and light ones
batches = [(x[i : i + 8], y[i : i + 8], weight[i : i + 8]) for i in range(0, 128, 8)]
criterion = l2keras.Criterion("huber")
K = 4


def trained(data, loss, **optimizer):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(
        keras.optimizers.SGD(0.5, **optimizer),
        loss=loss,
        weighted_metrics=[l2keras.CriterionMetric(criterion, "mean"), l2keras.ErrorMetric("r2")],
    )
    steps = len(batches) // (1 if optimizer else K)
    history = model.fit(data, steps_per_epoch=steps, epochs=3, verbose=0, shuffle=False).history
    return model.get_weights()[0], history


def large():
    while True:
        for i in range(0, len(batches), K):
            yield tuple(np.concatenate(part) for part in zip(*batches[i : i + K], strict=True))


def small():
    while True:
        yield from batches


windows = l2keras.Windows(batches, criterion, K)
accumulated = {"gradient_accumulation_steps": K}
expected, _ = trained(large(), criterion)
exact, history = trained(iter(windows), windows.loss, **accumulated)
naive, _ = trained(small(), criterion, **accumulated)
print("kernel after 12 steps, largest difference from that of large batches:")
print(
    f"  windows {np.abs(exact - expected).max():.1e}, Keras alone {np.abs(naive - expected).max():.1e}"
)
print(f"R² in the last epoch {history['r2'][-1]:.4f}")
# 12 steps of 32 float32 terms near 1, added in another order.
assert np.abs(exact - expected).max() < 12 * 32 * 2**-24 < np.abs(naive - expected).max()
