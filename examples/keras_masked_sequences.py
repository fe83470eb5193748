"""Padded sequences in Keras: a Masking layer's mask reaches the loss, which selects by it.

The targets beyond each sequence's end are NaN here, on purpose: Keras multiplies by the mask, and
0 times NaN is NaN.
"""

import keras
import numpy as np

import l2keras

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)
lengths = rng.integers(5, 40, 64)
x = np.zeros((64, 40, 1), "float32")
y = np.full((64, 40, 1), np.nan, "float32")
for i, n in enumerate(lengths):
    curve = np.sin(0.3 * np.arange(n + 1) + i) + 1.5  # never the mask value 0
    x[i, :n, 0], y[i, :n, 0] = curve[:-1], curve[1:]


def trained(loss: keras.losses.Loss) -> list[float]:
    """The loss by epoch."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((40, 1)),
            keras.layers.Masking(0.0),
            keras.layers.SimpleRNN(16, return_sequences=True),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), loss=loss)
    return model.fit(x, y, epochs=8, verbose=0).history["loss"]


print(
    "keras.losses.MeanSquaredError:",
    *(f"{v:.3f}" for v in trained(keras.losses.MeanSquaredError())),
)
print("l2keras.Criterion:            ", *(f"{v:.3f}" for v in trained(l2keras.Criterion())))
