"""Pictures of the losses for their pages, each for a light and for a dark background."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from l2core import (
    LOSSES,
    AbsoluteError,
    Cauchy,
    GaussianNLL,
    HalfSquaredError,
    Huber,
    LogCosh,
    Loss,
    Quantile,
    SquaredError,
    Tukey,
    plot,
)
from l2core.numpy_namespace import XP


@dataclass(frozen=True)
class Look:
    """Colours that read well on one background."""

    text: str
    grid: str
    lines: tuple[str, ...]


# P. Tol, "Colour schemes" (2021): bright, darker where it is pale on white; and light.
LOOKS = {
    "light": Look("#333333", "#b0b0b0", ("#4477aa", "#dd4455", "#228833", "#aa3377", "#666666")),
    "dark": Look("#cfd0d0", "#5c6066", ("#77aadd", "#ee8866", "#44bb99", "#ffaabb", "#bbbbbb")),
}
FURTHER: dict[str, tuple[str, tuple[float, ...]]] = {
    "Huber": ("delta", (0.5, 2.0)),
    "SmoothL1": ("beta", (0.25, 2.0)),
    "Quantile": ("q", (0.1, 0.9)),
    "Expectile": ("tau", (0.1, 0.9)),
    "Cauchy": ("c", (0.5, 2.0)),
    "Tukey": ("c", (2.0, 3.0)),
    "Barron": ("alpha", (0.0, -2.0)),
    "GaussianNLL": ("variance", (0.25, 4.0)),
    "LaplaceNLL": ("scale", (0.5, 2.0)),
    "StudentTNLL": ("df", (1.0, 30.0)),
    "BarronNLL": ("alpha", (0.0, 2.0)),
}
"""Of each loss that has a parameter: the one that is drawn at two more values than its default."""
DASHES = ("-", "--", ":")
WIDE = 760
R = np.linspace(-4.0, 4.0, 1601)


def draw(directory: Path) -> None:
    """Write ``<Name>.light.svg`` and ``<Name>.dark.svg`` of every loss of l2core, and ``overview``'s."""
    directory.mkdir(parents=True, exist_ok=True)
    for background, look in LOOKS.items():
        for name, kind in LOSSES.items():
            if kind.__module__ == "l2core.losses":  # not one that somebody has defined since
                _write(_panels(_shown(kind), look), 230, directory / f"{name}.{background}.svg")
        _write(_overview(look), 330, directory / f"overview.{background}.svg")


def _shown(kind: type[Loss]) -> dict[str, Loss]:
    """The loss with its defaults and at further values of its parameter, by label."""
    first = GaussianNLL(full=True, variance=1.0) if kind is GaussianNLL else kind()
    if kind.__name__ not in FURTHER:
        return {"": first}
    name, further = FURTHER[kind.__name__]
    values = (getattr(first, name), *further)
    return {f"{name} = {value:g}": replace(first, **{name: value}) for value in values}


def _panels(shown: dict[str, Loss], look: Look) -> Figure:
    """rho, psi and curvature side by side; of a likelihood its density too."""
    likelihood = any(loss.likelihood for loss in shown.values())
    figure, axes = _empty(4 if likelihood else 3, 230)
    titles = ("rho", "psi", "curvature", "density exp(-rho)")
    for panel, title in zip(axes, titles, strict=False):
        for k, (label, loss) in enumerate(shown.items()):
            y = np.exp(-loss.rho(R, XP)) if "exp" in title else getattr(loss, title)(R, XP)
            style: dict[str, Any] = {"color": look.lines[k], "linestyle": DASHES[k]}
            panel.plot(R, plot._broken(y), label=label, linewidth=1.7, **style)
        if title == "curvature" and all(not line.get_ydata().any() for line in panel.lines):
            panel.set_ylim(-1, 1)
        panel.set_title(title, color=look.text, fontsize=9)
        panel.set_xticks([-4, -2, 0, 2, 4])
        _dress(panel, look)
    if len(shown) > 1:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=len(labels),
            frameon=False,
            labelcolor=look.text,
            fontsize=8.5,
            handlelength=2.6,
        )
    return figure


def _overview(look: Look) -> Figure:
    """rho of the main losses in one panel, each with its name at its end."""
    figure, (panel,) = _empty(1, 330)
    top = 4.4
    # Where the name stands, in data: at the line's end, but where two would meet.
    shown: tuple[tuple[Loss, str, float, float], ...] = (
        (SquaredError(), "SquaredError", 2.02, top),
        (HalfSquaredError(), "HalfSquaredError", 3.03, top),
        (AbsoluteError(), "AbsoluteError", 4.08, 4.0),
        (Huber(), "Huber(1)", 4.08, 3.55),
        (LogCosh(), "LogCosh", 4.08, 3.23),
        (Cauchy(), "Cauchy(1)", 4.08, 1.45),
        (Tukey(2.5), "Tukey(2.5)", 4.08, 1.07),
        (Quantile(0.8), "Quantile(0.8)", 4.08, 0.76),
    )
    for k, (loss, name, x, y) in enumerate(shown):
        color = look.lines[k % len(look.lines)]
        rho = loss.rho(R, XP)
        rho[rho > top] = np.nan
        panel.plot(R, rho, color=color, linewidth=1.7, linestyle=DASHES[k // len(look.lines)])
        beside = "right" if x < 3 else "left"
        panel.annotate(
            name, (x, y), color=color, fontsize=9, ha=beside, va="center", annotation_clip=False
        )
    panel.set(xlim=(-4, 4), ylim=(0, top + 0.15), xticks=range(-4, 5))
    panel.set_xlabel("residual r = prediction - target", color=look.text, fontsize=9)
    panel.set_ylabel("rho(r)", color=look.text, fontsize=9)
    _dress(panel, look)
    return figure


def _empty(panels: int, height: int) -> tuple[Figure, Any]:
    """A transparent figure of so many panels, in CSS pixels of 1/96 inch."""
    figure, axes = plot.empty(panels, WIDE / 96, height / 96)
    figure.patch.set_alpha(0.0)
    return figure, axes


def _dress(panel: Axes, look: Look) -> None:
    panel.patch.set_alpha(0.0)
    panel.tick_params(colors=look.text, labelsize=8, length=3)
    panel.spines[["left", "bottom"]].set_color(look.grid)
    panel.axhline(0, color=look.grid, linewidth=0.7, zorder=0)
    panel.axvline(0, color=look.grid, linewidth=0.7, zorder=0)


def _write(figure: Figure, height: int, path: Path) -> None:
    sized = f'width="{WIDE}" height="{height}"'
    path.write_text(plot.svg(figure).replace('width="100%"', sized, 1), encoding="utf-8")
