"""What share of a training step the loss has: a small MLP, padded sequences, and a Keras ``fit``.

"no loss" is the same step whose backward starts from the sum of the outputs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
import torch
from torch import nn

import l2keras
import l2torch
from benchmarks.measure import Task, main


def step(model, loss, *given):
    """One step of SGD."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def call():
        optimizer.zero_grad()
        loss(model(given[0]), *given[1:]).backward()
        optimizer.step()

    return call


def mlp() -> Task:
    torch.manual_seed(0)
    x, y = torch.randn(256, 16), torch.randn(256, 1)

    def model():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
        )

    calls = {
        "ours": step(model(), l2torch.MSELoss(), x, y),
        "built-in": step(model(), nn.MSELoss(), x, y),
        "no loss": step(model(), lambda p, t: p.sum(), x, y),
    }
    return Task("training", "step", "torch MLP", "float32", 256, calls)


class Sequences(nn.Module):
    """A recurrent network with an output a step."""

    def __init__(self):
        super().__init__()
        self.hidden, self.out = nn.GRU(16, 32, batch_first=True), nn.Linear(32, 1)

    def forward(self, x):
        return self.out(self.hidden(x)[0]).squeeze(-1)


def padded() -> Task:
    torch.manual_seed(0)
    x, y = torch.randn(64, 64, 16), torch.randn(64, 64)
    mask = torch.arange(64) < torch.randint(16, 65, (64, 1))
    ours, builtin = l2torch.MSELoss(), nn.MSELoss()

    def model():
        torch.manual_seed(1)
        return Sequences()

    calls = {
        "ours": step(model(), lambda p, t, m: ours(p, t, mask=m), x, y, mask),
        "built-in": step(model(), lambda p, t, m: builtin(p[m], t[m]), x, y, mask),
        "hand": step(
            *(model(), lambda p, t, m: torch.where(m, p - t, 0.0).square().sum() / m.sum()),
            *(x, y, mask),
        ),
        "no loss": step(model(), lambda p, t, m: p.sum(), x, y, mask),
    }
    return Task("training", "step", "torch padded", "float32", 4096, calls)


def fit() -> Task:
    """An epoch of 64 batches."""
    x = np.random.default_rng(0).standard_normal((8192, 16), dtype="float32")
    y = x.sum(1, keepdims=True)

    def call(loss):
        keras.utils.set_random_seed(1)
        layers = [keras.layers.Dense(64, "relu"), keras.layers.Dense(1)]
        model = keras.Sequential([keras.Input((16,)), *layers])
        model.compile("sgd", loss)
        return lambda: model.fit(x, y, batch_size=128, verbose=0)

    calls = {"ours": call(l2keras.MeanSquaredError()), "built-in": call("mean_squared_error")}
    return Task("training", "step", "Keras fit", "float32", 128, calls)


def tasks(sizes: list[int]) -> Iterator[Task]:
    yield mlp()
    yield padded()
    yield fit()


if __name__ == "__main__":
    main(tasks)
