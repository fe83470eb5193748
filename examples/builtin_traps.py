"""Where built-in losses go wrong: each trap is run here, beside ours and the true answer.

python examples/builtin_traps.py
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax
import torch
import torch.nn.functional as F
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor, tensor

import l2core
import l2jax
import l2keras
import l2torch


class Row(NamedTuple):
    """One trap: what was called, and three answers, each a number or "error"."""

    trap: str
    call: str
    builtin: Any
    ours: Any
    truth: Any


TRAPS: list[Callable[[], Row]] = []


def trap(function: Callable[[], Row]) -> Callable[[], Row]:
    TRAPS.append(function)
    return function


def number(value: Any) -> float:
    return float(value)


def outcome(call: Callable[[], Any]) -> Any:
    """What the call returns, or that it raises."""
    try:
        return call()
    except (TypeError, ValueError, RuntimeError):
        return "error"


def fitted_slope(loss: Callable[[Tensor, Tensor], Tensor], target: Tensor, x: Tensor) -> float:
    slope = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.SGD([slope], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        loss(slope * x, target).backward()
        optimizer.step()
    return round(slope.item(), 4) + 0.0  # not -0


@trap
def column_of_targets() -> Row:
    x = torch.linspace(-1, 1, 21)
    column = 3 * x[:, None]
    return Row(
        "Predictions (N,), targets (N, 1) broadcast to (N, N): the slope fitted to y = 3x",
        "torch mse_loss",
        fitted_slope(F.mse_loss, column, x),
        outcome(lambda: fitted_slope(l2torch.MSELoss(), column, x)),
        "3, or error",
    )


@trap
def nan_under_weight_zero() -> Row:
    pred, target, weight = tensor([1.0, 1.0]), tensor([0.0, math.nan]), tensor([1.0, 0.0])
    return Row(
        "A missing target (NaN) under weight 0",
        "torch mse_loss",
        F.mse_loss(pred, target, weight=weight).item(),  # pyright: ignore[reportCallIssue]
        l2torch.functional.mse_loss(pred, target, weight=weight).item(),
        1.0,
    )


@trap
def gradient_under_a_mask() -> Row:
    pred, target = jnp.array([1.0, 1.0]), jnp.array([0.0, jnp.nan])
    mask = jnp.array([True, False])
    criterion = l2jax.Criterion()

    def builtin(pred: jax.Array) -> jax.Array:
        return jnp.mean((pred - target) ** 2, where=mask)

    return Row(
        "A missing target under a mask: the gradient to its prediction",
        "jnp.mean(where=)",
        float(jax.grad(builtin)(pred)[1]),
        float(jax.grad(lambda pred: criterion(pred, target, mask=mask))(pred)[1]),
        0.0,
    )


@trap
def which_denominator() -> Row:
    pred, target, weight = np.array([[1.0], [2.0]]), np.zeros((2, 1)), np.array([1.0, 3.0])
    return Row(
        "The mean of 1 and 4 under weights 1 and 3: divided by N",
        "Keras MeanSquaredError",
        number(keras.losses.MeanSquaredError()(target, pred, sample_weight=weight)),
        number(l2keras.Criterion()(target, pred, sample_weight=weight)),
        3.25,
    )


@trap
def one_dimensional_weights() -> Row:
    y_true, y_pred = np.zeros(3, "float32"), np.array([1.0, 100.0, 1.0], "float32")
    weight = np.array([1.0, 0.0, 1.0], "float32")
    return Row(
        "1-D data, squared errors 1, 10000, 1, weights 1, 0, 1, divided by n: weights do not select",
        "Keras MeanSquaredError",
        number(keras.losses.MeanSquaredError()(y_true, y_pred, sample_weight=weight)),
        number(l2keras.MeanSquaredError()(y_true, y_pred, sample_weight=weight)),
        2 / 3,
    )


@trap
def weights_on_the_time_axis() -> Row:
    y_pred = np.array([[[1.0], [1.0]], [[2.0], [2.0]]], "float32")  # (batch, time, 1)
    y_true, weight = np.zeros_like(y_pred), np.array([2.0, 1.0], "float32")
    return Row(
        "2 sequences of 2 steps, a weight for each sequence: it weighs the steps",
        "Keras MeanSquaredError",
        number(keras.losses.MeanSquaredError()(y_true, y_pred, sample_weight=weight)),
        number(l2keras.MeanSquaredError()(y_true, y_pred, sample_weight=weight)),
        (2 * (1 + 1) + (4 + 4)) / 4,
    )


@trap
def mean_of_means() -> Row:
    first = tensor([1.0, 1.0, 1.0]), torch.zeros(3)
    second = tensor([3.0]), torch.zeros(1)
    criterion = l2torch.Criterion()
    return Row(
        "Micro-batches of squared errors 1, 1, 1 and 9: the mean of their means",
        "torch mse_loss, averaged",
        (F.mse_loss(*first) + F.mse_loss(*second)).item() / 2,
        (criterion.terms(*first) + criterion.terms(*second)).value().item(),
        3.0,
    )


@trap
def bytes_wrap_around() -> Row:
    image, other = np.full(4, 0, np.uint8), np.full(4, 20, np.uint8)
    return Row(
        "uint8 images, all 0 against all 20: 20² wraps around",
        "np.mean(d**2)",
        float(np.mean((image - other) ** 2)),
        float(l2core.Criterion()(image, other)),
        400.0,
    )


@trap
def halves_overflow() -> Row:
    pred, target = torch.full((4,), 300.0, dtype=torch.float16), torch.zeros(4, dtype=torch.float16)
    return Row(
        "float16, residual 300: the square overflows",
        "torch mse_loss",
        F.mse_loss(pred, target).item(),
        l2torch.functional.mse_loss(pred, target).item(),
        90000.0,
    )


@trap
def perfect_fit() -> Row:
    def gradient(loss: Callable[[Tensor, Tensor], Tensor]) -> float:
        pred = torch.ones(3, requires_grad=True)
        return torch.autograd.grad(loss(pred, torch.ones(3)), pred)[0][0].item()

    return Row(
        "RMSE at a perfect fit: its gradient",
        "torch sqrt(mse_loss)",
        gradient(lambda pred, target: torch.sqrt(F.mse_loss(pred, target))),
        gradient(l2torch.RMSELoss()),
        0.0,
    )


@trap
def float64_is_lost() -> Row:
    y_true, y_pred = np.array([[1.0]]), np.array([[1.0 + 2**-30]])
    with jax.enable_x64(True):  # for Keras on JAX
        builtin = number(keras.losses.MeanSquaredError()(y_true, y_pred))
        ours = number(l2keras.MeanSquaredError()(y_true, y_pred))
    return Row(
        "float64, residual 2**-30: computed in float32",
        "Keras MeanSquaredError",
        builtin,
        ours,
        2.0**-60,
    )


@trap
def huber_forgets_delta() -> Row:
    y_true, y_pred = np.zeros((1, 2), "float32"), np.array([[0.3, 2.0]], "float32")

    def reloaded(loss: keras.losses.Loss) -> float:
        saved = keras.saving.serialize_keras_object(loss)
        loaded: Any = keras.saving.deserialize_keras_object(saved)
        return number(loaded(y_true, y_pred))

    return Row(
        "Huber(delta=0.5), saved and loaded: delta is 1 again",
        "Keras Huber",
        reloaded(keras.losses.Huber(delta=0.5)),
        reloaded(l2keras.Huber(delta=0.5)),
        (0.5 * 0.3**2 + 0.5 * (2.0 - 0.25)) / 2,
    )


@trap
def log_cosh_of_little() -> Row:
    residual = jnp.array([1e-4])
    return Row(
        "log cosh of 1e-4 in float32: every digit cancels",
        "optax log_cosh",
        float(optax.log_cosh(residual)[0]),
        float(l2jax.log_cosh(residual)[0]),
        math.log1p(2 * math.sinh(0.5e-4) ** 2),
    )


@trap
def negative_delta() -> Row:
    residual = jnp.array([2.0])
    return Row(
        "Huber with delta = -1: a negative loss",
        "optax huber_loss",
        float(optax.huber_loss(residual, delta=-1.0)[0]),
        outcome(lambda: l2jax.huber_loss(residual, delta=-1.0)),
        "error",
    )


@trap
def kink_of_absolute_error() -> Row:
    criterion = l2jax.Criterion(l2core.AbsoluteError())
    zero = jnp.zeros(1)
    return Row(
        "The gradient of |r| at 0, which is 0 in PyTorch and TensorFlow",
        "jnp.abs",
        float(jax.grad(lambda pred: jnp.abs(pred - zero).mean())(zero)[0]),
        float(jax.grad(lambda pred: criterion(pred, zero))(zero)[0]),
        0.0,
    )


@trap
def complex_squares() -> Row:
    pred, target = np.array([1 + 2j]), np.array([0j])
    return Row(
        "The squared error of 1 + 2i against 0",
        "np.mean(d**2)",
        np.mean((pred - target) ** 2),
        float(l2core.Criterion()(pred, target)),
        5.0,
    )


@trap
def gaussian_under_vmap() -> Row:
    pred, target, variance = torch.ones(2, 3), torch.zeros(2, 3), torch.ones(2, 3)

    def summed(loss: Callable[..., Tensor]) -> float:
        return torch.vmap(loss)(pred, target, variance).sum().item()

    return Row(
        "Gaussian NLL under vmap",
        "torch GaussianNLLLoss",
        outcome(lambda: summed(torch.nn.GaussianNLLLoss())),
        outcome(lambda: summed(l2torch.GaussianNLLLoss())),
        1.0,
    )


def shown(answer: Any) -> str:
    return answer if isinstance(answer, str) else f"{answer:.5g}"


def right(answer: Any, truth: Any) -> bool:
    """Whether an answer is the truth up to float32's rounding, or an error where one is due."""
    if isinstance(truth, str) or answer == "error":
        return isinstance(truth, str) and answer == "error"
    return bool(np.isclose(answer, truth, rtol=2**-22, atol=0))


def rows() -> list[Row]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of the first trap; users see it in passing
        return [make() for make in TRAPS]


def terminal_table(results: list[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_lines=True)
    widths = (("trap", 24), ("built-in", 16), ("it says", 7), ("ours", 10), ("truth", 10))
    for heading, width in widths:
        table.add_column(heading, width=width)
    for row in results:
        colours = ["green" if right(a, row.truth) else "red" for a in (row.builtin, row.ours)]
        table.add_row(
            row.trap,
            row.call,
            f"[{colours[0]}]{shown(row.builtin)}[/]",
            f"[{colours[1]}]{shown(row.ours)}[/]",
            shown(row.truth),
        )
    return table


def markdown(row: Row) -> str:
    answers = " | ".join(map(shown, (row.builtin, row.ours, row.truth)))
    trap = row.trap.replace("|", r"\|")
    return f"| {trap} | `{row.call}` | {answers} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Traps of the built-in losses, beside ours.")
    parser.add_argument("--markdown", action="store_true", help="print rows for the README")
    options = parser.parse_args()
    results = rows()
    if options.markdown:
        print(*map(markdown, results), sep="\n")
    else:
        console = Console(highlight=False)
        console.print(terminal_table(results))
        caught = sum(not right(row.builtin, row.truth) for row in results)
        console.print(f"The built-ins are wrong in {caught} of {len(results)}.")
    if wrong := [row.trap for row in results if not right(row.ours, row.truth)]:
        sys.exit(f"Ours are wrong in: {'; '.join(wrong)}")


if __name__ == "__main__":
    main()
