"""What a run says: a table, the bars, and the plot that the docs show."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.bars import BARS, LARGE
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
        setting = "" if row.setting == "default" else f", {row.setting}"
        call = f"{row.framework} {row.what} {row.variant}{dtype}{setting}"
        shown.add_row(call, f"{row.n:.0e}", time(row.seconds["ours"]), *others, "; ".join(more))
    return shown


def check(rows: list[Row]) -> bool:
    """Print every bar with what was seen; whether all were measured and reached."""
    shown = Table(title="The bars", title_justify="left")
    for name in BAR_COLUMNS:
        shown.add_column(name, justify="left" if name in ("bar", "worst at", "") else "right")
    reached = True
    for cells in bar_rows(rows):
        reached &= cells[-1] == "reached"
        shown.add_row(*cells[:-1], cells[-1].replace("missed", "[red]missed[/red]"))
    console.print(shown)
    return reached


BAR_COLUMNS = ("bar", "worst at", "limit", "runs", "median", "")


def bar_rows(rows: list[Row]) -> list[list[str]]:
    """Every bar with what each run and the median of them says of it, those first that were missed by
    most."""
    shapes = {"difference": "{:.2f} µs", "bytes": "{:.1f} B an element"}
    found = []
    for bar in BARS:
        say, unit = shapes.get(bar.measure, "{:.2f}").format, 1.0
        if bar.measure == "difference":
            unit = 1e6
        seen = bar.observed(rows)
        values = [value for value, _ in seen]
        median = statistics.median(values) if seen else math.nan
        verdict = "not measured" if not seen else "reached" if median <= bar.limit else "missed"
        named = bar.setting == "default" or bar.setting in bar.what
        what = bar.what if named else f"{bar.what}, {bar.setting}"
        if bar.measure in ("ratio", "worst"):
            what += f": {bar.ours} / {bar.against}"
        runs = ", ".join(say(unit * x).split(" ")[0] for x in values)
        at = max(seen, key=lambda pair: pair[0])[1] if seen else None
        where = "" if at is None or at.n == 1 else f"{at.what}, {at.n:,}"
        found.append(
            (
                -(median / bar.limit) if verdict == "missed" else 0.0,
                [what, where, say(unit * bar.limit), runs, say(unit * median), verdict],
            )
        )
    return [cells for _, cells in sorted(found, key=lambda pair: pair[0])]


def markdown(rows: list[Row]) -> str:
    """The bars, and value and gradient by contender, as the page of the documentation has them."""
    runs = sum(row.framework == "import" for row in rows)
    lines = ["## The bars", ""]
    lines += [
        f"Runs: {runs}; what was missed stands first, by how much. A bar on time is a ratio of"
    ]
    lines += ["ours to the other.", ""]
    lines += ["| " + " | ".join(BAR_COLUMNS) + " |", "|---|---|--:|--:|--:|---|"]
    lines += ["| " + " | ".join(cells) + " |" for cells in bar_rows(rows)]
    calls: dict[tuple[str, ...], list[Row]] = {}
    bound: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        key = row.framework, row.variant, row.dtype, f"{row.n:,}"
        if row.what == "f+g" and row.n == LARGE and row.setting in ("default", "bound"):
            (calls if row.setting == "default" else bound).setdefault(key, []).append(row)
    lines += ["", "## Value and gradient of ten million elements", ""]
    lines += [
        "By default, and ours with PyTorch's threads bound; in brackets ours over the other.",
        "",
    ]
    lines += _table(("ours", "built-in", "hand", "floor"), calls, bound)
    for name, heading in (("busy", "Busy neighbours"), ("step", "A training step")):
        chosen: dict[tuple[str, ...], list[Row]] = {}
        for row in rows:
            if row.setting.endswith("busy") if name == "busy" else row.what == name:
                key = row.framework, f"{row.variant} {row.what}", row.setting, f"{row.n:,}"
                chosen.setdefault(key, []).append(row)
        contenders = ("ours", "built-in", "hand", "no loss")
        lines += ["", f"## {heading}", ""]
        lines += _table(contenders, chosen, None, worst=name == "busy")
    return "\n".join(lines)


def _table(
    contenders: tuple[str, ...],
    calls: dict[tuple[str, ...], list[Row]],
    bound: dict[tuple[str, ...], list[Row]] | None,
    worst: bool = False,
) -> list[str]:
    """Medians over the runs, and in brackets ours over the other."""
    named = [
        name for name in contenders if any(name in r.seconds for rs in calls.values() for r in rs)
    ]
    headings = ["call", "n", *named, *(["ours, bound"] if bound is not None else [])]
    lines = ["| " + " | ".join(headings) + " |", "|---|" + "--:|" * (len(headings) - 1)]
    for key, same in calls.items():
        *about, n = key
        cells = [_cell(name, same, worst) for name in named]
        if bound is not None:
            cells.append(_cell("ours", bound.get(key, []), False))
        lines.append(f"| {', '.join(about)} | {n} | " + " | ".join(cells) + " |")
    return lines


def _cell(name: str, same: list[Row], worst: bool) -> str:
    times = [row.seconds[name] for row in same if name in row.seconds]
    if not times:
        return ""
    ratio = statistics.median(row.ratios[name] for row in same if name in row.ratios)
    text = time(statistics.median(times))
    slowest = [row.worst[name] for row in same if name in row.worst]
    if worst and slowest:
        text += f", worst {time(statistics.median(slowest))}"
    return text if name == "ours" else f"{text} ({ratio:.2f})"


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
                if (row.framework, row.what, row.variant, row.dtype, row.setting)
                == (framework, "f+g", "unweighted", "float32", "default")
            ),
            key=lambda row: row.n,
        )
        for name, (line, color, marker) in lines.items():
            points = [
                (row.n, row.seconds[name] / row.n / 1e-9) for row in chosen if name in row.seconds
            ]
            if not points:
                continue
            style = "--" if name == "floor" else "-"
            axis.loglog(*zip(*points, strict=True), style, color=color, marker=marker, label=line)
        axis.set(title=title, xlabel="elements")
        axis.set_xticks([1e2, 1e4, 1e6, 1e8])
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    axes[0].set_ylabel("ns per element, value and gradient")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
