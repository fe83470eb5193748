"""JAX: optax op by op, expressions by hand under jit, and ours."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax

import l2jax
from benchmarks.floor import floor
from benchmarks.measure import Task, main

OURS = l2jax.Criterion()


def contenders(variant):
    """Functions of pred, target, weight and mask."""
    if variant == "unweighted":
        return {
            "ours": lambda p, t, w, m: OURS(p, t),
            "built-in": lambda p, t, w, m: optax.squared_error(p, t).mean(),
            "hand": lambda p, t, w, m: jnp.mean((p - t) ** 2),
        }
    if variant == "weighted":
        return {
            "ours": lambda p, t, w, m: OURS(p, t, weight=w),
            "built-in": lambda p, t, w, m: (w * optax.squared_error(p, t)).sum() / w.sum(),
            "hand": lambda p, t, w, m: (w * (p - t) ** 2).sum() / w.sum(),
        }
    return {
        "ours": lambda p, t, w, m: OURS(p, t, mask=m),
        "built-in": lambda p, t, w, m: optax.squared_error(p, t).mean(where=m),
        "hand": lambda p, t, w, m: (jnp.where(m, p - t, 0) ** 2).sum() / m.sum(),
    }


def tasks(sizes: list[int]) -> Iterator[Task]:
    for n in sizes:
        # With 64-bit types, in a process of their own, float64 alone.
        for dtype in ("float64",) if jax.config.jax_enable_x64 else ("float32", "bfloat16"):
            if dtype != "float32" and n not in (1_000_000, 10_000_000):
                continue
            rng = np.random.default_rng(0)
            real = "float32" if dtype == "bfloat16" else dtype
            p, t, w = rng.standard_normal((3, n), dtype=real)
            arrays = p, t, np.abs(w), rng.random(n) < 0.7
            for variant in ("unweighted", "weighted", "masked"):
                yield from _tasks(variant, dtype, arrays)


def _tasks(variant, dtype, arrays):
    p, t, w, m = arrays
    given = [jnp.asarray(x, dtype) for x in (p, t, w)] + [jnp.asarray(m)]
    functions, n = contenders(variant), p.size
    gradients = {name: jax.value_and_grad(f) for name, f in functions.items()}
    extra = {"weighted": {"weight": w}, "masked": {"mask": m}}.get(variant, {})
    for what, eager, grad in (("f", functions, None), ("f+g", gradients, np.zeros_like(p))):
        timed = {
            "ours": jax.jit(eager["ours"]),
            "ours, eager": eager["ours"],
            "hand": jax.jit(eager["hand"]),
            "built-in": eager["built-in"],
        }
        calls = {name: (lambda f=f: jax.block_until_ready(f(*given))) for name, f in timed.items()}
        if dtype != "bfloat16":
            calls["floor"] = floor(p, t, **extra, grad=grad)
        yield Task("jax", what, variant, dtype, n, calls)


if __name__ == "__main__":
    main(tasks)
