"""Windows of micro-batches in JAX: by a scan within one step, and over steps by optax.

Both give the gradient of the mean over all elements that are present, however the micro-batches
divide them; the mean of the micro-batches' means is another number.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import l2jax

rng = np.random.default_rng(0)
K, B, T = 6, 4, 50  # micro-batches of padded sequences
x = rng.normal(size=(K, B, T, 8)).astype("f4")
y = x.sum(axis=-1) + 0.1 * rng.normal(size=(K, B, T)).astype("f4")
mask = np.arange(T) < rng.integers(1, [[T], [5], [T], [5], [T], [5]], (K, B))[..., None]
batches = (x, y, mask)
criterion = l2jax.Criterion("huber")
params = {"kernel": jnp.zeros(8), "bias": jnp.zeros(())}


def terms(params, batch):
    x, y, mask = batch
    return criterion.terms(x @ params["kernel"] + params["bias"], y, mask=mask)


def numerator(params, batch):
    found = terms(params, batch)
    return found.numerator, found


# A scan: one micro-batch in memory at a time.
value, grads = jax.jit(l2jax.window(terms))(params, batches)

# All at once, to compare.
flat = [part.reshape(-1, *part.shape[2:]) for part in batches]
whole, expected = jax.value_and_grad(lambda p: terms(p, flat).value())(params)

# optax: each step brings the gradient of a numerator, and the terms.
optimizer = l2jax.multi_steps(optax.sgd(1.0), K)


@jax.jit
def step(params, state, batch):
    grads, found = jax.grad(numerator, has_aux=True)(params, batch)
    updates, state = optimizer.update(grads, state, params, terms=found)
    return optax.apply_updates(params, updates), state


trained, state = params, optimizer.init(params)
for i in range(K):
    trained, state = step(trained, state, [part[i] for part in batches])

means = [
    jax.grad(lambda p, b=[part[i] for part in batches]: terms(p, b).value())(params)
    for i in range(K)
]
naive = jax.tree.map(lambda *g: sum(g) / K, *means)


def apart(one):
    return max(
        float(jnp.abs(a - b).max())
        for a, b in zip(*map(jax.tree.leaves, (one, expected)), strict=True)
    )


moved = jax.tree.map(lambda before, after: before - after, params, trained)
print(f"loss by a scan {value:.6f}, of one batch {whole:.6f}")
print("largest difference of a gradient from that of one batch:")
print(
    f"  a scan {apart(grads):.1e}, MultiSteps {apart(moved):.1e}, the mean of means {apart(naive):.1e}"
)
# Some 600 float32 terms near 1, added in another order.
assert max(apart(grads), apart(moved)) < 600 * 2**-24 < apart(naive)
