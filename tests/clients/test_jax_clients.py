"""JAX's libraries: a criterion in a model, terms as a state, both in a checkpoint, and training.

In float32 (ULP 1.2e-7, half of it a rounding): a result of n roundings on numbers up to s is within
n * s * 6e-8 of that by hand in float64. Here n is some thirty and s below 4: within 1e-5.
"""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx

import l2core
import l2jax
from l2core import Huber, Terms

equinox = pytest.mark.client("Equinox", "equinox")
flax = pytest.mark.client("Flax", "flax")
orbax = pytest.mark.client("Orbax", "orbax-checkpoint")
optax_client = pytest.mark.client("optax", "optax")

RNG = np.random.default_rng(7)
X, Y = RNG.normal(size=(12, 3)).astype("f"), 2 * RNG.normal(size=12).astype("f")
WEIGHT = RNG.uniform(0.5, 2, size=12).astype("f")
MASK = RNG.uniform(size=12) < 0.7
START = np.array([0.5, -0.25, 1.0], "f")
DELTA, RATE = 0.5, 0.1
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
CRITERION = l2jax.Criterion(Huber(DELTA))


def rho(r):
    r = abs(r.astype("d"))
    return np.where(r <= DELTA, r * r / 2, DELTA * (r - DELTA / 2))


def psi(r):
    return np.clip(r.astype("d"), -DELTA, DELTA)


def mean(values, rows=slice(None)):
    """The weighted mean over what is present."""
    w = (WEIGHT * MASK)[rows].astype("d")
    return w @ values / w.sum()


def gradient(k):
    w = (WEIGHT * MASK).astype("d")
    return (w * psi(X @ k - Y)) @ X / w.sum()


# --- Equinox --------------------------------------------------------------------------------------


class Linear(eqx.Module):
    kernel: jax.Array
    criterion: l2jax.Criterion

    def loss(self, x, y, weight, mask):
        return self.criterion(x @ self.kernel, y, weight=weight, mask=mask)


def of(model, *data):
    return model.loss(*data)


@equinox
@pytest.mark.parametrize(
    ("jit", "grad"),
    [(eqx.filter_jit, eqx.filter_value_and_grad), (jax.jit, jax.value_and_grad)],
    ids=["filter", "plain"],
)
def test_equinox(jit, grad):
    """A module that holds a criterion, through `filter_jit` and `filter_grad` and through plain \
`jax.jit` and `jax.grad`: value and gradient by hand"""
    value, slope = jit(grad(of))(Linear(jnp.array(START), CRITERION), X, Y, WEIGHT, MASK)
    np.testing.assert_allclose(value, mean(rho(X @ START - Y)), **CLOSE)
    np.testing.assert_allclose(slope.kernel, gradient(START), **CLOSE)
    moved = jax.tree.map(lambda x: 2 * x, slope)
    assert moved.criterion == CRITERION


@equinox
def test_equinox_training():
    """`eqx.apply_updates` of the whole module with optax: a step by hand"""
    model = Linear(jnp.array(START), CRITERION)
    optimizer = optax.sgd(RATE)
    slope = eqx.filter_grad(of)(model, X, Y, WEIGHT, MASK)
    updates, _ = optimizer.update(slope, optimizer.init(model))
    model = eqx.apply_updates(model, updates)
    np.testing.assert_allclose(model.kernel, START - RATE * gradient(START), **CLOSE)


# --- Flax -----------------------------------------------------------------------------------------


class Module(nn.Module):
    criterion: l2jax.Criterion

    @nn.compact
    def __call__(self, x, y, weight, mask):
        kernel = self.param("kernel", lambda key: jnp.array(START))
        pred = x @ kernel
        start = lambda: Terms(jnp.zeros(()), jnp.zeros(()))
        seen = self.variable("metrics", "seen", start)
        if not self.is_initializing():
            terms = self.criterion.terms(pred, y, weight=weight, mask=mask)
            seen.value = seen.value + terms
        return self.criterion(pred, y, weight=weight, mask=mask)


@flax
def test_linen():
    """linen: a criterion as a field, through `jax.jit` and `jax.grad`: value and gradient by hand"""
    module = Module(CRITERION)
    variables = module.init(jax.random.key(0), X, Y, WEIGHT, MASK)

    @jax.jit
    @jax.value_and_grad
    def graded(params):
        loss, _ = module.apply({**variables, "params": params}, X, Y, WEIGHT, MASK, mutable=True)
        return loss

    value, slope = graded(variables["params"])
    np.testing.assert_allclose(value, mean(rho(X @ START - Y)), **CLOSE)
    np.testing.assert_allclose(slope["kernel"], gradient(START), **CLOSE)


@flax
def test_linen_terms():
    """linen: `Terms` in a mutable collection, added up under `jax.jit`: the weighted mean of \
uneven batches by hand"""
    module = Module(CRITERION)
    variables = module.init(jax.random.key(0), X, Y, WEIGHT, MASK)
    apply = jax.jit(lambda v, *data: module.apply(v, *data, mutable=["metrics"])[1])
    for rows in (slice(0, 5), slice(5, 10), slice(10, 12)):
        data = X[rows], Y[rows], WEIGHT[rows], MASK[rows]
        variables = {**variables, **apply(variables, *data)}
    found = variables["metrics"]["seen"].value()
    np.testing.assert_allclose(found, mean(rho(X @ START - Y)), **CLOSE)


class Seen(nnx.Variable):
    """Terms so far."""


class Net(nnx.Module):
    def __init__(self, criterion):
        self.kernel = nnx.Param(jnp.array(START))
        self.criterion = criterion
        self.seen = Seen(Terms(jnp.zeros(()), jnp.zeros(())))

    def loss(self, x, y, weight, mask):
        return self.criterion(x @ self.kernel[...], y, weight=weight, mask=mask)


@flax
def test_nnx():
    """nnx: a criterion as an attribute, through `nnx.jit` and `nnx.grad`: a step by hand"""
    net = Net(CRITERION)
    optimizer = nnx.Optimizer(net, optax.sgd(RATE), wrt=nnx.Param)

    @nnx.jit
    def step(net, optimizer, *data):
        value, slope = nnx.value_and_grad(lambda net: net.loss(*data))(net)
        optimizer.update(net, slope)
        return value

    value = step(net, optimizer, X, Y, WEIGHT, MASK)
    np.testing.assert_allclose(value, mean(rho(X @ START - Y)), **CLOSE)
    np.testing.assert_allclose(net.kernel[...], START - RATE * gradient(START), **CLOSE)


@flax
def test_nnx_terms():
    """nnx: `Terms` in a Variable, added up under `nnx.jit`: the weighted mean of uneven batches \
by hand"""
    net = Net(CRITERION)

    @nnx.jit
    def see(net, x, y, weight, mask):
        terms = net.criterion.terms(x @ net.kernel[...], y, weight=weight, mask=mask)
        net.seen.set_value(net.seen.get_value() + terms)

    for rows in (slice(0, 5), slice(5, 10), slice(10, 12)):
        see(net, X[rows], Y[rows], WEIGHT[rows], MASK[rows])
    np.testing.assert_allclose(net.seen.get_value().value(), mean(rho(X @ START - Y)), **CLOSE)


# --- Orbax ----------------------------------------------------------------------------------------


@orbax
@pytest.mark.parametrize("kind", [l2core.Criterion, l2jax.Criterion])
def test_orbax(tmp_path, kind):
    """A tree with a criterion and `Terms` beside arrays, saved and restored into its like: the \
criterion gives the number by hand, and the sums go on"""
    first, rest = slice(0, 5), slice(5, 12)

    def terms(rows):
        pred = jnp.array(X[rows] @ START)
        return CRITERION.terms(pred, jnp.array(Y[rows]), weight=WEIGHT[rows], mask=MASK[rows])

    tree = {"kernel": jnp.array(START), "criterion": kind(Huber(DELTA)), "seen": terms(first)}
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "a", tree)
        checkpointer.wait_until_finished()
        empty = jax.tree.map(jnp.zeros_like, tree)
        again = checkpointer.restore(tmp_path / "a", empty)
    np.testing.assert_array_equal(again["kernel"], START)
    r = X @ START - Y
    found = again["criterion"](jnp.array(X @ START), jnp.array(Y))
    np.testing.assert_allclose(found, rho(r).mean(), **CLOSE)
    found = (again["seen"] + terms(rest)).value()
    np.testing.assert_allclose(found, mean(rho(r)), **CLOSE)


# --- optax ----------------------------------------------------------------------------------------


@optax_client
def test_optax():
    """Three steps of SGD with momentum under `jax.jit`, weighted and masked: by hand"""
    optimizer = optax.sgd(RATE, momentum=0.9)

    @jax.jit
    def step(k, state):
        slope = jax.grad(lambda k: CRITERION(X @ k, Y, weight=WEIGHT, mask=MASK))(k)
        updates, state = optimizer.update(slope, state)
        return optax.apply_updates(k, updates), state

    k = jnp.array(START)
    state = optimizer.init(k)
    expected, speed = START.astype("d"), 0
    for _ in range(3):
        k, state = step(k, state)
        speed = gradient(expected) + 0.9 * speed
        expected = expected - RATE * speed
    np.testing.assert_allclose(k, expected, **CLOSE)


@optax_client
def test_multi_steps():
    """`optax.MultiSteps(k)` with `denominator=total/k`: uneven masked micro-batches step as the \
one big batch"""
    parts = [slice(0, 5), slice(5, 10), slice(10, 12)]
    optimizer = optax.MultiSteps(optax.sgd(RATE), len(parts))
    total = (WEIGHT * MASK).sum()
    k = jnp.array(START)
    state = optimizer.init(k)
    for rows in parts:

        def loss(k, rows=rows):
            told = {"weight": WEIGHT[rows], "mask": MASK[rows], "denominator": total / len(parts)}
            return CRITERION(X[rows] @ k, Y[rows], **told)

        updates, state = optimizer.update(jax.grad(loss)(k), state, k)
        k = optax.apply_updates(k, updates)
    np.testing.assert_allclose(k, START - RATE * gradient(START), **CLOSE)
