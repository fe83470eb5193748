"""The tables, the sentences and the picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from four_frameworks.comparison import minimum, values_and_gradients
from four_frameworks.training import Job, Run
from rich import box
from rich.console import Console
from rich.table import Table

import l2core

SHOWN = (0, 1, 2, 3, 5, 10, 20)  # epochs; and the last

Series = dict[str, list[np.float32]]  # the losses by epoch of each framework


def ulps(a: Any, b: Any) -> float:
    """The largest distance of float32 numbers, in units in the last place of the larger."""
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return float(np.max(np.abs(a - b) / np.spacing(np.maximum(np.abs(a), np.abs(b)))))


def relative(values: list[np.float32]) -> float:
    return float((max(values) - min(values)) / max(values))


def loss_table(model: str, job: Job, losses: Series) -> Table:
    backend = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "torch"}[
        os.environ["KERAS_BACKEND"]
    ]
    table = Table(
        title=f"\n{model} model, mean {job.loss} over {len(job.x)} patients; Keras on {backend}",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    headings = [name + "*" * (name == "NumPy") for name in losses]
    for heading in ("epoch", *headings, "largest\ndifference", "in\nULP"):
        table.add_column(heading, justify="right", vertical="bottom")
    for epoch in sorted({e for e in SHOWN if e < job.epochs} | {job.epochs}):
        values = [series[epoch] for series in losses.values()]
        table.add_row(
            str(epoch),
            *(f"{v:.8f}" for v in values),
            f"{relative(values):.0e}",
            f"{ulps(min(values), max(values)):.0f}",
        )
    return table


def report_origin(console: Console, job: Job, runs: dict[str, Run]) -> None:
    """Where the differences come from: not from the loss."""
    first = [run.predictions[0] for run in runs.values()]
    differing = np.count_nonzero(np.any([pred != first[0] for pred in first], axis=0))
    graded = values_and_gradients(job.loss, first[0], job.target)
    value, grad = graded["NumPy"]
    same = all(np.array_equal(g.view(np.int32), grad.view(np.int32)) for _, g in graded.values())
    apart = max(ulps(g, grad) for _, g in graded.values())
    adds, bits = "nothing", "identical in every bit"
    if not same:
        adds, bits = (
            "little",
            f"up to {apart:.0f} ULP apart (each library has its own exp and tanh)",
        )
    console.print(
        f"Where the differences come from: the same start gives {differing} of {len(job.x)} "
        f"predictions in unequal bits,\nbefore any training: each framework adds up a matrix "
        "product in its own order.\n"
        f"The loss adds {adds}: the same predictions into {', '.join(graded)} give\n"
        f"{grad.size} gradients {bits}, "
        f"and values within {max(ulps(v, value) for v, _ in graded.values()):.0f} ULP.\n",
        soft_wrap=True,
    )


def report_minimum(console: Console, job: Job, runs: dict[str, Run]) -> float:
    how, best = minimum(job)
    criterion = l2core.Criterion(job.loss)
    x, target = job.x.astype(np.float64), job.target.astype(np.float64)

    def loss_of(weights: np.ndarray) -> float:
        return float(criterion(x @ weights[:-1, None] + weights[-1], target))

    lowest = loss_of(best)
    console.print(f"The linear model against the minimum, {lowest:.8f} by {how}:", soft_wrap=True)
    for name, run in runs.items():
        ((kernel, bias),) = run.layers[-1]
        weights = np.append(kernel[:, 0], bias).astype(np.float64)
        console.print(
            f"  {name:<8} loss {loss_of(weights) / lowest - 1:.4%} above it, "
            f"weights within {np.abs(weights - best).max():.4f}"
        )
    return lowest


def draw(path: Path, loss: l2core.Loss, losses: dict[str, Series], lowest: float) -> None:
    """Above, the losses by epoch; below, their relative difference from PyTorch's."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import MaxNLocator

    curve_styles = {
        "PyTorch": {"color": "#d1495b", "lw": 8, "alpha": 0.4},
        "Keras": {"color": "#2e86ab", "lw": 4, "alpha": 0.8},
        "JAX": {"color": "#f2b134", "lw": 1.6},
        "NumPy": {"color": "black", "ls": "", "marker": ".", "ms": 5},
    }
    gap_styles = {
        "Keras": {"color": "#2e86ab", "marker": "o", "ms": 7, "mfc": "none", "mew": 1.6},
        "JAX": {"color": "#e09f1f", "marker": "D", "ms": 4},
        "NumPy": {"color": "black", "marker": ".", "ms": 5},
    }
    figure, axes = plt.subplots(2, 2, figsize=(10, 6.4), sharex=True, height_ratios=(3, 2))
    for column, (model, series) in enumerate(losses.items()):
        curves, gaps = axes[:, column]
        epochs = range(len(series["PyTorch"]))
        for name, style in curve_styles.items():
            curves.plot(epochs, series[name], label=name, **style)
        torch = np.array(series["PyTorch"], np.float64)
        for name, style in gap_styles.items():
            gap = (np.array(series[name], np.float64) - torch) / torch * 1e7
            gaps.plot(epochs, gap, label=name, lw=0.6, **style)
        limit = 1.5 * max(abs(bound) for bound in (*gaps.get_ylim(), 1.0))
        gaps.set_ylim(-limit, limit)
        curves.set_title(f"{model} model")
        gaps.axhline(0, color="#d1495b", lw=3, alpha=0.4, zorder=0, label="PyTorch")
        gaps.set_xlabel("epoch")
        gaps.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True))
    axes[0, 0].axhline(lowest, color="#444444", ls="--", lw=1, label="minimum")
    axes[0, 0].set_ylabel("loss")
    axes[1, 0].set_ylabel("relative difference\nfrom PyTorch, × 1e-7")
    axes[0, 0].legend(frameon=False)
    axes[1, 1].legend(frameon=False, ncols=4, loc="upper center", fontsize=9, columnspacing=1)
    largest = max(
        relative(list(epoch)) for s in losses.values() for epoch in zip(*s.values(), strict=True)
    )
    figure.suptitle(
        f"mean {loss}, diabetes data: the curves differ by {largest:.1e} at most, relatively"
    )
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
