"""Metrics of torchmetrics: exact over batches, ranks and collections."""

import copy
import io

import numpy as np
import pytest
import torch
import torchmetrics

import l2torch
from l2core import ErrorStatistics, Huber
from l2core.figures import FIGURES

rng = np.random.default_rng(6)
N = 30
TARGET = torch.tensor(5 + rng.normal(size=(N, 2)), dtype=torch.float32)
PRED = TARGET + torch.tensor(rng.normal(size=(N, 2)), dtype=torch.float32)
WEIGHT = torch.tensor(rng.integers(0, 3, N) / 2.0, dtype=torch.float32)
MASK = torch.tensor(rng.random((N, 2)) < 0.7)
PARTS = [slice(0, 7), slice(7, 8), slice(8, 8), slice(8, N)]
# Sums of 60 float32 terms within a part; the parts are added in float64.
CLOSE = {"rtol": 64 * 2.0**-24, "atol": 0}


def figures(figure):
    return {"figure": figure, **({"q": 0.9} if figure == "quantile" else {})}


def updated(metric, **arguments):
    for rows in PARTS:
        metric.update(PRED[rows], TARGET[rows], **{k: x[rows] for k, x in arguments.items()})
    return metric


@pytest.mark.parametrize("reduction", ["mean", "root_mean"])
@pytest.mark.parametrize("arguments", [{}, {"weight": WEIGHT, "mask": MASK}], ids=["all", "some"])
def test_the_criterion_of_all(reduction, arguments):
    criterion = l2torch.Criterion(Huber(0.5), reduction)
    metric = updated(l2torch.CriterionMetric(criterion), **arguments)
    value = metric.compute()
    torch.testing.assert_close(value.float(), criterion(PRED, TARGET, **arguments), **CLOSE)
    metric.reset()
    metric.update(PRED[:0], TARGET[:0])
    assert torch.isnan(metric.compute())
    metric.reset()
    with torch.no_grad():  # forward gives the batch's own, and keeps the total
        batch = metric(PRED[:4], TARGET[:4])
    torch.testing.assert_close(batch.float(), criterion(PRED[:4], TARGET[:4]), **CLOSE)


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("outputs", [None, 2])
def test_the_figures_of_all(figure, outputs):
    metric = l2torch.ErrorMetric(**figures(figure), num_outputs=outputs)
    value = updated(metric, weight=WEIGHT, mask=MASK).compute()
    whole = ErrorStatistics.of(
        PRED, TARGET, weight=WEIGHT, mask=MASK, axis=None if outputs is None else 0
    )
    wanted = whole.quantile(0.9) if figure == "quantile" else getattr(whole, figure)
    assert value.shape == wanted.shape == (() if outputs is None else (2,))
    torch.testing.assert_close(value, wanted, rtol=256 * 2.0**-24, atol=64 * 2.0**-24)
    better = {"up": True, "down": False, None: None}[FIGURES[figure]]
    assert metric.higher_is_better is better
    assert torch.equal(metric.statistics.count.total, whole.count.total)


def test_forward_and_collections_and_copies():
    """Batch by batch by forward, in one collection that shares what states it can; copied and saved."""
    names = ("mse", "r2", "mae", "quantile")
    metrics = torchmetrics.MetricCollection(
        {name: l2torch.ErrorMetric(**figures(name)) for name in names}
        | {"loss": l2torch.CriterionMetric(l2torch.MSELoss())}
    )
    for rows in PARTS[:2]:
        batch = metrics(PRED[rows], TARGET[rows])
        torch.testing.assert_close(
            batch["mse"], ErrorStatistics.of(PRED[rows], TARGET[rows]).mse, **CLOSE
        )
    buffer = io.BytesIO()
    metrics.persistent(True)
    torch.save(metrics.state_dict(), buffer)
    buffer.seek(0)
    again = copy.deepcopy(metrics)
    again.reset()
    again.load_state_dict(torch.load(buffer, weights_only=True))
    for each in (metrics, again):
        for rows in PARTS[2:]:
            each.update(PRED[rows], TARGET[rows])
        whole = ErrorStatistics.of(PRED, TARGET)
        found = each.compute()
        torch.testing.assert_close(found["mse"], whole.mse, **CLOSE)
        torch.testing.assert_close(found["loss"], whole.mse, **CLOSE)
        torch.testing.assert_close(found["quantile"], whole.quantile(0.9), rtol=0, atol=0)
        torch.testing.assert_close(found["r2"], whole.r2, rtol=1e-5, atol=0)


def test_a_collection_does_not_take_two_criteria_for_one():
    """Though the sums of a first batch are equal: residuals of 0 and 1."""
    metrics = torchmetrics.MetricCollection(
        {
            "mse": l2torch.CriterionMetric(l2torch.MSELoss()),
            "mae": l2torch.CriterionMetric(l2torch.L1Loss()),
        }
    )
    metrics.update(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 3.0, 2.0]))
    metrics.update(torch.tensor([10.0]), torch.tensor([0.0]))
    found = metrics.compute()
    assert (found["mse"], found["mae"]) == (25.5, 3)


def test_bins_in_float32_are_compensated():
    metric = l2torch.ErrorMetric("quantile", q=0.5, dtype=torch.float32)
    metric.update(torch.tensor([1.0]), torch.zeros(1), weight=torch.tensor([2.0**25]))
    for _ in range(8):
        metric.update(torch.tensor([1.0]), torch.zeros(1))
    assert metric.bins.double().sum() == 2**25 + 8


def test_statistics_keep_no_graph():
    x = torch.ones(3, requires_grad=True)
    found = ErrorStatistics.of(2 * x, torch.zeros(3), weight=x * 1)
    assert not any(t.requires_grad for pair in (found.bins, found.weight) for t in pair)


def test_a_sketch_of_more_than_float32_counts():
    n = (1 << 24) + 8
    ones = torch.ones(n)
    found = ErrorStatistics.of(ones, torch.zeros(n), mask=torch.ones(1, dtype=torch.bool))
    assert found.bins.value.sum() == n
    assert found.bins.value.dtype is torch.int64


def test_right_where_the_peer_is_not():
    """torchmetrics 1.9: R² of targets around 1e4 has no digit, negated small targets score 1."""
    target = (1e4 + torch.randn(100_000, generator=torch.Generator().manual_seed(0))).float()
    pred = target + 0.5 * torch.randn(100_000, generator=torch.Generator().manual_seed(1))
    t, p = target.double(), pred.double()
    exact = 1 - ((p - t) ** 2).sum() / ((t - t.mean()) ** 2).sum()
    ours, theirs = l2torch.ErrorMetric("r2"), torchmetrics.R2Score()
    for rows in torch.arange(100_000).chunk(7):
        ours.update(pred[rows], target[rows])
        theirs.update(pred[rows], target[rows])
    assert abs(ours.compute() - exact) < 1e-6
    assert abs(theirs.compute() - exact) > 1e-3
    small = 1e-3 * torch.tensor([-1.0, 1.0, -2.0, 2.0, 0.0])
    assert abs(l2torch.ErrorMetric("r2")(-small, small) - -3) < 1e-6
    assert torchmetrics.R2Score()(-small, small) == 1


def test_errors():
    for call, error, text in (
        (
            lambda: l2torch.CriterionMetric(torch.nn.MSELoss()),
            TypeError,
            "^criterion: expected an l2",
        ),
        (
            lambda: l2torch.CriterionMetric(l2torch.RMSELoss(axis=0)),
            ValueError,
            "^criterion: expected",
        ),
        (lambda: l2torch.ErrorMetric("mape"), ValueError, "^figure: expected one of bias"),
        (lambda: l2torch.ErrorMetric("quantile"), ValueError, "^q: expected a number from 0 to 1"),
        (lambda: l2torch.ErrorMetric("quantile", q=2), ValueError, "^q: expected a number from 0"),
        (lambda: l2torch.ErrorMetric("mse", q=0.5), ValueError, "^q: expected None"),
        (
            lambda: l2torch.ErrorMetric("mse", num_outputs=3).update(PRED, TARGET),
            ValueError,
            r"^preds: expected shape \(N, 3\)",
        ),
        (lambda: l2torch.Nothing, AttributeError, "has no attribute 'Nothing'"),
    ):
        with pytest.raises(error, match=text):
            call()
    assert "ErrorMetric" in dir(l2torch)
