"""Robust losses and likelihoods: the oracle against mpmath and SciPy, ours against the oracle."""

import math
from dataclasses import asdict
from fractions import Fraction
from functools import cache, partial

import mpmath
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

import barron
from l2core import (
    Barron,
    BarronNLL,
    Cauchy,
    Criterion,
    GaussianNLL,
    LaplaceNLL,
    StudentTNLL,
    Tukey,
    reference,
)
from l2core.conformance import bounds
from l2core.conformance.case import Case
from l2core.exact import exact
from l2core.losses import normaliser
from l2core.numpy_namespace import XP
from subjects import FAMILIES, float_dtypes

by_loss = pytest.mark.parametrize("loss", FAMILIES, ids=repr)
ALPHAS = [
    -1e9,
    -30.0,
    -2.0,
    -0.5,
    -1e-9,
    0.0,
    1e-12,
    0.3,
    1.0,
    1.5,
    2 - 1e-6,
    2.0,
    2 + 1e-6,
    3.0,
    50.0,
]
RESIDUALS = [0.0, 1e-30, 1e-9, 1e-3, 0.1, 0.69, 0.7, 0.71, 1.0, 1.5, 4.7, 30.0, 1e4, 1e15]


# --- the oracle, by a second method ---------------------------------------------------------------


def textbook(loss, r, x):
    """rho by mpmath, from the formula of the docstring."""
    mp, p = mpmath, {k: mpmath.mpf(v) if isinstance(v, float) else v for k, v in x.items()}
    match type(loss).__name__:
        case "Cauchy":
            return p["c"] ** 2 / 2 * mp.log1p((r / p["c"]) ** 2)
        case "Tukey":
            inner = min(abs(r) / p["c"], 1)
            return p["c"] ** 2 / 6 * (1 - (1 - inner**2) ** 3)
        case "LaplaceNLL":
            return -mp.log(mp.exp(-abs(r) / p["scale"]) / (2 * p["scale"]))
        case "StudentTNLL":
            v, u = p["df"], r / p["scale"]
            density = mp.gamma((v + 1) / 2) / mp.gamma(v / 2) / mp.sqrt(v * mp.pi)
            return mp.log(p["scale"]) - mp.log(density * (1 + u**2 / v) ** (-(v + 1) / 2))
        case "GaussianNLL":
            v = max(p["variance"], p["eps"])
            return v ** p["beta"] * (mp.log(v) + r**2 / v) / 2
    u, a = r / p["scale"], p["alpha"]
    b = abs(a - 2)
    rho = u**2 / 2 if b == 0 else mp.log1p(u**2 / 2) if a == 0 else None
    rho = b / a * ((u**2 / b + 1) ** (a / 2) - 1) if rho is None else rho
    return rho + (mp.log(p["scale"]) + barron.log_z(a) if type(loss) is BarronNLL else 0)


MORE = [
    kind(alpha, 1.5)
    for kind in (Barron, BarronNLL)
    for alpha in ALPHAS
    if kind is Barron or alpha >= 0
]


@pytest.mark.parametrize("loss", [*FAMILIES, *MORE], ids=repr)
def test_the_oracle(loss):
    x = {"variance": 1.7} if loss.needs else {}
    told = {**asdict(loss), **x}
    for r in RESIDUALS:
        if r > 1000 and "Barron" in repr(loss) and told["alpha"] > 2:
            continue
        with mpmath.workdps(120):
            expected = textbook(loss, mpmath.mpf(r), told)
        found = reference.rho(type(loss).__name__, told, Fraction(r))
        with mpmath.workdps(60):
            seen = mpmath.mpf(found.numerator) / found.denominator
            assert abs(seen - expected) <= mpmath.mpf(10) ** -35 * (abs(expected) + r * r / 1e20), r


@pytest.mark.parametrize("loss", [*FAMILIES, *MORE], ids=repr)
def test_the_oracles_derivatives(loss):
    """Central differences of exact numbers."""
    name, step = type(loss).__name__, Fraction(1, 10**14)
    told = {**asdict(loss), **({"variance": 1.7} if loss.needs else {})}
    rho, psi = partial(reference.rho, name, told), partial(reference.psi, name, told)
    for r in (Fraction(n, 16) + Fraction(1, 100) for n in range(-70, 70, 7)):
        slope = (rho(r + step) - rho(r - step)) / (2 * step)
        size = 1 + abs(rho(r)) + abs(reference.curvature(name, told, r))
        assert abs(slope - psi(r)) <= 1e-10 * size * size
        bend = (psi(r + step) - psi(r - step)) / (2 * step)
        assert abs(bend - reference.curvature(name, told, r)) <= 1e-10 * size * size
    for which in loss.parameters:
        if told.get(which) in (None, 2.0, -math.inf) or (which == "alpha" and told[which] == 0):
            continue
        x = Fraction(told[which])
        h = step * max(1, abs(x))
        for r in (Fraction(1, 3), Fraction(-5, 2)):
            up, down = (reference.rho(name, {**told, which: y}, r) for y in (x + h, x - h))
            if name == "GaussianNLL" and told["beta"]:
                continue  # of its power no derivative is taken
            seen = reference.by_parameter(name, which, told, r)
            assert abs((up - down) / (2 * h) - seen) <= 1e-9 * (1 + abs(seen)), (which, r)


def test_barrons_derivative_by_alpha_at_0_is_the_limit():
    told = {"alpha": 0.0, "scale": 1.5}
    for r in (Fraction(1, 3), Fraction(5)):
        at, near = (
            reference.by_parameter("Barron", "alpha", {**told, "alpha": a}, r) for a in (0.0, 1e-9)
        )
        assert abs(at - near) <= 1e-7


# --- ours against the oracle -----------------------------------------------------------------------


def case_of(loss, dtype):
    points = [*RESIDUALS, *(1e25, 1e-38)] if dtype == "float32" else [*RESIDUALS, 1e160, 1e-300]
    r = np.array([x for r in points for x in (r, -r)]).astype(dtype)
    more = {"variance": np.full(r.shape, 1.7, dtype)} if loss.needs else {}
    return Case(r, np.zeros_like(r), dtype=dtype, **({"parameters": more} if more else {}))


@cache
def expected_of(loss, dtype, flushes):
    """A case, with the exact values and gradients and their bounds."""
    case = case_of(loss, dtype)
    exacts = bounds.Exacts(loss, {"reduction": "none"}, case)
    with np.errstate(over="ignore"):
        allowed = bounds.bounds(exacts, bounds.Arithmetic(dtype, flushes, True))
    return case, (exacts.value(), allowed.value), (exacts.gradient(), allowed.gradient)


@by_loss
def test_rho_and_psi(harness, loss):
    for dtype in float_dtypes(harness):
        case, *expected = expected_of(loss, dtype, harness.flushes)
        given = {name: harness.array(x, dtype) for name, x in case.parameters.items()}
        arrays = [harness.array(x, dtype) for x in (case.pred, case.target)]
        with np.errstate(over="ignore"):
            value, gradient = harness.value_and_grad(Criterion(loss, "none"), *arrays, **given)
        for seen, (wanted, error) in zip((value, gradient), expected, strict=True):
            for i, x in enumerate(harness.numpy(seen).tolist()):
                overflows = abs(wanted[i]) > np.finfo(dtype).max
                assert bounds.within(x, wanted[i], error[i], dtype, overflows), (case.pred[i], x)


@by_loss
@pytest.mark.once
def test_nan_and_infinities(harness, loss):
    points = [math.nan, math.inf, -math.inf, 1.0]
    name, told = type(loss).__name__, {**asdict(loss), **({"variance": 1.7} if loss.needs else {})}
    more = {"variance": 1.7} if loss.needs else {}
    arrays = [harness.array(x, "float32") for x in (points, [0.0] * 4)]
    with np.errstate(over="ignore"):
        value, gradient = harness.value_and_grad(Criterion(loss, "none"), *arrays, **more)
    for found, f in ((value, reference.rho), (gradient, reference.psi)):
        seen = harness.numpy(found).tolist()
        expected = [float(f(name, told, exact(x))) for x in points]
        np.testing.assert_allclose(seen, expected, rtol=1e-5)


@by_loss
def test_curvature(loss):
    r = np.linspace(-9, 9, 181)
    more = [1.7] if loss.needs else []
    told = {**asdict(loss), **({"variance": 1.7} if loss.needs else {})}
    found = loss.curvature(r, XP, *more)
    expected = [float(reference.curvature(type(loss).__name__, told, Fraction(x))) for x in r]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14 * max(1, *np.abs(expected)))


@pytest.mark.parametrize("alpha", ALPHAS)
def test_an_alpha_that_comes_with_the_call_is_one_that_is_fixed(alpha):
    r = np.array(RESIDUALS)
    with np.errstate(over="ignore"):
        for f in ("rho", "psi", "curvature"):
            open_ = getattr(Barron(), f)(
                r, XP, alpha=np.full(r.shape, alpha), scale=np.full(r.shape, 0.7)
            )
            fixed = getattr(Barron(alpha, 0.7), f)(r, XP)
            np.testing.assert_allclose(open_, fixed, rtol=1e-13)


# --- the normaliser ---------------------------------------------------------------------------------

SHAPES = [
    0.0,
    1e-9,
    0.01,
    0.1,
    0.5,
    1.0,
    1.3,
    1.9,
    1.99999,
    2 - 1e-12,
    2.0,
    2 + 1e-12,
    2.001,
    2.5,
    3.0,
    3.001,
    7.0,
    1e3,
    1e9,
]


def test_log_z():
    seen = normaliser.log_normaliser(np.array(SHAPES), XP)
    expected = [float(barron.log_z(x)) for x in SHAPES]
    np.testing.assert_allclose(seen, expected, rtol=0, atol=1e-14)
    assert [normaliser.log_normaliser(x, XP) for x in SHAPES] == seen.tolist()
    found = [
        float(reference.RHO["BarronNLL"]({"alpha": x, "scale": 1.0}, Fraction(0))) for x in SHAPES
    ]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)


@pytest.mark.scripts
def test_its_table_is_what_makes_it():
    for name, expected in barron.tables().items():
        assert [float(x) for x in expected] == list(getattr(normaliser, name))


def test_values_that_have_a_formula():
    for alpha, z in ((0.0, math.pi * math.sqrt(2)), (2.0, math.sqrt(2 * math.pi))):
        assert normaliser.log_normaliser(alpha, XP) == pytest.approx(math.log(z), abs=1e-14)
    bessel = 2 * mpmath.e * mpmath.besselk(1, 1)
    assert normaliser.log_normaliser(1.0, XP) == pytest.approx(float(mpmath.log(bessel)), abs=1e-14)


@pytest.mark.once
@pytest.mark.parametrize("kind", [Barron, BarronNLL])
def test_at_2_the_derivative_by_alpha_is_that_of_the_number_below(harness, kind):
    """Where it is infinite; the normaliser's goes with it, or a likelihood would run away."""
    if not harness.autograd:
        return
    for dtype in float_dtypes(harness):
        face = harness.face(Criterion(kind()))
        arrays = [harness.array(x, dtype) for x in (R, ZERO)]
        two = np.dtype(dtype).type(2)
        below = np.nextafter(two, np.dtype(dtype).type(0))
        told = {"alpha": float(below), "scale": 1.0}
        slopes = [
            reference.by_parameter(kind.__name__, "alpha", told, exact(x))
            for x in R.astype(dtype).ravel().tolist()
        ]
        expected = float(sum(slopes)) / R.size
        for alpha in (two, below):
            x = harness.array(np.full((1, 1), alpha), dtype)
            _, grads = harness.vjp(lambda p, t, a, f=face: f(p, t, alpha=a), *arrays, x)
            # Logarithms of 16 to 36, one with each square, and their sum.
            assert harness.numpy(grads[2]).item() == pytest.approx(
                expected, rel=1000 * float(np.finfo(dtype).eps)
            )


# --- what they mean ---------------------------------------------------------------------------------

R = np.random.default_rng(5).standard_normal((40, 3)) * 3
ZERO = np.zeros_like(R)


def mean(loss, **more):
    return Criterion(loss)(R, ZERO, **more)


def near(value):
    return pytest.approx(value, rel=1e-14)


def test_special_cases_of_barrons_loss():
    u = R / 1.5
    assert mean(Barron(2.0, 1.5)) == near((u**2 / 2).mean())
    assert mean(Barron(1.0, 1.5)) == near((np.sqrt(u**2 + 1) - 1).mean())
    assert mean(Barron(0.0, 1.5)) == near(np.log(u**2 / 2 + 1).mean())
    assert mean(Barron(-2.0, 1.5)) == near((2 * u**2 / (u**2 + 4)).mean())
    assert mean(Barron(-math.inf, 1.5)) == near((1 - np.exp(-(u**2) / 2)).mean())
    assert mean(Barron(0.0, math.sqrt(0.5) * 2.5)) * 2.5**2 / 2 == near(mean(Cauchy(2.5)))


def test_likelihoods_are_scipys():
    assert mean(LaplaceNLL(1.5)) == near(-scipy.stats.laplace(scale=1.5).logpdf(R).mean())
    assert mean(StudentTNLL(1.5, 3.5)) == near(-scipy.stats.t(3.5, scale=1.5).logpdf(R).mean())
    normal = -scipy.stats.norm(scale=1.5).logpdf(R).mean()
    assert mean(GaussianNLL(full=True, variance=2.25)) == near(normal)
    assert mean(GaussianNLL(full=True), log_variance=math.log(2.25)) == near(normal)
    assert mean(StudentTNLL(1.5, 1e15)) == pytest.approx(normal, rel=1e-13)
    assert mean(BarronNLL(2.0, 1.5)) == near(normal)
    cauchy = -scipy.stats.cauchy(scale=1.5 * math.sqrt(2)).logpdf(R).mean()
    assert mean(BarronNLL(0.0, 1.5)) == near(cauchy)
    assert mean(StudentTNLL(1.5 * math.sqrt(2), 1.0)) == near(cauchy)


def test_the_gaussian_likelihood_as_it_is_written():
    n, v = R.size, 1.7
    written = n / 2 * math.log(2 * math.pi * v) + (R**2).sum() / (2 * v)
    assert Criterion(GaussianNLL(full=True, variance=v), "sum")(R, ZERO) == near(written)


def test_densities_integrate_to_1():
    for loss in (
        LaplaceNLL(0.7),
        StudentTNLL(0.7, 2.5),
        *(BarronNLL(a, 0.7) for a in (0.5, 1.2, 2.0, 3.0)),
    ):
        y = np.linspace(-200, 200, 800_001)  # its tails beyond are below 1e-4
        density = np.exp(-Criterion(loss, "none")(y, 0 * y))
        assert np.trapezoid(density, y) == pytest.approx(1, abs=2e-4)


def test_the_best_scale_of_laplace_is_the_mean_absolute_error():
    found = scipy.optimize.minimize_scalar(
        lambda s: mean(LaplaceNLL(s)), bounds=(0.1, 9), method="bounded"
    )
    assert found.x == pytest.approx(np.abs(R).mean(), rel=1e-4)


def test_beta_1_has_the_gradient_of_half_the_square():
    variance = np.abs(R) + 0.5
    grad = Criterion(GaussianNLL(beta=1.0), "sum").value_and_grad(R, ZERO, variance=variance)[1]
    np.testing.assert_allclose(grad, R, rtol=1e-14)


def test_tukey_lets_go():
    value, grad = Criterion(Tukey(2.0), "sum").value_and_grad(np.array([2.5, 100.0]), np.zeros(2))
    assert value == near(2 * 4 / 6)
    assert grad.tolist() == [0, 0]


@pytest.mark.parametrize("wrong", [{"variance": 1.0, "log_variance": 0.0}, {}])
def test_one_of_variance_and_its_logarithm(wrong):
    with pytest.raises((TypeError, ValueError), match=r"^(log_)?variance: expected "):
        Criterion(GaussianNLL())(R, ZERO, **wrong)


def test_a_fixed_variance_takes_no_other():
    for name in ("variance", "log_variance"):
        with pytest.raises(ValueError, match=f"^{name}: expected None with GaussianNLL"):
            Criterion(GaussianNLL(variance=2.0))(R, ZERO, **{name: 1.0})


def test_no_number_of_ours_is_on_the_fast_paths_wrong():
    """A likelihood is not 0 where absent elements are put."""
    weight = (np.arange(40) % 3 == 0) * 1.0
    for loss in FAMILIES:
        more = {"variance": 1.7} if loss.needs else {}
        kept = Criterion(loss)(R[weight > 0], ZERO[weight > 0], **more)
        for way in ({"weight": weight}, {"mask": weight > 0}):
            assert Criterion(loss)(R, ZERO, **way, **more) == pytest.approx(kept, rel=1e-13)
