"""What must hold on a CPU: ours against the built-in, the hand-written or the floor, at most this."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.measure import Row


@dataclass(frozen=True)
class Bar:
    """A limit on a ratio, on a difference in seconds or on extra bytes an element, at every one of
    these sizes and for each mode."""

    what: str
    limit: float
    framework: str
    modes: tuple[str, ...]  # "f", "f+g" or "step"
    sizes: tuple[int, ...]
    against: str = "built-in"
    ours: str = "ours"
    variant: str = "unweighted"
    setting: str = "default"
    measure: str = "ratio"  # or "worst" (a ratio of worst calls), "difference" or "bytes"
    dtype: str = "float32"

    def selects(self, row: Row) -> bool:
        """Whether the row is one of those meant."""
        return (row.framework, row.variant, row.setting, row.dtype) == (
            self.framework,
            self.variant,
            self.setting,
            self.dtype,
        ) and (row.what in self.modes and row.n in self.sizes)

    def of(self, row: Row) -> float | None:
        """What the row says of it; None if it lacks a contender."""
        if self.measure == "bytes":
            return row.extra_bytes.get(self.ours)
        seen = row.worst if self.measure == "worst" else row.seconds
        if not {self.ours, self.against} <= seen.keys():
            return None
        if self.measure == "difference":
            return row.seconds[self.ours] - row.seconds[self.against]
        if self.measure == "worst" or self.ours != "ours":
            return seen[self.ours] / seen[self.against]
        return row.ratios[self.against]

    def observed(self, rows: Iterable[Row]) -> list[tuple[float, Row]]:
        """The worst of each run, and where; none if something was not measured."""
        by_case: dict[tuple[int, str], list[tuple[float, Row]]] = {}
        for row in filter(self.selects, rows):
            value = self.of(row)
            if value is not None:
                by_case.setdefault((row.n, row.what), []).append((value, row))
        if len(by_case) < len(self.sizes) * len(self.modes):
            return []
        runs = zip(*by_case.values(), strict=False)
        return [max(run, key=lambda pair: pair[0]) for run in runs]


HUGE, LARGE, MEDIUM, SMALL = 100_000_000, 10_000_000, 10_000, 32
BOTH = ("f", "f+g")
FEW = (SMALL, 1_000, MEDIUM, 100_000)
MIDDLE = 1_000_000
CROWDS = (0, 1, 2, 4)
"""Processes that spin beside the measured one."""
VARIANTS = ("unweighted", "weighted", "masked", "huber", "l1")
SAME = {(MIDDLE, name) for name in VARIANTS} | {(LARGE, "huber")}
"""Where value or gradient is one call of PyTorch's on both sides, with the noise of two."""
_AGAINST = {"weighted": "hand", "masked": "hand"}

BARS = [
    *(
        Bar(f"torch {variant}, small", 1.3, "torch", BOTH, FEW, "bare", variant=variant)
        for variant in ("weighted", "masked")
    ),
    *(
        Bar(f"torch {variant}", 1.1, "torch", BOTH, (*FEW, MIDDLE, LARGE, HUGE), variant=variant)
        for variant in ("huber", "l1", "smooth_l1")
    ),
    Bar("torch huber, none", 1.1, "torch", BOTH, (*FEW, MIDDLE), variant="huber, none"),
    Bar("torch f+g, small", 0.97, "torch", ("f+g",), (SMALL,)),
    *(
        bar
        for setting in ("default", "bound")
        for bar in (
            Bar("torch f", 0.35, "torch", ("f",), (LARGE,), setting=setting),
            Bar("torch f+g", 0.30, "torch", ("f+g",), (LARGE,), setting=setting),
            Bar(
                "torch weighted", 0.25, "torch", BOTH, (LARGE,), "hand", "ours", "weighted", setting
            ),
            Bar("torch masked", 0.15, "torch", BOTH, (LARGE,), "hand", "ours", "masked", setting),
        )
    ),
    Bar("torch f+g", 0.80, "torch", ("f+g",), (LARGE,), setting="no faults"),
    Bar("torch f+g, against the floor", 2.5, "torch", ("f+g",), (LARGE,), "floor"),
    Bar("torch f+g, compiled", 1.05, "torch", ("f+g",), (LARGE,), variant="compiled"),
    Bar(
        *("torch weighted bfloat16", 1.0, "torch", ("f+g",), (LARGE,), "hand"),
        variant="weighted",
        dtype="bfloat16",
    ),
    Bar("torch wrapper", 1e-6, "torch", ("f",), (SMALL,), "bare", measure="difference"),
    Bar("torch memory of f", 0.5, "torch", ("f",), (LARGE,), measure="bytes"),
    Bar("torch memory of f+g", 4.2, "torch", ("f+g",), (LARGE,), measure="bytes"),
    *(
        Bar(
            *(f"torch {variant}, {crowd} busy: {measure}", limit, "torch", BOTH, (n,)),
            _AGAINST.get(variant, "built-in"),
            variant=variant,
            setting=f"{crowd} busy",
            measure=measure,
        )
        for crowd in CROWDS
        for variant in VARIANTS
        for n in (MIDDLE, LARGE)
        # Where both are one call of PyTorch's, who is the slower of 30 is chance.
        for measure, limit in (("ratio", 1.05 if (n, variant) in SAME else 1.0), ("worst", 1.2))
        if measure == "ratio" or n == LARGE or variant == "masked"
    ),
    *(
        Bar(f"NumPy {variant}, small", 1.3, "numpy", BOTH, FEW, "bare", variant=variant)
        for variant in ("weighted", "masked")
    ),
    Bar("NumPy f, small", 0.40, "numpy", ("f",), (SMALL,), "hand"),
    Bar("NumPy f, medium", 0.40, "numpy", ("f",), (MEDIUM,), "hand"),
    Bar("NumPy f", 0.45, "numpy", ("f",), (LARGE,), "hand"),
    Bar("NumPy f+g", 0.60, "numpy", ("f+g",), (LARGE,), "hand"),
    Bar("NumPy f+g, from 1,000", 1.0, "numpy", ("f+g",), (1_000, MEDIUM, 100_000), "hand"),
    Bar("NumPy wrapper", 1e-6, "numpy", ("f",), (SMALL,), "bare", measure="difference"),
    Bar("NumPy memory of f", 0.5, "numpy", ("f",), (LARGE,), measure="bytes"),
    Bar("NumPy memory of f+g", 4.2, "numpy", ("f+g",), (LARGE,), measure="bytes"),
    Bar("JAX jit f", 1.10, "jax", ("f",), (LARGE,), "hand"),
    Bar("JAX jit f, weighted", 1.3, "jax", ("f",), (LARGE,), "hand", variant="weighted"),
    Bar("JAX jit f+g", 1.10, "jax", ("f+g",), (LARGE,), "hand"),
    Bar("JAX f against eager optax", 0.20, "jax", ("f",), (LARGE,), ours="ours, eager"),
    Bar("JAX jit f+g against eager optax", 0.20, "jax", ("f+g",), (LARGE,)),
    Bar("JAX wrapper, jitted", 1e-6, "jax", ("f",), (SMALL,), "hand", measure="difference"),
    Bar("TensorFlow f+g", 0.60, "tensorflow", ("f+g",), (LARGE,)),
    *(
        Bar(
            *(f"TensorFlow {variant}, eager", 1.0, "tensorflow", ("f+g",)),
            (*FEW, MIDDLE, LARGE),
            "hand",
            variant=variant,
        )
        for variant in ("weighted", "masked")
    ),
    Bar(
        *("TensorFlow in a graph", 1.1, "tensorflow", ("f+g",), (*FEW, MIDDLE, LARGE), "hand"),
        variant="in a graph",
    ),
    *(
        Bar(
            *(f"TensorFlow {variant} bfloat16", 1.2, "tensorflow", ("f+g",), (LARGE,), "hand"),
            variant=variant,
            dtype="bfloat16",
        )
        for variant in ("unweighted", "weighted")
    ),
    Bar("Keras on TensorFlow f+g", 0.60, "keras-tensorflow", ("f+g",), (LARGE,)),
    Bar("Keras on torch f+g", 0.20, "keras-torch", ("f+g",), (LARGE,)),
    Bar("Keras on JAX f+g", 0.40, "keras-jax", ("f+g",), (LARGE,)),
    *(
        Bar(f"training step, {variant}", 1.02, "training", ("step",), (n,), variant=variant)
        for variant, n in (("torch MLP", 256), ("torch padded", 4096), ("Keras fit", 128))
    ),
    Bar("import l2core against import numpy", 1.3, "import", ("f",), (1,), "numpy"),
]
