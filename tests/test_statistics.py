"""Statistics merge: however data is split, ordered, weighted and masked, they are those of the whole."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from l2core import ErrorStatistics, fastpath
from l2core.look import BLOCK
from subjects import harnesses

pytestmark = pytest.mark.once

NAMES = ("bias", "error_variance", "mse", "rmse", "mae", "target_variance", "r2")
NAMES += ("explained_variance", "max_error")
UNIT = {"float32": 2.0**-24, "float64": 2.0**-53}
RNG = np.random.default_rng(5)
N, D = 24, 3
# Multiples of 1/64 below 64, the targets 512 away from 0: residuals are exact in float32.
TARGET = 512 + RNG.integers(-999, 999, (N, D)) / 64
PRED = TARGET + RNG.integers(-99, 99, (N, D)) / 64
WEIGHT = RNG.integers(0, 5, N) / 2.0
MASK = RNG.random((N, D)) < 0.7
HIDDEN = np.where(MASK & (WEIGHT[:, None] != 0), PRED, np.nan)


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


@given(q=st.floats(0, 1), scale=st.sampled_from([1e-30, 1e-3, 1.0, 1e30]))
def test_a_quantile_errs_by_a_256th(q, scale):
    sizes = np.sort(np.abs(RNG.standard_cauchy(500)) * scale)
    found = ErrorStatistics.of(sizes, np.zeros(500)).quantile(q)
    exact = sizes[max(0, int(np.ceil(q * 500)) - 1)]
    assert abs(found - exact) <= exact * (1 / 256 + 2.0**-23)


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


def test_more_parts_than_a_float32_counts():
    """2^24 and one more: a float32 count would stop, and so would a mean by it."""
    one = ErrorStatistics.of(np.array([2.0], "f4"), np.array([0.0], "f4"))
    many = one
    for _ in range(24):
        many = many + many
    many = many + one
    assert (many.count.total, many.mse, many.mae) == (2**24 + 1, 4, 2)
    assert many.bins.value.sum() == 2**24 + 1


def test_many_elements_in_float32_bins():
    """JAX without float64: a bin of weights holds more than 2^24, and integers do not wrap around."""
    jnp, jax = pytest.importorskip("jax.numpy"), pytest.importorskip("jax")
    with jax.enable_x64(False):
        n = (1 << 24) + (1 << 22)
        ones = jnp.ones(n)
        found = ErrorStatistics.of(ones, 0 * ones, weight=ones)
        assert sum(float(x.sum()) for x in found.bins) == n
        few = ErrorStatistics.of(jnp.array([1.0] * 5 + [5.0]), jnp.zeros(6))
        for _ in range(30):
            few = few + few
        assert abs(few.quantile(0.8) - 1) <= 1 / 256
        whole = ErrorStatistics.of(np.array([1.0] * 5 + [5.0]), np.zeros(6))
        for _ in range(31):
            whole = whole + whole
        again = ErrorStatistics.from_json(whole.to_json(), like=ones)
        assert abs(again.quantile(0.8) - 1) <= 1 / 256
        assert sum(float(x.astype("float32").sum()) for x in again.bins) == 6 * 2**31


def test_more_parts_than_a_float32_counts_in_float32():
    jnp, jax = pytest.importorskip("jax.numpy"), pytest.importorskip("jax")
    with jax.enable_x64(False):
        one = ErrorStatistics.of(jnp.array([2.0]), jnp.array([0.0]), weight=jnp.array([1.0]))
        many = one
        for _ in range(24):
            many = many + many
        many = many + one
        assert many.least.dtype == np.float32
        assert float(many.count.value) + float(many.count.lost) == 2**24 + 1
        bins = [float(x.sum()) for x in many.bins]
        assert sum(bins) == 2**24 + 1
        assert many.mse == 4


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


QUIET = "ignore:.*encountered in:RuntimeWarning"  # NumPy's, of what the values say


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


@pytest.mark.filterwarnings(QUIET)
def test_quantiles_of_weights_that_do_not_add_up_exactly():
    """The scale of equal weights does not matter; small bins are not lost beside large ones."""
    sizes = np.arange(1.0, 11)
    for scale in (1.0, 0.7, 1e-9, 3e7):
        found = ErrorStatistics.of(sizes, 0 * sizes, weight=np.full(10, scale))
        assert abs(found.quantile(0.5) - 5) <= 5 / 256
    tiny = ErrorStatistics.of(np.array([1.0, 100.0]), np.zeros(2), weight=np.array([1e-17, 1.0]))
    assert abs(tiny.quantile(0) - 1) <= 1 / 256
    assert tiny.quantile(1) == 100
    above = ErrorStatistics.of(np.array([1e39] * 9 + [1e300]), np.zeros(10))
    assert above.median_absolute_error == np.inf


def test_counts_under_a_mask_are_whole(harness):
    """Also where a weight would be summed up in float32."""
    x = harness.array(np.array([1.0, 2.0, 4.0]), "float32")
    zero = harness.array(np.zeros(3), "float32")
    found = ErrorStatistics.of(x, zero, mask=harness.array(np.array([True, False, True])))
    held = harness.numpy(found.bins.value)
    assert held.sum() == 2
    assert held.dtype.kind == "i" or (held.dtype == np.float32 and "jax" in harness.name)


def test_many_outputs_are_refused_before_memory_ends():
    x = np.zeros((2, 40_000))
    with pytest.raises(ValueError, match=r"^quantiles: expected False with more than 4096 outputs"):
        ErrorStatistics.of(x, x, axis=0)
    assert ErrorStatistics.of(x, x, axis=0, quantiles=False).mse.shape == (40_000,)


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


def test_json(harness):
    """What was merged, stopped and resumed is bit for bit what was not stopped."""
    p, t, w = (harness.array(x, "float32") for x in (PRED, TARGET, WEIGHT))
    for arguments in ({}, {"weight": w}):
        first = ErrorStatistics.of(p, t, axis=0, **arguments)
        text = first.to_json()
        again = ErrorStatistics.from_json(text, like=p)
        assert type(again.least) is type(first.least)
        assert again.to_json() == text
        assert (again + first).to_json() == (first + first).to_json()
        assert json.loads(text)["version"] == 1
    nothing = ErrorStatistics.of(p[:0, ...], t[:0, ...], quantiles=False)
    assert ErrorStatistics.from_json(nothing.to_json()).bins is None


def held(told, **changed):
    first, second = told["bins"]["held"]
    return {**told, "bins": {**told["bins"], "held": [{**first, **changed}, second]}}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda told: json.dumps(told)[:-20], "text: expected JSON of ErrorStatistics"),
        (lambda told: "[1, 2]", "text: expected JSON"),
        (lambda told: json.dumps({**told, "version": 2}), "version: expected 1, got 2"),
        (lambda told: json.dumps({**told, "extra": 1}), "text: "),
        (lambda told: json.dumps({k: x for k, x in told.items() if k != "least"}), "least: "),
        (lambda told: json.dumps({**told, "least": [1, 2, 3]}), "text: expected a state"),
        (lambda told: json.dumps({**told, "shape": [5]}), "text: expected a state"),
        (lambda told: json.dumps({**told, "count": [72]}), "text: expected a state"),
        (lambda told: json.dumps({**told, "count": [72, 0]}), "text: expected a state"),
        (lambda told: json.dumps({k: x for k, x in told.items() if k != "bins"}), "bins: "),
        (lambda told: json.dumps(held(told, index=[-1])), "text: expected a state"),
        (lambda told: json.dumps(held(told, value=[7])), "text: expected a state"),
    ],
)
def test_json_that_is_broken(change, text):
    told = json.loads(ErrorStatistics.of(PRED, TARGET).to_json())
    with pytest.raises(ValueError, match=f"^{text}"):
        ErrorStatistics.from_json(change(told))


def test_errors():
    x = np.zeros((4, 2))
    one = ErrorStatistics.of(x, x)
    for call, error, text in (
        (lambda: ErrorStatistics.of(x, x[0]), ValueError, "^pred and target: expected equal"),
        (lambda: ErrorStatistics.of(x * 1j, x), TypeError, "^pred: expected a real dtype"),
        (lambda: ErrorStatistics.of(x, x, weight=np.ones(3)), ValueError, "^weight: "),
        (lambda: ErrorStatistics.of(x, x, axis=2), ValueError, "^axis: "),
        (lambda: one + ErrorStatistics.of(x, x, axis=0), ValueError, "outputs of equal shape"),
        (lambda: one + ErrorStatistics.of(x, x, quantiles=False), ValueError, "quantiles in both"),
        (
            lambda: ErrorStatistics.of(x, x, quantiles=False).quantile(0.5),
            ValueError,
            "quantiles=True",
        ),
        (lambda: one.quantile(1.5), ValueError, "^q: expected a number from 0 to 1"),
        (lambda: one + 1, TypeError, "unsupported operand"),
        (lambda: one.merged(), ValueError, "^merged: expected outputs along a first axis"),
        (
            lambda: ErrorStatistics.of(x[:, :0], x[:, :0], axis=0).pooled(),
            ValueError,
            "^pooled: expected at least one output",
        ),
    ):
        with pytest.raises(error, match=text):
            call()


def test_large_arrays_by_blocks():
    """More than one block: weights, masks and rows that are larger than a block."""
    rng = np.random.default_rng(4)
    pred, target = rng.normal(size=(2, 3, 40_000))
    mask = rng.random((3, 40_000)) < 0.5
    for arguments in ({}, {"mask": mask}, {"weight": np.array([1.0, 0.0, 2.0])}):
        found = ErrorStatistics.of(pred, target, **arguments)
        w = np.ones((3, 40_000))
        if "weight" in arguments:
            w *= arguments["weight"][:, None]
        w = np.where(arguments.get("mask", True), w, 0.0)
        e = pred - target
        # Sums of 120,000 products, in another order, of numbers below 30.
        for ours, theirs in (
            (found.mse, np.average(e**2, weights=w)),
            (
                found.target_variance,
                np.average(target**2, weights=w) - np.average(target, weights=w) ** 2,
            ),
            (found.mae, np.average(abs(e), weights=w)),
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)
        assert found.count.total == (w != 0).sum()
        assert found.bins.value.sum() == w.sum()


@pytest.mark.filterwarnings(QUIET)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_fast_look_is_the_plain_one(dtype):
    """Far from 0, constant, with what is not finite, strided, of another byte order: within the bound
    of sums by rows, and the sketch exactly."""
    rng = np.random.default_rng(3)
    n = 3 * BLOCK + 17
    noise = rng.normal(size=(2, n))
    cases = {
        "near": (noise[0], noise[1]),
        "far": (1e5 + noise[0], 1e5 + noise[1]),
        "one value": (np.full(n, 0.1) + noise[0], np.full(n, 0.1)),
        "two values": (noise[0], np.where(np.arange(n) % 2, 1.0, 1.0 + 2**-22)),
        "outlier first": (noise[0], np.where(np.arange(n) == 0, 1e6, noise[1])),
        "inf": (np.where(np.arange(n) == 5, np.inf, noise[0]), noise[1]),
        "nan": (np.where(np.arange(n) == n - 1, np.nan, noise[0]), noise[1]),
    }
    for name, pair in cases.items():
        p, t = (x.astype(dtype) for x in pair)
        with fastpath.plain_only():
            plain = ErrorStatistics.of(p, t)
        wide = np.zeros((n, 2), dtype)
        wide[:, 0] = p
        for pred, target in ((p, t), (wide[:, 0], t), (p.astype(p.dtype.newbyteorder(">")), t)):
            fast = ErrorStatistics.of(pred, target)
            assert np.array_equal(fast.bins.value, plain.bins.value), name
            for figure in (*NAMES, "least", "greatest"):
                a, b = getattr(fast, figure), getattr(plain, figure)
                # Rows of 1024 in lanes of at least 8, and numpy's pairwise sums: 128 + 32 units.
                close = 2 * 160 * UNIT[dtype] * max(1.0, abs(b))
                assert a == b or abs(a - b) <= close or np.isnan([a, b]).all(), (name, figure)


def test_tensors_on_the_host_are_looked_at_as_numpy_does():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    n = 2 * BLOCK
    pred, target, weight = rng.normal(size=(3, n)).astype("f4")
    mask = rng.random(n) < 0.5
    for arguments in ({}, {"weight": abs(weight)}, {"mask": mask}):
        tensors = {name: torch.tensor(x) for name, x in arguments.items()}
        found = ErrorStatistics.of(
            torch.tensor(pred).requires_grad_(), torch.tensor(target), **tensors
        )
        assert isinstance(found.mse, torch.Tensor)
        assert found.to_json() == ErrorStatistics.of(pred, target, **arguments).to_json()


def test_the_fast_look_can_be_deleted(tmp_path):
    found = Path(importlib.util.find_spec("l2core").origin).parent
    shutil.copytree(found, tmp_path / "l2core", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "l2core" / "fused_look.py").unlink()
    script = """
import numpy as np, l2core
x = np.arange(100_000) % 3.0
found = l2core.ErrorStatistics.of(x, x - 2)
print(found.mse, found.quantile(0.5) == 2, l2core.__file__)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["4.0", "True", str(tmp_path / "l2core" / "__init__.py")], (
        done.stderr
    )
