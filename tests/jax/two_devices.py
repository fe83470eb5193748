"""Run by test_sharding.py in a process of its own: a mean over two devices is the mean of all."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import l2core
import l2jax

assert len(jax.devices()) == 2
rng = np.random.default_rng(0)
pred, target = (jnp.asarray(rng.normal(size=(4, 3)), "float32") for _ in range(2))
weight = jnp.asarray([0.0, 0.1, 3.0, 5.0])  # the two halves' denominators differ by a factor of 80
criterion = l2jax.Criterion(l2core.Huber(0.5), "root_mean")
mean_of_means = (
    criterion(pred[:2], target[:2], weight=weight[:2])
    + criterion(pred[2:], target[2:], weight=weight[2:])
) / 2
expected, gradient = jax.value_and_grad(criterion)(pred, target, weight=weight)
# A sum of 12 float32 terms, a division and a root: below 32 roundings of 2^-24, 2e-6.
close = {"rtol": 2e-6, "atol": 1e-8}
assert abs(mean_of_means - expected) > 0.01


def share(p, t, w):
    return jax.lax.psum(criterion.terms(p, t, weight=w), "devices").value()


halves = [x.reshape(2, 2, *x.shape[1:]) for x in (pred, target, weight)]
np.testing.assert_allclose(jax.pmap(share, axis_name="devices")(*halves), expected, **close)

mesh = jax.make_mesh((2,), ("devices",), axis_types=(jax.sharding.AxisType.Auto,))
sharded = jax.shard_map(share, mesh=mesh, in_specs=P("devices"), out_specs=P())
value, grad = jax.jit(jax.value_and_grad(sharded))(pred, target, weight)
np.testing.assert_allclose(value, expected, **close)
np.testing.assert_allclose(grad, gradient, **close)

# Under jit the compiler shards the whole call, and nothing needs to be said.
placed = [jax.device_put(x, NamedSharding(mesh, P("devices"))) for x in (pred, target, weight)]
value, grad = jax.jit(lambda p, t, w: jax.value_and_grad(criterion)(p, t, weight=w))(*placed)
np.testing.assert_allclose(value, expected, **close)
np.testing.assert_allclose(grad, gradient, **close)
assert len(grad.sharding.device_set) == 2
