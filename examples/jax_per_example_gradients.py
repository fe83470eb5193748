"""Per-example gradients by vmap(grad): which patients pull the model, under two losses?

The norm of a patient's gradient is |psi(r)| times the norm of the features: it grows with the
residual under the squared error and stops growing under Huber's loss.
"""

import jax
import jax.numpy as jnp
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import scale

import l2jax
from l2core import HalfSquaredError, Huber

data = load_diabetes()
x = jnp.asarray(scale(data.data), jnp.float32)
y = jnp.asarray(scale(data.target), jnp.float32)
w = jnp.linalg.lstsq(x, y)[0]


def norms(criterion):
    """The norm of each patient's gradient."""

    def of_one(w, x, y):
        return criterion(x @ w, y)

    return jnp.linalg.norm(jax.vmap(jax.grad(of_one), (None, 0, 0))(w, x, y), axis=1)


residual = x @ w - y
print("loss              largest gradient   share of the top 5 %")
for loss in (HalfSquaredError(), Huber(delta=1.0), Huber(delta=0.3)):
    criterion = l2jax.Criterion(loss)
    size = jnp.sort(norms(criterion))[::-1]
    by_hand = jnp.abs(loss.psi(residual, jnp)) * jnp.linalg.norm(x, axis=1)
    assert jnp.allclose(norms(criterion), by_hand, rtol=1e-5)
    print(f"{loss!s:20s} {size[0]:10.2f} {size[:22].sum() / size.sum():18.1%}")
