"""Ours on a GPU, in torch and JAX: right first, then timed beside the built-ins and a copy.

Right: fresh inputs each time against NumPy's float64, with freed device memory full of NaN, so that
an element that nobody wrote shows; and nothing that waits for the device. Timed: torch by events of
the device, JAX, which has none, by the clock over calls that are queued together. The floor is the
traffic of the inputs and of the gradient at the speed of a copy in the same run.

``python -m benchmarks.gpu``; with ``--device cpu`` the same by the clock, to try the script.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

VARIANTS = ("unweighted", "weighted", "masked", "Huber", "L1")
ULP = float(np.finfo(np.float32).eps)


@dataclass
class Result:
    """One comparison: medians of a call, by contender, and the floor."""

    framework: str
    device: str
    what: str
    variant: str
    n: int
    seconds: dict[str, float] = field(default_factory=dict)
    floor: float = 0.0
    copy_bytes_a_second: float = 0.0


def inputs(variant: str, n: int, seed: int) -> tuple[np.ndarray, ...]:
    """pred, target, weight, mask; NaN and inf under the mask."""
    rng = np.random.default_rng(seed)
    pred, target, weight = rng.standard_normal((3, n), dtype="float32")
    mask = rng.random(n) < 0.7
    if variant == "masked":
        pred[~mask], target[~mask] = np.nan, np.inf
    return pred, target, np.abs(weight), mask


def reference(variant: str, pred, target, weight, mask) -> tuple[float, np.ndarray]:
    """Value and gradient in float64."""
    factor = {"weighted": weight, "masked": mask}.get(variant, np.ones_like(mask))
    factor = factor.astype(np.float64)
    r = np.where(factor > 0, pred.astype(np.float64) - np.where(factor > 0, target, 0), 0)
    total, size = factor.sum(), np.abs(r)
    if variant == "L1":
        return size.mean(), np.sign(r) / total
    if variant == "Huber":  # delta 1
        rho = np.where(size <= 1, r * r / 2, size - 0.5)
        return rho.mean(), np.clip(r, -1, 1) / total
    return (factor * r * r).sum() / total, 2 * factor * r / total


def seeds(n: int) -> range:
    """Of fresh inputs: fewer where NumPy's float64 takes seconds."""
    return range(3 if n < 1e7 else 1)


def check(
    variant: str,
    arrays: tuple[np.ndarray, ...],
    expected: tuple[float, np.ndarray],
    value: float,
    grad: np.ndarray,
    name: str = "ours",
) -> None:
    """Raise unless value and gradient are those of float64, up to float32's roundings.

    At a kink others may have another gradient: JAX's of |0| is 1.
    """
    exact, gradient = expected
    n = arrays[0].size
    # A tree over n elements and their 5 roundings; of Σω another tree; and a GPU's own blocks.
    bound = 2 * (4 * max(1, np.log2(n)) + 10) * ULP
    if not abs(value - exact) <= bound * abs(exact):
        raise ValueError(f"{variant}, n={n}: expected the value {exact!r}, got {value!r}")
    # Residual, 1/Σω, its products: 4 roundings, and the tree of Σω; r itself errs absolutely.
    error = np.abs(grad - gradient)
    if variant == "L1" and name != "ours":
        error[gradient == 0] = 0
    allowed = bound * np.abs(gradient) + ULP * np.abs(gradient).max()
    if not (error <= allowed).all():
        worst = int(np.nanargmax(np.where(np.isnan(error), np.inf, error)))
        raise ValueError(
            f"{variant}, n={n}: expected the gradient {gradient[worst]!r} at {worst}, "
            f"got {grad[worst]!r}"
        )
    if variant == "masked" and grad[~arrays[3]].any():
        raise ValueError(f"masked, n={n}: expected the gradient 0 where absent")


# --- torch --------------------------------------------------------------------------------------


def torch_contenders(variant: str) -> dict[str, Callable]:
    """Functions of pred, target, weight and mask."""
    import torch

    import l2torch

    F, ours, builtin = torch.nn.functional, l2torch.MSELoss(), torch.nn.MSELoss()
    huber, l1 = (l2torch.HuberLoss(), torch.nn.HuberLoss()), (l2torch.L1Loss(), torch.nn.L1Loss())
    found = {
        "Huber": {
            "ours": lambda p, t, w, m: huber[0](p, t),
            "built-in": lambda p, t, w, m: huber[1](p, t),
        },
        "L1": {
            "ours": lambda p, t, w, m: l1[0](p, t),
            "built-in": lambda p, t, w, m: l1[1](p, t),
            "hand": lambda p, t, w, m: (p - t).abs().mean(),
        },
        "unweighted": {
            "ours": lambda p, t, w, m: ours(p, t),
            "built-in": lambda p, t, w, m: builtin(p, t),
            "hand": lambda p, t, w, m: ((p - t) ** 2).mean(),
        },
        "weighted": {
            "ours": lambda p, t, w, m: ours(p, t, weight=w),
            "built-in": lambda p, t, w, m: F.mse_loss(p, t, weight=w),
            "hand": lambda p, t, w, m: (w * (p - t) ** 2).sum() / w.sum(),
        },
        "masked": {
            "ours": lambda p, t, w, m: ours(p, t, mask=m),
            "hand": lambda p, t, w, m: torch.where(m, p - t, 0.0).square().sum() / m.sum(),
        },
    }[variant]
    other = "hand" if "hand" in found else "built-in"
    compiled = {f"{name}, compiled": torch.compile(found[name]) for name in ("ours", other)}
    return {**found, **compiled}


@contextmanager
def waiting_forbidden(device: str) -> Iterator[None]:
    """Within it torch raises for what waits for a GPU."""
    import torch

    if device == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")


def torch_seconds(calls: dict[str, Callable], device: str, rounds: int) -> dict[str, list[float]]:
    """Of one call each, in turn; on a GPU by events, with its cache full of something else."""
    import torch

    seen: dict[str, list[float]] = {name: [] for name in calls}
    other = torch.empty(1 << 28, dtype=torch.int8, device=device) if device == "cuda" else None
    for _ in range(rounds):
        for name, call in calls.items():
            if device != "cuda":
                start = time.perf_counter()
                call()
                seen[name].append(time.perf_counter() - start)
                continue
            other.zero_()
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            call()
            end.record()
            end.synchronize()
            seen[name].append(start.elapsed_time(end) / 1e3)
    return seen


def run_torch(device: str, sizes: list[int], rounds: int) -> Iterator[Result]:
    import torch

    named = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    for n in sizes:
        for variant in VARIANTS:
            functions = torch_contenders(variant)
            if n != sizes[-1]:  # a compilation takes long
                functions = {k: f for k, f in functions.items() if "compiled" not in k}
            for seed in seeds(n):
                arrays = inputs(variant, n, seed)
                expected = reference(variant, *arrays)
                for key, f in functions.items():
                    torch_check(key, f, variant, arrays, expected, device)
            arrays = [torch.from_numpy(x).to(device) for x in inputs(variant, n, 9)]
            for what in ("f", "f+g"):
                calls = torch_calls(functions, what, arrays)
                seen = torch_seconds(calls, device, rounds)
                yield result("torch", named, what, variant, n, seen)


def torch_check(
    name: str, f: Callable, variant: str, arrays: tuple, expected: tuple, device: str
) -> None:
    import torch

    p, t, w, m = (torch.from_numpy(x.copy()).to(device) for x in arrays)
    p.requires_grad_()
    f(p, t, w, m).backward()  # warm: what compiles may wait
    p.grad = None
    torch.full((2 * p.numel() + 1024,), torch.nan, device=device)  # freed at once
    with waiting_forbidden(device):
        value = f(p, t, w, m)
        value.backward()
    check(variant, arrays, expected, value.item(), p.grad.cpu().numpy(), name)


def torch_calls(functions: dict[str, Callable], what: str, arrays: list) -> dict[str, Callable]:
    """Of each function alone or with its gradient, and of a copy."""
    p, *others = arrays
    leaf, copied = p.clone().requires_grad_(), p.clone()

    def both(f):
        leaf.grad = None
        f(leaf, *others).backward()

    calls = {
        name: (lambda f=f: f(p, *others)) if what == "f" else (lambda f=f: both(f))
        for name, f in functions.items()
    }
    calls["copy"] = lambda: copied.copy_(p)
    for call in calls.values():
        call()
    return calls


# --- JAX ----------------------------------------------------------------------------------------


def jax_contenders(variant: str) -> dict[str, Callable]:
    import jax.numpy as jnp
    import optax

    import l2jax

    ours, huber, l1 = (l2jax.Criterion(x) for x in ("squared_error", "huber", "absolute_error"))
    return {
        "Huber": {
            "ours": lambda p, t, w, m: huber(p, t),
            "built-in": lambda p, t, w, m: optax.huber_loss(p, t).mean(),
        },
        "L1": {
            "ours": lambda p, t, w, m: l1(p, t),
            "hand": lambda p, t, w, m: jnp.abs(p - t).mean(),
        },
        "unweighted": {
            "ours": lambda p, t, w, m: ours(p, t),
            "built-in": lambda p, t, w, m: optax.squared_error(p, t).mean(),
            "hand": lambda p, t, w, m: jnp.mean((p - t) ** 2),
        },
        "weighted": {
            "ours": lambda p, t, w, m: ours(p, t, weight=w),
            "hand": lambda p, t, w, m: (w * (p - t) ** 2).sum() / w.sum(),
        },
        "masked": {
            "ours": lambda p, t, w, m: ours(p, t, mask=m),
            "hand": lambda p, t, w, m: (jnp.where(m, p - t, 0) ** 2).sum() / m.sum(),
        },
    }[variant]


def run_jax(device: str, sizes: list[int], rounds: int, queued: int = 10) -> Iterator[Result]:
    import jax
    import jax.numpy as jnp

    place = jax.devices("gpu" if device == "cuda" else "cpu")[0]
    for n in sizes:
        for variant in VARIANTS:
            functions = jax_contenders(variant)
            for seed in seeds(n):
                arrays = inputs(variant, n, seed)
                expected = reference(variant, *arrays)
                given = [jax.device_put(x, place) for x in arrays]
                for key, f in functions.items():
                    poison = jnp.full(2 * n + 1024, jnp.nan, device=place)
                    jax.block_until_ready(poison).delete()  # what is allocated next holds NaN
                    value, grad = jax.jit(jax.value_and_grad(f))(*given)
                    check(variant, arrays, expected, float(value), np.asarray(grad), key)
            given = [jax.device_put(x, place) for x in inputs(variant, n, 9)]
            for what in ("f", "f+g"):
                calls = {
                    name: jax.jit(f if what == "f" else jax.value_and_grad(f))
                    for name, f in functions.items()
                }
                calls["copy"] = jax.jit(lambda p, *_: p.copy())
                seen: dict[str, list[float]] = {name: [] for name in calls}
                for i in range(rounds + 1):
                    for name, call in calls.items():
                        start = time.perf_counter()
                        jax.block_until_ready([call(*given) for _ in range(queued)])
                        if i:  # the first one compiles
                            seen[name].append((time.perf_counter() - start) / queued)
                yield result("jax", place.device_kind, what, variant, n, seen)


# --- the report ---------------------------------------------------------------------------------


def result(framework, device, what, variant, n, seen) -> Result:
    """Medians, and the floor: the traffic of inputs and gradient at the speed of the copy."""
    seconds = {name: statistics.median(x) for name, x in seen.items()}
    speed = 8 * n / seconds.pop("copy")
    traffic = 8 + {"weighted": 4, "masked": 1}.get(variant, 0) + 4 * (what == "f+g")
    return Result(framework, device, what, variant, n, seconds, traffic * n / speed, speed)


def columns(r: Result) -> list[str]:
    """A row of the table: times, then ours in times of each other."""
    ours = r.seconds["ours"]
    compiled = r.seconds.get("ours, compiled")

    def over(name: str, mine: float | None = ours) -> str:
        known = name in r.seconds and mine is not None
        return f"{mine / r.seconds[name]:.2f}" if known and mine is not None else ""

    against = "hand, compiled" if "hand, compiled" in r.seconds else "built-in, compiled"
    return [
        r.framework,
        r.variant,
        r.what,
        f"{r.n:.0e}".replace("e+0", "e"),
        f"{1e6 * ours:.0f}",
        f"{ours / r.floor:.1f}",
        over("built-in"),
        over("hand"),
        "" if compiled is None else f"{1e6 * compiled:.0f}",
        over(against, compiled),
    ]


HEAD = (
    "framework|loss|call|n|ours, µs|times the floor|built-in|by hand|compiled, µs|theirs compiled"
)


def table(results: list[Result]) -> Table:
    shown = Table()
    for i, name in enumerate(HEAD.split("|")):
        shown.add_column(name, justify="left" if i < 3 else "right")
    for r in results:
        shown.add_row(*columns(r))
    return shown


def markdown(results: list[Result]) -> str:
    """The same for docs/speed.md."""
    rows = [HEAD.split("|"), ["---"] * 3 + ["---:"] * 7, *(columns(r) for r in results)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--frameworks", nargs="+", choices=("torch", "jax"), default=["torch", "jax"]
    )
    parser.add_argument("--sizes", nargs="+", type=float, default=[1e4, 1e6, 1e7, 1e8])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--from", dest="source", type=Path, help="print a JSON as Markdown")
    arguments = parser.parse_args()
    if arguments.source:
        found = json.loads(arguments.source.read_text())["results"]
        print(markdown([Result(**row) for row in found]))
        return
    runs = {"torch": run_torch, "jax": run_jax}
    console, results = Console(width=150), []
    versions = {name: version(name) for name in ("l2core", *arguments.frameworks)}
    for name in arguments.frameworks:
        for found in runs[name](
            arguments.device, [int(n) for n in arguments.sizes], arguments.rounds
        ):
            results.append(found)
            console.print(f"{found.framework} {found.what} {found.variant} n={found.n:.0e}: right")
            if arguments.json:  # each time: a machine that is lent may go
                rows = [asdict(r) for r in results]
                document = {"versions": versions, "results": rows}
                arguments.json.write_text(json.dumps(document, indent=1))
    console.print(table(results))
    console.print(f"Devices: {sorted({r.device for r in results})}, {versions}")


if __name__ == "__main__":
    main()
