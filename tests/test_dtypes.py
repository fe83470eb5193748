"""The dtype table, frozen: what comes back for what goes in, on every backend."""

import re
from itertools import cycle

import numpy as np
import pytest

from l2core import AbsoluteError, Criterion, HalfSquaredError, Huber, SquaredError
from l2core.backend import backend_of

W = "widest"  # float64, or float32 on a framework that has no float64 now
# pred, target, value; the gradient has pred's dtype where that is a float.
TABLE = [
    ("bool", "bool", "float32"),
    ("int8", "int8", "float32"),
    ("uint8", "uint8", "float32"),
    ("int16", "int16", "float32"),
    ("uint16", "uint16", "float32"),
    ("int32", "int32", W),
    ("uint32", "uint32", W),
    ("int64", "int64", W),
    ("uint64", "uint64", W),
    ("float16", "float16", "float32"),
    ("bfloat16", "bfloat16", "float32"),
    ("float32", "float32", "float32"),
    ("float64", "float64", "float64"),
    ("complex64", "complex64", "float32"),
    ("complex128", "complex128", "float64"),
    ("float32", "uint8", "float32"),
    ("uint8", "float32", "float32"),
    ("float32", "int64", W),
    ("int32", "float32", W),
    ("float16", "bfloat16", "float32"),
    ("float16", "float32", "float32"),
    ("bfloat16", "uint8", "float32"),
    ("float32", "float64", "float64"),
    ("float64", "float16", "float64"),
    ("float64", "bool", "float64"),
    ("float16", "int64", W),
    ("complex64", "float32", "float32"),
    ("float32", "complex64", "float32"),
    ("complex64", "float64", "float64"),
    ("float64", "complex64", "float64"),
    ("complex64", "uint8", "float32"),
    ("uint8", "complex64", "float32"),
]
# pred, weight, value.
WEIGHTED = [
    ("float32", "float32", "float32"),
    ("float32", "float64", "float64"),
    ("float32", "float16", "float32"),
    ("float32", "int64", "float32"),
    ("float32", "bool", "float32"),
    ("float16", "float16", "float32"),
    ("bfloat16", "float64", "float64"),
    ("float64", "float32", "float64"),
    ("uint8", "uint8", "float32"),
    ("int32", "float32", W),
]
FLOATS = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")


def expected(name, like):
    return backend_of(like, "pred").widest if name == W else name


def name_of(harness, x):
    """The dtype name of an array of the framework."""
    return getattr(x.dtype, "name", None) or str(x.dtype).rpartition(".")[2]


def rows(table, harness):
    return [row for row in table if row[0] in harness.dtypes and row[1] in harness.dtypes]


def test_values(harness):
    """The value has the table's dtype and is right: |1 - 0|² and |0 - 1|², in turn reduced."""
    reductions = cycle([("none", [1, 1]), ("sum", 2), ("mean", 1), ("root_mean", 1)])
    for row, (reduction, wanted) in zip(rows(TABLE, harness), reductions, strict=False):
        pred, target = harness.array([1, 0], row[0]), harness.array([0, 1], row[1])
        value = harness.face(Criterion(SquaredError(), reduction))(pred, target)
        assert (name_of(harness, value), row) == (expected(row[2], pred), row)
        assert (harness.numpy(value).tolist(), row) == (wanted, row)


def test_gradients(harness):
    for pred_dtype, target_dtype, _ in rows(TABLE, harness):
        if pred_dtype in FLOATS:
            pred, target = harness.array([1, 0], pred_dtype), harness.array([0, 1], target_dtype)
            _, gradient = harness.value_and_grad(Criterion(HalfSquaredError()), pred, target)
            case = (pred_dtype, target_dtype)
            assert (name_of(harness, gradient), case) == (pred_dtype, case)
            assert (harness.numpy(gradient).tolist(), case) == ([0.5, -0.5], case)


def test_integers_have_a_closed_form_gradient_in_the_dtype_of_the_loss():
    for name, wanted in (("uint8", np.float32), ("int64", np.float64)):
        pred, target = np.array([3, 0], name), np.array([1, 2], name)
        value, gradient = Criterion().value_and_grad(pred, target)
        assert (value, gradient.tolist(), gradient.dtype) == (4, [2, -2], wanted)


def test_weights(harness):
    for pred_dtype, weight_dtype, value_dtype in rows(WEIGHTED, harness):
        pred, target = harness.array([3, 0], pred_dtype), harness.array([1, 1], pred_dtype)
        weight = harness.array([1, 1], weight_dtype)
        face = harness.face(Criterion())
        value = harness.run(lambda *a, f=face: f(a[0], a[1], weight=a[2]), pred, target, weight)
        case = (pred_dtype, weight_dtype)
        assert (name_of(harness, value), case) == (expected(value_dtype, pred), case)
        assert harness.numpy(value) == 2.5


def test_numbers_widen_nothing(harness):
    for dtype in ("float16", "float32"):
        if dtype in harness.dtypes:
            pred, target = harness.array([3, 0], dtype), harness.array([1, 1], dtype)
            for more in ({"weight": 0.1}, {"weight": 3}, {"denominator": 7.1}, {"denominator": 7}):
                value = harness.face(Criterion(denominator="count"))(pred, target, **more)
                assert (name_of(harness, value), more) == ("float32", more)


def test_short_integers_do_not_wrap(harness):
    """uint8 0 against 20 is 400, not 144; 0 against 255 is 65025, not 1."""
    for dtype in ("uint8", "uint16", "int8", "int16"):
        high = min(np.iinfo(dtype).max, 20000)
        pred, target = harness.array([0, high], dtype), harness.array([20, 0], dtype)
        value = harness.face(Criterion(SquaredError(), "none"))(pred, target)
        assert harness.numpy(value).tolist() == [400, high**2]


def test_wide_integers_do_not_wrap(harness):
    for dtype in ("int32", "uint32", "int64", "uint64"):
        if dtype in harness.dtypes:
            low, high = (0 if dtype[0] == "u" else -(2**30)), 2**30
            pred, target = harness.array([low, 3], dtype), harness.array([high, 5], dtype)
            value = harness.face(Criterion(AbsoluteError(), "none"))(pred, target)
            assert harness.numpy(value).tolist() == [high - low, 2]


def test_halves_compute_in_float32(harness):
    """Residual 300 squares beyond float16; 70,000 ones sum beyond it, and stall bfloat16 at 256."""
    for dtype in ("float16", "bfloat16"):
        if dtype not in harness.dtypes:
            continue
        pred, target = harness.array([300.0, 0.0], dtype), harness.array([0.0, 0.0], dtype)
        value, gradient = harness.value_and_grad(Criterion(), pred, target)
        assert harness.numpy(value) == 45000
        assert harness.numpy(gradient).tolist() == [300, 0]
        ones = harness.array(np.ones(70_000), dtype)
        zeros = harness.array(np.zeros(70_000), dtype)
        total = harness.face(Criterion(SquaredError(), "sum"))(ones, zeros)
        assert harness.numpy(total).item() == 70_000  # in float16 that is inf
        weighted = harness.face(Criterion())(ones, zeros, weight=ones)
        assert harness.numpy(weighted) == 1


def test_float64_stays(harness):
    """A residual of 1e-9 beside 1, which float32 rounds away."""
    if "float64" not in harness.dtypes:
        return
    pred, target = harness.array([1 + 1e-9, 1], "float64"), harness.array([1, 1], "float64")
    value, gradient = harness.value_and_grad(Criterion(AbsoluteError()), pred, target)
    assert harness.numpy(value) == (1 + 1e-9 - 1) / 2
    assert harness.numpy(gradient).tolist() == [0.5, 0]


def test_losses_without_complex_meaning_raise(harness):
    if "complex64" not in harness.dtypes:
        return
    pred, target = harness.array([1 + 2j], "complex64"), harness.array([0], "float32")
    for arguments in ((pred, target), (target, pred), (pred, pred)):
        with pytest.raises(TypeError) as caught:
            harness.face(Criterion(Huber()))(*arguments)
        message = r"\w+ and \w+: expected real dtypes for Huber, got \w+ and \w+"
        assert re.fullmatch(message, str(caught.value))


def test_complex_is_the_square_of_the_size(harness):
    if "complex64" not in harness.dtypes:
        return
    pred, target = harness.array([1 + 2j], "complex64"), harness.array([0], "complex64")
    assert harness.numpy(harness.face(Criterion())(pred, target)) == 5
