"""Quantiles of |error|, and the counts behind them: within 1/256, however many there are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import QUIET, RNG
from l2core import ErrorStatistics

pytestmark = pytest.mark.once


@given(q=st.floats(0, 1), scale=st.sampled_from([1e-30, 1e-3, 1.0, 1e30]))
def test_a_quantile_errs_by_a_256th(q, scale):
    sizes = np.sort(np.abs(RNG.standard_cauchy(500)) * scale)
    found = ErrorStatistics.of(sizes, np.zeros(500)).quantile(q)
    exact = sizes[max(0, int(np.ceil(q * 500)) - 1)]
    assert abs(found - exact) <= exact * (1 / 256 + 2.0**-23)


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


def test_more_parts_than_a_float32_counts():
    """2^24 and one more: a float32 count would stop, and so would a mean by it."""
    one = ErrorStatistics.of(np.array([2.0], "f4"), np.array([0.0], "f4"))
    many = one
    for _ in range(24):
        many = many + many
    many = many + one
    assert (many.count.total, many.mse, many.mae) == (2**24 + 1, 4, 2)
    assert many.bins.value.sum() == 2**24 + 1
