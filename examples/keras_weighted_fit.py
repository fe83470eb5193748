"""Weighted data in Keras: the loss, the metric and a computation by hand are one number.

`fit` averages its own loss over batches, each with its own denominator; the metric twin adds up
numerators and denominators, so it is exact over partial batches and any split.
"""

import keras
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import scale

import l2keras
from l2core import Huber

keras.utils.set_random_seed(0)
data = load_diabetes()
x = scale(data.data).astype("float32")
y = scale(data.target).astype("float32")[:, None]
weight = np.where(np.abs(y[:, 0]) > 1.5, 3.0, 1.0).astype("float32")
weight[::7] = 0  # absent

model = keras.Sequential(
    [keras.Input((10,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(1)]
)
criterion = l2keras.Criterion(Huber(delta=0.5))
model.compile(
    "adam", loss=criterion, weighted_metrics=[l2keras.CriterionMetric(criterion, "exact")]
)
model.fit(x, y, sample_weight=weight, batch_size=64, epochs=20, verbose=0)

results = model.evaluate(x, y, sample_weight=weight, batch_size=64, verbose=0, return_dict=True)
pred = model.predict(x, verbose=0)
size = np.abs(pred - y).astype(float)[:, 0]
rho = np.where(size <= 0.5, 0.5 * size**2, 0.5 * (size - 0.25))
print(f"by hand, sum(w rho) / sum(w)     {(weight * rho).sum() / weight.sum():.7f}")
print(f"the metric, over 7 batches       {results['exact']:.7f}")
print(f"the criterion on all the data    {float(criterion(y, pred, weight)):.7f}")
print(f"Keras's mean of batches' losses  {results['loss']:.7f}")
