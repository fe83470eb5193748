"""Statistics merge: however data is split, ordered, weighted and masked, they are those of the whole."""

from fractions import Fraction
from itertools import pairwise
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from errors import HIDDEN, MASK, NAMES, PRED, QUIET, TARGET, UNIT, WEIGHT, D, N
from l2core import ErrorStatistics
from subjects import harnesses

pytestmark = pytest.mark.once


def exactly(pred, target, weight):
    """Every figure of vectors by rational arithmetic, from its definition."""
    rows = [
        tuple(Fraction(float(x)) for x in row)
        for row in zip(pred, target, weight, strict=True)
        if row[2] != 0
    ]
    total = sum(w for _, _, w in rows)

    def mean(f):
        return sum(w * f(p - t, t) for p, t, w in rows) / total

    bias, level = mean(lambda e, t: e), mean(lambda e, t: t)
    found = {
        "bias": bias,
        "error_variance": mean(lambda e, t: (e - bias) ** 2),
        "mse": mean(lambda e, t: e**2),
        "mae": mean(lambda e, t: abs(e)),
        "target_variance": mean(lambda e, t: (t - level) ** 2),
        "max_error": max(abs(p - t) for p, t, _ in rows),
    }
    found["r2"] = 1 - found["mse"] / found["target_variance"]
    found["explained_variance"] = 1 - found["error_variance"] / found["target_variance"]
    found["rmse"] = float(found["mse"]) ** 0.5
    return {name: float(x) for name, x in found.items()}


def per_element(arguments):
    weight = np.ones((N, D))
    if "weight" in arguments:
        weight = weight * WEIGHT[:, None]
    return np.where(arguments.get("mask", True), weight, 0.0)


ARGUMENTS = [{}, {"weight": WEIGHT}, {"mask": MASK}, {"weight": WEIGHT, "mask": MASK}]
# A sum of n terms errs by n units at most, a mean and a square around it by three such sums, a ratio
# of two of them by the double, and what is off cancels nowhere: r2 and the biases are near 1.
BOUND = 8 * (N * D + 8)


# Keras has no statistics of its own: its arrays are those of the others.
WAYS = [
    pytest.param(h, mode, axis, id=f"{h.name}-{mode}-{axis}")
    for h in harnesses()
    if not h.name.startswith("keras") and not h.name.endswith("-x64")
    for mode in h.modes
    if mode in ("eager", "jit", "xla")
    for axis in (None, 0)
    if axis == 0 or mode == "eager"
]


@pytest.mark.parametrize(("harness", "mode", "axis"), WAYS, indirect=["harness"])
def test_they_are_what_their_names_say(harness, mode, axis):
    dtype = "float64" if "float64" in harness.dtypes else "float32"
    some = mode != "eager" or harness.name == "jax"  # which compiles each of its operations
    for arguments in ARGUMENTS[-1:] if some else ARGUMENTS:
        hidden = "mask" in arguments and "weight" in arguments
        p, t = (harness.array(x, dtype) for x in (HIDDEN if hidden else PRED, TARGET))
        given_ = {
            name: harness.array(x, None if x.dtype == bool else dtype)
            for name, x in arguments.items()
        }

        def figures(p, t, axis=axis, given_=given_):
            cuts = slice(0, 5), slice(5, 5), slice(5, 23), slice(23, N)
            parts = [
                ErrorStatistics.of(
                    p[rows, ...],
                    t[rows, ...],
                    axis=axis,
                    **{name: x[rows, ...] for name, x in given_.items()},
                )
                for rows in cuts
            ]
            whole = sum(parts)
            return [*(getattr(whole, name) for name in NAMES), whole.quantile(0.5)]

        *found, middle = (harness.numpy(x) for x in harness.run(figures, p, t, mode=mode))
        weight = per_element(arguments)
        columns = [slice(None)] if axis is None else range(D)
        for i, column in enumerate(columns):
            w = weight[:, column].ravel()
            pred, target = PRED[:, column].ravel(), TARGET[:, column].ravel()
            wanted = exactly(pred, target, w)
            for name, x in zip(NAMES, found, strict=True):
                got = x if axis is None else x[i]
                assert got.shape == ()
                bound = BOUND * UNIT[dtype] * max(1.0, abs(wanted[name]))
                assert abs(got - wanted[name]) <= bound, (name, arguments)
            sizes = np.repeat(abs(pred - target), (2 * w).astype(int))
            lower = np.sort(sizes)[(len(sizes) - 1) // 2]  # of an even number the lower
            assert abs((middle if axis is None else middle[i]) - lower) <= lower / 256


@given(
    cuts=st.lists(st.integers(0, N), max_size=6),
    order=st.permutations(range(N)),
    nested=st.booleans(),
    arguments=st.sampled_from(ARGUMENTS),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_any_partition_in_any_order(cuts, order, nested, arguments, dtype):
    """Merged one after the other, or as a tree: the whole, within twice the bound of each."""
    edges = [0, *sorted(cuts), N]
    index = [order[a:b] for a, b in pairwise(edges)]
    p, t = PRED.astype(dtype), TARGET.astype(dtype)
    parts = [
        ErrorStatistics.of(p[i], t[i], **{name: x[i] for name, x in arguments.items()})
        for i in index
    ]
    whole = ErrorStatistics.of(p, t, **arguments)
    while nested and len(parts) > 1:
        parts = [sum(parts[i : i + 2]) for i in range(0, len(parts), 2)]
    merged = sum(parts)
    for name in NAMES:
        a, b = getattr(merged, name), getattr(whole, name)
        assert abs(a - b) <= 2 * BOUND * UNIT[dtype] * max(1.0, abs(b)), name
    for q in (0.0, 0.1, 0.5, 0.9, 1.0):
        assert merged.quantile(q) == whole.quantile(q)
    assert merged.count.total == whole.count.total


def test_far_from_zero_in_float32():
    """R² of targets around 1e6 in float32, to 1e-6 for any split: sums of squares lose all digits."""
    rng = np.random.default_rng(1)
    target = (1e6 + 4 * rng.normal(size=20_000)).astype("f4")
    pred = (target + rng.normal(size=20_000)).astype("f4")
    t, p = target.astype(np.float64), pred.astype(np.float64)
    exact = 1 - ((p - t) ** 2).sum() / ((t - t.mean()) ** 2).sum()
    for size in (20_000, 6_667, 50):
        parts = range(0, 20_000, size)
        whole = sum(
            ErrorStatistics.of(pred[i : i + size], target[i : i + size], quantiles=False)
            for i in parts
        )
        assert abs(whole.r2 - exact) < 1e-6


def test_small_targets_are_no_zeros():
    """Targets of scale 1e-3 and negated predictions: R² is -3, not 1 since the squares are small."""
    target = 1e-3 * np.array([-1, 1, -2, 2, 0.0])
    assert abs(ErrorStatistics.of(-target, target).r2 - -3) < 1e-14


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_narrow_dtypes(dtype):
    pred, target = np.full(70_000, 0, dtype), np.full(70_000, 20, dtype)
    found = ErrorStatistics.of(pred, target)
    assert (found.mse, found.bias, found.mae, found.max_error) == (400, -20, 20, 20)
    assert found.count.total == 70_000


def test_64_bit_integers_keep_their_targets():
    pred = np.array([10**18 + 50, 10**18 - 50])
    found = ErrorStatistics.of(pred, np.array([10**18, 10**18]))
    assert (found.mae, found.mse, found.target_mean.total) == (50, 2500, 1e18)


def test_nothing_and_nan(harness):
    zeros = harness.array(np.zeros((0, 2)), "float32")
    nothing = ErrorStatistics.of(zeros, zeros)
    pair = [harness.array(x, "float32") for x in ([1.0, 2.0], [0.0, 0.0])]
    absent = ErrorStatistics.of(*pair, mask=harness.array([False, False]))
    some = ErrorStatistics.of(*pair)
    for none in (nothing, absent):
        for name in (*NAMES, "median_absolute_error"):
            assert np.isnan(harness.numpy(getattr(none, name))), name
            for both in (none + some, some + none):
                a, b = (harness.numpy(getattr(x, name)) for x in (both, some))
                assert a == b or np.isnan([a, b]).all(), name
    broken = ErrorStatistics.of(harness.array([np.nan, 1.0], "float32"), pair[1])
    for both in (broken + some, some + broken):
        for name in ("mse", "bias", "mae", "max_error", "median_absolute_error", "r2"):
            assert np.isnan(harness.numpy(getattr(both, name))), name


@pytest.mark.filterwarnings(QUIET)
@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_infinite_errors_are_reported_by_inf(harness, order):
    """As by a criterion; of both signs they have no mean, and the others' quantiles are theirs."""
    errors = [[1.0, 1.0, 1.0], [np.inf, 1.0, 1.0], [-np.inf, 1.0], [np.nan]]
    zero = [harness.array(np.zeros(len(e)), "float32") for e in errors]
    parts = [
        ErrorStatistics.of(harness.array(e, "float32"), t)
        for e, t in zip(errors, zero, strict=True)
    ]
    one = sum([[parts[0], parts[1]][i] for i in order])
    both = sum([[one, parts[2]][i] for i in order])
    for found, bias in ((one, np.inf), (both, np.nan)):
        for name in ("mse", "rmse", "mae", "max_error"):
            assert harness.numpy(getattr(found, name)) == np.inf, name
        np.testing.assert_equal(float(harness.numpy(found.bias)), bias)
        assert abs(harness.numpy(found.quantile(0.5)) - 1) <= 1 / 256
        assert harness.numpy(found.quantile(1.0)) == np.inf
    broken = sum([[both, parts[3]][i] for i in order])
    for name in ("mse", "mae", "max_error", "median_absolute_error"):
        assert np.isnan(harness.numpy(getattr(broken, name))), name


@pytest.mark.filterwarnings(QUIET)
def test_sums_that_overflow_have_means():
    """Of finite numbers, of either sign."""
    for sign in (1, -1):
        large = np.full(8, sign * 3e38, "f4")
        found = ErrorStatistics.of(large, 0 * large)
        assert found.bias == large[0]
        np.testing.assert_allclose(found.mse, 9e76, rtol=1e-6)


def test_where_the_target_does_not_vary():
    """Means of equal numbers may be rounded to either side of them."""
    for value in np.linspace(0.1, 7.7, 40):
        x = np.full(999, value)
        assert np.isnan(ErrorStatistics.of(x, x).r2)
        assert ErrorStatistics.of(x + 1, x).r2 == -np.inf


def test_as_scikit_learn_in_float64():
    """On weighted outputs, to 1e-12; the conventions that differ by name."""
    rng = np.random.default_rng(2)
    target = rng.normal(size=(1000, 3)) * [1, 5, 0.1] + [0, 100, 3]
    pred, weight = target + rng.normal(size=(1000, 3)), rng.uniform(size=1000)
    each = sum(
        ErrorStatistics.of(pred[i], target[i], weight=weight[i], axis=0)
        for i in np.array_split(np.arange(1000), [100, 101, 700])
    )
    pooled = each.pooled()
    given_ = {"y_true": target, "y_pred": pred, "sample_weight": weight}
    mse, mae = sklearn_metrics.mean_squared_error, sklearn_metrics.mean_absolute_error
    r2, explained = sklearn_metrics.r2_score, sklearn_metrics.explained_variance_score
    raw, mean = {"multioutput": "raw_values"}, {"multioutput": "uniform_average"}
    for ours, theirs in (
        (each.mse, mse(**given_, **raw)),
        (pooled.mse, mse(**given_)),
        (each.rmse.mean(), sklearn_metrics.root_mean_squared_error(**given_)),
        (pooled.rmse, np.sqrt(mse(**given_))),
        (each.mae, mae(**given_, **raw)),
        (pooled.mae, mae(**given_)),
        (each.r2, r2(**given_, **raw)),
        (each.r2.mean(), r2(**given_, **mean)),
        (each.explained_variance, explained(**given_, **raw)),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=0)
    alone = each.pooled().max_error
    assert alone == max(
        sklearn_metrics.max_error(t, p) for t, p in zip(target.T, pred.T, strict=True)
    )
    # scikit-learn takes the middle between two elements, the sketch the lower within 1/256.
    sizes = abs(pred - target)[:999, 0]
    found = ErrorStatistics.of(sizes, np.zeros(999)).median_absolute_error
    assert abs(found / median(sizes) - 1) <= 1 / 256
