"""accelerate: accumulation, and the two sums of a mean over processes (here of one)."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

import l2torch
from l2core import Terms

accelerate = pytest.mark.client("accelerate", "accelerate")

RNG = np.random.default_rng(2)
X, Y, WEIGHT = RNG.normal(size=(10, 3)), 2 * RNG.normal(size=10), RNG.uniform(0.5, 2, size=10)
WEIGHT[[2, 3, 7]] = 0.0
START = np.array([0.5, -0.25, 1.0])
# float64: some thirty roundings of 1.1e-16 each, on numbers near 1.
CLOSE = {"rtol": 1e-13, "atol": 1e-13}


def prepared(accelerator):
    model = torch.nn.Linear(3, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight[0] = torch.tensor(START)
    data = TensorDataset(torch.tensor(X), torch.tensor(Y), torch.tensor(WEIGHT))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    return accelerator.prepare(model, optimizer, DataLoader(data, batch_size=2))


@accelerate
def test_accumulation():
    """`accumulate` with `denominator=total/k`: uneven weighted micro-batches, the short last \
window too, step as the one big batch"""
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    model, optimizer, loader = prepared(accelerator)
    criterion = l2torch.MSELoss()
    windows = [slice(0, 4), slice(4, 8), slice(8, 10)]
    totals = [WEIGHT[rows].sum() for rows in windows]
    for i, (x, y, weight) in enumerate(loader):
        with accelerator.accumulate(model):
            denominator = totals[i // 2] / 2  # accelerate divides by 2
            loss = criterion(model(x)[:, 0], y, weight=weight, denominator=denominator)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
    k = START
    for rows in windows:
        r, w = X[rows] @ k - Y[rows], WEIGHT[rows]
        k = k - 0.1 * (w * 2 * r) @ X[rows] / w.sum()
    np.testing.assert_allclose(model.weight[0].detach().numpy(), k, **CLOSE)


@accelerate
@pytest.mark.parametrize("reduction", ["mean", "root_mean"])
def test_window(reduction, splits):
    """`l2torch.Window` under `accumulate`, with clipping: nothing known ahead, uneven weighted \
micro-batches, the short last window too, step as the one big batch"""

    def trained(window, criterion):
        accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
        model, optimizer, loader = prepared(accelerator)
        values = []
        for x, y, weight in loader:
            with accelerator.accumulate(model):
                call = criterion if window is None else window.add
                accelerator.backward(call(model(x)[:, 0], y, weight=weight))
                if window is not None and accelerator.sync_gradients:
                    values.append(window.finish(model.parameters()).item())
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1e9)
                optimizer.step()
                optimizer.zero_grad()
        return model.weight[0].detach().numpy(), values

    criterion = l2torch.Criterion("squared_error", reduction, empty="zero")
    k, wanted = START, []
    for rows in [slice(0, 4), slice(4, 8), slice(8, 10)]:
        r, w = X[rows] @ k - Y[rows], WEIGHT[rows]
        wanted.append((w @ r**2 / w.sum()) ** (0.5 if reduction == "root_mean" else 1))
        slope = (w * 2 * r) @ X[rows] / w.sum()
        k = k - 0.1 * (slope / (2 * wanted[-1]) if reduction == "root_mean" else slope)
    found, values = trained(l2torch.Window(criterion, divided_by=2), criterion)
    np.testing.assert_allclose(found, k, **CLOSE)
    np.testing.assert_allclose(values, wanted, **CLOSE)
    alone, _ = trained(None, criterion)
    splits(
        "accelerate",
        "5 micro-batches, the last window short (gradient column: all steps)",
        (values, wanted),
        (START - found, START - k),
        (START - alone, START - k) if reduction == "mean" else None,
    )


@accelerate
@pytest.mark.parametrize("how", ["reduce", "gather"])
@pytest.mark.parametrize("reduction", ["mean", "root_mean"])
def test_two_sums(how, reduction):
    """`reduce` or `gather` of numerator and denominator: the weighted mean of all batches, \
and its root"""
    accelerator = Accelerator(cpu=True)
    model, _, loader = prepared(accelerator)
    criterion = l2torch.Criterion(reduction=reduction)
    with torch.no_grad():
        parts = [criterion.terms(model(x)[:, 0], y, weight=weight) for x, y, weight in loader]
    total = sum(parts)
    pair = (total.numerator, total.denominator)
    if how == "reduce":
        numerator, denominator = accelerator.reduce(pair, reduction="sum")
    else:
        numerator, denominator = (x.sum() for x in accelerator.gather(pair))
    mean = WEIGHT @ (X @ START - Y) ** 2 / WEIGHT.sum()
    np.testing.assert_allclose((numerator / denominator).item(), mean, **CLOSE)
    expected = mean if reduction == "mean" else np.sqrt(mean)
    whole = Terms(numerator, denominator, total.root, total.empty)
    np.testing.assert_allclose(whole.item(), expected, **CLOSE)
