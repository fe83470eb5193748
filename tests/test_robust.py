"""`l2core.robust` by sorting in Python, in every framework and mode; the fit by its normal equation."""

import math
import statistics
from dataclasses import asdict
from fractions import Fraction

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from l2core import (
    LOSSES,
    Cauchy,
    Criterion,
    Expectile,
    Huber,
    SquaredError,
    Tukey,
    reference,
    robust,
)
from l2core.backend import backend_of
from l2core.exact import exact
from subjects import FAMILIES, ONE_OF_EACH, float_dtypes

RNG = np.random.default_rng(15)
# Of a quarter, so that many are equal, and exact in float32.
TARGET = RNG.integers(-20, 20, (12, 3)) / 4
PRED = TARGET + RNG.integers(-9, 9, (12, 3)) / 4
WEIGHT = np.where(np.arange(12) % 5 == 0, 0.0, np.arange(12) % 3 + 0.5)
MASK = RNG.random((12, 3)) < 0.8
HIDDEN = np.where((WEIGHT == 0)[:, None] | ~MASK, np.nan, TARGET)
GIVEN = {
    "all": (TARGET, {}),
    "weight": (HIDDEN, {"weight": WEIGHT, "mask": MASK}),
    "mask": (np.where(MASK, TARGET, np.inf), {"mask": MASK}),
}
by_given = pytest.mark.parametrize("given", GIVEN)
FRACTIONS = [0.0, 0.1, 1 / 3, 0.5, 0.999]


def oracle(which, loss, r):
    """rho, psi or curvature of each residual, by the exact oracle."""
    f = getattr(reference, which)
    return np.array([float(f(type(loss).__name__, asdict(loss), exact(float(x)))) for x in r])


def present(others):
    """The indices of those present, as they stand."""
    there = np.broadcast_to(others.get("mask", True), PRED.shape)
    if "weight" in others:
        there = there & (others["weight"] != 0)[:, None]
    return [tuple(map(int, i)) for i in np.argwhere(there)]


def by_sorting(target, others, fraction):
    """Those that stay, and those that are left out, by the words of the docstring."""
    there = present(others)
    order = sorted(there, key=lambda i: abs(PRED[i] - target[i]))  # stable: the earlier first
    n = math.floor(Fraction(fraction).limit_denominator(1000) * len(there))
    return order[: len(order) - n], order[len(order) - n :]


def run(harness, f, target, others, mode="eager", dtype="float32"):
    names = list(others)
    arrays = [harness.array(others[name], None if name == "mask" else dtype) for name in names]

    def call(p, t, *rest):
        return f(p, t, **dict(zip(names, rest, strict=True)))

    inputs = harness.array(PRED, dtype), harness.array(target, dtype), *arrays
    return harness.numpy(harness.run(call, *inputs, mode=mode))


def test_irls_weight_at_the_edges():
    """In float16, whose least number is 2^-14; of residuals without end."""
    from l2core.numpy_namespace import XP

    zero = np.zeros(1, np.float16)
    for loss in (SquaredError(), Huber(0.5), LOSSES["AbsoluteError"]()):
        assert np.isfinite(loss.irls_weight(zero, XP)).all()
    assert SquaredError().irls_weight(np.array([np.inf, 1e308]), XP).tolist() == [2.0, 2.0]


@by_given
@pytest.mark.parametrize("fraction", FRACTIONS)
@pytest.mark.once
def test_trim_and_winsorize(harness, given, fraction):
    target, others = GIVEN[given]
    stays, goes = by_sorting(target, others, fraction)
    found = run(harness, lambda p, t, **o: robust.trim(p, t, fraction, **o), target, others)
    assert [tuple(map(int, i)) for i in np.argwhere(found)] == sorted(stays)
    moved = run(harness, lambda p, t, **o: robust.winsorize(p, t, fraction, **o), target, others)
    largest = max(abs(PRED[i] - target[i]) for i in stays)
    expected = PRED.copy()
    for i in goes:
        expected[i] = target[i] + math.copysign(largest, PRED[i] - target[i])
    np.testing.assert_array_equal(moved, expected)


@by_given
@pytest.mark.once
def test_mad_scale(harness, given):
    """Weights are counts: the median of the sample in which each element is there so many times."""
    target, others = GIVEN[given]
    repeated = []
    for i in present(others):
        times = 2 * others["weight"][i[0]] if "weight" in others else 1
        repeated += [abs(PRED[i] - target[i])] * round(times)
    expected = statistics.median(repeated) / scipy.stats.norm.ppf(0.75)
    for dtype in float_dtypes(harness):
        found = run(harness, robust.mad_scale, target, others, dtype=dtype)
        assert found.shape == ()
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize(
    ("weight", "expected"), [(None, 5.5), (0.1, 5.5), ([0.1] * 10, 5.5), ([3.0] + [1.0] * 9, 4.5)]
)
def test_half_of_the_weights_end_between_two(weight, expected):
    """Of 1, 2, ..., 10 that is 5.5, whatever their equal weight; of 1, 1, 1, 2, 3, ..., 10 it is 4.5."""
    given = np.asarray(weight) if isinstance(weight, list) else weight
    found = robust.mad_scale(np.arange(1.0, 11.0), np.zeros(10), weight=given)
    np.testing.assert_allclose(found, expected / scipy.stats.norm.ppf(0.75), rtol=1e-15)


@pytest.mark.modes("jit", "function", "xla", "compile")
@pytest.mark.once
def test_inside_a_compiled_function(harness, mode):
    target, others = GIVEN["weight"]
    for f in (
        lambda p, t, **o: robust.trim(p, t, 0.3, **o),
        lambda p, t, **o: robust.winsorize(p, t, 0.3, **o),
        lambda p, t, **o: robust.huber_delta(p, t, **o),
    ):
        compiled, eager = (run(harness, f, target, others, m) for m in (mode, "eager"))
        np.testing.assert_allclose(compiled, eager, rtol=2e-7)


@pytest.mark.once
def test_any_criterion_takes_them(harness):
    """The trimmed mean is that of the others; where a prediction was moved the gradient is 0."""
    if not harness.autograd:
        return
    target, _ = GIVEN["all"]
    stays, goes = by_sorting(target, {}, 0.25)
    criterion = Criterion(Huber(2.0))
    rho = oracle("rho", Huber(2.0), [PRED[i] - target[i] for i in stays])
    face = harness.face(criterion)
    arrays = [harness.array(x, "float32") for x in (PRED, target)]

    def trimmed(p, t):
        return face(p, t, mask=robust.trim(p, t, 0.25))

    def winsorized(p, t):
        return face(robust.winsorize(p, t, 0.25), t)

    value, (slope, _) = harness.vjp(trimmed, *arrays)
    np.testing.assert_allclose(harness.numpy(value), rho.mean(), rtol=1e-6)
    _, (moved, _) = harness.vjp(winsorized, *arrays)
    for i in goes:
        assert harness.numpy(slope)[i] == harness.numpy(moved)[i] == 0
    for i in stays:
        r = PRED[i] - target[i]
        np.testing.assert_allclose(harness.numpy(moved)[i], np.clip(r, -2, 2) / 36, rtol=1e-6)


def test_nan_is_no_outlier():
    target = TARGET.copy()
    target[4, 1] = np.nan
    for fraction in FRACTIONS:
        assert robust.trim(PRED, target, fraction)[4, 1]
        assert np.isnan(Criterion()(robust.winsorize(PRED, target, fraction), target))
    assert np.isnan(robust.mad_scale(PRED, target))
    infinite = np.where(np.isnan(target), np.inf, target)
    assert not robust.trim(PRED, infinite, 0.05)[4, 1]
    assert np.isfinite(robust.mad_scale(PRED, infinite))
    assert np.isnan(robust.mad_scale(PRED, target, mask=np.zeros(PRED.shape, bool)))


@pytest.mark.parametrize("shape", [(2,), (3,)])
def test_almost_all_are_nan(shape):
    """They stay, and of the others at least as many as the share says."""
    pred = np.append(np.full(shape, np.nan), 1.0)
    assert robust.trim(pred, 0 * np.ones(pred.shape), 0.9)[:-1].all()
    assert robust.trim(np.ones(3), np.zeros(3), 1 - 1e-9).sum() == 1


@pytest.mark.once
def test_nothing_and_weights_that_are_none(harness):
    """NaN, as the mean of a criterion over nothing, or with such weights."""
    x = harness.array(np.ones(3), "float32")
    nothing = harness.array(np.ones((0, 3)), "float32")
    assert np.isnan(harness.numpy(robust.mad_scale(nothing, nothing)))
    assert robust.winsorize(nothing, nothing, 0.1).shape == (0, 3)
    for bad in ([1.0, np.nan, 1.0], [-1.0, -1.0, -1.0], [1.0, np.inf, 1.0]):
        weight = harness.array(np.array(bad), "float32")
        assert np.isnan(harness.numpy(robust.mad_scale(x, x, weight=weight)))


def test_lengths_that_tensorflow_does_not_know(harness):
    if harness.name != "tensorflow":
        return
    import tensorflow as tf

    for spec in (tf.TensorSpec([None, 3], tf.float64), tf.TensorSpec([None, None], tf.float64)):
        for f in (lambda p, t: robust.trim(p, t, 0.3), lambda p, t: robust.winsorize(p, t, 0.3)):
            traced = tf.function(f, input_signature=[spec, spec], autograph=False)
            np.testing.assert_array_equal(traced(PRED, TARGET), f(PRED, TARGET))
        traced = tf.function(robust.mad_scale, input_signature=[spec, spec], autograph=False)
        np.testing.assert_allclose(traced(PRED, TARGET), robust.mad_scale(PRED, TARGET))


def test_a_share_of_many():
    """The number that is left out is floor(fraction·n) of the decimal number, also of large n."""
    for n in (1, 7, 100, 65_536, 1_000_003):
        zero = np.zeros(n, np.float32)
        for text in ("0.29", "0.07", "0.5", "0.000001", "0.999999"):
            kept = np.count_nonzero(robust.trim(zero, zero, float(text)))
            assert kept == n - math.floor(Fraction(text) * n)
    for n in (2**31 - 1, 2**24 + 1):
        found = robust._floor_of_share(0.999999, np.asarray(n, np.int32))
        assert found == math.floor(Fraction("0.999999") * n)


@pytest.mark.parametrize("efficiency", [0.7, 0.95, 0.999])
def test_tuning(efficiency):
    """By quadrature of the asymptotic variance, E[psi²]/E[psi']²."""
    k = robust.huber_tuning(efficiency)
    density = scipy.stats.norm.pdf
    top = scipy.integrate.quad(density, -k, k, epsabs=1e-13)[0]
    under = scipy.integrate.quad(lambda x: x * x * density(x), -k, k, epsabs=1e-13)[0]
    under += 2 * k * k * scipy.stats.norm.sf(k)
    assert math.isclose(top**2 / under, efficiency, rel_tol=1e-9)


@pytest.mark.parametrize(
    "loss", [x for x in ONE_OF_EACH + FAMILIES if not x.needs or x.variance], ids=repr
)
@pytest.mark.once
def test_irls_weight(harness, loss):
    """psi(r)/r of the oracle; at 0 the curvature, or that of a jump."""
    r = np.array([0.0, 1e-30, -1e-20, 1e-3, -0.3, 1.0, 2.5, -7.0, 40.0])
    for dtype in float_dtypes(harness):
        x = harness.array(r, dtype)
        found = harness.numpy(loss.irls_weight(x, backend_of(x, "x").xp))
        assert found.dtype == dtype
        r_of = harness.numpy(x).astype(float)
        psi = oracle("psi", loss, r_of)
        (at_0,) = oracle("curvature", loss, [0.0])
        if at_0 == 0:
            at_0 = 2.0**126 * oracle("psi", loss, [1.0])[0]
        if type(loss).__name__ == "Quantile":
            at_0 = 2.0**125  # half of the slope of a jump from -q to 1 - q
        expected = np.divide(psi, r_of, out=np.full_like(psi, at_0), where=r_of != 0)
        np.testing.assert_allclose(found, expected, rtol=256 * np.finfo(dtype).eps)


X = np.concatenate([np.ones((80, 1)), RNG.standard_normal((80, 3))], axis=1)
Y = X @ [1.0, -2.0, 0.5, 3.0] + RNG.standard_t(2, 80)
ABSENT = np.where(np.arange(80) % 9 == 0, 0.0, RNG.uniform(0.2, 2, 80))


@pytest.mark.parametrize("weight", [None, ABSENT], ids=["equal", "weighted"])
@pytest.mark.parametrize("scale", [None, 1.5])
@pytest.mark.parametrize("loss", [Huber(1.345), Tukey(), Cauchy(2.385), Expectile(0.7)], ids=repr)
def test_the_fit_solves_its_equation(loss, scale, weight):
    """Σω·psi(r/scale)·x is 0 at the answer, and the scale is that of its residuals."""
    y = Y if weight is None else np.where(weight == 0, np.nan, Y)
    found = robust.fit(X, y, loss, weight=weight, scale=scale)
    assert found.converged
    r = X @ found.coefficients - y
    unit = robust.mad_scale(X @ found.coefficients, y, weight=weight) if scale is None else scale
    np.testing.assert_allclose(found.scale, unit, rtol=1e-9)
    psi = oracle("psi", loss, np.nan_to_num(r) / unit)
    psi *= 1.0 if weight is None else weight
    assert np.abs(X.T @ psi).max() < 1e-8 * np.abs(X.T @ np.abs(psi)).max()


@pytest.mark.once
def test_the_fit_in_every_framework(harness):
    if harness.name == "tensorflow" or harness.name.startswith("keras"):
        return  # no namespace of the array standard
    expected = robust.fit(X, Y, Tukey())
    for dtype in float_dtypes(harness):
        found = robust.fit(harness.array(X, dtype), harness.array(Y, dtype), Tukey())
        assert found.converged
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(
            harness.numpy(found.coefficients), expected.coefficients, rtol=1000 * eps + 1e-8
        )


def test_what_is_wrong():
    for fraction, kind in ((1.0, ValueError), (-0.1, ValueError), ("half", TypeError)):
        with pytest.raises(kind, match=r"^fraction: expected a number >= 0 and < 1, got"):
            robust.trim(PRED, TARGET, fraction)
    with pytest.raises(ValueError, match=r"^pred and target: expected equal shapes"):
        robust.trim(PRED, TARGET[:3], 0.1)
    with pytest.raises(TypeError, match=r"^pred: expected a real float dtype, got int64"):
        robust.winsorize(PRED.astype(int), TARGET, 0.1)
    with pytest.raises(
        TypeError, match=r"^pred - target: expected a real float dtype, got complex"
    ):
        robust.winsorize(PRED, TARGET + 0j, 0.1)
    with pytest.raises(
        ValueError, match=r"^loss: expected one whose psi does not jump at 0, got Abs"
    ):
        robust.fit(X, Y, "absolute_error")
    with pytest.raises(
        ValueError, match=r"^loss: expected one with all of its parameters, got Gauss"
    ):
        robust.fit(X, Y, LOSSES["GaussianNLL"]())
    with pytest.raises(ValueError, match=r"^scale: expected a number where half of the residuals"):
        robust.fit(np.ones((5, 1)), np.array([0.0, 0.0, 0.0, 0.0, 0.0]))
    with pytest.warns(
        RuntimeWarning, match=r"^robust.fit: a prediction still moves by .* after 2 it"
    ):
        assert not robust.fit(X, Y, iterations=2).converged
    with pytest.raises(ValueError, match=r"^efficiency: expected a number between 0.637 and 1"):
        robust.huber_tuning(0.5)
    assert robust.fit(X, Y, SquaredError(), iterations=np.int64(9)).iterations == 1
    dollars = 1e6 * Y
    with pytest.raises(
        ValueError, match=r"^scale: expected one at which more than 4 of the 80 resid"
    ):
        robust.fit(X, dollars, Tukey(), scale=1e-3)
    with pytest.warns(
        RuntimeWarning, match=r"only \d+ of 80 rows have a weight at this scale, 0\.1"
    ):
        robust.fit(X, Y, Tukey(), scale=0.1)
    with pytest.raises(ValueError, match=r"^weight: expected numbers >= 0 of which some are > 0"):
        robust.fit(X, Y, weight=np.zeros(80))
    with pytest.raises(ValueError, match=r"^weight: expected numbers >= 0 of which some are > 0"):
        robust.fit(X, Y, weight=np.full(80, -1.0))
    with pytest.raises(ValueError, match=r"^y: expected finite numbers where a row has a weight"):
        robust.fit(X, np.where(np.arange(80) == 3, np.nan, Y), scale=1.0)
    with pytest.raises(ValueError, match=r"^scale: expected a number > 0 in float32, got 1e-50"):
        robust.fit(X.astype(np.float32), Y.astype(np.float32), scale=1e-50)


def test_one_row_far_out_does_not_end_the_fit():
    """Whose own rounding allows a step that the others notice."""
    x, y = X[:, :2].copy(), X[:, :2] @ [1.0, 2.0] + 0.1 * RNG.standard_normal(80)
    y[::10] += 5
    expected = robust.fit(x, y).coefficients
    far = np.vstack([x, [1.0, 1e14]]), np.append(y, 2e14 + 1)
    np.testing.assert_allclose(robust.fit(*far).coefficients[0], expected[0], atol=5e-3)


def test_a_fit_has_no_gradient(harness):
    if harness.name != "torch":
        return
    import torch

    x, y = (torch.tensor(a, requires_grad=True) for a in (X, Y))
    assert not robust.fit(x, y).coefficients.requires_grad
