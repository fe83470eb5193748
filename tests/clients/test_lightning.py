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


WINDOWS = (range(4), range(4, 8), range(8, 10))


class Windowed(Linear):
    """Nothing is counted beforehand; rows of weight 0 and masked ones, two rows a micro-batch."""

    def __init__(self, window, metric=None):
        super().__init__(window.criterion)
        self.window, self.metric = window, metric
        self.values = []

    def training_step(self, batch, i):
        x, y, weight, mask = batch
        pred = x @ self.kernel
        if self.metric is not None:
            self.metric(pred.detach(), y, weight=weight, mask=mask)
            self.log("loss", self.metric, on_step=False, on_epoch=True)
        return self.window.add(pred, y, weight=weight, mask=mask)

    def on_before_optimizer_step(self, optimizer):
        self.values.append(self.window.finish(self.parameters()).item())


class ByHand(Windowed):
    """Manual optimisation, with clipping."""

    automatic_optimization = False

    def training_step(self, batch, i):
        self.manual_backward(super().training_step(batch, i))
        if (i + 1) % 2 == 0 or self.trainer.is_last_batch:
            sgd = self.optimizers()
            self.values.append(self.window.finish(self.parameters()).item())
            self.clip_gradients(sgd, gradient_clip_val=1e9, gradient_clip_algorithm="norm")
            sgd.step()
            sgd.zero_grad()

    def on_before_optimizer_step(self, optimizer):
        pass


class Alone(Linear):
    """The mean of each micro-batch, as Lightning accumulates it by itself."""

    def training_step(self, batch, i):
        return super().training_step(batch, i)


def gradient_of(kernel):
    return (START - kernel.detach().numpy()) / RATE


@lightning
@pytest.mark.parametrize("kind", ["automatic", "manual"])
@pytest.mark.parametrize("reduction", ["mean", "root_mean"])
def test_window(tmp_path, kind, reduction, splits):
    """`l2torch.Window` in {kind} optimisation: nothing known ahead, uneven weighted and masked \
micro-batches, the short last window too, step as the one big batch"""
    criterion = l2torch.Criterion("squared_error", reduction)
    k, values = START, []
    for rows in WINDOWS:
        present = [i for i in rows if MASK[i]]
        r, w = X[present] @ k - Y[present], WEIGHT[present]
        values.append((w @ r**2 / w.sum()) ** (0.5 if reduction == "root_mean" else 1))
        slope = w * 2 * r @ X[present] / w.sum()
        k = k - RATE * (slope / (2 * values[-1]) if reduction == "root_mean" else slope)
    automatic = kind == "automatic"
    window = l2torch.Window(criterion, divided_by=2 if automatic else 1)
    model = (Windowed if automatic else ByHand)(window)
    told = {"accumulate_grad_batches": 2} if automatic else {}
    L.Trainer(**options(tmp_path, gradient_clip_val=1e9 if automatic else None, **told)).fit(
        model, loader(2)
    )
    np.testing.assert_allclose(model.kernel.detach().numpy(), k, **CLOSE)
    np.testing.assert_allclose(model.values, values, **CLOSE)
    alone = Alone(criterion)
    L.Trainer(**options(tmp_path, accumulate_grad_batches=2)).fit(alone, loader(2))
    splits(
        f"Lightning, {kind} optimisation",
        "5 micro-batches, the last window short (gradient column: all steps)",
        (model.values, values),
        (gradient_of(model.kernel), (START - k) / RATE),
        (gradient_of(alone.kernel), (START - k) / RATE) if reduction == "mean" else None,
    )


@lightning
def test_logged_metric(tmp_path):
    """`self.log` of an `l2torch.CriterionMetric`: the epoch's mean over all that is present"""
    window = l2torch.Window(l2torch.MSELoss())
    model = Windowed(window, l2torch.CriterionMetric(l2torch.MSELoss()))
    model.configure_optimizers = lambda: torch.optim.SGD(model.parameters(), 0.0)
    trainer = L.Trainer(**options(tmp_path))
    trainer.fit(model, loader(3))
    r, w = (X @ START - Y)[MASK], WEIGHT[MASK]
    np.testing.assert_allclose(trainer.callback_metrics["loss"].item(), w @ r**2 / w.sum(), **CLOSE)


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
