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


LOG_Z = 1.18549523234919
"""log of the integral of exp(1 - sqrt(r² + 1)), 2e·K_1(1)."""
RHO = {
    "SquaredError": lambda r: r * r,
    "HalfSquaredError": lambda r: r * r / 2,
    "AbsoluteError": abs,
    "Huber": huber,
    "SmoothL1": huber,  # at beta = 1
    "LogCosh": lambda r: np.log(np.cosh(r)),
    "Quantile": lambda r: abs(r) / 2,
    "Expectile": lambda r: r * r / 2,
    "LaplaceNLL": lambda r: abs(r) + np.log(2),
    "StudentTNLL": lambda r: 2.5 * np.log1p(r * r / 4) - np.log(0.375),
    "Cauchy": lambda r: np.log1p(r * r) / 2,
    "Tukey": lambda r: 4.685**2 / 6 * (1 - (1 - np.minimum(abs(r) / 4.685, 1) ** 2) ** 3),
    "Barron": lambda r: np.sqrt(r * r + 1) - 1,
    "BarronNLL": lambda r: np.sqrt(r * r + 1) - 1 + LOG_Z,
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


BOTH = [*RHO.items(), *OTHERS]
by_loss = pytest.mark.parametrize(("loss", "rho"), BOTH, ids=[str(loss) for loss, _ in BOTH])
R = PRED.astype("d") - TARGET


@onnx
@by_loss
def test_losses(loss, rho):
    """Every loss, for any number of rows: the mean by hand"""
    assert RHO.keys() == {name for name, kind in l2core.LOSSES.items() if not kind.needs}
    found = run(l2torch.Criterion(loss), pred=PRED, target=TARGET)
    np.testing.assert_allclose(found, rho(R).mean(), rtol=RTOL)


@onnx
@by_loss
def test_weighted(loss, rho):
    """Every loss, weighted by an input: the weighted mean by hand, NaN at weight 0 left out"""
    target = np.where(WEIGHT[:, None] == 0, np.float32("nan"), TARGET)
    found = run(l2torch.Criterion(loss), pred=PRED, target=target, weight=WEIGHT)
    expected = np.average(rho(R).mean(1), weights=WEIGHT.astype("d"))
    np.testing.assert_allclose(found, expected, rtol=RTOL)


@onnx
@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "root_mean"])
def test_masked(reduction):
    """Weighted and masked by inputs, in every reduction: by hand, NaN under the mask left out"""
    target = np.where(MASK, TARGET, np.float32("nan"))
    loss = l2torch.Criterion("huber", reduction)
    found = run(loss, pred=PRED, target=target, weight=WEIGHT, mask=MASK)
    weight = WEIGHT[:, None].astype("d") * MASK
    terms = weight * huber(R)
    mean = terms.sum() / weight.sum()
    expected = {"none": terms, "sum": terms.sum(), "mean": mean, "root_mean": np.sqrt(mean)}
    np.testing.assert_allclose(found, expected[reduction], rtol=RTOL)


@onnx
@pytest.mark.parametrize("weighted", [False, True])
def test_gaussian_nll(weighted):
    """The Gaussian likelihood, the variance (and the weight) an input: the mean by hand"""
    more = {"weight": WEIGHT} if weighted else {}
    found = run(
        l2torch.Criterion("gaussian_nll"), pred=PRED, target=TARGET, **more, variance=VARIANCE
    )
    v = VARIANCE.astype("d")
    logs, squares = np.log(v) / 2, R * R / v / 2
    weight = WEIGHT.astype("d") if weighted else np.ones(8)
    expected = np.average((logs + squares).mean(1), weights=weight)
    size = np.average((abs(logs) + squares).mean(1), weights=weight)
    np.testing.assert_allclose(found, expected, rtol=0, atol=RTOL * size)


@onnx
def test_log_cosh():
    """Log cosh of 1e-4 is 5e-9, and of 100 is finite"""
    pred = np.array([1e-4, 1e-2, 0.9, 1.1, 10.0, 30.0, 100.0], "f")
    found = run(l2torch.LogCoshLoss("none"), pred=pred, target=np.zeros_like(pred))
    r = pred.astype("d")
    # The series where log(cosh r) has few digits; its next term is r^6 / 45.
    series = r**2 / 2 - r**4 / 12
    whole = r - np.log(2) + np.log1p(np.exp(-2 * r))
    np.testing.assert_allclose(found, np.where(r < 0.1, series, whole), rtol=RTOL)
