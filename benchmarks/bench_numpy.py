"""NumPy: expressions by hand, scikit-learn's metric as the built-in, and ours."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from sklearn.metrics import mean_squared_error

import l2core
from benchmarks.floor import floor
from benchmarks.measure import Task, main
from l2core import Criterion


def tasks(sizes: list[int]) -> Iterator[Task]:
    for n in sizes:
        for dtype in ("float32", "float64"):
            if dtype == "float64" and n not in (1_000_000, 10_000_000):
                continue
            rng = np.random.default_rng(0)
            p, t, w = rng.standard_normal((3, n), dtype=dtype)
            yield from _tasks(dtype, p, t, np.abs(w) + np.float32(0.01), rng.random(n) < 0.7)


def _tasks(dtype, p, t, w, m):
    ours, n = Criterion(), p.size
    out = np.zeros_like(p)

    def by_hand():
        r = p - t
        return np.mean(r**2), (2 / n) * r

    def weighted_by_hand():
        r = p - t
        return np.average(r**2, weights=w), (2 / w.sum()) * w * r

    def bare_mask():
        r = p - t
        by = m * r
        return (by * r).sum() / m.sum(), (2 / m.sum()) * by

    def bare_weight():
        r = p - t
        by, total = w * r, w.sum()
        return (by * r).sum() / total, (2 / total) * by

    def masked_by_hand():
        r = np.where(m, p - t, 0)
        return np.sum(r**2) / m.sum(), (2 / m.sum()) * r

    def primitives():
        r = p - t
        return np.dot(r, r) / n

    yield Task(
        "numpy",
        "f",
        "unweighted",
        dtype,
        n,
        {
            "ours": lambda: ours(p, t),
            "built-in": lambda: mean_squared_error(t, p),
            "hand": lambda: np.mean((p - t) ** 2),
            "bare": primitives,
            "floor": floor(p, t),
        },
    )
    yield Task(
        "numpy",
        "f+g",
        "unweighted",
        dtype,
        n,
        {
            "ours": lambda: ours.value_and_grad(p, t),
            "ours, out=": lambda: ours.value_and_grad(p, t, out=out),
            "hand": by_hand,
            "floor": floor(p, t, grad=out),
        },
        l2core.free_memory,
    )
    yield Task(
        "numpy",
        "f",
        "weighted",
        dtype,
        n,
        {
            "ours": lambda: ours(p, t, weight=w),
            "built-in": lambda: mean_squared_error(t, p, sample_weight=w),
            "hand": lambda: np.average((p - t) ** 2, weights=w),
            "bare": lambda: (w * (p - t) ** 2).sum() / w.sum(),
            "floor": floor(p, t, weight=w),
        },
    )
    yield Task(
        "numpy",
        "f+g",
        "weighted",
        dtype,
        n,
        {
            "ours": lambda: ours.value_and_grad(p, t, weight=w),
            "hand": weighted_by_hand,
            "bare": bare_weight,
            "floor": floor(p, t, weight=w, grad=out),
        },
    )
    yield Task(
        "numpy",
        "f",
        "masked",
        dtype,
        n,
        {
            "ours": lambda: ours(p, t, mask=m),
            "built-in": lambda: mean_squared_error(t[m], p[m]),
            "hand": lambda: np.mean((p - t)[m] ** 2),
            "bare": lambda: (m * (p - t) ** 2).sum() / m.sum(),
            "floor": floor(p, t, mask=m),
        },
    )
    yield Task(
        "numpy",
        "f+g",
        "masked",
        dtype,
        n,
        {
            "ours": lambda: ours.value_and_grad(p, t, mask=m),
            "hand": masked_by_hand,
            "bare": bare_mask,
            "floor": floor(p, t, mask=m, grad=out),
        },
    )


if __name__ == "__main__":
    main(tasks)
