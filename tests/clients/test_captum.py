"""captum: influences of training samples on test samples, which read the reduction of a loss.

For a layer y = k·x + b, the gradient of a sample's loss is psi(r) (x, 1): the influence of one
sample on another is psi psi' (x·x' + 1), times the rate, summed over the checkpoints.
"""

import numpy as np
import pytest
import torch
from captum.influence import TracInCP, TracInCPFast
from torch.utils.data import DataLoader, TensorDataset

import l2torch

captum = pytest.mark.client("captum", "captum")

RNG = np.random.default_rng(5)
N, M, DELTA = 8, 3, 0.5
X, Y = RNG.normal(size=(N, 4)), RNG.normal(size=(N, 1))
X_TEST, Y_TEST = RNG.normal(size=(M, 4)), RNG.normal(size=(M, 1))
CHECKPOINTS = [(0.5 * RNG.normal(size=5), rate) for rate in (0.1, 0.05)]
# float64: a few dozen roundings of 1.1e-16 each, on numbers below 10.
CLOSE = {"rtol": 1e-13, "atol": 1e-13}


def load(model, checkpoint):
    theta, rate = checkpoint
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor(theta[None, :4]))
        model[0].bias.copy_(torch.tensor(theta[4:]))
    return rate


def arguments(loss):
    """Batches of 3, 3 and 2: a reduction misread shows."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 1, dtype=torch.float64))
    data = DataLoader(TensorDataset(torch.tensor(X), torch.tensor(Y)), batch_size=3)
    load(model, CHECKPOINTS[0])
    return {
        "model": model,
        "train_dataset": data,
        "checkpoints": CHECKPOINTS,
        "checkpoints_load_func": load,
        "loss_fn": loss,
    }


def by_hand(bias):
    total = 0
    for theta, rate in CHECKPOINTS:
        ours, theirs = (
            np.clip(x @ theta[:4] + theta[4] - y[:, 0], -DELTA, DELTA)[:, None]
            * np.hstack([x, np.full((len(x), 1), bias)])
            for x, y in ((X, Y), (X_TEST, Y_TEST))
        )
        total = total + rate * theirs @ ours.T
    return total


def found(tracer):
    return tracer.influence((torch.tensor(X_TEST), torch.tensor(Y_TEST))).detach().numpy()


@captum
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_tracin(reduction):
    """`TracInCP` with reduction "none", and "sum" or "mean" sample-wise: influences by hand"""
    tracer = TracInCP(
        **arguments(l2torch.HuberLoss(reduction, DELTA)),
        sample_wise_grads_per_batch=reduction != "none",
    )
    np.testing.assert_allclose(found(tracer), by_hand(bias=1.0), **CLOSE)


@captum
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_tracin_fast(reduction):
    """`TracInCPFast` with reduction "sum" or "mean": influences by hand"""
    loss = l2torch.Criterion({"name": "Huber", "delta": DELTA}, reduction)
    given = arguments(loss)
    tracer = TracInCPFast(final_fc_layer=given["model"][0], **given)
    # This one takes the weights of the last layer alone, without its bias.
    np.testing.assert_allclose(found(tracer), by_hand(bias=0.0), **CLOSE)
