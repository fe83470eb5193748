"""Gauss-Newton by Hessian-vector products: Jᵀ·curvature·J of a robust loss, never formed.

The criterion's own Hessian in the predictions is diagonal with the curvature of the loss, so a
Hessian-vector product of the loss between two passes through the model gives the Gauss-Newton
product, and conjugate gradients solve for the step.
"""

import jax
import jax.numpy as jnp
from jax.scipy.sparse.linalg import cg
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import scale

import l2jax
from l2core import LogCosh

data = load_diabetes()
x = jnp.asarray(scale(data.data), jnp.float32)
y = jnp.asarray(scale(data.target), jnp.float32)
criterion = l2jax.Criterion(LogCosh())


def model(params):
    return jnp.tanh(x @ params["w1"]) @ params["w2"]


def loss(params):
    return criterion(model(params), y)


def product(params, v, damping=1e-2):
    """(Jᵀ H J + damping) v, where H is the Hessian of the criterion in the predictions."""
    pred, jv = jax.jvp(model, (params,), (v,))
    hjv = jax.jvp(jax.grad(lambda p: criterion(p, y)), (pred,), (jv,))[1]
    (jhjv,) = jax.vjp(model, params)[1](hjv)
    return jax.tree.map(lambda a, b: a + damping * b, jhjv, v)


@jax.jit
def step(params):
    grads = jax.grad(loss)(params)
    direction, _ = cg(lambda v: product(params, v), grads, maxiter=20)
    return jax.tree.map(lambda p, d: p - d, params, direction)


keys = jax.random.split(jax.random.key(0))
params = {
    "w1": 0.3 * jax.random.normal(keys[0], (10, 8)),
    "w2": 0.3 * jax.random.normal(keys[1], 8),
}
pred = model(params)
hessian = jax.hessian(lambda p: criterion(p, y))(pred)
curvature = LogCosh().curvature(pred - y, jnp) / len(y)
print(
    "largest difference of the Hessian from diag(curvature)/n:",
    f"{jnp.abs(hessian - jnp.diag(curvature)).max():.1e}",
)
start, gradient_step = (
    params,
    jax.jit(lambda p: jax.tree.map(lambda a, g: a - 0.3 * g, p, jax.grad(loss)(p))),
)
for i in range(9):
    if i % 2 == 0:
        print(f"Gauss-Newton step {i}: loss {loss(params):.5f}")
    params = step(params)

params = start
for _ in range(200):
    params = gradient_step(params)
print(f"gradient descent, 200 steps: loss {loss(params):.5f}")
