"""A criterion of the core on JAX arrays is l2jax's own, one jitted expression."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import l2jax
from l2core import Criterion, Huber, SquaredError
from l2core.fastpath import plain_only
from l2jax import fused
from paths import inputs

FIELDS = [{}, {"denominator": "count"}, {"reduction": "none"}, {"axis": 0}]


def primitives(f, *args):
    found = jax.make_jaxpr(lambda *args: f(*args))(*args)  # a new function: traces are remembered
    return [eqn.primitive.name for eqn in found.eqns]


def test_one_jitted_expression():
    x = jnp.ones(3)
    assert primitives(Criterion(Huber()), x, x) == primitives(l2jax.Criterion(), x, x) == ["jit"]
    with plain_only():
        assert len(primitives(Criterion(Huber()), x, x)) > 1
    (call,) = jax.make_jaxpr(l2jax.Criterion())(x, x).eqns
    assert "jit" not in [eqn.primitive.name for eqn in call.params["jaxpr"].eqns]


@pytest.mark.parametrize("kind", ["zero weights", "row mask"])
@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_the_same_as_l2jax(fields, kind):
    pred, target, arguments = inputs(kind, (6, 5), "float32")
    pred, target, arguments = jax.tree.map(jnp.asarray, (pred, target, arguments))
    kinds = {**fields, "loss": Huber(0.7)}

    def results(criterion):
        def f(p):
            return criterion(p, target, **arguments).sum()

        return criterion(pred, target, **arguments), *jax.value_and_grad(f)(pred)

    for x, y in zip(results(Criterion(**kinds)), results(l2jax.Criterion(**kinds)), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def test_a_denominator_that_changes_compiles_once():
    x, criterion = jnp.ones(3), Criterion(Huber(0.3))
    criterion(x, -x, denominator=2.0)
    with jax.checking_leaks(), jax.log_compiles(False):
        before = l2jax.criterion._value._cache_size()
        values = [criterion(x, -x, denominator=d).item() for d in (1.5, 3, 7.0)]
        assert l2jax.criterion._value._cache_size() == before
    np.testing.assert_allclose(values, [1.665 / 1.5, 1.665 / 3, 1.665 / 7], rtol=1e-6)


@pytest.fixture
def from_one_element(monkeypatch):
    monkeypatch.setattr(fused, "LARGE", 1)
    jax.clear_caches()
    yield
    jax.clear_caches()


def all_of(criterion, arrays, argnums=(0, 1, 2)):
    """Value, gradients, and the products of second derivatives with ones."""

    def f(pred, target, weight):
        return criterion(pred, target, weight=weight)

    first = jax.grad(f, argnums)
    summed = jax.grad(lambda *arrays: sum(x.sum() for x in first(*arrays)), argnums)
    return jax.tree.map(np.asarray, (f(*arrays), first(*arrays), summed(*arrays)))


@pytest.mark.usefixtures("from_one_element")
@pytest.mark.parametrize(
    ("loss", "fields", "kind"),
    [
        (SquaredError(), {}, "weight"),
        (SquaredError(), {}, "row weight"),
        (SquaredError(), {"reduction": "sum"}, "zero weights"),
        (SquaredError(), {"denominator": "count"}, "zero weights"),
        (Huber(0.7), {}, "zero weights"),
    ],
    ids=str,
)
def test_a_large_weighted_sum(loss, fields, kind):
    """Multiplied first: the derivatives of the plain path, to the bit, and its value by a sum of its own."""
    criterion = l2jax.Criterion(loss, **fields)
    pred, target, arguments = inputs(kind, (40, 31), "float32")
    arrays = tuple(map(jnp.asarray, (pred, target, arguments["weight"])))
    assert "cond" in str(jax.make_jaxpr(lambda *a: criterion(*a[:2], weight=a[2]))(*arrays))
    value, *found = all_of(criterion, arrays)
    with plain_only():
        jax.clear_caches()
        plain, *expected = all_of(criterion, arrays)
    np.testing.assert_allclose(value, plain, rtol=(1240 + 5) * np.finfo("float32").eps)
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert x.tobytes() == y.tobytes()


@pytest.mark.usefixtures("from_one_element")
def test_a_large_weighted_sum_under_transforms():
    pred, target, arguments = inputs("zero weights", (40, 31), "float32")
    arrays = tuple(map(jnp.asarray, (pred, target, arguments["weight"])))
    criterion = l2jax.Criterion()

    def f(pred, target, weight):
        return criterion(pred, target, weight=weight)

    rows = jax.vmap(f)(*arrays)
    with plain_only():
        jax.clear_caches()
        expected = jax.vmap(f)(*arrays)
    np.testing.assert_allclose(rows, expected, rtol=(31 + 5) * np.finfo("float32").eps)
    tangents = tuple(map(jnp.ones_like, arrays))
    value, along = jax.jvp(f, arrays, tangents)
    slopes = [np.asarray(g, "f8") for g in jax.grad(f, (0, 1, 2))(*arrays)]
    # 3 times 1240 terms of either sign, added up in two orders.
    bound = 3 * 1240 * np.finfo("f4").eps * sum(np.abs(g).sum() for g in slopes)
    assert abs(along - sum(g.sum() for g in slopes)) <= bound
    assert np.isfinite(value)
    with jax.debug_nans(True):
        jax.clear_caches()
        assert np.isfinite(f(*arrays))


@pytest.mark.usefixtures("from_one_element")
@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_what_is_not_finite_takes_the_second_way(value):
    pred, weight = jnp.asarray([1.0, value, 2.0]), jnp.asarray([1.0, 2.0, 0.0])
    found = l2jax.Criterion()(pred, 0 * pred * 0 + 1, weight=weight)
    with plain_only():
        jax.clear_caches()
        np.testing.assert_array_equal(
            found, l2jax.Criterion()(pred, 0 * pred * 0 + 1, weight=weight)
        )
