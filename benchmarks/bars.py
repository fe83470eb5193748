"""What must hold on a CPU: ours against the built-in, the hand-written or the floor, at most this."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.measure import Row

NS = 1e-9


@dataclass(frozen=True)
class Bar:
    """A limit on a ratio, on a difference in seconds or on extra bytes an element, of some rows."""

    what: str
    limit: float
    framework: str
    mode: str  # "f" or "f+g"
    n: int
    against: str = "built-in"
    ours: str = "ours"
    variant: str = "unweighted"
    allocator: str = "default"
    measure: str = "ratio"  # or "difference" or "bytes"

    def selects(self, row: Row) -> bool:
        """Whether the row is the one meant."""
        return (row.framework, row.what, row.n, row.variant, row.allocator, row.dtype) == (
            self.framework,
            self.mode,
            self.n,
            self.variant,
            self.allocator,
            "float32",
        )

    def observed(self, row: Row) -> float | None:
        """What the row says of it; None if it lacks a contender."""
        if self.measure == "bytes":
            return row.extra_bytes.get(self.ours)
        if not {self.ours, self.against} <= row.seconds.keys():
            return None
        if self.measure == "difference":
            return row.seconds[self.ours] - row.seconds[self.against]
        if self.ours == "ours":
            return row.ratios[self.against]
        return row.seconds[self.ours] / row.seconds[self.against]


LARGE, MEDIUM, SMALL = 10_000_000, 10_000, 32
BARS = [
    Bar("torch f+g, small", 0.95, "torch", "f+g", SMALL),
    Bar("torch f+g", 0.30, "torch", "f+g", LARGE),
    Bar("torch f+g, no faults", 0.80, "torch", "f+g", LARGE, allocator="no faults"),
    Bar("torch f+g, against the floor", 2.5, "torch", "f+g", LARGE, "floor"),
    Bar("torch f", 0.30, "torch", "f", LARGE),
    Bar("torch f+g, weighted", 0.25, "torch", "f+g", LARGE, "hand", variant="weighted"),
    Bar("torch f+g, masked", 0.15, "torch", "f+g", LARGE, "hand", variant="masked"),
    Bar("torch f+g, compiled", 1.05, "torch", "f+g", LARGE, variant="compiled"),
    Bar("torch wrapper", 1e-6, "torch", "f", SMALL, "bare", measure="difference"),
    Bar("torch memory of f", 0.5, "torch", "f", LARGE, measure="bytes"),
    Bar("torch memory of f+g", 4.2, "torch", "f+g", LARGE, measure="bytes"),
    Bar("NumPy f, small", 0.40, "numpy", "f", SMALL, "hand"),
    Bar("NumPy f, medium", 0.40, "numpy", "f", MEDIUM, "hand"),
    Bar("NumPy f", 0.45, "numpy", "f", LARGE, "hand"),
    Bar("NumPy f+g", 0.60, "numpy", "f+g", LARGE, "hand"),
    Bar("NumPy wrapper", 1e-6, "numpy", "f", SMALL, "bare", measure="difference"),
    Bar("NumPy memory of f", 0.5, "numpy", "f", LARGE, measure="bytes"),
    Bar("NumPy memory of f+g", 4.2, "numpy", "f+g", LARGE, measure="bytes"),
    Bar("JAX jit f", 1.05, "jax", "f", LARGE, "hand"),
    Bar("JAX jit f+g", 1.05, "jax", "f+g", LARGE, "hand"),
    Bar("JAX f against eager optax", 0.20, "jax", "f", LARGE, ours="ours, eager"),
    Bar("JAX jit f+g against eager optax", 0.20, "jax", "f+g", LARGE),
    Bar("JAX wrapper, jitted", 1e-6, "jax", "f", SMALL, "hand", measure="difference"),
    Bar("TensorFlow f+g", 0.60, "tensorflow", "f+g", LARGE),
    Bar("Keras on TensorFlow f+g", 0.60, "keras-tensorflow", "f+g", LARGE),
    Bar("Keras on torch f+g", 0.20, "keras-torch", "f+g", LARGE),
    Bar("Keras on JAX f+g", 0.40, "keras-jax", "f+g", LARGE),
    Bar("import l2core against import numpy", 1.3, "import", "f", 1, "numpy"),
]
