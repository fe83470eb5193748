"""What a run says: a table, the bars, and the plot that the README shows."""

from __future__ import annotations

import math
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


def observed(bar: Bar, rows: list[Row]) -> list[float]:
    """What each run saw."""
    return [x for row in rows if bar.selects(row) and (x := bar.observed(row)) is not None]


def check(rows: list[Row]) -> bool:
    """Print every bar with what was seen; whether all were measured and reached."""
    shown = Table(title="The bars", title_justify="left")
    for name in BAR_COLUMNS:
        shown.add_column(name, justify="left" if name in ("bar", "") else "right")
    reached = True
    for cells in bar_rows(rows):
        reached &= cells[-1] == "reached"
        shown.add_row(*cells[:-1], cells[-1].replace("missed", "[red]missed[/red]"))
    console.print(shown)
    return reached


BAR_COLUMNS = ("bar", "at n", "limit", "runs", "median", "")


def bar_rows(rows: list[Row]) -> list[list[str]]:
    """Every bar with what each run and the median of them says of it."""
    shapes = {"ratio": "{:.2f}", "difference": "{:.2f} µs", "bytes": "{:.1f} B an element"}
    found = []
    for bar in BARS:
        say, unit = shapes[bar.measure].format, 1e6 if bar.measure == "difference" else 1
        seen = observed(bar, rows)
        median = statistics.median(seen) if seen else math.nan
        verdict = "not measured" if not seen else "reached" if median <= bar.limit else "missed"
        what = f"{bar.what}: {bar.ours} / {bar.against}" if bar.measure == "ratio" else bar.what
        runs = ", ".join(say(unit * x).split(" ")[0] for x in seen)
        size = f"{bar.n:,}" if bar.n > 1 else ""
        found.append([what, size, say(unit * bar.limit), runs, say(unit * median), verdict])
    return found


def markdown(rows: list[Row]) -> str:
    """The bars, and value and gradient by contender, as the pages of the documentation have them."""
    lines = ["| " + " | ".join(BAR_COLUMNS) + " |", "|---|--:|--:|--:|--:|---|"]
    lines += ["| " + " | ".join(cells) + " |" for cells in bar_rows(rows)]
    lines += [
        "",
        "| call | n | ours | built-in | by hand | memory floor |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    calls: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row.what == "f+g" and row.allocator == "default":
            calls.setdefault((row.framework, row.variant, row.dtype, f"{row.n:,}"), []).append(row)
    for (framework, variant, dtype, n), same in calls.items():
        cells = []
        for name in ("ours", "built-in", "hand", "floor"):
            times = [row.seconds[name] for row in same if name in row.seconds]
            ratios = [row.ratios[name] for row in same if name in row.seconds]
            ratio = f" ({statistics.median(ratios):.2f})" if name != "ours" and ratios else ""
            cells.append(f"{time(statistics.median(times))}{ratio}" if times else "")
        lines.append(f"| {framework}, {variant}, {dtype} | {n} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


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
