"""``python -m benchmarks.small``: where the time of a small call goes, layer by layer.

Each layer calls the one before it: the framework's own function, what looks at the arguments, the
criterion, the module. All of them in turn in one process, in microseconds; what a layer adds is
the difference.
"""

from __future__ import annotations

import argparse
import gc
import statistics
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import torch
from rich.table import Table

import l2core
import l2jax
import l2torch
from benchmarks.bench_torch import with_gradient
from benchmarks.measure import interleaved
from benchmarks.report import console
from l2core.numpy_backend import NUMPY
from l2torch.backend import BACKEND as TORCH

N = 32
Layers = dict[str, Callable[[], object]]


def torch_layers() -> Layers:
    pred, target = torch.randn(2, N)
    module, builtin = l2torch.MSELoss(), torch.nn.MSELoss()
    criterion, native = module.criterion, torch._C._nn.mse_loss
    return {
        "the operator": lambda: native(pred, target, 1),
        "our look at the arguments": lambda: TORCH.quick(criterion, pred, target),
        "our criterion": lambda: criterion(pred, target),
        "l2torch.MSELoss": lambda: module(pred, target),
        "F.mse_loss": lambda: torch.nn.functional.mse_loss(pred, target),
        "nn.MSELoss": lambda: builtin(pred, target),
    }


def torch_gradient_layers() -> Layers:
    pred, target = torch.randn(N).requires_grad_(), torch.randn(N)
    losses = {
        "the operator": lambda p, t: torch._C._nn.mse_loss(p, t, 1),
        "l2torch.MSELoss": l2torch.MSELoss(),
        "F.mse_loss": torch.nn.functional.mse_loss,
        "nn.MSELoss": torch.nn.MSELoss(),
    }
    return {name: with_gradient(loss, pred, target) for name, loss in losses.items()}


def numpy_layers() -> Layers:
    pred, target = np.random.default_rng(0).standard_normal((2, N), dtype="float32")
    criterion = l2core.Criterion()

    def operators():
        r = pred - target
        return r.dot(r) / N

    return {
        "the operators": operators,
        "our look at the arguments": lambda: NUMPY.quick(criterion, pred, target),
        "l2core.Criterion": lambda: criterion(pred, target),
        "np.mean((p - t) ** 2)": lambda: np.mean((pred - target) ** 2),
    }


def jax_layers() -> Layers:
    pred, target = jnp.asarray(np.random.default_rng(0).standard_normal((2, N), dtype="float32"))
    criterion = l2jax.Criterion()
    by_hand = jax.jit(lambda p, t: jnp.mean((p - t) ** 2))
    jitted = jax.jit(lambda p, t: criterion(p, t))
    return {
        "jit of jnp.mean((p - t) ** 2)": lambda: by_hand(pred, target),
        "jit of l2jax.Criterion": lambda: jitted(pred, target),
        "l2jax.Criterion outside jit": lambda: criterion(pred, target),
    }


FRAMEWORKS = {
    "PyTorch": torch_layers,
    "PyTorch, with gradient": torch_gradient_layers,
    "NumPy": numpy_layers,
    "JAX": jax_layers,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.small", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="for a framework")
    seconds = parser.parse_args().seconds
    shown = Table(title=f"Median of a call of {N} float32, in µs", title_justify="left")
    for name in ("", "call", "µs", "over the first"):
        shown.add_column(name, justify="right" if name in ("µs", "over the first") else "left")
    gc.disable()
    for framework, layers in FRAMEWORKS.items():
        calls, base = layers(), None
        rounds = interleaved(calls, seconds)
        for name in calls:
            time = 1e6 * statistics.median(seen[name] for seen in rounds)
            base = time if base is None else base
            shown.add_row(framework, name, f"{time:.2f}", f"{time - base:+.2f}")
            framework = ""
        shown.add_section()
    console.print(shown)


if __name__ == "__main__":
    main()
