"""Several quantiles at once: their crossing, and that a penalty on it mends it."""

import numpy as np
import pytest

from l2core import Criterion, Quantile, crossing
from subjects import float_dtypes

LEVELS = np.array([[0.1, 0.5, 0.9]])
PRED = np.array([[1.0, 2.0, 3.0], [1.0, 0.5, 3.0], [2.0, 1.0, -1.0], [4.0, 4.0, 4.0]])
ABOVE = [[0, 0], [0.5, 0], [1, 2], [0, 0]]


@pytest.mark.modes("eager", "jit", "function", "xla", "compile")
@pytest.mark.once
def test_by_hand(harness, mode):
    for dtype in {*float_dtypes(harness), "float16"} & {*harness.dtypes}:
        found = harness.run(crossing, harness.array(PRED, dtype), mode=mode)
        assert harness.numpy(found).dtype == ("float64" if dtype == "float64" else "float32")
        np.testing.assert_array_equal(harness.numpy(found), ABOVE)


@pytest.mark.once
def test_a_penalty_pulls_them_apart(harness):
    """Beside the loss of three quantiles; the gradient of each crossing pair is 1 and -1."""
    if not harness.autograd:
        return
    x, q = harness.array(PRED, "float32"), harness.array(LEVELS, "float32")
    face = harness.face(Criterion(Quantile(), "sum"))

    def penalised(pred, target):
        return face(pred, target, q=q) + 10.0 * crossing(pred)[1, 0] + crossing(pred)[2, 1]

    _, (slope, _) = harness.vjp(penalised, x, x)
    expected = np.zeros((4, 3))
    expected[1, :2], expected[2, 1:] = [10, -10], [1, -1]
    np.testing.assert_array_equal(harness.numpy(slope), expected)


def test_nan_and_what_is_wrong():
    assert np.isnan(crossing(np.array([1.0, np.nan, 3.0]))).all()
    assert crossing(np.array([np.inf, np.inf, 1.0])).tolist() == [0, np.inf]
    for q in (0, 1):
        with pytest.raises(
            ValueError, match=rf"^pred: expected two quantiles or more .*, got \(3, {q}\)"
        ):
            crossing(np.ones((3, q)))
    with pytest.raises(TypeError, match=r"^pred: expected a real float dtype, got int64"):
        crossing(np.ones((3, 2), int))
