"""Statistics of Dask arrays: any blocks, weights and masks beside them."""

import dask.array as da
import numpy as np
import pytest

from l2core import ErrorStatistics, dask_statistics

rng = np.random.default_rng(8)
TARGET = 100 + rng.normal(size=(40, 6))
PRED = TARGET + rng.normal(size=(40, 6))
WEIGHT, MASK = rng.integers(0, 3, 40) / 2.0, rng.random((40, 6)) < 0.7


@pytest.mark.parametrize("axis", [None, 0, (0, 1), [1]])
@pytest.mark.parametrize(
    "arguments",
    [{}, {"weight": WEIGHT, "mask": MASK}, {"weight": WEIGHT[:, None]}, {"mask": MASK[:1]}],
    ids=["all", "rows and a mask", "a column", "outputs"],
)
def test_any_blocks(axis, arguments):
    pred, target = da.from_array(PRED, (7, 4)), da.from_array(TARGET, (11, 6))
    blocks = {name: da.from_array(x, 5) for name, x in arguments.items()}
    whole = ErrorStatistics.of(PRED, TARGET, axis=axis, **arguments)
    found = dask_statistics(pred, target, axis=axis, **blocks).compute(scheduler="synchronous")
    for name in ("mse", "r2", "mae", "bias", "max_error"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-12)
    np.testing.assert_array_equal(found.quantile(0.3), whole.quantile(0.3))


def test_a_weight_without_axes():
    x = da.from_array(PRED, (7, 4))
    found = dask_statistics(x, x + 2, weight=da.from_array(np.array(3.0))).compute()
    assert found.mse == pytest.approx(4)
    assert dask_statistics(x, x + 2, weight=3.0).compute().weight.total == 3 * PRED.size


def test_errors():
    x = da.from_array(PRED, (7, 4))
    for call, error, text in (
        (lambda: dask_statistics(PRED, x), TypeError, "^pred: expected a dask.array.Array"),
        (lambda: dask_statistics(x, x[:3]), ValueError, "^pred and target: expected equal shapes"),
        (lambda: dask_statistics(x, x, mask=x[:3] > 0), ValueError, "^mask: expected a scalar"),
        (
            lambda: dask_statistics(x, x, weight=WEIGHT[:7]),
            TypeError,
            "^weight: expected a dask.array",
        ),
        (lambda: dask_statistics(x[x[:, 0] > 100], x), ValueError, "^pred: expected known lengths"),
        (lambda: ErrorStatistics.of(x, x), TypeError, "^pred: expected an array in memory"),
    ):
        with pytest.raises(error, match=text):
            call()
