"""One loss, four frameworks: the same models on the same data, trained by the same criterion.

    python examples/one_loss_four_frameworks.py
    python examples/one_loss_four_frameworks.py --loss huber --delta 0.5

A linear model and a small network learn scikit-learn's diabetes data (442 patients, 10 features)
from the same initial weights and the same batches: in PyTorch by a plain loop, in Keras by
``compile`` and ``fit`` (on TensorFlow, or on what KERAS_BACKEND says), in JAX by ``jit(grad)``.
NumPy evaluates. Printed: the losses by epoch, how far apart they are and why, and how close the
linear model comes to its minimum (in closed form, by a linear program or by scipy's BFGS). Drawn:
the curves and their differences.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from four_frameworks.comparison import losses_by_name
from four_frameworks.report import draw, loss_table, report_minimum, report_origin
from four_frameworks.training import Job, Run, train_jax, train_keras, train_torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sklearn.datasets import load_diabetes

import l2core

MODELS = {"linear": (10, 1), "mlp": (10, 16, 1)}  # the lengths of the layers


def flag(class_name: str) -> str:
    """``SmoothL1`` as on the command line: ``smooth-l1``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", class_name).lower()


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    # A loss with a variance is left out: Keras's fit hands a loss targets and predictions alone.
    losses = {flag(n): kind for n, kind in l2core.LOSSES.items() if not kind.needs}
    parser = argparse.ArgumentParser(description="The same loss in PyTorch, Keras, JAX and NumPy.")
    parser.add_argument("--loss", choices=losses, default="squared-error")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument(
        "--out", type=Path, default=Path("build/one_loss_four_frameworks.png"), help="the picture"
    )
    users: dict[str, list[str]] = {}
    for name, kind in losses.items():
        for parameter in fields(kind):
            users.setdefault(parameter.name, []).append(name)
    for parameter, names in users.items():
        parser.add_argument(f"--{parameter}", type=float, help=f"of {', '.join(names)}")
    options = parser.parse_args(arguments)
    given = {p: getattr(options, p) for p in users if getattr(options, p) is not None}
    for parameter in given:
        if options.loss not in users[parameter]:
            parser.error(f"--{parameter}: expected a loss that has it, got --loss {options.loss}")
    try:
        options.loss = losses[options.loss](**given)
    except ValueError as error:
        parser.error(f"--{error}")
    if options.epochs < 1:
        parser.error(f"--epochs: expected an integer >= 1, got {options.epochs}")
    return options


def prepare(loss: l2core.Loss, epochs: int) -> dict[str, Job]:
    """The jobs by model: features whitened so that plain SGD reaches the minimum, targets scaled."""
    data: Any = load_diabetes()
    x, target = data.data, data.target
    rng = np.random.default_rng(0)
    order = rng.permutation(len(x))
    white = np.linalg.svd(x - x.mean(0), full_matrices=False)[0] * np.sqrt(len(x))
    scaled = (target - target.mean()) / target.std()
    x, target = white[order].astype(np.float32), scaled[order, None].astype(np.float32)

    def layer(inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
        kernel = rng.normal(0, inputs**-0.5, (inputs, outputs))
        return kernel.astype(np.float32), np.zeros(outputs, np.float32)

    starts = {model: [layer(*pair) for pair in pairwise(sizes)] for model, sizes in MODELS.items()}
    return {model: Job(loss, x, target, start, epochs) for model, start in starts.items()}


@contextmanager
def quiet() -> Iterator[None]:
    """TensorFlow's C++ writes to stderr while it is imported, whatever its log level."""
    stderr = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def train_all(console: Console, jobs: dict[str, Job], epochs: int) -> dict[str, dict[str, Run]]:
    trainers = {"PyTorch": train_torch, "Keras": train_keras, "JAX": train_jax}
    runs: dict[str, dict[str, Run]] = {model: {} for model in jobs}
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(trainers) * len(jobs) * (epochs + 1))
        for name, train in trainers.items():
            progress.update(task, description=f"{name}: importing")
            with quiet():
                import_module({"PyTorch": "torch"}.get(name, name.lower()))
            for model, job in jobs.items():
                progress.update(task, description=f"{name}: {model} model")
                runs[model][name] = Run(lambda: progress.advance(task))
                train(job, runs[model][name])
        progress.update(task, description="trained")
    return runs


def main() -> None:
    options = parse()
    os.environ["KERAS_BACKEND"] = os.environ.get("KERAS_BACKEND") or "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    begun = time.perf_counter()
    console = Console(highlight=False)
    jobs = prepare(options.loss, options.epochs)
    runs = train_all(console, jobs, options.epochs)
    losses = {model: losses_by_name(jobs[model], runs[model]) for model in jobs}
    for model, job in jobs.items():
        console.print(loss_table(model, job, losses[model]))
    console.print("* of the weights that PyTorch learned. ULP: units in the last place.\n")
    report_origin(console, jobs["mlp"], runs["mlp"])
    lowest = report_minimum(console, jobs["linear"], runs["linear"])
    draw(options.out, jobs["linear"].loss, losses, lowest)
    console.print(f"\nDrawn: {options.out}  ({time.perf_counter() - begun:.0f} s)", soft_wrap=True)


if __name__ == "__main__":
    main()
