"""What a run says: a table, the bars, and the plot that the README shows."""

from __future__ import annotations

import statistics
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.bars import BARS, Bar
from benchmarks.measure import Row

console = Console() if Console().is_terminal else Console(width=170)
PLOTTED = {
    "PyTorch": ("torch", "nn.MSELoss", "built-in"),
    "NumPy": ("numpy", "by hand", "hand"),
    "JAX": ("jax", "optax, op by op", "built-in"),
    "Keras on TensorFlow": ("keras-tensorflow", "keras.losses", "built-in"),
}


def time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def table(rows: list[Row]) -> Table:
    """Medians, and ours over each of the others."""
    shown = Table(title="Median of a call, and ours / the other", title_justify="left")
    for name in ("call", "n", "ours", "built-in", "hand", "floor", "others"):
        shown.add_column(name, justify="left" if name in ("call", "others") else "right")
    for row in rows:
        if "ours" not in row.seconds:
            continue
        others = [
            f"{time(row.seconds[name])} ({row.ratios[name]:.2f})" if name in row.seconds else ""
            for name in ("built-in", "hand", "floor")
        ]
        more = [
            f"{name} {time(x)} ({row.ratios[name]:.2f})"
            for name, x in row.seconds.items()
            if name not in ("ours", "built-in", "hand", "floor")
        ]
        more += [f"{name} +{x:.1f} B/element" for name, x in row.extra_bytes.items() if x >= 0.05]
        dtype = "" if row.dtype == "float32" else f", {row.dtype}"
        allocator = "" if row.allocator == "default" else f", {row.allocator}"
        call = f"{row.framework} {row.what} {row.variant}{dtype}{allocator}"
        shown.add_row(call, f"{row.n:.0e}", time(row.seconds["ours"]), *others, "; ".join(more))
    return shown


def observed(bar: Bar, rows: list[Row]) -> float | None:
    """The median over runs; None if no run had it."""
    found = [x for row in rows if bar.selects(row) and (x := bar.observed(row)) is not None]
    return statistics.median(found) if found else None


def check(rows: list[Row]) -> bool:
    """Print every bar with what was seen; whether all were measured and reached."""
    shown = Table(title="The bars", title_justify="left")
    for name in ("bar", "at n", "limit", "observed", ""):
        shown.add_column(name, justify="left" if name in ("bar", "") else "right")
    reached = True
    for bar in BARS:
        seen = observed(bar, rows)
        good = seen is not None and seen <= bar.limit
        reached &= good
        shape = {"ratio": "{:.3g} ×", "difference": "{:.3g} s", "bytes": "{:.3g} B/element"}
        say = shape[bar.measure].format
        verdict = "not measured" if seen is None else "reached" if good else "[red]missed[/red]"
        shown.add_row(
            f"{bar.what}: {bar.ours} / {bar.against}" if bar.measure == "ratio" else bar.what,
            f"{bar.n:.0e}",
            say(bar.limit),
            "" if seen is None else say(seen),
            verdict,
        )
    console.print(shown)
    return reached


def plot(rows: list[Row], path: Path) -> None:
    """Time an element of value and gradient against n, log-log."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, len(PLOTTED), figsize=(11, 3.4), sharey=True, layout="constrained"
    )
    for axis, (title, (framework, label, builtin)) in zip(axes, PLOTTED.items(), strict=True):
        lines = {builtin: (label, "tab:red", "s"), "ours": ("ours", "tab:blue", "o")}
        lines["floor"] = ("memory floor", "0.5", None)
        chosen = sorted(
            (
                row
                for row in rows
                if (row.framework, row.what, row.variant, row.dtype, row.allocator)
                == (framework, "f+g", "unweighted", "float32", "default")
            ),
            key=lambda row: row.n,
        )
        for name, (line, color, marker) in lines.items():
            points = [(row.n, row.seconds[name] / row.n / 1e-9) for row in chosen]
            style = "--" if name == "floor" else "-"
            axis.loglog(*zip(*points, strict=True), style, color=color, marker=marker, label=line)
        axis.set(title=title, xlabel="elements")
        axis.set_xticks([1e2, 1e4, 1e6, 1e8])
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    axes[0].set_ylabel("ns per element, value and gradient")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
