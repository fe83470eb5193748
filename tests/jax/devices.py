"""Run by test_sharding.py in processes of their own: a mean over devices is the mean of all.

With arguments (coordinator, number of processes, number of this one) over the devices of all processes.
Prints what was found as lines of JSON.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import l2core
import l2jax
from splits import Rows

if sys.argv[1:]:
    coordinator, count, own = sys.argv[1:]
    jax.distributed.initialize(coordinator, int(count), int(own))
D = len(jax.devices())
assert D == 8
rng = np.random.default_rng(0)
N = 16
x, pred, target = (rng.normal(size=(N, 3)).astype("f4") for _ in range(3))
weight = np.where(np.arange(N) < 4, 0.01, 3.0).astype("f4") * rng.uniform(size=N).astype("f4")
mask = rng.random((N, 3)) < 0.7
mask[6:8] = False  # all of the fourth device's
target[~mask] = np.nan
kernel = rng.normal(size=(3, 3)).astype("f4")
# Sums of 48 float32 terms and a matrix product, a division and a root: 64 roundings.
CLOSE = 64 * 2.0**-24
rows = Rows()
mesh = jax.make_mesh((D,), ("devices",), axis_types=(jax.sharding.AxisType.Auto,))


def losses(criterion):
    def loss(kernel, x, y, w, m):
        return criterion(x @ kernel, y, weight=w, mask=m)

    return loss


def local(x):
    """What this process can see of an array."""
    return np.asarray(x.addressable_data(0))


def check(engine, found, wanted, alone=None):
    value, gradient = ((v, g), (w, h)) = found, wanted
    alone = None if alone is None else (alone, gradient[1])
    ulp, apart = rows.add(engine, f"{D} uneven devices", (v, w), (g, h), alone)
    assert abs(v - w) <= CLOSE * abs(w), (engine, v, w)
    assert apart <= CLOSE, (engine, apart)
    del value, ulp


for reduction in ("mean", "root_mean"):
    criterion = l2jax.Criterion(l2core.Huber(0.5), reduction)
    over = l2jax.Criterion(l2core.Huber(0.5), reduction, axis_name="devices")
    data = (x, target, weight, mask)
    wanted = tuple(np.asarray(y) for y in jax.value_and_grad(losses(criterion))(kernel, *data))
    each = [np.split(y, D) for y in data]
    naive = l2jax.Criterion(l2core.Huber(0.5), empty="zero")
    alone = np.mean([jax.grad(losses(naive))(kernel, *part) for part in zip(*each, strict=True)], 0)
    alone = alone if reduction == "mean" else None

    # Under jit the compiler shards the whole call, and nothing needs to be said.
    sharding = NamedSharding(mesh, P("devices"))
    placed = [jax.make_array_from_callback(y.shape, sharding, lambda i, y=y: y[i]) for y in data]
    same = jax.make_array_from_callback(kernel.shape, NamedSharding(mesh, P()), lambda i: kernel[i])
    graded = jax.jit(jax.value_and_grad(losses(criterion)))
    check("JAX: jit over sharded arrays", [local(y) for y in graded(same, *placed)], wanted, alone)

    # Inside shard_map, the gradient to what all devices share is that of the global mean.
    specs = (P(), P("devices"), P("devices"), P("devices"), P("devices"))
    inside = jax.shard_map(
        jax.value_and_grad(losses(over)), mesh=mesh, in_specs=specs, out_specs=(P(), P())
    )
    check("JAX: shard_map", [local(y) for y in jax.jit(inside)(same, *placed)], wanted, alone)
    outside = jax.jit(
        jax.value_and_grad(
            jax.shard_map(losses(over), mesh=mesh, in_specs=specs, out_specs=P()),
        )
    )
    check("JAX: shard_map", [local(y) for y in outside(same, *placed)], wanted)

    def state(p, t, w, m):
        found = l2core.ErrorStatistics.of(p, t, weight=w, mask=m, quantiles=False)
        terms = criterion.terms(p, t, weight=w, mask=m)  # noqa: B023 (called in this round)
        return l2jax.all_reduced(found, "devices"), l2jax.all_reduced(terms, "devices").value()

    summed = jax.shard_map(state, mesh=mesh, in_specs=specs[1:], out_specs=P())
    found, value = jax.jit(summed)(*placed)
    whole = l2core.ErrorStatistics.of(x, target, weight=weight, mask=mask)
    for name in ("mse", "mae", "r2", "max_error"):
        np.testing.assert_allclose(
            np.asarray(getattr(jax.tree.map(local, found), name)), getattr(whole, name), rtol=CLOSE
        )
    everything = criterion(x, target, weight=weight, mask=mask)
    np.testing.assert_allclose(local(value), everything, rtol=CLOSE)

    if sys.argv[1:]:
        continue

    def pmeaned(kernel, *part):
        value, grad = jax.value_and_grad(losses(over))(kernel, *part)  # noqa: B023
        return value, jax.lax.pmean(grad, "devices")

    stacked = [np.stack(parts) for parts in each]
    for name, mapped in (
        ("JAX: pmap", jax.pmap(pmeaned, "devices", in_axes=(None, 0, 0, 0, 0))),
        ("JAX: vmap", jax.vmap(pmeaned, (None, 0, 0, 0, 0), axis_name="devices")),
    ):
        values, grads = mapped(kernel, *stacked)
        for device in range(D):
            check(name, (np.asarray(values)[device], np.asarray(grads)[device]), wanted, alone)
    sums = jax.vmap(state, axis_name="devices")(*stacked)[0]
    assert sums.mse.shape == (D,)

total = l2jax.Criterion(reduction="sum", axis_name="devices")
parts = [jnp.asarray(np.nan_to_num(y)).reshape(D, 2, 3) for y in (pred, target)]
values = jax.vmap(total, axis_name="devices")(*parts)
np.testing.assert_allclose(
    values, np.full(D, np.square(pred - np.nan_to_num(target)).sum()), rtol=CLOSE
)
each = l2jax.Criterion(axis_name="devices", denominator=7.0)
np.testing.assert_allclose(jax.vmap(each, axis_name="devices")(*parts), values / 7, rtol=CLOSE)
for options in ({"reduction": "none"}, {"axis": 1}):
    try:
        jax.vmap(l2jax.Criterion(axis_name="devices", **options), axis_name="devices")(*parts)
    except ValueError as error:
        assert "expected" in str(error)  # noqa: PT017 (this runs without pytest)
    else:
        raise AssertionError(options)
p, t, w = (np.random.default_rng(1).normal(size=(3, D, 50)) ** 2).astype("f")
for reduction in ("mean", "root_mean", "sum"):
    whole = l2jax.Criterion(reduction=reduction, exact=True)
    one = l2jax.Criterion(reduction=reduction, exact=True, axis_name="devices")
    expected = whole(p.ravel(), t.ravel(), weight=w.ravel())
    mapped = jax.vmap(lambda *a, c=one: c(*a[:2], weight=a[2]), axis_name="devices")(p, t, w)
    np.testing.assert_array_equal(mapped, np.full(D, expected))
    if reduction != "sum":
        parts = jax.vmap(
            lambda *a, c=whole: l2jax.all_reduced(c.terms(*a[:2], weight=a[2]), "devices"),
            axis_name="devices",
        )(p, t, w)
        first = jax.tree.map(lambda x: x[0], parts)
        np.testing.assert_array_equal(first.value(), expected)
if jax.process_index() == 0:
    print("\n".join(rows.told()), flush=True)
