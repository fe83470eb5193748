"""The plots of the report, as SVG that stands inside a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from l2core.conformance.extras import require
from l2core.conformance.measure import Measurement
from l2core.conformance.report import Run
from l2core.plot import svg

OURS = (
    "#1f6f8b",
    "#2e8b57",
    "#7a5195",
    "#b5651d",
    "#444444",
    "#c2185b",
    "#d4a017",
    "#6b8e23",
    "#17a2d4",
)
THEIRS = "#c9a39b"
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")


TEXTS = {
    "Error of the value by size": """How far a mean squared error of n normal float32 numbers is
        from the exact one, in ULP. Below the dotted line, half an ULP, no float is nearer.""",
    "Spread between backends": """How far the largest and the smallest answer to the same data lie
        apart, in ULP: among ours, and among the frameworks' own losses.""",
    "The gradient's bits": """The share of the gradient's elements (of all sizes together) that are,
        bit for bit, NumPy's closed form 2 (pred - target) / n.""",
}


def plots(run: Run) -> list[tuple[str, str, str]]:
    """Title, explanation and SVG of each plot, if anything was measured."""
    found = run.found.measurements
    drawn = [f(found) for f in (_errors, _spread, _bits)] if found else []
    return [
        (title, text, drawing) for (title, text), drawing in zip(TEXTS.items(), drawn, strict=False)
    ]


def _figure(height: float = 3.6) -> tuple[Any, Any]:
    figure = require("matplotlib.figure").Figure(figsize=(8.4, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    return figure, axes


def _subjects(found: Sequence[Measurement], ours: bool) -> list[str]:
    return list(dict.fromkeys(m.subject for m in found if m.ours == ours))


def _principal(found: Sequence[Measurement]) -> list[str]:
    """One subject a backend of ours: its criterion, not the names over it."""
    return [s for s in _subjects(found, True) if "." not in s]


def _errors(found: Sequence[Measurement]) -> str:
    figure, axes = _figure()
    for i, name in enumerate(_subjects(found, False)):
        points = [(m.n, m.ulps) for m in found if m.subject == name]
        label = "the frameworks' own" if i == 0 else None
        axes.plot(*zip(*points, strict=True), color=THEIRS, lw=1, label=label, zorder=1)
    for i, name in enumerate(_principal(found)):
        points = [(m.n, m.ulps) for m in found if m.subject == name]
        style = {"color": OURS[i % len(OURS)], "marker": MARKS[i % len(MARKS)], "ms": 4, "lw": 1.4}
        axes.plot(*zip(*points, strict=True), label=name, zorder=2, **style)
    axes.axhline(0.5, color="#888888", lw=1, ls=":")
    axes.set(xscale="log", xlabel="n", ylabel="error of the value, ULP", ylim=(0, None))
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return svg(figure)


def _spread(found: Sequence[Measurement]) -> str:
    import numpy as np

    figure, axes = _figure(3.0)
    groups = (
        ("ours", _principal(found), OURS[0], "o"),
        ("theirs", _subjects(found, False), "#b04a3a", "s"),
    )
    for label, names, color, mark in groups:
        points = []
        for n in sorted({m.n for m in found}):
            values = [np.float32(m.value) for m in found if m.n == n and m.subject in names]
            if len(values) > 1:
                points.append((n, float((max(values) - min(values)) / np.spacing(max(values)))))
        if points:
            name = f"{label} ({len(names)})"
            axes.plot(*zip(*points, strict=True), color=color, marker=mark, ms=4, label=name)
    axes.set(xscale="log", xlabel="n", ylabel="largest - smallest value, ULP", ylim=(0, None))
    axes.legend(frameon=False)
    return svg(figure)


def _bits(found: Sequence[Measurement]) -> str:
    names = [
        s for s in (*_principal(found), *_subjects(found, False)) if _share(found, s) is not None
    ]
    figure, axes = _figure(0.8 + 0.28 * len(names))
    shares = [100 * (_share(found, name) or 0.0) for name in names]
    ours = set(_principal(found))
    colors = [OURS[0] if name in ours else THEIRS for name in names]
    axes.barh(range(len(names)), shares, color=colors, height=0.65)
    for i, share in enumerate(shares):
        axes.annotate(f"{share:.4g} %", (share, i), (4, -3), textcoords="offset points", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set(xlim=(0, 112), xlabel="elements of the gradient that are NumPy's bit for bit, %")
    axes.set_xticks(range(0, 101, 20))
    return svg(figure)


def _share(found: Sequence[Measurement], name: str) -> float | None:
    """Over all sizes, each element counting once."""
    each = [(m.n, m.same_bits) for m in found if m.subject == name and m.same_bits is not None]
    if not each:
        return None
    return sum(n * share for n, share in each) / sum(n for n, _ in each)
