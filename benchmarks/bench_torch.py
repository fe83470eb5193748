"""PyTorch: ``nn.MSELoss``, expressions by hand, and ours."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import torch

import l2core
import l2torch
from benchmarks.bars import LARGE
from benchmarks.floor import floor
from benchmarks.measure import Task, main

F = torch.nn.functional


def unweighted(w, m):
    ours, builtin = l2torch.MSELoss(), torch.nn.MSELoss()
    return {"ours": ours, "built-in": builtin, "hand": lambda p, t: ((p - t) ** 2).mean()}


def weighted(w, m):
    """By hand a NaN of weight 0 is one of the loss."""
    ours, hand = l2torch.MSELoss(), lambda p, t: (w * (p - t) ** 2).sum() / w.sum()
    return {
        "ours": lambda p, t: ours(p, t, weight=w),
        "built-in": lambda p, t: F.mse_loss(p, t, weight=w),
        "hand": hand,
        "bare": hand,
    }


def masked(w, m):
    """The bare expression does not select."""
    ours = l2torch.MSELoss()
    return {
        "ours": lambda p, t: ours(p, t, mask=m),
        "built-in": lambda p, t: F.mse_loss(p[m], t[m]),
        "hand": lambda p, t: torch.where(m, p - t, 0.0).square().sum() / m.sum(),
        "bare": lambda p, t: (m * (p - t) ** 2).sum() / m.sum(),
    }


def alike(name, **fields):
    return lambda w, m: {
        "ours": getattr(l2torch, name)(**fields),
        "built-in": getattr(torch.nn, name)(**fields),
    }


CONTENDERS = {
    "unweighted": unweighted,
    "weighted": weighted,
    "masked": masked,
    "huber": alike("HuberLoss"),
    "l1": alike("L1Loss"),
    "smooth_l1": alike("SmoothL1Loss"),
    "huber, none": alike("HuberLoss", reduction="none"),
}
"""Functions of pred and target, of a weight and a mask."""


def with_gradient(f, p, t):
    def call():
        f(p, t).backward()
        grad, p.grad = p.grad, None
        return grad

    return call


def pair(n, dtype):
    torch.manual_seed(0)
    return torch.randn(n, dtype=dtype).requires_grad_(), torch.randn(n, dtype=dtype)


def tasks(sizes: list[int]) -> Iterator[Task]:
    for n in sizes:
        for dtype in ("float32", "float64", "bfloat16"):
            if dtype != "float32" and n != LARGE:
                continue
            p, t = pair(n, getattr(torch, dtype))
            # No weight is 0: those that are take another way.
            w, m = torch.rand(n, dtype=torch.float32) + 0.01, torch.rand(n) < 0.7
            for variant in CONTENDERS:
                if dtype != "float32" and variant not in ("unweighted", "weighted", "masked"):
                    continue
                if n <= LARGE or variant in ("unweighted", "huber", "l1", "smooth_l1"):
                    yield from _tasks(variant, dtype, p, t, w.to(t.dtype), m)
        if n == LARGE:
            yield compiled(n)


def _tasks(variant, dtype, p, t, w, m):
    functions, q, n = CONTENDERS[variant](w, m), p.detach(), p.numel()
    squares = variant in ("unweighted", "weighted", "masked")
    alone = {name: (lambda f=f: f(q, t)) for name, f in functions.items()}
    if variant == "unweighted":
        alone["bare"] = lambda: F.mse_loss(q, t)
    reduced = functions
    if "none" in variant:
        reduced = {name: (lambda p, t, f=f: f(p, t).sum()) for name, f in functions.items()}
    both = {name: with_gradient(f, p, t) for name, f in reduced.items()}
    if dtype != "bfloat16" and squares:
        arrays = q.numpy(), t.numpy()
        extra = {"weighted": {"weight": w.numpy()}, "masked": {"mask": m.numpy()}}.get(variant, {})
        alone["floor"] = floor(*arrays, **extra)
        both["floor"] = floor(*arrays, **extra, grad=np.zeros_like(arrays[0]))
    yield Task("torch", "f", variant, dtype, n, alone)
    # The memory that is kept for the next gradient is part of what a gradient costs.
    yield Task("torch", "f+g", variant, dtype, n, both, l2core.free_memory)


def compiled(n: int) -> Task:
    p, t = pair(n, torch.float32)
    torch._dynamo.reset()
    losses = {"ours": l2torch.MSELoss(), "built-in": torch.nn.MSELoss()}
    calls = {name: with_gradient(torch.compile(f), p, t) for name, f in losses.items()}
    return Task("torch", "f+g", "compiled", "float32", n, calls)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    main(tasks)
