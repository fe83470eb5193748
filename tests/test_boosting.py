"""Objectives for boosters and solvers, without them; `tests/clients` has them in the libraries."""

import numpy as np
import pytest
import scipy.optimize

from l2core import (
    AbsoluteError,
    Barron,
    BarronNLL,
    Cauchy,
    Criterion,
    Expectile,
    GaussianNLL,
    HalfSquaredError,
    Huber,
    LogCosh,
    Quantile,
    SmoothL1,
    SquaredError,
    StudentTNLL,
    Tukey,
    best_constant,
    boosting,
    solvers,
)
from l2core.numpy_namespace import XP
from subjects import EVERY_LOSS, FAMILIES

RNG = np.random.default_rng(6)
Y = RNG.standard_t(3, 101)
W = np.where(np.arange(101) % 4 == 0, 0.0, RNG.uniform(0.1, 2, 101))
WHOLE = [loss for loss in EVERY_LOSS + FAMILIES if not loss.needs or loss.variance]
by_loss = pytest.mark.parametrize("loss", WHOLE, ids=repr)


# --- the best constant ----------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [None, W], ids=["equal", "weighted"])
@by_loss
def test_no_constant_is_better(loss, weight):
    """Than the best of a fine grid, refined by a search that uses no derivative."""
    w = np.ones(101) if weight is None else weight

    def total(c):
        return float(np.sum(w * loss.rho(c - Y, XP)))

    found = best_constant(loss, Y, weight)
    grid = np.linspace(Y.min(), Y.max(), 1_001)
    best = grid[np.argmin([total(c) for c in grid])]
    step = grid[1] - grid[0]
    refined = scipy.optimize.minimize_scalar(
        total, bounds=(best - step, best + step), method="bounded", options={"xatol": 1e-12}
    )
    assert total(found) <= refined.fun + 1e-12 * abs(refined.fun)


def test_known_constants():
    """Mean, median and quantile; the middle where two would do; absent ones hold anything."""
    np.testing.assert_allclose(best_constant("squared_error", Y), Y.mean(), rtol=1e-14)
    assert abs(best_constant("squared_error", Y, W) - np.average(Y, weights=W)) < 1e-14
    assert abs(best_constant("absolute_error", Y) - np.median(Y)) < 1e-15
    assert best_constant("absolute_error", [0.0, 0.0, 0.0, 1.0, 1.0]) == 0
    assert best_constant("absolute_error", [0.0, 0.0, 1.0, 1.0]) == 0.5
    assert abs(best_constant("absolute_error", [4.0, 1, 3, 2]) - 2.5) < 1e-14
    assert abs(best_constant(Quantile(0.9), Y) - np.quantile(Y, 0.9, method="inverted_cdf")) < 1e-14
    assert best_constant("huber", [5.0, np.nan], [1.0, 0.0]) == 5.0
    assert best_constant("huber", [0.0, 0.0, 0.0]) == 0.0
    assert abs(best_constant("absolute_error", np.arange(10.0), [0.1] * 10) - 4.5) < 1e-14
    assert abs(best_constant(Quantile(0.1), np.arange(10.0)) - 0.5) < 1e-14
    assert abs(best_constant("squared_error", [1.0, 2, 6], [1e308] * 3) - 3) < 1e-14
    np.testing.assert_allclose(best_constant("squared_error", 1e9 + Y), 1e9 + Y.mean(), rtol=1e-15)
    with pytest.raises(ValueError, match=r"^target: expected finite numbers, got 1 that are not$"):
        best_constant("huber", [5.0, np.nan])
    with pytest.raises(ValueError, match=r"^target: expected finite numbers, got none present$"):
        best_constant("huber", [5.0], [0.0])
    for bad, text in (
        ([1.0], r"shape \(2,\) or its leading axes, got \(1,\)"),
        ([1.0, -1.0], "finite"),
        ([1.0, np.nan], "finite"),
    ):
        with pytest.raises(ValueError, match=f"^weight: expected {text}"):
            best_constant("huber", [5.0, 1.0], bad)
    for bad in (np.ma.array([1.0, 2.0], mask=[0, 1]), np.array([1j, 2.0])):
        with pytest.raises(TypeError, match=r"^target: expected "):
            best_constant("huber", bad)
    with pytest.raises(ValueError, match=r"^target: expected numbers of which the loss is finite"):
        best_constant("squared_error", [1e200, -1e200])
    with pytest.raises(
        ValueError, match=r"^loss: expected one with all of its parameters, got Gau"
    ):
        best_constant(GaussianNLL(), [5.0])


def test_a_constant_among_several_minima():
    """Of a loss that lets go of outliers: a zero of the slope, no worse than any other."""
    y = np.r_[np.linspace(0, 1, 1000), 100, 100.1, 100.2]
    w = np.r_[np.full(1000, 1e-6), 1, 1, 1]
    found = best_constant(Tukey(1.0), y, w)
    grid = np.linspace(0, 101, 40_001)
    best = min(np.average(Tukey(1.0).rho(c - y, XP), weights=w) for c in grid)
    assert np.average(Tukey(1.0).rho(found - y, XP), weights=w) <= best + 1e-12
    assert abs(np.average(Tukey(1.0).psi(found - y, XP), weights=w)) < 1e-6


# --- derivatives ----------------------------------------------------------------------------------

STEEP = {SquaredError, HalfSquaredError, Expectile, GaussianNLL}


def test_where_the_curvature_serves():
    assert {type(loss) for loss in WHOLE if boosting.steep(loss)} == STEEP
    assert boosting.steep(Barron(3.0))
    assert not boosting.steep(Cauchy(1e11))
    assert not boosting.steep(Huber(5e10))
    assert not boosting.steep(Barron(1.0))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weight", [None, W], ids=["equal", "weighted"])
@by_loss
def test_derivatives(loss, weight, dtype):
    """Both are of one multiple of the loss, whose Hessians average 1; a step lowers the loss."""
    pred = np.full(101, 0.3, dtype)
    weight = None if weight is None else weight.astype(dtype)
    target = Y if weight is None else np.where(weight == 0, np.nan, Y)
    grad, hess = boosting.objective(loss).derivatives(pred, target, weight)
    assert grad.dtype == hess.dtype == dtype
    w = np.ones(101) if weight is None else weight.astype(float)
    tolerance = 64 * np.finfo(dtype).eps
    np.testing.assert_allclose(np.sum(hess, dtype=float) / np.sum(w), 1.0, rtol=tolerance)
    assert np.all(hess >= 0)
    assert np.all(hess[grad != 0] > 0)
    assert np.all(grad[w == 0] == 0)
    assert np.all(hess[w == 0] == 0)
    psi = loss.psi((pred - Y.astype(dtype)).astype(float), XP) * w
    large = np.argmax(np.abs(psi))
    scale = grad[large] / psi[large]
    assert scale > 0
    np.testing.assert_allclose(
        grad, scale * psi, rtol=1e3 * tolerance, atol=1e-4 * abs(scale) * tolerance
    )
    step = -np.sum(grad, dtype=float) / np.sum(hess, dtype=float)
    kept = w > 0
    before, after = (np.sum((w * loss.rho(0.3 + move - Y, XP))[kept]) for move in (0.0, step))
    assert after <= before + 1e-9 * abs(before)


@pytest.mark.parametrize(
    "loss",
    [Huber(0.5), SmoothL1(0.3), LogCosh(), AbsoluteError(), Quantile(0.9), Cauchy(), Tukey()],
    ids=repr,
)
def test_the_majorant_lies_above(loss):
    """The parabola of each residual touches the loss there and lies nowhere below it."""
    r = np.array([0.9, -1.1, 3.0, -7.0, 2.5])
    grad, hess = boosting.Objective(loss, "majorant").derivatives(r, 0 * r)
    scale = grad[0] / loss.psi(r, XP)[0]
    x = np.linspace(-20, 20, 4001)
    for k, at in enumerate(r):
        touching = loss.rho(np.array([at]), XP) + grad[k] / scale * (x - at)
        parabola = touching + 0.5 * hess[k] / scale * (x - at) ** 2
        assert np.all(parabola >= loss.rho(x, XP) - 1e-12)
        # And no flatter one does: it meets the loss at -r too, or has its curvature.
        flatter = touching + 0.49 * hess[k] / scale * (x - at) ** 2
        assert hess[k] == 0 or np.any(flatter < loss.rho(x, XP) - 1e-12)


def test_the_floor_is_by_the_weighted_median():
    """One outlier changes no step of the others; weights count."""
    o = boosting.objective("absolute_error")
    r = np.array([1.0, -2.0, 3.0, -4.0, 0.001])
    far = np.append(r, 1e9)
    grad, hess = o.derivatives(r, 0 * r)
    other, same = o.derivatives(far, 0 * far)
    np.testing.assert_allclose(other[:5] / same[:5], grad / hess, rtol=1e-12)
    w = np.array([0.0, 5.0, 1.0, 1.0, 1.0])
    grad, hess = o.derivatives(r, 0 * r, w)
    np.testing.assert_allclose(abs(grad[4] / hess[4]), 0.3 * 2.0)  # the median of weights is |-2|


def test_parts_of_the_data():
    """With the targets told, a part of the data has the derivatives of the whole."""
    y = np.r_[Y, 50 * Y]
    for loss in ("absolute_error", Quantile(0.9), Cauchy(), Expectile(0.1), "squared_error"):
        o = boosting.objective(loss, "catboost", target=y)
        whole = o.derivatives(np.zeros(202), y)
        parts = [o.derivatives(np.zeros(101), part) for part in (y[:101], y[101:])]
        for a, *b in zip(whole, *parts, strict=True):
            np.testing.assert_array_equal(a, np.concatenate(b))
        start = np.full(202, o.initial_score(y))
        np.testing.assert_allclose(np.mean(o.derivatives(start, y)[1]), 1.0)
    with pytest.raises(
        ValueError, match=r"^target: expected the targets of the training data, of whi"
    ):
        boosting.objective("absolute_error", "catboost")


@pytest.mark.parametrize("unit", [1e-4, 1e6])
def test_the_unit_of_y_changes_nothing(unit):
    """Boosting in other units gives the same steps in them: grad grows as y does, hess does not."""
    for loss in (AbsoluteError(), Quantile(0.8)):
        o = boosting.objective(loss)
        grad, hess = o.derivatives(np.zeros(101), Y)
        other, same = o.derivatives(np.zeros(101), unit * Y)
        np.testing.assert_allclose(other, unit * grad, rtol=1e-12)
        np.testing.assert_allclose(same, hess, rtol=1e-12)


def test_squared_error_is_what_boosters_have():
    """r and 1, to the bit, whatever the factor."""
    pred, target = (RNG.standard_normal(101).astype(np.float32) for _ in range(2))
    weight = RNG.uniform(0.1, 2, 101).astype(np.float32)
    for loss in ("squared_error", "half_squared_error", GaussianNLL(variance=1.0)):
        for api in boosting.APIS:
            grad, hess = boosting.objective(loss, api).derivatives(pred, target, weight)
            np.testing.assert_array_equal(grad, weight * (pred - target))
            np.testing.assert_array_equal(hess, weight)


class Data:
    """As XGBoost's DMatrix and LightGBM's Dataset."""

    def get_label(self):
        return Y

    def get_weight(self):
        return W


def test_calls_of_each_api():
    pred = np.zeros(101)
    criterion = Criterion(Huber(0.5))
    mean = criterion(pred, Y, weight=W)
    for api in ("xgboost", "lightgbm"):
        o = boosting.objective({"name": "Huber", "delta": 0.5}, api)
        for a, b in zip(o(pred, Data()), o(Y, pred, W), strict=True):
            np.testing.assert_array_equal(a, b)
        more = (False,) if api == "lightgbm" else ()
        assert o.metric(pred, Data()) == ("mean_huber", mean, *more)
    assert boosting.objective(Huber(0.5), "xgboost").metric(Y, pred, sample_weight=W) == mean
    o = boosting.objective(Huber(0.5), "catboost", target=Y, weight=W)
    grad, hess = boosting.objective(Huber(0.5), target=Y, weight=W).derivatives(pred, Y, W)
    pairs = o.calc_ders_range(pred.tolist(), Y.tolist(), W.tolist())
    np.testing.assert_array_equal(pairs, np.stack([-grad, -hess], axis=1))
    total, count = o.metric.evaluate([pred], Y, W)
    assert o.metric.get_final_error(total, count) == mean
    assert not o.metric.is_max_optimal()
    assert np.isnan(o.metric.get_final_error(0.0, 0.0))
    assert o.initial_score(Y, W) == best_constant(Huber(0.5), Y, W)


def test_what_is_wrong():
    with pytest.raises(
        ValueError, match=r"^api: expected one of 'xgboost', 'lightgbm', 'catboost', g"
    ):
        boosting.objective("huber", "sklearn")
    with pytest.raises(
        ValueError, match=r"^hessian: expected one of 'auto', 'curvature', 'majorant'"
    ):
        boosting.objective("huber", hessian="ones")
    with pytest.raises(
        ValueError, match=r"^loss: expected one with all of its parameters, got Gau"
    ):
        boosting.objective("gaussian_nll")
    with pytest.raises(
        ValueError, match=r"^pred and target: expected equal shapes, got \(2,\) and"
    ):
        boosting.objective("huber").derivatives(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match=r"^weight: expected shape \(2,\), got \(3,\)$"):
        boosting.objective("huber").derivatives(np.ones(2), np.ones(2), np.ones(3))
    for bad in (np.nan, np.inf):
        with pytest.raises(
            ValueError, match=r"^pred - target: expected finite numbers, got 1 that"
        ):
            boosting.objective("huber").derivatives(np.zeros(3), np.array([0.0, bad, 2.0]))
    with pytest.raises(
        ValueError, match=r"^hessian: expected .*, whose curvature is negative in pl"
    ):
        boosting.objective("cauchy", hessian="curvature")
    with pytest.raises(TypeError, match=r"^pred: expected a real dtype, got complex128"):
        boosting.objective("huber").derivatives(np.ones(2) + 1j, np.ones(2))


def test_wide_targets_and_several_outputs():
    """The difference is taken before it is rounded; weights of rows are those of all outputs."""
    o = boosting.objective("squared_error")
    grad, _ = o.derivatives(np.array([1e8, 1e8], np.float32), np.array([1e8 + 1, 1e8 + 3]))
    np.testing.assert_array_equal(grad, np.array([-1, -3], np.float32))
    _, hess = o.derivatives(np.ones((3, 2)), np.zeros((3, 2)), np.array([1.0, 2, 3]))
    np.testing.assert_array_equal(hess, [[1, 1], [2, 2], [3, 3]])
    assert boosting.Objective("huber").loss == Huber()


# --- solvers --------------------------------------------------------------------------------------

T = np.linspace(0, 3, 40)
SEEN = 2.0 * np.exp(-1.3 * T) + 0.01 * RNG.standard_t(1.5, 40)


def residuals(x):
    return x[0] * np.exp(-x[1] * T) - SEEN


@pytest.mark.parametrize(
    ("loss", "name", "scale"),
    [
        (HalfSquaredError(), "linear", 1.0),
        (Huber(1.0), "huber", 0.02),
        (Cauchy(1.0), "cauchy", 0.02),
        (Barron(1.0, 1.0), "soft_l1", 0.02),
    ],
    ids=repr,
)
def test_scipy_by_its_own_losses(loss, name, scale):
    """The same parameters and cost; also with the scale in the loss."""
    tight = {"xtol": 1e-14, "ftol": 1e-14, "gtol": 1e-14}
    theirs = scipy.optimize.least_squares(residuals, [1, 1], loss=name, f_scale=scale, **tight)
    ours = scipy.optimize.least_squares(
        residuals, [1, 1], loss=solvers.scipy_loss(loss), f_scale=scale, **tight
    )
    np.testing.assert_allclose(ours.x, theirs.x, rtol=1e-9)
    np.testing.assert_allclose(ours.cost, theirs.cost, rtol=1e-9)
    found = Criterion(loss, "sum")(residuals(ours.x) / scale, np.zeros(40)) * scale**2
    np.testing.assert_allclose(ours.cost, found, rtol=1e-12)


@pytest.mark.parametrize("loss", [x for x in WHOLE if x.symmetric and not x.likelihood], ids=repr)
def test_scipy_derivatives(loss):
    """By differences of 2 rho(sqrt(z)), also near 0, where they come of small numbers."""
    z = np.array([1e-6, 0.01, 0.3, 2.0, 30.0])
    rho, slope, second = solvers.scipy_loss(loss)(z)
    h = 1e-4 * z
    up, down = (solvers.scipy_loss(loss)(z + sign * h) for sign in (1, -1))
    np.testing.assert_allclose(rho, 2 * loss.rho(np.sqrt(z), XP))
    np.testing.assert_allclose((up[0] - down[0]) / (2 * h), slope, rtol=1e-6)
    np.testing.assert_allclose((up[1] - down[1]) / (2 * h), second, rtol=1e-5, atol=2e-4)
    assert np.isfinite(solvers.scipy_loss(loss)(np.zeros(1))).all()


def test_norms_and_what_is_wrong():
    norm = solvers.statsmodels_norm(StudentTNLL())
    np.testing.assert_array_equal(norm(Y), norm.rho(Y))
    np.testing.assert_allclose(norm.weights(Y) * Y, norm.psi(Y), rtol=1e-15)
    np.testing.assert_array_equal(norm.psi_deriv(Y), StudentTNLL().curvature(Y, XP))
    with pytest.raises(
        ValueError, match=r"^loss: expected a symmetric one, since SciPy gives r², got"
    ):
        solvers.scipy_loss(Quantile(0.3))
    for f in (solvers.scipy_loss, solvers.statsmodels_norm):
        with pytest.raises(
            ValueError, match=r"^loss: expected one with all of its parameters, got G"
        ):
            f("gaussian_nll")


def test_every_loss_has_an_objective():
    """But those of a parameter that has no value, and BarronNLL's normaliser is no part of it."""
    with_z, without = (boosting.objective(x) for x in (BarronNLL(), Barron()))
    for a, b in zip(with_z(Y, 0 * Y), without(Y, 0 * Y), strict=True):
        np.testing.assert_array_equal(a, b)
