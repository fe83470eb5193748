"""Bias and variance of an ensemble: they add up to its error, to rounding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2core import bias_variance

pytestmark = pytest.mark.once
MODELS, SHAPE = 7, (12, 3)
rng = np.random.default_rng(9)
TARGET = rng.normal(size=SHAPE)
PREDICTIONS = TARGET + 0.4 + rng.normal(size=(MODELS, *SHAPE))
WEIGHT, MASK = rng.integers(0, 3, 12) / 2.0, rng.random(SHAPE) < 0.7
ARGUMENTS = [{}, {"weight": WEIGHT}, {"weight": WEIGHT, "mask": MASK}]


def by_hand(axis, arguments):
    w = np.ones(SHAPE)
    if "weight" in arguments:
        w = w * arguments["weight"][:, None]
    w = np.where(arguments.get("mask", True), w, 0.0)
    center = PREDICTIONS.mean(axis=0)

    def mean(x):
        return (w * x).sum(axis=axis) / w.sum(axis=axis)

    return (
        mean(((PREDICTIONS - TARGET) ** 2).mean(axis=0)),
        mean((center - TARGET) ** 2),
        mean(((PREDICTIONS - center) ** 2).mean(axis=0)),
    )


@pytest.mark.parametrize("axis", [None, 0])
def test_by_hand(harness, axis):
    dtype = "float64" if "float64" in harness.dtypes else "float32"
    # Sums of 252 products, each within its bound, of numbers near 1.
    close = {"rtol": 300 * (2.0**-53 if dtype == "float64" else 2.0**-24)}
    for arguments in ARGUMENTS:
        given_ = {
            k: harness.array(x, None if x.dtype == bool else dtype) for k, x in arguments.items()
        }
        predictions = [harness.array(x, dtype) for x in PREDICTIONS]
        found = bias_variance(predictions, harness.array(TARGET, dtype), axis=axis, **given_)
        for a, b in zip(found, by_hand(axis, arguments), strict=False):
            np.testing.assert_allclose(harness.numpy(a), b, **close)
        stacked = bias_variance(harness.array(PREDICTIONS, dtype), harness.array(TARGET, dtype))
        np.testing.assert_allclose(harness.numpy(stacked.mse), by_hand(None, {})[0], **close)


@given(
    offset=st.sampled_from([0.0, 1e3, 1e6]),
    spread=st.sampled_from([1e-3, 1.0, 30.0]),
    models=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_they_add_up_far_from_zero_too(offset, spread, models, seed):
    """In float32: of residuals, whose mean is not rounded where the predictions are."""
    rng = np.random.default_rng(seed)
    target = (offset + rng.normal(size=40)).astype("f4")
    predictions = (target + spread * rng.normal(size=(models, 40))).astype("f4")
    mse, bias, variance, noise = bias_variance(predictions, target)
    assert noise == 0
    # Each a mean of 40 × 9 terms at most, in sums that err by their depth, ten roundings beside.
    assert abs(mse - (bias + variance)) <= 64 * 2.0**-24 * mse


def test_noise_is_taken_off_the_bias():
    """On data whose noise is known: the three parts, each within five standard errors."""
    rng = np.random.default_rng(0)
    models, n = 200, 20_000
    target = np.full(n, 1.0) + 0.5 * rng.normal(size=n)
    predictions = 1.3 + 0.2 * rng.normal(size=(models, n))
    found = bias_variance(predictions, target, noise=0.25)
    assert found.noise == 0.25
    assert abs(found.mse - (found.bias_squared + found.variance + found.noise)) < 1e-14
    assert abs(found.variance - 0.04) < 5 * 0.04 * np.sqrt(2 / (models * n)) + 0.04 / models
    # The squares of residuals of mean 0.3 and variance 0.25.
    assert abs(found.bias_squared - 0.09) < 5 * np.sqrt((2 * 0.25**2 + 4 * 0.09 * 0.25) / n)


def test_errors():
    for call, error, text in (
        (lambda: bias_variance([], TARGET), ValueError, "^predictions: expected at least one"),
        (lambda: bias_variance(PREDICTIONS, TARGET, -1), ValueError, "^noise: expected a finite"),
        (
            lambda: bias_variance(None, TARGET),
            TypeError,
            "^predictions: expected an array or a seq",
        ),
        (
            lambda: bias_variance(PREDICTIONS, TARGET, np.zeros(2)),
            ValueError,
            "^noise: expected a number",
        ),
        (
            lambda: bias_variance(PREDICTIONS, TARGET, np.array(-5.0)),
            ValueError,
            "^noise: expected a fin",
        ),
        (lambda: bias_variance(PREDICTIONS, TARGET, True), ValueError, "^noise: expected a finite"),
        (
            lambda: bias_variance([TARGET, TARGET[0]], TARGET),
            ValueError,
            r"^predictions\[1\] and target",
        ),
        (lambda: bias_variance(PREDICTIONS, TARGET, mask=TARGET), TypeError, "^mask: "),
    ):
        with pytest.raises(error, match=text):
            call()
