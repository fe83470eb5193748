"""Every transform of JAX, on every loss, against NumPy's closed form in float64."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import l2core
import l2jax

# A value is a sum of 12 terms of a few roundings each, an exponential or logarithm among them
# (9 ULP): 40 roundings of 2^-53 at most, below 1e-14. A wrong rule is wrong by far more.
close = partial(assert_allclose, rtol=1e-14, atol=1e-15)


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def test_first_derivatives(loss, data, arguments):
    expected, gradient = l2core.Criterion(loss).value_and_grad(data.pred, data.target, **arguments)
    direction = np.cos(data.pred)
    slope = np.sum(gradient * direction)
    criterion = l2jax.Criterion(loss)

    def f(pred):
        return criterion(pred, data.target, **arguments)

    @jax.jit
    def transforms(pred):
        return {
            "values": [f(pred), jax.value_and_grad(f)(pred)[0], jax.vjp(f, pred)[0]],
            "gradients": [
                jax.value_and_grad(f)(pred)[1],
                jax.vjp(f, pred)[1](jnp.asarray(3.0))[0] / 3,
                jax.grad(jax.checkpoint(f))(pred),
                criterion.value_and_grad(pred, data.target, **arguments)[1],
            ],
            "slopes": [
                jax.jvp(f, (pred,), (direction,))[1],
                jax.linearize(f, pred)[1](direction),
            ],
        }

    results = transforms(data.pred)
    for value in [f(data.pred), *results["values"]]:
        close(value, expected)
    for grad in [jax.grad(f)(data.pred), *results["gradients"]]:
        close(grad, gradient)
        absent = ~data.mask | (data.weight == 0)[:, None]
        assert absent.any()
        assert np.all(np.asarray(grad)[absent] == 0)
    for s in results["slopes"]:
        close(s, slope, atol=1e-14)  # its terms cancel


def test_second_derivative_is_the_curvature(loss, data, arguments):
    def f(pred):
        return l2jax.Criterion(loss, "sum")(pred, data.target, **arguments)

    extra = (arguments["variance"][:, None],) if loss.needs else ()
    curvature = loss.curvature(data.pred - data.target, l2core.numpy_backend.NUMPY.xp, *extra)
    expected = np.diag((curvature * data.weight[:, None] * data.mask).ravel())
    both = jax.jit(lambda pred: (jax.hessian(f)(pred), jax.jacrev(jax.jacfwd(f))(pred)))
    for hessian in both(data.pred):
        close(np.reshape(hessian, (12, 12)), expected)


def test_registered_derivatives_hold_at_kinks_and_far_out(loss):
    # Plain autodiff of rho is wrong at 0 for the quantile and for log-cosh's curvature.
    r = np.array([0.0, 1.0, -1.0, 0.5, -0.5, 1e-9, -300.0])
    xp = l2core.numpy_backend.NUMPY.xp
    variance = {"variance": 2.0} if loss.needs else {}

    def f(pred):
        return l2jax.Criterion(loss, "sum")(pred, jnp.zeros(7), **variance)

    gradient, hessian = jax.jit(lambda p: (jax.grad(f)(p), jax.hessian(f)(p)))(r)
    close(gradient, loss.psi(r, xp, *variance.values()))
    close(hessian, np.diag(loss.curvature(r, xp, *variance.values())))


def test_gradient_to_target_and_weight(loss, data):
    criterion = l2jax.Criterion(loss)
    variance = {"variance": 1.5} if loss.needs else {}

    def f(pred, target, weight):
        return criterion(pred, target, weight=weight, **variance)

    inputs = data.pred, data.target, np.abs(data.weight) + 0.1
    to_pred, to_target, to_weight = jax.jit(jax.grad(f, argnums=(0, 1, 2)))(*inputs)
    close(to_target, -np.asarray(to_pred))
    # d(Σωρ/Σω)/dω_i = (Σ_j ρ_ij - D·mean) / Σω, D outputs a sample.
    rho = l2core.Criterion(loss, "none")(data.pred, data.target, **variance)
    mean = l2core.Criterion(loss)(data.pred, data.target, weight=inputs[2], **variance)
    close(to_weight, (rho.sum(axis=1) - 3 * mean) / (3 * inputs[2].sum()), atol=1e-14)


def test_vmap_gives_per_example_gradients(loss, data):
    variance = {"variance": 9.0} if loss.needs else {}
    f = jax.value_and_grad(partial(l2jax.Criterion(loss, "root_mean"), **variance))
    values, gradients = jax.jit(jax.vmap(f))(data.pred, data.target)
    rows = l2core.Criterion(loss, "root_mean", axis=1)
    expected, gradient = rows.value_and_grad(data.pred, data.target, **variance)
    close(values, expected)
    close(gradients, gradient)


def test_vmap_over_weights_only(data):
    f = jax.vmap(lambda w: l2jax.Criterion()(data.pred, data.target, weight=w))
    weights = np.stack([data.weight, data.weight[::-1], np.ones(4)])
    expected = [l2core.Criterion()(data.pred, data.target, weight=w) for w in weights]
    close(f(weights), expected)


@pytest.mark.parametrize("denominator", ["weight", "count", "batch"])
def test_export_with_symbolic_lengths(data, denominator):
    """One program for every number of rows, its gradient included."""
    criterion = l2jax.Criterion(l2core.Huber(0.5), denominator=denominator)
    shapes = jax.export.symbolic_args_specs((data.pred, data.target), "b, d")
    program = jax.export.export(jax.jit(jax.value_and_grad(criterion)))(*shapes)
    for rows in (4, 1):
        arrays = data.pred[:rows], data.target[:rows]
        expected, gradient = l2core.Criterion(
            l2core.Huber(0.5), denominator=denominator
        ).value_and_grad(*arrays)
        value, grad = program.call(*arrays)
        close(value, expected)
        close(grad, gradient)


def test_scan_adds_terms_up(data):
    criterion = l2jax.Criterion(l2core.Huber(0.5), "root_mean")

    def mean(pred, weight):
        def step(terms, part):
            p, t, w = part
            return terms + criterion.terms(p, t, weight=w), None

        start = l2core.Terms(jnp.zeros(()), jnp.zeros(()), root=True)
        return jax.lax.scan(step, start, (pred, data.target, weight))[0].value()

    weight = np.tile(data.weight[:, None], 3)
    expected, gradient = l2core.Criterion(l2core.Huber(0.5), "root_mean").value_and_grad(
        data.pred, data.target, weight=weight
    )
    value, grad = jax.jit(jax.value_and_grad(mean))(data.pred, weight)
    close(value, expected)
    close(grad, gradient)


def test_while_loop_finds_the_weighted_mean(data):
    gradient = jax.grad(l2jax.Criterion())
    y, w = data.target[:, 0], data.weight

    def step(state):
        x, _ = state
        g = gradient(jnp.full_like(y, x), y, weight=w).sum()
        return x - 0.5 * g, g  # half the inverse curvature of a mean of squares: one step is enough

    x, _ = jax.lax.while_loop(lambda s: jnp.abs(s[1]) > 1e-12, step, (0.0, 1.0))
    close(x, np.average(y, weights=w))


@partial(jax.tree_util.register_dataclass, data_fields=["mean", "tails"], meta_fields=["unit"])
@dataclass
class Forecast:
    """A container of one's own."""

    mean: Any
    tails: Any
    unit: str


def test_pytrees_of_predictions(data):
    pred = Forecast(data.pred, (data.target * 2, {"low": data.pred[0]}), "m")
    target = jax.tree.map(lambda x: x - 1.0, pred)
    losses = jax.tree.map(l2jax.Criterion(), pred, target)
    assert jax.tree.structure(losses) == jax.tree.structure(pred)
    close(losses.tails[1]["low"], 1.0)

    def together(tree):
        terms = jax.tree.map(l2jax.Criterion().terms, tree, target)
        return sum(jax.tree.leaves(terms, is_leaf=lambda x: isinstance(x, l2core.Terms))).value()

    close(jax.jit(together)(pred), 1.0)
    gradient = jax.jit(jax.grad(together))(pred)
    assert gradient.unit == "m"
    close(gradient.tails[1]["low"], 2 / 27 * np.ones(3))  # 12 + 12 + 3 elements in all


def test_terms_are_a_pytree(data):
    terms = jax.jit(l2jax.Criterion().terms)(data.pred, data.target, weight=data.weight)
    doubled = jax.tree.map(lambda x: 2 * x, terms)
    close(doubled.value(), terms.value())
    parts = [terms.numerator, terms.denominator, *terms.compensation]
    assert [float(x) for x in jax.tree.leaves(terms)] == parts


def test_traced_delta(data):
    r = data.pred - data.target

    def total(delta):
        return l2jax.huber_loss(data.pred, data.target, delta).sum()

    expected = l2core.Criterion(l2core.Huber(0.75), "sum")(data.pred, data.target)
    close(jax.jit(total)(0.75), expected)
    close(total(0.75), expected)
    slope = np.maximum(np.abs(r) - 0.75, 0).sum()  # of δ(|r| - ½δ); inside it is 0
    close(jax.grad(total)(jnp.asarray(0.75)), slope, atol=1e-14)
    per_element = jnp.full(r.shape, 0.75)
    close(l2jax.huber_loss(data.pred, data.target, per_element).sum(), expected)
    with pytest.raises(
        ValueError, match="delta: expected a scalar, the leading axes of predictions"
    ):
        l2jax.huber_loss(data.pred, data.target, jnp.ones(3))


def test_numbers_do_not_compile_anew(data, caplog):
    """A parameter that changes from call to call travels as an array."""
    criterion = l2jax.Criterion(l2core.Quantile())
    calls = [
        lambda x: l2jax.huber_loss(data.pred, data.target, delta=x),
        lambda x: l2jax.huber_loss(data.pred, delta=x),
        lambda x: l2jax.smooth_l1_loss(data.pred, data.target, beta=x),
        lambda x: l2jax.quantile_loss(data.pred, data.target, q=x),
        lambda x: l2jax.expectile_loss(data.pred, data.target, tau=x),
        lambda x: criterion(data.pred, data.target, q=x),
        lambda x: criterion.value_and_grad(data.pred, data.target, q=x),
    ]
    for call in calls:
        call(0.25)
        with jax.log_compiles(), caplog.at_level("WARNING"):
            first, second = call(0.5), call(1 / 3)
        assert not caplog.records
        assert jax.tree.leaves(first)[0].sum() != jax.tree.leaves(second)[0].sum()


@pytest.mark.parametrize(("r", "delta", "value"), [(1, 1e-20, 1e-20), (1e30, 1e-10, 1e20)])
def test_deltas_of_any_size(r, delta, value):
    """In float32, in which neither delta² nor (r / delta)² is a number."""
    r, delta = jnp.float32(r), jnp.float32(delta)
    zero = jnp.float32(0)

    def loss(r, delta):
        return l2jax.huber_loss(r, zero, delta)

    for f in (loss, jax.jit(loss)):
        np.testing.assert_allclose(f(r, delta), value, 1e-6)
        to_r, to_delta = jax.grad(f, (0, 1))(r, delta)
        assert to_r == delta
        np.testing.assert_allclose(to_delta, r, 1e-6)  # |r| - delta


def test_derivatives_of_huber_in_delta():
    """Against the formula of each side, at the kink that of the inside; the second ones too."""
    r = jnp.asarray([-3.0, -0.75, -0.5, 0.0, 0.75, 2.0])
    delta = jnp.full(r.shape, 0.75)
    outside = jnp.abs(r) > delta

    def total(r, delta):
        return l2jax.huber_loss(r, jnp.zeros_like(r), delta).sum()

    to_r, to_delta = jax.grad(total, (0, 1))(r, delta)
    np.testing.assert_array_equal(to_r, jnp.clip(r, -0.75, 0.75))
    np.testing.assert_array_equal(to_delta, jnp.where(outside, jnp.abs(r) - delta, 0))
    ones = jnp.ones_like(r)
    for f in (total, jax.jit(total)):
        pushed = jax.jvp(jax.grad(f), (r, delta), (ones, 0 * ones))[1]
        np.testing.assert_array_equal(pushed, jnp.where(outside, 0, 1))
        r_away = jnp.asarray([-3.0, -0.5, 0.25, 2.0])  # where the mixed derivative is one number
        d = jnp.full(r_away.shape, 0.75)
        away = jnp.abs(r_away) > d
        mixed = jax.jacobian(jax.grad(f), 1)(r_away, d)
        np.testing.assert_array_equal(jnp.diag(mixed), jnp.where(away, jnp.sign(r_away), 0))
        other = jax.jacobian(jax.grad(f, 1), 0)(r_away, d)
        np.testing.assert_array_equal(other, mixed)
        twice = jax.jacobian(jax.grad(f, 1), 1)(r_away, d)
        np.testing.assert_array_equal(jnp.diag(twice), jnp.where(away, -1, 0))


def test_an_infinite_residual_has_a_slope():
    r, delta = jnp.asarray([jnp.inf, -jnp.inf, 1.0]), jnp.asarray(0.5)

    def loss(r):
        return l2jax.huber_loss(r, jnp.zeros_like(r), delta)

    np.testing.assert_array_equal(jax.jvp(loss, (r,), (jnp.ones(3),))[1], [0.5, -0.5, 0.5])
    np.testing.assert_array_equal(jax.grad(lambda r: loss(r).sum())(r), [0.5, -0.5, 0.5])


@pytest.mark.parametrize("kind", [l2jax.Criterion, l2core.Criterion])
def test_a_criterion_is_a_static_pytree(data, kind):
    """A model that holds one passes what maps over its arrays; another criterion is another model."""
    model = {"scale": jnp.asarray(2.0), "loss": kind(l2core.Huber(0.5))}

    def loss(model, pred, target):
        return model["loss"](model["scale"] * pred, target)

    assert len(jax.tree.leaves(model)) == 1
    assert jax.tree.map(lambda x: x + 1, model)["loss"] is model["loss"]
    value = jax.jit(loss)(model, data.pred, data.target)
    close(value, l2core.Criterion(l2core.Huber(0.5))(2 * data.pred, data.target))
    slope = jax.jit(jax.grad(loss))(model, data.pred, data.target)
    assert slope["loss"] is model["loss"]
    r = 2 * data.pred - data.target
    close(slope["scale"], (np.clip(r, -0.5, 0.5) * data.pred).mean())
    other = {**model, "loss": kind(l2core.Huber(0.25))}
    assert jax.tree.structure(other) != jax.tree.structure(model)
    assert jax.jit(loss)(other, data.pred, data.target) < value
