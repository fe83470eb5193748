"""Raw TensorFlow: the core's criterion in a GradientTape loop and in an XLA-compiled step."""

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import scale

from l2core import Criterion, Quantile

data = load_diabetes()
x = tf.constant(scale(data.data), tf.float32)
y = tf.constant(scale(data.target), tf.float32)


def step(w, b, criterion, rate):
    with tf.GradientTape() as tape:
        tape.watch([w, b])
        loss = criterion(tf.linalg.matvec(x, w) + b, y)
    dw, db = tape.gradient(loss, [w, b])
    return w - rate * dw, b - rate * db, loss


# There is no control flow on tensors to convert, and looking for it costs seconds at the first call.
compiled = tf.function(step, jit_compile=True, autograph=False)
print("quantile   loss eager     compiled   share of patients below the line")
for q in (0.1, 0.5, 0.9):
    criterion = Criterion(Quantile(q))
    ends = []
    for run in (step, compiled):
        w, b = tf.zeros(10), tf.zeros(())
        for i in range(120):
            w, b, loss = run(w, b, criterion, tf.constant(0.8 / (1 + i / 20)))
        ends.append(float(loss))
    below = float(tf.reduce_mean(tf.cast(y < tf.linalg.matvec(x, w) + b, tf.float32)))
    print(f"{q:7.1f} {ends[0]:13.6f} {ends[1]:12.6f} {below:14.3f}")
    assert np.isclose(below, q, atol=0.05)
