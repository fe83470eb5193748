"""ONNX: every loss exported from PyTorch, run by onnxruntime, against formulas in float64.

What was exported is float32, where a rounding is 6e-8 of a number. A mean of 24 terms in any order,
a dozen roundings a term at most and functions (log, exp, tanh) good to 4 ULP, which is 8 roundings:
within (24 + 12 + 3 * 8) * 6e-8 of the mean of the terms' sizes.
"""

import io

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import l2core
import l2torch

onnx = pytest.mark.client("ONNX (torch.onnx, onnxruntime)", "onnxruntime")

RNG = np.random.default_rng(10)
PRED, TARGET = (RNG.normal(size=(8, 3)).astype("f") * s for s in (1, 2))
WEIGHT, MASK = RNG.uniform(0.5, 2, size=8).astype("f"), RNG.uniform(size=(8, 3)) < 0.7
WEIGHT[2] = 0
VARIANCE = RNG.uniform(0.5, 2, size=(8, 3)).astype("f")
RTOL = (24 + 12 + 3 * 8) * 2**-24


def huber(r, delta=1.0):
    return np.where(abs(r) <= delta, r * r / 2, delta * (abs(r) - delta / 2))


RHO = {
    "SquaredError": lambda r: r * r,
    "HalfSquaredError": lambda r: r * r / 2,
    "AbsoluteError": abs,
    "Huber": huber,
    "SmoothL1": huber,  # at beta = 1
    "LogCosh": lambda r: np.log(np.cosh(r)),
    "Quantile": lambda r: abs(r) / 2,
    "Expectile": lambda r: r * r / 2,
}
OTHERS = [
    ({"name": "Huber", "delta": 0.5}, lambda r: huber(r, 0.5)),
    ({"name": "SmoothL1", "beta": 0.5}, lambda r: huber(r, 0.5) / 0.5),
    ({"name": "Quantile", "q": 0.9}, lambda r: np.where(r > 0, 0.1 * r, -0.9 * r)),
    ({"name": "Expectile", "tau": 0.9}, lambda r: np.where(r > 0, 0.1, 0.9) * r * r),
]


class Called(nn.Module):
    """The loss as a graph of named inputs."""

    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def forward(self, pred, target, weight=None, mask=None, variance=None):
        more = {} if variance is None else {"variance": variance}
        return self.loss(pred, target, weight=weight, mask=mask, **more)


def run(loss, **arrays):
    """What onnxruntime gives of all rows; exported from six, for any number of them."""
    rows = torch.export.Dim("rows", min=2)
    program = torch.onnx.export(
        Called(loss),
        kwargs={name: torch.tensor(x[:6]) for name, x in arrays.items()},
        dynamic_shapes={name: {0: rows} for name in arrays},
        dynamo=True,
        verbose=False,
    )
    buffer = io.BytesIO()
    program.save(buffer)
    session = onnxruntime.InferenceSession(buffer.getvalue())
    return session.run(None, arrays)[0]


def test_every_loss_is_here():
    """There is a formula for each loss of residuals"""
    assert RHO.keys() == {name for name, kind in l2core.LOSSES.items() if not kind.needs}
