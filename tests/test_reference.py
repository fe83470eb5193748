"""The oracle against hand values, against mpmath, against NumPy's casts, and against itself."""

import math
from dataclasses import asdict
from fractions import Fraction

import ml_dtypes
import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2core import LOSSES, reference, reference_arrays
from l2core.exact import FORMATS, exact, rounded, ulp, ulps
from subjects import EVERY_LOSS

by_loss = pytest.mark.parametrize("loss", EVERY_LOSS, ids=repr)


def given_to(loss, *variance):
    return {**asdict(loss), **({"variance": variance[0]} if variance else {})}


def rho(loss, r, *variance):
    return reference.rho(type(loss).__name__, given_to(loss, *variance), r)


def psi(loss, r, *variance):
    return reference.psi(type(loss).__name__, given_to(loss, *variance), r)


def curvature(loss, r, *variance):
    return reference.curvature(type(loss).__name__, given_to(loss, *variance), r)


# --- one element --------------------------------------------------------------------------------

BY_HAND = [  # name, parameters, r, rho, psi, curvature
    ("SquaredError", {}, -3, 9, -6, 2),
    ("HalfSquaredError", {}, -3, "9/2", -3, 1),
    ("AbsoluteError", {}, -3, 3, -1, 0),
    ("AbsoluteError", {}, 0, 0, 0, 0),
    ("Huber", {"delta": 2.0}, 1, "1/2", 1, 1),
    ("Huber", {"delta": 2.0}, -2, 2, -2, 1),
    ("Huber", {"delta": 2.0}, -5, 8, -2, 0),
    ("Huber", {"delta": math.inf}, 5, "25/2", 5, 1),
    ("SmoothL1", {"beta": 2.0}, 1, "1/4", "1/2", "1/2"),
    ("SmoothL1", {"beta": 2.0}, -5, 4, -1, 0),
    ("SmoothL1", {"beta": 0.0}, -5, 5, -1, 0),
    ("SmoothL1", {"beta": 0.0}, 0, 0, 0, 0),
    ("Quantile", {"q": 0.25}, -4, 1, "-1/4", 0),
    ("Quantile", {"q": 0.25}, 4, 3, "3/4", 0),
    ("Quantile", {"q": 0.25}, 0, 0, 0, 0),
    ("Expectile", {"tau": 0.25}, -4, 4, -2, "1/2"),
    ("Expectile", {"tau": 0.25}, 4, 12, 6, "3/2"),
]


@pytest.mark.parametrize("row", BY_HAND, ids=str)
def test_pointwise_by_hand(row):
    name, parameters, r, *expected = row
    found = [
        f(name, parameters, Fraction(r))
        for f in (reference.rho, reference.psi, reference.curvature)
    ]
    assert found == [Fraction(x) for x in expected]


# A second method where there is one that differs: mpmath's functions, at 2,500 bits (log cosh r loses
# 2,150 of them at the smallest residual), and formulas without a case for the sign.
TEXTBOOK = {
    "Huber": lambda p, r, v: abs(r) * min(abs(r), p["delta"]) - min(abs(r), p["delta"]) ** 2 / 2,
    "SmoothL1": lambda p, r, v: (r * r - max(abs(r) - p["beta"], 0) ** 2) / (2 * p["beta"]),
    "LogCosh": lambda p, r, v: mpmath.log(mpmath.cosh(r)),
    "Quantile": lambda p, r, v: (abs(r) + (1 - 2 * p["q"]) * r) / 2,
    "Expectile": lambda p, r, v: (r * r + (1 - 2 * p["tau"]) * r * abs(r)) / 2,
    "GaussianNLL": lambda p, r, v: (
        (1 - p["full"]) * -mpmath.log(2 * mpmath.pi) / 2
        - mpmath.log(mpmath.npdf(r, 0, mpmath.sqrt(max(v, p["eps"]))))
    ),
}
SIZES = [2.0**-1074, 1e-300, 1e-30, 1e-12, 9e-13, 0.3, 0.7, 1.0, 2.0, 40.0, 999.0, 1001.0]


@pytest.mark.parametrize("loss", [x for x in EVERY_LOSS if type(x).__name__ in TEXTBOOK], ids=repr)
def test_pointwise_by_a_second_method(loss):
    told = {name: x for name, x in asdict(loss).items() if x is not None}
    parameters = {name: mpmath.mpf(float(x)) for name, x in told.items()}
    for r in SIZES + [-x for x in SIZES]:
        for variance in (1e-9, 0.8, 3.0):
            found = rho(loss, Fraction(r), Fraction(variance))
            with mpmath.workprec(2500):
                expected = TEXTBOOK[type(loss).__name__](
                    parameters, mpmath.mpf(r), mpmath.mpf(variance)
                )
                exact = mpmath.mpf(found.numerator) / found.denominator
                assert abs(exact - expected) <= abs(expected) * mpmath.mpf(10) ** -40, (r, variance)


STEP = Fraction(1, 10**15)


@by_loss
def test_psi_and_curvature_are_the_derivatives(loss):
    """Central differences without rounding: off by step² times the next derivative, below 1000."""
    tolerance = 1000 * STEP**2
    for r in (Fraction(n, 16) + Fraction(1, 100) for n in range(-64, 64)):  # never at a kink
        for v in (Fraction(1, 2), Fraction(3)):
            slope = (rho(loss, r + STEP, v) - rho(loss, r - STEP, v)) / (2 * STEP)
            assert abs(slope - psi(loss, r, v)) <= tolerance, r
            bend = (psi(loss, r + STEP, v) - psi(loss, r - STEP, v)) / (2 * STEP)
            assert abs(bend - curvature(loss, r, v)) <= tolerance, r


@by_loss
@pytest.mark.parametrize("r", [math.inf, -math.inf, math.nan], ids=str)
def test_infinite_residuals(loss, r):
    found = rho(loss, r)
    assert math.isnan(found) if math.isnan(r) else found == math.inf
    slope = psi(loss, r)
    far = psi(loss, Fraction(r > 0) * 2 * 10**400 - 10**400) if not math.isnan(r) else math.nan
    if isinstance(slope, float):  # NaN, or infinite where psi grows without bound
        assert math.isnan(slope) == math.isnan(r)
        assert math.isnan(r) or (slope == r and abs(far) > 10**100)
    else:
        assert slope == far


def test_unknown_names_raise():
    for f in (reference.rho, reference.psi, reference.curvature):
        with pytest.raises(
            ValueError, match="name: expected a loss that the oracle knows, got 'L'"
        ):
            f("L", {}, Fraction(1))


def test_every_loss_of_the_package_is_known():
    assert {type(loss).__name__ for loss in EVERY_LOSS} <= set(LOSSES)
    for loss in EVERY_LOSS:
        assert rho(loss, Fraction(1)) > 0


# --- float formats ------------------------------------------------------------------------------

NUMPY_TYPES = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float32": np.float32,
    "float64": np.float64,
}
by_format = pytest.mark.parametrize("dtype", FORMATS)


@by_format
def test_formats_are_those_of_numpy(dtype):
    info, (bits, top) = ml_dtypes.finfo(NUMPY_TYPES[dtype]), FORMATS[dtype]
    assert (info.nmant + 1, info.maxexp - 1) == (bits, top)


@by_format
@given(x=st.floats(allow_nan=False))
def test_rounding_of_a_double_is_numpys_cast(dtype, x):
    # Through float32 a cast to bfloat16 would round twice: give it doubles that float32 holds.
    with np.errstate(over="ignore"):
        x = float(np.float32(x)) if dtype == "bfloat16" else x
        expected = float(
            np.array(x, "float32" if dtype == "bfloat16" else None).astype(NUMPY_TYPES[dtype])
        )
    assert rounded(exact(x), dtype) == expected


@by_format
@given(bits=st.integers(0, 2**16 - 1), scale=st.integers(-1, 1), nudge=st.sampled_from([-1, 0, 1]))
def test_rounding_between_neighbours(dtype, bits, scale, nudge):
    """Halfway between two neighbours goes to the even one, a hair beside it to the nearer one."""
    kind = NUMPY_TYPES[dtype]
    width = np.dtype(kind).itemsize * 8
    # Neighbours of every binade: the low bits of the pattern are the scale's own.
    pattern = (bits << (width - 16)) + scale
    low, high = (np.array(p % 2**width, f"uint{width}").view(kind) for p in (pattern, pattern + 1))
    if not (np.isfinite(low) and np.isfinite(high)) or np.signbit(low) != np.signbit(high):
        return
    low_, high_ = Fraction(float(low)), Fraction(float(high))
    middle = (low_ + high_) / 2
    away = middle + nudge * (high_ - low_) / 10**30
    even = low if pattern % 2 == 0 else high
    expected = {-1: low, 0: even, 1: high}[nudge]
    assert rounded(away, dtype) == float(expected)


@by_format
def test_ends_of_a_format(dtype):
    info = ml_dtypes.finfo(NUMPY_TYPES[dtype])
    largest, smallest = Fraction(float(info.max)), Fraction(float(info.smallest_subnormal))
    last = ulp(largest, dtype)
    assert rounded(largest + last / 2 - STEP, dtype) == float(info.max)
    assert rounded(largest + last / 2, dtype) == math.inf
    assert rounded(-largest - last / 2, dtype) == -math.inf
    assert rounded(smallest / 2, dtype) == 0.0
    assert rounded(smallest * Fraction(51, 100), dtype) == float(smallest)
    assert ulp(Fraction(0), dtype) == ulp(smallest, dtype) == smallest
    assert ulp(Fraction(1), dtype) == Fraction(float(info.eps))
    assert ulp(Fraction(99, 100), dtype) == Fraction(float(info.eps)) / 2
    assert ulp(2 * largest, dtype) == last


def test_ulps():
    one, up = Fraction(1), math.nextafter(1, 2)
    assert ulps(1.0, one, "float64") == 0
    assert ulps(up, one, "float64") == 1
    assert ulps(up, one + Fraction(1, 2**53), "float64") == 0.5
    assert ulps(math.nan, math.nan, "float32") == 0
    assert ulps(math.nan, one, "float32") == math.inf
    assert ulps(1.0, math.nan, "float32") == math.inf
    assert ulps(math.inf, -math.inf, "float32") == math.inf
    assert ulps(math.inf, Fraction(10**39), "float32") == 0
    assert ulps(math.inf, Fraction(10**38), "float32") == math.inf
    with pytest.raises(TypeError, match="x: expected a finite number, got inf"):
        ulp(math.inf, "float32")


# --- whole arrays -------------------------------------------------------------------------------

P = np.array([[1.0, 2.0], [3.0, 5.0]])
T = np.zeros((2, 2))
NAN = np.array([[1.0, math.nan], [3.0, 5.0]])


def squared(pred=P, **options):
    return reference_arrays.value("SquaredError", {}, pred, T, **options)


def slopes(pred=P, **options):
    return reference_arrays.gradient("SquaredError", {}, pred, T, **options)


def test_reductions_by_hand():
    assert squared(reduction="none").tolist() == [[1, 4], [9, 25]]
    assert squared(reduction="sum").item() == 39
    assert squared().item() == Fraction(39, 4)
    assert squared(axis=0).tolist() == [5, Fraction(29, 2)]
    assert squared(axis=(-1,)).tolist() == [Fraction(5, 2), 17]
    assert squared(reduction="root_mean", axis=(0, 1), denominator=39.0).item() == 1
    two = squared(reduction="root_mean", denominator=19.5).item()
    assert abs(two**2 - 2) < Fraction(1, 10**70)


def test_weights_and_masks_by_hand():
    rows, columns = np.array([1.0, 3.0]), np.array([[1.0, 3.0]])
    assert squared(weight=rows).item() == Fraction(5 + 3 * 34, 8)
    assert squared(weight=columns).item() == Fraction(10 + 3 * 29, 8)
    assert squared(weight=2.0, reduction="sum").item() == 78
    assert squared(weight=rows, denominator="count").item() == Fraction(107, 4)
    assert squared(weight=rows, denominator="batch").item() == Fraction(107, 2)
    assert squared(weight=np.array([1.0, 0.0]), denominator="count").item() == Fraction(5, 2)
    assert squared(NAN, mask=~np.isnan(NAN)).item() == Fraction(35, 3)
    assert squared(NAN, weight=(~np.isnan(NAN)) * 1.0).item() == Fraction(35, 3)
    assert squared(mask=np.array([True, False]), axis=1, empty="zero").tolist() == [2.5, 0]
    assert math.isnan(squared(mask=np.array([True, False]), axis=1)[1])
    with pytest.raises(ValueError, match="expected leading axes"):
        squared(weight=np.ones(3))
    with pytest.raises(ValueError, match="expected leading axes"):
        squared(weight=np.ones(1))
    with pytest.raises(ValueError, match="expected equal shapes"):
        squared(P[0])


def test_missing_targets_by_hand():
    value = reference_arrays.value("SquaredError", {}, P, NAN, nan_targets="ignore").item()
    assert value == 0
    assert math.isnan(reference_arrays.value("SquaredError", {}, P, NAN).item())
    assert math.isnan(
        reference_arrays.value("SquaredError", {}, NAN, P, nan_targets="ignore").item()
    )


def test_gradients_by_hand():
    assert slopes(reduction="none", cotangent=3.0).tolist() == [[6, 12], [18, 30]]
    assert slopes().tolist() == [[0.5, 1], [1.5, 2.5]]
    assert slopes(axis=0, cotangent=np.array([1.0, 2.0])).tolist() == [[1, 4], [3, 10]]
    assert slopes(NAN, mask=~np.isnan(NAN), reduction="sum").tolist() == [[2, 0], [6, 10]]
    root = slopes(reduction="root_mean", denominator=39.0)  # the root is 1
    assert (
        root.tolist() == (P / 39).astype(object).tolist()
        or [abs(x - Fraction(p) / 39) < STEP for x, p in zip(root.flat, P.flat, strict=True)]
        == [True] * 4
    )
    assert slopes(T, reduction="root_mean").tolist() == [[0, 0], [0, 0]]


def test_complex_by_hand():
    pred, target = np.array([3 + 4j, 0j]), np.array([0j, 0j])
    assert reference_arrays.value("AbsoluteError", {}, pred, target, reduction="sum").item() == 5
    assert reference_arrays.value("SquaredError", {}, pred, target, reduction="sum").item() == 25
    assert (
        reference_arrays.value("HalfSquaredError", {}, pred, target, reduction="sum").item() == 12.5
    )
    found = reference_arrays.gradient("AbsoluteError", {}, pred, target, reduction="sum")
    assert found.tolist() == [(Fraction(3, 5), Fraction(4, 5)), (0, 0)]
    real = reference_arrays.gradient("SquaredError", {}, pred.real, target, reduction="sum")
    assert real.tolist() == [6, 0]
    with pytest.raises(ValueError, match="complex meaning"):
        reference_arrays.value("Huber", {"delta": 1.0}, pred, target)


def test_infinities_add_as_ieee():
    inf = np.array([math.inf, 1.0])
    assert reference_arrays.value("SquaredError", {}, inf, np.zeros(2)).item() == math.inf
    assert math.isnan(reference_arrays.value("SquaredError", {}, inf, inf).item())
    found = reference_arrays.gradient("SquaredError", {}, inf, np.zeros(2)).tolist()
    assert found == [math.inf, 1]


@by_loss
@given(seed=st.integers(0, 2**32))
def test_gradient_is_the_derivative_of_value(loss, seed):
    """The directional derivative by exact central differences, as above."""
    rng = np.random.default_rng(seed)
    options = {
        "weight": rng.integers(0, 3, 3).astype(float),
        "mask": rng.random((3, 2)) < 0.8,
        "axis": [None, 0, 1][seed % 3],
        "empty": "zero",
        "reduction": ["mean", "sum"][seed % 2],
    }
    if options["reduction"] == "sum":
        del options["empty"]
    if loss.needs:
        options["variance"] = rng.random((3, 2)) + 0.5
    name, parameters = type(loss).__name__, asdict(loss)
    p, t = rng.integers(-64, 64, (2, 3, 2)) / 16 + np.array([0.01, 0.0])[:, None, None]
    step = 2.0**-45  # p ± step is exact
    total = 0
    for sign in (1, -1):
        value = reference_arrays.value(name, parameters, p + sign * step, t, **options)
        total += sign * value.sum() / (2 * Fraction(step))
    found = reference_arrays.gradient(name, parameters, p, t, **options).sum()
    assert abs(total - found) <= 10_000 * Fraction(step) ** 2
