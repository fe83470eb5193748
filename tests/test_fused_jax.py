"""A criterion of the core on JAX arrays is l2jax's own, one jitted expression."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import l2jax
from l2core import Criterion, Huber
from l2core.fastpath import plain_only
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
