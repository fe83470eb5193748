"""rho, psi and curvature of every loss on every backend, point by point against the oracle."""

import math
from dataclasses import FrozenInstanceError, asdict, fields
from functools import cache, partial

import numpy as np
import pytest
from sklearn.metrics import mean_pinball_loss

from l2core import (
    LOSSES,
    AbsoluteError,
    Criterion,
    Expectile,
    GaussianNLL,
    Huber,
    LogCosh,
    Quantile,
    SmoothL1,
    SquaredError,
    reference,
)
from l2core.backend import backend_of
from l2core.exact import exact, ulps
from subjects import EVERY_LOSS, FAMILIES, ONE_OF_EACH, OURS, float_dtypes

ULPS = 8
"""What a loss promises at one exact residual: no more units in the last place than this.

The polynomial ones round at most 5 times: 4 ULP, as counted in agreement.py. LogCosh loses 3 to its
own expression with the functions of a libm; XLA's sinh and tanh lose up to 7 in float64."""

by_loss = pytest.mark.parametrize("loss", ONE_OF_EACH, ids=lambda loss: type(loss).__name__)


@cache
def points(dtype):
    """Residuals of every size, both signs, kinks and their neighbours."""
    kind = np.dtype(dtype).type
    near = [kind(x) for x in (0.5, 0.7, 1.0, 1.4)]
    x = np.concatenate([10.0 ** np.linspace(-30, 30, 121), np.linspace(0.01, 3, 97), [50, 89, 710]])
    x = np.concatenate([x.astype(dtype), near, np.nextafter(near, kind(9)), np.nextafter(near, -1)])
    return np.concatenate([x, -x, [0.0]]).astype(dtype)


VARIANCE = 1.5  # from 1 on nothing cancels in a log-likelihood


@cache
def expected_of(f, loss, dtype):
    name, parameters = type(loss).__name__, asdict(loss)
    more = {"variance": VARIANCE} if loss.needs else {}
    return [f(name, {**parameters, **more}, exact(r.item())) for r in points(dtype)]


def assert_within(observed, expected, dtype, flushes):
    """At most ULPS away. A framework that flushes subnormals may lose what is near them."""
    lost = exact(float(np.finfo(dtype).tiny)) * 8 if flushes else 0
    for r, seen, wanted in zip(points(dtype), observed.tolist(), expected, strict=True):
        if seen == 0 and not isinstance(wanted, float) and abs(wanted) <= lost:
            continue
        assert ulps(seen, wanted, dtype) <= ULPS, (r, seen, float(wanted))


def arguments(harness, loss, dtype):
    pred = harness.array(points(dtype), dtype)
    more = {"variance": VARIANCE} if loss.needs else {}
    return pred, harness.array(np.zeros(points(dtype).shape), dtype), more


@by_loss
def test_rho_and_psi(harness, loss):
    for dtype in float_dtypes(harness):
        pred, target, more = arguments(harness, loss, dtype)
        with np.errstate(over="ignore"):
            value, gradient = harness.value_and_grad(Criterion(loss, "none"), pred, target, **more)
        rho, psi = expected_of(reference.rho, loss, dtype), expected_of(reference.psi, loss, dtype)
        assert_within(harness.numpy(value), rho, dtype, harness.flushes)
        assert_within(harness.numpy(gradient), psi, dtype, harness.flushes)


@by_loss
def test_curvature(harness, loss):
    """By differentiating twice; without autograd the loss's own."""
    for dtype in float_dtypes(harness):
        pred, target, more = arguments(harness, loss, dtype)
        if "second" in harness.features:
            face = partial(harness.face(Criterion(loss, "sum")), target=target, **more)
            found = harness.features["second"](face, pred)
        else:
            v = [harness.array(VARIANCE, dtype)] if loss.needs else []
            found = loss.curvature(pred, backend_of(pred, "pred").xp, *v)
        expected = expected_of(reference.curvature, loss, dtype)
        assert_within(harness.numpy(found), expected, dtype, harness.flushes)


@pytest.mark.modes("jit", "function", "xla")
def test_log_cosh_compiled(harness, mode):
    for dtype in float_dtypes(harness):
        pred, target, _ = arguments(harness, LogCosh(), dtype)
        criterion = Criterion(LogCosh(), "none")
        value, gradient = harness.value_and_grad(criterion, pred, target, mode=mode)
        rho, psi = (
            expected_of(reference.rho, LogCosh(), dtype),
            expected_of(reference.psi, LogCosh(), dtype),
        )
        assert_within(harness.numpy(value), rho, dtype, harness.flushes)
        assert_within(harness.numpy(gradient), psi, dtype, harness.flushes)


@pytest.mark.once
@pytest.mark.parametrize("loss", [AbsoluteError(), SmoothL1(0.0), Quantile(0.7)], ids=repr)
def test_subgradient_at_a_kink_is_zero(harness, loss):
    zero = harness.array(np.array([0.0, -0.0]), "float32")
    value, gradient = harness.value_and_grad(Criterion(loss, "sum"), zero, zero)
    assert harness.numpy(value) == 0
    assert harness.numpy(gradient).tolist() == [0, 0]


@pytest.mark.once
@by_loss
def test_nan_gives_nan(harness, loss):
    pred = harness.array([math.nan, 1.0], "float32")
    target = harness.array([0.0, 0.0], "float32")
    more = {"variance": 2.0} if loss.needs else {}
    value, gradient = harness.value_and_grad(Criterion(loss, "none"), pred, target, **more)
    assert np.isnan(harness.numpy(value)).tolist() == [True, False]
    assert np.isnan(harness.numpy(gradient)).tolist() == [True, False]


# --- what a loss means --------------------------------------------------------------------------


@pytest.mark.once
@pytest.mark.parametrize("q", [0.1, 0.5, 0.7])
def test_quantile_has_the_sign_of_scikit_learn(harness, q):
    target, pred = np.array([1.0, 2.0, 3.0, 9.0]), np.array([4.0, 1.5, 3.0, 1.0])
    value = harness.run(
        harness.face(Criterion(Quantile(q))),
        harness.array(pred, "float32"),
        harness.array(target, "float32"),
    )
    expected = mean_pinball_loss(target, pred, alpha=q)
    # Four terms, each of three roundings, and their sum: 8 units of 2**-24.
    assert harness.numpy(value).item() == pytest.approx(expected, rel=8 * 2.0**-24, abs=0)


@pytest.mark.parametrize("loss", [Quantile(0.7), Expectile(0.7)], ids=repr)
def test_predicting_too_low_costs_the_parameter(loss):
    low, high = Criterion(loss, "none")(np.array([-1.0, 1.0]), np.zeros(2))
    assert (low, high) == (0.7, 1 - 0.7)


def test_what_a_loss_fits():
    """The best constant prediction, found on a grid, is what the docstring says."""
    y = np.array([0.0, 1.0, 2.0, 4.0, 10.0])
    grid = np.linspace(-1, 11, 1201)  # steps of 0.01

    def best(loss):
        rho = Criterion(loss, "none")(*np.broadcast_arrays(grid[:, None], y))
        return grid[rho.sum(axis=1).argmin()]

    step = 0.01
    assert best(SquaredError()) == pytest.approx(y.mean(), abs=step)
    assert best(AbsoluteError()) == pytest.approx(np.median(y), abs=step)
    assert best(Quantile(0.9)) == pytest.approx(10.0, abs=step)
    assert best(Quantile(0.3)) == pytest.approx(1.0, abs=step)
    assert best(Expectile(0.5)) == pytest.approx(y.mean(), abs=step)
    assert best(Expectile(0.9)) > y.mean() > best(Expectile(0.1))
    for loss in (Huber(1.0), LogCosh()):
        assert np.median(y) <= best(loss) < y.mean()


def test_relatives():
    r = points("float64")
    zero = np.zeros_like(r)

    def rho(loss):
        with np.errstate(over="ignore"):
            return Criterion(loss, "none")(r, zero)

    assert (rho(Huber(math.inf)) == rho(SquaredError()) / 2).all()
    assert (rho(SmoothL1(0.0)) == rho(AbsoluteError())).all()
    assert (rho(SmoothL1(2.0)) == rho(Huber(2.0)) / 2).all()
    assert (rho(Quantile(0.5)) == rho(AbsoluteError()) / 2).all()
    assert (rho(Expectile(0.5)) == rho(SquaredError()) / 2).all()


# --- losses as data -----------------------------------------------------------------------------

NAN, INF = math.nan, math.inf
REFUSED = {
    "Huber(delta=": [0, -1.0, NAN, -INF, "1", None, True, 1j],
    "SmoothL1(beta=": [-1.0, NAN, INF, 1e-300, "1", None, False],
    "Quantile(q=": [0.0, 1.0, -0.5, 2, NAN, "0.5", None],
    "Expectile(tau=": [0.0, 1.0, -0.5, 2, NAN, "0.5", None],
    "GaussianNLL(eps=": [-1.0, NAN, INF, "0", None],
    "GaussianNLL(full=": [1, None, "yes"],
    "GaussianNLL(beta=": [-0.1, 1.1, NAN, INF, "0", None],
    "GaussianNLL(variance=": [0.0, -1.0, NAN, INF, "1"],
    "LaplaceNLL(scale=": [0, -1.0, NAN, INF, 1e-300, "1", None],
    "StudentTNLL(scale=": [0, NAN, INF, "1", None],
    "StudentTNLL(df=": [0, -1.0, NAN, INF, "1", None],
    "Cauchy(c=": [0, -1.0, NAN, INF, "1", None],
    "Tukey(c=": [0, -1.0, NAN, INF, "1", None],
    "Barron(alpha=": [NAN, INF, "1", None],
    "Barron(scale=": [0, -1.0, NAN, INF, "1", None],
    "BarronNLL(alpha=": [-1.0, -INF, NAN, INF, "1", None],
    "BarronNLL(scale=": [0, NAN, INF, "1", None],
}


@pytest.mark.parametrize(
    ("start", "value"), [(start, value) for start, values in REFUSED.items() for value in values]
)
def test_refused_parameters(start, value):
    name, _, field = start.rstrip("=").partition("(")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    error = ValueError if number and field != "full" else TypeError
    with pytest.raises(error) as caught:
        LOSSES[name](**{field: value})
    message = str(caught.value)
    assert message.startswith(f"{field}: expected ")
    assert f"{value!r}" in message.partition(", got ")[2]


@pytest.mark.parametrize("kind", OURS)
def test_every_parameter_refuses_what_is_no_number(kind):
    for field in fields(kind):
        for value in (None, "0.5", 1j, [0.5], np.array([0.5, 0.5])):
            if value is None is field.default:
                continue
            with pytest.raises((TypeError, ValueError), match=f"^{field.name}: expected .*, got "):
                kind(**{field.name: value})


def test_parameters_become_floats():
    loss = Huber(np.float32(2))
    assert type(loss.delta) is float
    assert loss == Huber(2)
    assert Huber(INF).delta == INF


@pytest.mark.parametrize("loss", [*EVERY_LOSS, *FAMILIES], ids=repr)
def test_losses_are_data(loss):
    assert loss == type(loss)(**asdict(loss))
    assert hash(loss) == hash(type(loss)(**asdict(loss)))
    assert LOSSES[type(loss).__name__] is type(loss)
    assert eval(repr(loss), dict(LOSSES)) == loss
    with pytest.raises((FrozenInstanceError, AttributeError)):
        loss.delta = 3.0


def test_a_name_belongs_to_one_loss():
    with pytest.raises(ValueError, match=r"^Huber: expected a name that no other loss has, got "):
        type("Huber", (Huber,), {})
    assert LOSSES["Huber"] is Huber


@pytest.mark.once
def test_a_variance_below_eps_gets_no_gradient(harness):
    """Beyond rho of the residual: the gradient to the variance is ½(1/v - r²/v²), or 0 below eps."""
    if not harness.autograd:
        return
    face = harness.face(Criterion(GaussianNLL(eps=0.5), "sum"))
    pred, target, variance = (
        harness.array(x, "float32") for x in ([3.0, 1.0, 2.0], [0.0, 0.0, 0.0], [0.25, 2.0, 4.0])
    )
    _, gradients = harness.vjp(lambda p, t, v: face(p, t, variance=v), pred, target, variance)
    assert harness.numpy(gradients[2]).tolist() == [0.0, 0.125, 0.0]
    assert harness.numpy(gradients[1]).tolist() == [-6.0, -0.5, -0.5]
