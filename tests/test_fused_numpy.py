"""NumPy's one pass: the bits of the plain path, and only where it may serve."""

import threading
import warnings
from contextlib import nullcontext

import ml_dtypes  # noqa: F401 (makes NumPy know bfloat16)
import numpy as np
import pytest

from l2core import Criterion, HalfSquaredError, Huber, fused, sums
from l2core.fastpath import plain_only
from paths import (
    ARGUMENTS,
    MEANS,
    SHAPES,
    inputs,
    no_plain_path,
    one_large_among_small,
)
from subjects import ONE_OF_EACH

LOSSES = [HalfSquaredError(), *(loss for loss in ONE_OF_EACH if not loss.needs)]
ROUNDINGS = 5
"""Of an element and of the result: residual (twice, by the square), square, weight, rounding."""


def relative_bound(dtype):
    """Rows of elements in any order; their sums in float64 add nothing in float32."""
    row = sums.LANES if dtype == np.float32 else sums.SHORT
    return 2 * (row + ROUNDINGS) * np.finfo(dtype).eps / 2  # twice: two paths


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("kind", ARGUMENTS)
@pytest.mark.parametrize("fields", MEANS, ids=str)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_both_paths_agree(loss, fields, kind):
    criterion = Criterion(loss, **fields)
    for shape in SHAPES:
        for dtype in ("float32", "float64"):
            pred, target, arguments = inputs(kind, shape, dtype)
            with no_plain_path():
                value = criterion(pred, target, **arguments)
            with plain_only():
                expected = criterion(pred, target, **arguments)
            assert type(value) is type(expected)
            np.testing.assert_allclose(value, expected, rtol=relative_bound(dtype))
            out = np.full_like(pred, np.nan)
            with plain_only():
                expected, grad = criterion.value_and_grad(pred, target, **arguments)
            # The gradient of a root depends on the value: no single pass makes it.
            with nullcontext() if criterion.reduction == "root_mean" else no_plain_path():
                pair = criterion.value_and_grad(pred, target, **arguments, out=out)
            assert pair[1] is out
            assert out.tobytes() == grad.tobytes()
            assert type(pair[0]) is type(expected)
            np.testing.assert_allclose(pair[0], expected, rtol=relative_bound(dtype))


@pytest.mark.parametrize(
    "n",
    [
        1,
        31,
        sums.SHORT,
        sums.SHORT + 1,
        2 * sums.SHORT + 1,
        fused.SMALL,
        fused.SMALL + 1,
        1_000_000,
    ],
)
def test_the_value_is_right_at_any_size(n):
    pred, target, total = one_large_among_small(n)
    for criterion, exact in ((Criterion(), total / n), (Criterion(reduction="sum"), total)):
        with no_plain_path():
            values = (
                criterion(pred, target),
                criterion.value_and_grad(pred, target)[0],
                criterion(pred, target, weight=np.ones(n, np.float32)),
                criterion(pred, target, mask=np.ones(n, bool)),
            )
        for value in values:
            np.testing.assert_allclose(value, exact, rtol=relative_bound(np.float32) / 2)


PAIRS = [
    ("float16", "float16"),
    ("bfloat16", "float32"),
    ("float32", "float64"),
    ("float64", "float16"),
    (">f4", ">f4"),
    ("float32", "uint8"),
    ("uint8", "uint8"),
    ("bool", "float16"),
    ("int16", "float32"),
    ("float32", "int32"),
    ("int64", "uint64"),
]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("weights", [None, "float16", "float64", "int32"])
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_dtypes_are_converted_in_cache(first, second, weights):
    pred, target, _ = inputs("nothing", (40, 31), "float64")
    pred, target = ((abs(x) * 60).astype(name) for x, name in ((pred, first), (target, second)))
    arguments = {} if weights is None else {"weight": (np.arange(40) % 4).astype(weights)}
    for loss in LOSSES:
        criterion = Criterion(loss)
        with no_plain_path():
            value, grad = criterion.value_and_grad(pred, target, **arguments)
            alone = criterion(pred, target, **arguments)
            out = np.empty_like(grad)
            criterion.value_and_grad(pred, target, **arguments, out=out)
        with plain_only():
            expected, gradient = criterion.value_and_grad(pred, target, **arguments)
        assert type(value) is type(alone) is type(expected)
        np.testing.assert_allclose([value, alone], expected, rtol=relative_bound(value.dtype))
        assert grad.dtype == gradient.dtype
        assert grad.tobytes() == out.tobytes() == gradient.tobytes()


def test_a_denominator_of_the_call():
    pred, target, _ = inputs("nothing", (70, 5), "float32")
    for denominator in (8, 3.7, np.float32(3.7), np.array(3.7)):
        with no_plain_path():
            value = Criterion()(pred, target, denominator=denominator)
            _, grad = Criterion().value_and_grad(pred, target, denominator=denominator)
        with plain_only():
            expected = Criterion().value_and_grad(pred, target, denominator=denominator)
        np.testing.assert_allclose(value, expected[0], rtol=relative_bound(np.float32))
        assert grad.tobytes() == expected[1].tobytes()


@pytest.mark.parametrize("empty", ["nan", "zero"])
def test_a_mean_over_nothing(empty):
    x, nothing = np.ones((3, 4), np.float32), np.zeros((3, 4))
    for arguments in ({"mask": nothing > 0}, {"weight": nothing.astype("f4")}):
        value, grad = Criterion(empty=empty).value_and_grad(x, -x, **arguments)
        np.testing.assert_equal(value, np.float32({"nan": np.nan, "zero": 0}[empty]))
        np.testing.assert_equal(Criterion(empty=empty)(x, -x, **arguments), value)
        assert grad.tobytes() == bytes(grad.nbytes)


def test_weights_whose_sum_is_negative():
    pred, target, _ = inputs("nothing", (70, 5), "float32")
    weight = np.where(np.arange(70) % 3, np.float32(-1.5), np.float32(0))
    value, grad = Criterion().value_and_grad(pred, target, weight=weight)
    with plain_only():
        expected = Criterion().value_and_grad(pred, target, weight=weight)
    np.testing.assert_allclose(value, expected[0], rtol=relative_bound(np.float32))
    assert grad.tobytes() == expected[1].tobytes()


ONES = np.ones((4, 6), np.float32)
UNUSUAL = {
    "a loss that needs a variance": (Criterion("gaussian_nll"), ONES, ONES, {"variance": ONES}),
    "none": (Criterion(reduction="none"), ONES, ONES, {}),
    "axis": (Criterion(axis=0), ONES, ONES, {}),
    "NaN targets": (Criterion(nan_targets="ignore"), ONES, ONES, {}),
    "complex": (Criterion(), *[ONES.astype("complex64")] * 2, {}),
    "scalars": (Criterion(), np.float32(2), np.float32(1), {}),
    "subclass as pred": (Criterion(), ONES.view(type("Own", (np.ndarray,), {})), ONES, {}),
    "subclass as target": (Criterion(), ONES, ONES.view(type("Own", (np.ndarray,), {})), {}),
    "both": (Criterion(), ONES, ONES, {"weight": ONES, "mask": ONES > 0}),
    "a number": (Criterion(denominator="count"), ONES, ONES, {"weight": 2.0}),
    "weight per output": (Criterion(), ONES, ONES, {"weight": ONES[:1]}),
    "empty": (Criterion(empty="zero"), ONES[:0], ONES[:0], {}),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_the_plain_path_serves_the_unusual(name):
    criterion, pred, target, arguments = UNUSUAL[name]
    with no_plain_path(), pytest.raises(AssertionError, match="plain"):
        criterion(pred, target, **arguments)
    with no_plain_path(), pytest.raises(AssertionError, match="plain"):
        criterion.value_and_grad(pred, target, **arguments)


# The last one overflows in the sum alone: 2000 squares of 2e35, of which a row of 512 holds 1e38.
@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38, 2e35**0.5])
def test_the_plain_path_says_what_is_not_finite(value):
    x = np.full(2000, value, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of overflow, from both paths
        with plain_only():
            expected, grad = Criterion().value_and_grad(x, np.zeros(2000, np.float32))
        assert not np.isfinite(expected)
        pair = Criterion().value_and_grad(x, np.zeros(2000, np.float32))
        alone = Criterion()(x, np.zeros(2000, np.float32))
        _, over = Criterion().value_and_grad(x, np.zeros(2000, np.float32), out=x)
    np.testing.assert_equal([alone, pair[0]], [expected, expected])
    assert over is x
    assert pair[1].tobytes() == grad.tobytes() == over.tobytes()


@pytest.mark.parametrize("n", [20, 2 * sums.SHORT])
def test_an_overflow_warns_as_numpy_does(n):
    for value in (3e38, (3e38 / n) ** 0.5 * 1.5):
        pred, target = np.full(n, value, np.float32), np.zeros(n, np.float32)
        with warnings.catch_warnings(record=True) as theirs:
            warnings.simplefilter("always")
            assert np.dot(pred, pred) == np.inf  # which does not before NumPy 2.1
        with warnings.catch_warnings(record=True) as ours:
            warnings.simplefilter("always")
            assert Criterion()(pred, target) == np.inf
        assert any("overflow" in str(x.message) for x in ours) or not theirs


@pytest.mark.usefixtures("small_blocks")
def test_layouts_that_are_not_contiguous():
    pred, target, _ = inputs("nothing", (40, 31), "float64")
    for p, t in ((pred.T, target.T), (pred[::2], target[::2]), (pred.T, target.reshape(31, 40))):
        value, grad = Criterion().value_and_grad(p, t)
        with plain_only():
            expected = Criterion().value_and_grad(p, t)
        np.testing.assert_allclose(value, expected[0], rtol=relative_bound(np.float64))
        np.testing.assert_allclose(Criterion()(p, t), value, rtol=relative_bound(np.float64))
        assert np.array_equal(grad, expected[1])


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("shift", [0, 7, -7])
def test_out_may_overlap_the_inputs(shift):
    pred, target, _ = inputs("nothing", (1201,), "float32")
    expected = Criterion().value_and_grad(pred, target)
    memory = np.zeros(1300, np.float32)
    memory[7 : 7 + 1201] = pred
    out = memory[7 - shift : 7 - shift + 1201]
    value, grad = Criterion().value_and_grad(memory[7 : 7 + 1201], target, out=out)
    assert grad is out
    assert grad.tobytes() == expected[1].tobytes()
    np.testing.assert_allclose(value, expected[0], rtol=relative_bound(np.float32))


@pytest.mark.parametrize("fields", [{}, {"reduction": "none"}, {"axis": 1}])
def test_out_of_the_plain_path(fields):
    pred, target, _ = inputs("nothing", (40, 31), "float32")
    out = np.empty((31, 40), np.float32).T
    value, grad = Criterion(Huber(), **fields).value_and_grad(pred, target, out=out)
    expected = Criterion(Huber(), **fields).value_and_grad(pred, target)
    assert grad is out
    assert np.array_equal(out, expected[1])
    np.testing.assert_allclose(value, expected[0], rtol=relative_bound(np.float32))


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ([0.0], "out: expected numpy.ndarray or numpy.generic, got list"),
        (np.empty(2, np.float32), r"out: expected a writable array of shape \(3,\) .* of \(2,\)"),
        (np.empty(3), "dtype float32, got a writable one of .* float64"),
        (np.broadcast_to(np.float32(0), 3), "got a read-only one"),
    ],
)
def test_out_is_checked(out, message):
    x = np.ones(3, np.float32)
    with pytest.raises((TypeError, ValueError), match=message):
        Criterion().value_and_grad(x, x, out=out)


def test_out_of_integers_is_of_the_dtype_of_the_residual():
    x, out = np.arange(3, dtype=np.int16), np.empty(3, np.float32)
    Criterion().value_and_grad(x, np.zeros(3, np.float32), out=out)
    assert np.array_equal(out, np.float32(2 / 3) * x)


def test_threads():
    pred, target, _ = inputs("nothing", (200_000,), "float32")
    expected = Criterion().value_and_grad(pred, target)
    found = []

    def work():
        found.extend(Criterion().value_and_grad(pred, target) for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert all(v == expected[0] and np.array_equal(g, expected[1]) for v, g in found)


def test_the_callers_warnings_are_as_they_were():
    before = np.geterr()
    x = np.array([np.inf, 1.0], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Criterion()(x, x, weight=np.array([0.0, 1.0], np.float32))
        Criterion().value_and_grad(x, x, mask=np.array([False, True]))
    assert np.geterr() == before
    with pytest.warns(RuntimeWarning, match="invalid value"):
        np.subtract(x, x)


def test_a_small_value_is_nothing_to_report():
    p = np.full(200, 1e-25, np.float32)
    with np.errstate(all="raise"):
        assert Criterion()(p, 0 * p, weight=0 * p + 1) == 0
