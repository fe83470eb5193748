"""PyTorch beside 0, 1, 2 and 4 processes that spin, as a DataLoader's workers do: medians and worst
calls of 30, with PyTorch's defaults."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmarks.bars import CROWDS, VARIANTS
from benchmarks.bench_torch import CONTENDERS, pair, with_gradient
from benchmarks.measure import Task, main

CALLS = 30


@contextmanager
def crowd(size: int) -> Iterator[None]:
    """So many busy neighbours."""
    # They end with the process that asked for them, however that ends.
    code = "import os; asked = os.getppid()\nwhile os.getppid() == asked: pass"
    spinning = [sys.executable, "-c", code]
    others = [subprocess.Popen(spinning) for _ in range(size)]
    time.sleep(0.3)
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def tasks(sizes: list[int]) -> Iterator[Task]:
    for n in sizes:
        p, t = pair(n, torch.float32)
        w, m = torch.rand(n) + 0.01, torch.rand(n) < 0.7
        for size in CROWDS:
            with crowd(size):
                for variant in VARIANTS:
                    functions = CONTENDERS[variant](w, m)
                    yield from _tasks(f"{size} busy", variant, functions, p, t)


def _tasks(setting, variant, functions, p, t):
    other = "hand" if variant in ("weighted", "masked") else "built-in"
    chosen, q = {name: functions[name] for name in ("ours", other)}, p.detach()
    alone = {name: (lambda f=f: f(q, t)) for name, f in chosen.items()}
    both = {name: with_gradient(f, p, t) for name, f in chosen.items()}
    for what, calls in (("f", alone), ("f+g", both)):
        about = "torch", what, variant, "float32", p.numel(), calls
        yield Task(*about, setting=setting, single=CALLS)


if __name__ == "__main__":
    main(tasks)
