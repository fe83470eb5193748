"""Training with optax: a jitted step, a robust loss, and weights that may change without retracing."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import scale

import l2jax
from l2core import Huber

data = load_diabetes()
x = jnp.asarray(scale(data.data), jnp.float32)
y = jnp.asarray(scale(data.target), jnp.float32)
weight = jnp.where(jnp.abs(y) > 1.5, 2.0, 1.0)  # the extreme patients count twice

keys = jax.random.split(jax.random.key(0))
params = {
    "w1": jax.random.normal(keys[0], (10, 32)) * 0.3,
    "b1": jnp.zeros(32),
    "w2": jax.random.normal(keys[1], 32) * 0.2,
}
criterion = l2jax.Criterion(Huber(delta=1.0))
optimizer = optax.adam(3e-3)
traces = 0


def loss(params, x, y, weight):
    pred = jax.nn.relu(x @ params["w1"] + params["b1"]) @ params["w2"]
    return criterion(pred, y, weight=weight)


@jax.jit
def step(params, state, x, y, weight):
    global traces
    traces += 1
    value, grads = jax.value_and_grad(loss)(params, x, y, weight)
    updates, state = optimizer.update(grads, state)
    return optax.apply_updates(params, updates), state, value


state, order = optimizer.init(params), np.random.default_rng(0)
for epoch in range(40):
    for rows in order.permutation(len(x))[:416].reshape(-1, 32):
        params, state, value = step(params, state, x[rows], y[rows], weight[rows])
    if epoch % 10 == 9:
        print(f"epoch {epoch + 1:2d}: loss {loss(params, x, y, weight):.4f}")
print(f"the step was traced {traces} time")
