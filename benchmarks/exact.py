"""``python -m benchmarks.exact``: what the correctly rounded value costs beside the plain one.

Medians of ratios, both measured in turn in one process with the threads and the allocator that people
have; ties, and data of float64, are added up in integers, which costs more.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable, Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import jax.numpy as jnp
import numpy as np
import tensorflow as tf
import torch

import l2jax
import l2torch
from benchmarks.measure import interleaved
from l2core import Criterion

SIZES = (10_000, 1_000_000, 10_000_000)
Pair = dict[str, Callable[[], object]]


def arrays(n: int, dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(n)
    return [*rng.normal(size=(2, n)).astype(dtype), rng.random(n).astype(dtype)]


def in_numpy(n: int, dtype: str) -> Iterator[tuple[str, Pair]]:
    p, t, w = arrays(n, dtype)
    plain, exact = Criterion(), Criterion(exact=True)
    yield "value", {"exact": lambda: exact(p, t), "plain": lambda: plain(p, t)}
    yield (
        "weighted",
        {"exact": lambda: exact(p, t, weight=w), "plain": lambda: plain(p, t, weight=w)},
    )
    yield (
        "value, gradient",
        {"exact": lambda: exact.value_and_grad(p, t), "plain": lambda: plain.value_and_grad(p, t)},
    )


def in_torch(n: int, dtype: str, compiled: bool) -> Iterator[tuple[str, Pair]]:
    torch.compiler.reset()
    p, t, w = map(torch.from_numpy, arrays(n, dtype))
    made = {"exact": l2torch.Criterion(exact=True), "plain": l2torch.Criterion()}
    if compiled:
        made = {name: torch.compile(f, fullgraph=True) for name, f in made.items()}

    def trained(f: Callable[..., torch.Tensor]) -> None:
        q = p.detach().requires_grad_()
        f(q, t).backward()

    yield "value", {name: lambda f=f: f(p, t) for name, f in made.items()}
    yield "weighted", {name: lambda f=f: f(p, t, weight=w) for name, f in made.items()}
    yield "value, gradient", {name: lambda f=f: trained(f) for name, f in made.items()}


def in_jax(n: int, dtype: str) -> Iterator[tuple[str, Pair]]:
    p, t, w = map(jnp.asarray, arrays(n, dtype))
    made = {"exact": l2jax.Criterion(exact=True), "plain": l2jax.Criterion()}
    for what, wrap, more in (
        ("value", jax.jit, ()),
        ("weighted", jax.jit, (w,)),
        ("value, gradient", lambda f: jax.jit(jax.value_and_grad(f)), ()),
    ):
        calls = {}
        for name, c in made.items():
            f = wrap(lambda p, t, w=None, c=c: c(p, t, weight=w))
            calls[name] = lambda f=f, more=more: jax.block_until_ready(f(p, t, *more))
        yield what, calls


def in_tensorflow(n: int, dtype: str, xla: bool) -> Iterator[tuple[str, Pair]]:
    p, t, w = map(tf.constant, arrays(n, dtype))
    made = {"exact": Criterion(exact=True), "plain": Criterion()}
    for what, more in (("value", ()), ("weighted", (w,))):
        calls = {}
        for name, c in made.items():

            def value(p: tf.Tensor, t: tf.Tensor, w: tf.Tensor | None = None, c: Criterion = c):
                return c(p, t, weight=w)

            f = tf.function(value, jit_compile=xla, autograph=False)
            calls[name] = lambda f=f, more=more: f(p, t, *more).numpy()
        yield what, calls


WAYS: dict[str, Callable[[int, str], Iterator[tuple[str, Pair]]]] = {
    "NumPy": in_numpy,
    "PyTorch": lambda n, dtype: in_torch(n, dtype, compiled=False),
    "PyTorch, compiled": lambda n, dtype: in_torch(n, dtype, compiled=True),
    "JAX, jit": in_jax,
    "TensorFlow, function": lambda n, dtype: in_tensorflow(n, dtype, xla=False),
    "TensorFlow, XLA": lambda n, dtype: in_tensorflow(n, dtype, xla=True),
}


def table(seconds: float) -> Iterator[str]:
    """Markdown, row by row."""
    yield "| float32 | " + " | ".join(f"{n:,}" for n in SIZES) + " |"
    yield "|---|" + "--:|" * len(SIZES)
    for way, made in WAYS.items():
        found: dict[str, list[str]] = {}
        for n in SIZES:
            for what, calls in made(n, "float32"):
                rounds = interleaved(calls, seconds)
                ratio = statistics.median(x["exact"] / x["plain"] for x in rounds)
                found.setdefault(what, []).append(f"{ratio:.1f}")
        for what, ratios in found.items():
            yield f"| {way}: {what} | " + " | ".join(ratios) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each ratio")
    for row in table(parser.parse_args().seconds):
        print(row, flush=True)


if __name__ == "__main__":
    main()
