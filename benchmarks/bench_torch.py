"""PyTorch: ``nn.MSELoss``, expressions by hand, and ours."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import torch

import l2torch
from benchmarks.floor import floor
from benchmarks.measure import Task, main
from l2torch import fused

F = torch.nn.functional


def contenders(variant: str, w: torch.Tensor, m: torch.Tensor) -> dict[str, object]:
    """Functions of pred and target."""
    ours, builtin = l2torch.MSELoss(), torch.nn.MSELoss()
    if variant == "unweighted":
        return {"ours": ours, "built-in": builtin, "hand": lambda p, t: ((p - t) ** 2).mean()}
    if variant == "weighted":
        return {
            "ours": lambda p, t: ours(p, t, weight=w),
            "built-in": lambda p, t: F.mse_loss(p, t, weight=w),
            "hand": lambda p, t: (w * (p - t) ** 2).sum() / w.sum(),
        }
    return {
        "ours": lambda p, t: ours(p, t, mask=m),
        "built-in": lambda p, t: F.mse_loss(p[m], t[m]),
        "hand": lambda p, t: torch.where(m, p - t, 0.0).square().sum() / m.sum(),
    }


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
            if dtype != "float32" and n not in (1_000_000, 10_000_000):
                continue
            p, t = pair(n, getattr(torch, dtype))
            w, m = torch.rand(n, dtype=t.dtype), torch.rand(n) < 0.7
            for variant in ("unweighted", "weighted", "masked"):
                yield from _tasks(variant, dtype, p, t, w, m)
        if n in (1_000_000, 10_000_000):
            yield compiled(n)


def _tasks(variant, dtype, p, t, w, m):
    given = (
        {"weighted": {"weight": w.numpy()}, "masked": {"mask": m.numpy()}}
        if (dtype != "bfloat16")
        else {}
    )
    functions, q, n = contenders(variant, w, m), p.detach(), p.numel()
    alone = {name: (lambda f=f: f(q, t)) for name, f in functions.items()}
    if variant == "unweighted":
        alone["bare"] = lambda: F.mse_loss(q, t)
    both = {name: with_gradient(f, p, t) for name, f in functions.items()}
    if dtype != "bfloat16":
        arrays = q.numpy(), t.numpy()
        extra = given.get(variant, {})
        alone["floor"] = floor(*arrays, **extra)
        both["floor"] = floor(*arrays, **extra, grad=np.zeros_like(arrays[0]))
    yield Task("torch", "f", variant, dtype, n, alone)
    # The memory that is kept for the next gradient is part of what a gradient costs.
    yield Task("torch", "f+g", variant, dtype, n, both, fused._kept.clear)


def compiled(n: int) -> Task:
    p, t = pair(n, torch.float32)
    torch._dynamo.reset()
    losses = {"ours": l2torch.MSELoss(), "built-in": torch.nn.MSELoss()}
    calls = {name: with_gradient(torch.compile(f), p, t) for name, f in losses.items()}
    return Task("torch", "f+g", "compiled", "float32", n, calls)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    main(tasks)
