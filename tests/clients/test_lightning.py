"""Lightning: training, checkpoints, accumulation, and the loss from a configuration file.

All in float64, with some thirty roundings of 1.1e-16 on numbers near 1: within 1e-13 of the hand.
"""

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.cli import LightningCLI
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import l2core
import l2torch

lightning = pytest.mark.client("Lightning", "lightning")

RNG = np.random.default_rng(0)
X, Y, WEIGHT = RNG.normal(size=(10, 3)), 2 * RNG.normal(size=10), RNG.uniform(0.5, 2, size=10)
MASK = np.array([1, 1, 0, 1, 0, 0, 1, 1, 1, 1], bool)
Y[~MASK] = np.nan  # what is missing may hold anything
RATE = 0.1
START = np.array([0.5, -0.25, 1.0])
CLOSE = {"rtol": 1e-13, "atol": 1e-13}


def huber(r, delta):
    return np.where(abs(r) <= delta, r * r / 2, delta * (abs(r) - delta / 2))


def stepped(k, rows, psi, weight):
    """One step of gradient descent on the weighted mean over the rows that are present."""
    rows = [i for i in rows if MASK[i]]
    r = X[rows] @ k - Y[rows]
    return k - RATE * (weight[rows] * psi(r)) @ X[rows] / weight[rows].sum()


class Linear(L.LightningModule):
    def __init__(self, loss: nn.Module):
        super().__init__()
        self.save_hyperparameters()
        self.loss = loss
        self.kernel = nn.Parameter(torch.tensor(START))

    def training_step(self, batch, i):
        x, y, weight, mask = batch
        return self.loss(x @ self.kernel, y, weight=weight, mask=mask)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), RATE)


def loader(size):
    arrays = (X, Y, WEIGHT, MASK)
    return DataLoader(TensorDataset(*map(torch.tensor, arrays)), batch_size=size)


def options(tmp_path, **more):
    quiet = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger"), False)
    return {
        **quiet,
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": 1,
        "enable_checkpointing": False,
        "default_root_dir": str(tmp_path),
        **more,
    }


@lightning
def test_training(tmp_path):
    """Two steps of a weighted, masked Huber loss: the weights are those by hand"""
    model = Linear(l2torch.HuberLoss(delta=0.5))
    L.Trainer(**options(tmp_path)).fit(model, loader(5))
    k = START
    for rows in (range(5), range(5, 10)):
        k = stepped(k, rows, lambda r: np.clip(r, -0.5, 0.5), WEIGHT)
    np.testing.assert_allclose(model.kernel.detach().numpy(), k, **CLOSE)


@lightning
@pytest.mark.parametrize(
    ("kind", "loss"),
    [
        ("l2torch.HuberLoss", l2torch.HuberLoss(delta=0.5)),
        ("l2torch.Criterion", l2torch.Criterion({"name": "Huber", "delta": 0.5})),
        ("l2core.Criterion", l2core.Criterion(l2core.Huber(0.5))),
    ],
)
def test_hyperparameters(tmp_path, kind, loss):
    """`save_hyperparameters()` with `{kind}`, then `load_from_checkpoint` as it is: \
the loss has its delta"""
    trainer = L.Trainer(**options(tmp_path))
    trainer.fit(Linear(loss), loader(5))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    model = Linear.load_from_checkpoint(tmp_path / "a.ckpt")
    np.testing.assert_allclose(
        model.loss(torch.tensor(X[:, 0]), torch.tensor(X[:, 1])).item(),
        huber(X[:, 0] - X[:, 1], 0.5).mean(),
        **CLOSE,
    )


class Accumulated(Linear):
    """Micro-batches of 2 rows; totals are the present rows of each window, counted beforehand."""

    def __init__(self, loss, totals, k):
        super().__init__(loss)
        self.totals, self.k = totals, k

    def training_step(self, batch, i):
        x, y, _, mask = batch
        # Lightning divides by k, also in a last window with fewer micro-batches.
        denominator = self.totals[i // self.k] / self.k
        return self.loss(x @ self.kernel, y, mask=mask, denominator=denominator)


@lightning
def test_accumulation(tmp_path):
    """`accumulate_grad_batches=k` with `denominator=total/k`: uneven masked micro-batches, the \
short last window too, step as the one big batch"""
    windows = (range(4), range(4, 8), range(8, 10))
    totals = [int(MASK[list(rows)].sum()) for rows in windows]
    model = Accumulated(l2torch.MSELoss(), totals, 2)
    L.Trainer(**options(tmp_path, accumulate_grad_batches=2)).fit(model, loader(2))
    k = START
    for rows in windows:
        k = stepped(k, rows, lambda r: 2 * r, np.ones(10))
    np.testing.assert_allclose(model.kernel.detach().numpy(), k, **CLOSE)


class FromFile(Linear):
    def __init__(self, loss: l2torch.Criterion):
        super().__init__(loss)

    def train_dataloader(self):
        return loader(10)


@lightning
@pytest.mark.parametrize(("told", "delta"), [("huber", 1.0), ("{name: Huber, delta: 0.5}", 0.5)])
def test_cli(tmp_path, told, delta):
    """`LightningCLI` with the loss as a name or a mapping in YAML: it trains as by hand"""
    path = tmp_path / "config.yaml"
    path.write_text(
        f"model:\n  loss:\n    class_path: l2torch.Criterion\n    init_args:\n      loss: {told}\n"
    )
    cli = LightningCLI(
        FromFile,
        args=["fit", "--config", str(path)],
        trainer_defaults=options(tmp_path),
        seed_everything_default=False,
        save_config_callback=None,
    )
    k = stepped(START, range(10), lambda r: np.clip(r, -delta, delta), WEIGHT)
    np.testing.assert_allclose(cli.model.kernel.detach().numpy(), k, **CLOSE)
