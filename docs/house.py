"""The house: floors of l2core and the adapters above, drawn from what import-linter holds."""

from __future__ import annotations

import tomllib
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

ROOT = Path(__file__).parents[1]
INK = {"light": ("#1f2328", "#e8eef7", "#fdf1e3"), "dark": ("#d6d9dd", "#22303f", "#3d3020")}
WIDTH = 100.0
"""Of the drawing, in characters of a room's name."""


def floors() -> list[list[str]]:
    """The rooms of each floor, the highest first."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    return [layer.split(" | ") for layer in layers]


def wrapped(rooms: list[str]) -> list[list[str]]:
    """The rooms of a floor in lines that are no longer than the drawing is wide."""
    lines: list[list[str]] = [[]]
    for room in rooms:
        if sum(len(name) + 4 for name in [*lines[-1], room]) > WIDTH:
            lines.append([])
        lines[-1].append(room)
    return lines


def draw(directory: Path) -> None:
    """``house.light.svg`` and ``house.dark.svg`` in this directory."""
    adapters = ["l2keras", "l2torch", "l2jax"]
    lines = [(adapters, True)]
    lines += [(line, False) for rooms in floors() for line in wrapped(rooms)]
    for theme, (ink, room, adapter) in INK.items():
        with mpl.rc_context({"svg.fonttype": "none", "font.family": "monospace"}):
            figure = Figure(figsize=(9.5, 0.36 * len(lines) + 0.5))
            axes = figure.add_axes((0, 0, 1, 1))
            axes.set(xlim=(0, WIDTH + 2), ylim=(-0.4, len(lines) + 0.6))
            axes.axis("off")
            for level, (names, above) in enumerate(lines):
                y = len(lines) - level - 0.5 + (0.4 if above else 0)
                start = (WIDTH - sum(len(name) + 4 for name in names)) / 2 + 1
                for name in names:
                    box = FancyBboxPatch(
                        (start, y - 0.36),
                        len(name) + 2.6,
                        0.72,
                        boxstyle="round,pad=0,rounding_size=0.25",
                        facecolor=adapter if above else room,
                        edgecolor="none",
                    )
                    axes.add_patch(box)
                    middle = start + len(name) / 2 + 1.3
                    axes.text(middle, y, name, ha="center", va="center", color=ink, size=8.5)
                    start += len(name) + 4
            figure.savefig(directory / f"house.{theme}.svg", transparent=True)
