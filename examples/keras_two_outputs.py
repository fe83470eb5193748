"""Keras: a loss for each output in a dict, loss weights, and a model saved and loaded with both.

One output is the median of a patient's progression, the other its 90 % quantile. A saved Keras
Huber comes back with delta 1; these losses come back with every parameter.
"""

import tempfile
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import scale

import l2keras
from l2core import Huber, Quantile

keras.utils.set_random_seed(0)
data = load_diabetes()
x = scale(data.data).astype("float32")
y = scale(data.target).astype("float32")[:, None]

inputs = keras.Input((10,))
hidden = keras.layers.Dense(16, "tanh")(inputs)
outputs = {name: keras.layers.Dense(1, name=name)(hidden) for name in ("typical", "high")}
model = keras.Model(inputs, outputs)
model.compile(
    keras.optimizers.Adam(0.01),
    loss={
        "typical": l2keras.Criterion(Huber(delta=0.5)),
        "high": l2keras.Criterion(Quantile(q=0.9)),
    },
    loss_weights={"typical": 1.0, "high": 2.0},
)
targets = {"typical": y, "high": y}
model.fit(x, targets, epochs=40, batch_size=64, verbose=0)

with tempfile.TemporaryDirectory() as folder:
    model.save(Path(folder) / "model.keras")
    loaded = keras.models.load_model(Path(folder) / "model.keras")

for name, loss in loaded.loss.items():
    print(f"{name}: {loss.criterion.loss}")
before, after = (
    m.evaluate(x, targets, batch_size=len(x), verbose=0, return_dict=True) for m in (model, loaded)
)
assert before == after
print(f"loss {before['loss']:.6f}, loaded {after['loss']:.6f}")
below = np.mean(y < model.predict(x, verbose=0)["high"])
print(f"{below:.1%} of the patients lie below their 90 % quantile")
