"""Eight devices, whose shards hold unequal weights: the mean over all of them in `shard_map`."""

import os

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"  # before JAX starts

import jax
import numpy as np
from jax.sharding import PartitionSpec as P

import l2jax
from l2core import ErrorStatistics, Huber

rng = np.random.default_rng(0)
x, y = rng.normal(size=(64, 3)).astype("f4"), rng.normal(size=(64, 2)).astype("f4")
weight = np.where(np.arange(64) < 8, 10.0, 0.1).astype("f4")  # the first device has most of it
kernel = np.ones((3, 2), "f4")
mesh = jax.make_mesh((8,), ("devices",), axis_types=(jax.sharding.AxisType.Auto,))
local = l2jax.Criterion(Huber(0.5))
everywhere = l2jax.Criterion(Huber(0.5), axis_name="devices")


def graded(criterion):
    def loss(kernel, x, y, weight):
        return criterion(x @ kernel, y, weight=weight)

    return jax.value_and_grad(loss)


def step(kernel, x, y, weight):
    """On each device: the loss and gradient over all, and all errors' statistics."""
    value, grad = graded(everywhere)(kernel, x, y, weight)
    mine = ErrorStatistics.of(x @ kernel, y, weight=weight)
    return value, grad, l2jax.all_reduced(mine, "devices").r2


specs = (P(), P("devices"), P("devices"), P("devices"))
value, grad, r2 = jax.jit(jax.shard_map(step, mesh=mesh, in_specs=specs, out_specs=P()))(
    kernel, x, y, weight
)
whole, expected = graded(local)(kernel, x, y, weight)
# Under plain jit over sharded arrays nothing needs to be said: it is one call over all data.
placed = [
    jax.device_put(part, jax.sharding.NamedSharding(mesh, P("devices"))) for part in (x, y, weight)
]
same, _ = jax.jit(graded(local))(kernel, *placed)
shards = zip(*(np.split(part, 8) for part in (x, y, weight)), strict=True)
means = np.mean([graded(local)(kernel, *shard)[0] for shard in shards])
print(f"loss over eight devices {value:.6f}, by jit {same:.6f}, of one {whole:.6f}; R² {r2:.4f}")
print(f"the mean of the devices' means would be {means:.6f}")
# 128 float32 terms in another order.
assert abs(value - whole) < 128 * 2**-24 < abs(means - whole)
assert np.abs(grad - expected).max() < 128 * 2**-24
