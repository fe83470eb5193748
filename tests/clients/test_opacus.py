"""Opacus: per-sample gradients are clipped one by one; without noise a step is known by hand."""

import numpy as np
import pytest
import torch
from opacus import PrivacyEngine
from torch.utils.data import DataLoader, TensorDataset

import l2torch

opacus = pytest.mark.client("Opacus", "opacus")

RNG = np.random.default_rng(4)
N, D = 8, 2
X, Y, WEIGHT = RNG.normal(size=(N, 3)), 3 * RNG.normal(size=(N, D)), np.geomspace(0.01, 5, N)
START = RNG.normal(size=(D, 3))
RATE, LIMIT = 0.5, 1.0
# Opacus divides by the norm + 1e-6; gradients that are clipped have norms above 1, so that each
# moves by less than 1e-6, and their mean times RATE by less than that.
CLOSE = {"rtol": 0, "atol": 1e-6}


def stepped(slopes):
    """A step along the mean of the clipped gradients, slopes[i, d] of sample i to output d."""
    gradients = slopes[:, :, None] * X[:, None, :]
    norms = np.sqrt((gradients**2).sum((1, 2)))
    assert (norms > LIMIT).any()
    assert ((norms > 0) & (norms < LIMIT)).any()  # else the size of the loss would not show
    clipped = gradients * np.minimum(1, LIMIT / norms)[:, None, None]
    return START - RATE * clipped.sum(0) / N


def private(mode, criterion, **more):
    model = torch.nn.Linear(3, D, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor(START))
    data = TensorDataset(torch.tensor(X), torch.tensor(Y), torch.tensor(WEIGHT))
    model, optimizer, *wrapped, loader = PrivacyEngine().make_private(
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), RATE),
        criterion=criterion,
        data_loader=DataLoader(data, batch_size=N),
        noise_multiplier=0.0,
        max_grad_norm=LIMIT,
        poisson_sampling=False,
        grad_sample_mode=mode,
        **more,
    )
    return model, optimizer, wrapped[0] if wrapped else criterion, *next(iter(loader))


def weights_after(model, optimizer, loss):
    loss.backward()
    optimizer.step()
    return model._module.weight.detach().numpy()


@opacus
def test_hooks():
    """Hooks: a step follows the clipped gradient of each sample by hand"""
    model, optimizer, criterion, x, y, _ = private("hooks", l2torch.HuberLoss(delta=0.5))
    found = weights_after(model, optimizer, criterion(model(x), y))
    slopes = np.clip(X @ START.T - Y, -0.5, 0.5) / D  # of the mean over a sample's outputs
    np.testing.assert_allclose(found, stepped(slopes), **CLOSE)


@opacus
def test_hooks_weighted():
    """Hooks, weighted and masked, `denominator="batch"`: each sample's gradient is that of its \
own sum, and none where it is masked"""
    model, optimizer, criterion, x, y, weight = private(
        "hooks", l2torch.Criterion(denominator="batch")
    )
    mask = torch.arange(N) != 3
    y[3] = torch.nan
    found = weights_after(model, optimizer, criterion(model(x), y, weight=weight, mask=mask))
    slopes = WEIGHT[:, None] * 2 * (X @ START.T - Y)
    slopes[3] = 0
    np.testing.assert_allclose(found, stepped(slopes), **CLOSE)


@opacus
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_ghost_clipping(reduction):
    """Ghost clipping: the clipped gradient is that of each sample by hand, weighted too"""
    model, optimizer, criterion, x, y, weight = private(
        "ghost", l2torch.HuberLoss(reduction, 0.5), loss_reduction=reduction
    )
    # One residual a sample: the first output. Opacus multiplies factors (N,) by losses (N,).
    found = weights_after(model, optimizer, criterion(model(x)[:, 0], y[:, 0], weight=weight))
    slopes = np.zeros((N, D))
    slopes[:, 0] = WEIGHT * np.clip(X @ START[0] - Y[:, 0], -0.5, 0.5)
    expected = stepped(slopes)
    if reduction == "sum":  # Opacus does not divide
        expected = START + N * (expected - START)
    np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE["atol"] * N)


@opacus
def test_ghost_clipping_of_several_outputs():
    """Ghost clipping of (N, D) losses, flat with `shape=`: the clipped gradient is that of each \
sample's mean by hand"""
    model, optimizer, criterion, x, y, _ = private("ghost", l2torch.Criterion("log_cosh"))
    pred = model(x)
    loss = criterion(pred.flatten(), y.flatten(), shape=pred.shape)
    np.testing.assert_allclose(loss.item(), np.log(np.cosh(X @ START.T - Y)).mean(), rtol=1e-13)
    found = weights_after(model, optimizer, loss)
    np.testing.assert_allclose(found, stepped(np.tanh(X @ START.T - Y) / D), **CLOSE)
