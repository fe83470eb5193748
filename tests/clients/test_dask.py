"""Dask: a criterion and statistics on arrays larger than the memory of all workers."""

from itertools import pairwise

import dask.array as da
import numpy as np
import pytest
from dask.distributed import Client, LocalCluster

import l2core
from l2core import Criterion, ErrorStatistics, dask_statistics

dask = pytest.mark.client("Dask", "distributed")

LIMIT, WORKERS = 400 << 20, 2
ROWS, BLOCK = 120_000_000, 2_000_000  # 0.96 GB each of prediction and target: 2.3 times the limit


@pytest.fixture(scope="module")
def cluster():
    options = {"n_workers": WORKERS, "threads_per_worker": 1, "memory_limit": LIMIT}
    with LocalCluster(**options, host="127.0.0.1", dashboard_address=None) as local, Client(local):
        yield local


def data():
    """Targets 0, 1, ..., 6, 0, ... and errors 1, -2, 3, 0, 1, ...: every figure is known by hand."""
    i = da.arange(ROWS, chunks=BLOCK)
    target = (i % 7).astype("float64")
    error = da.choose(i % 4, [1.0, -2.0, 3.0, 0.0])
    return target + error, target, i % 2 == 0


@dask
def test_criterion(cluster, splits):
    """A `Criterion` on arrays of 2.3 times the memory of all workers: the masked mean"""
    pred, target, mask = data()
    assert pred.nbytes + target.nbytes > WORKERS * LIMIT
    value = Criterion()(pred, target, mask=mask).compute()
    assert value == (1 + 9) / 2  # whole numbers, whose sums are exact
    splits("Dask: a criterion", f"{ROWS // BLOCK} blocks", (value, 5.0))


@dask
def test_statistics(cluster, splits):
    """`dask_statistics` on arrays of 2.3 times the memory of all workers: all figures at once"""
    pred, target, mask = data()
    found = dask_statistics(pred, target, mask=mask).compute()
    assert isinstance(found, ErrorStatistics)
    n = ROWS // 2
    assert found.count.total == n
    assert (found.mse, found.bias, found.mae, found.max_error) == (5, 2, 2, 3)
    # Even rows hold each of 0 to 6 equally often, but for the last round.
    levels = np.bincount((2 * np.arange(n % 7 + 7) % 7)[7:], minlength=7) + n // 7
    mean = (levels * np.arange(7)).sum() / n
    variance = (levels * (np.arange(7) - mean) ** 2).sum() / n
    np.testing.assert_allclose(found.r2, 1 - 5 / variance, rtol=1e-12)
    assert abs(found.quantile(0.5) - 1) <= 1 / 256
    splits("Dask: statistics", f"{ROWS // BLOCK} blocks", (found.mse, 5.0))


@dask
def test_terms_of_partitions(cluster):
    """`terms` of blocks in `delayed` tasks, added up: the root of the weighted mean"""
    import dask as graph

    criterion = l2core.Criterion("huber", "root_mean")
    rng = np.random.default_rng(0)
    pred, target, weight = rng.normal(size=(3, 1000)) ** 2
    edges = [0, 10, 11, 700, 1000]
    rows = [slice(a, b) for a, b in pairwise(edges)]
    parts = [
        graph.delayed(criterion.terms)(pred[part], target[part], weight=weight[part])
        for part in rows
    ]
    found = graph.delayed(sum)(parts).compute().value()
    r = abs(pred - target)
    rho = np.where(r <= 1, r * r / 2, r - 0.5)
    np.testing.assert_allclose(found, np.sqrt(weight @ rho / weight.sum()), rtol=1e-13)
