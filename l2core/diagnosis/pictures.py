"""The pictures of a diagnosis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from l2core.diagnosis.measures import Cleaned, Measures
from l2core.hosted import quantile
from l2core.plot import COLORS, empty, residuals

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS = 4000
"""Points of a cloud; of more residuals a part that is spread evenly over them."""


def pictures(c: Cleaned, m: Measures) -> list[tuple[str, str, Figure]]:
    """Title, explanation and figure of each."""
    drawn = [
        (
            "Which residuals make the loss",
            (
                "Left: how often each residual occurs. Right: the share of the loss that each tenth of the "
                "residuals carries, for squared error, Huber's loss and the absolute error. Where the last "
                "tenth carries most of it, few elements decide what is learned."
            ),
            _shares(c, m),
        ),
        (
            "Against three kinds of noise",
            (
                "Residuals in order against those that a Gaussian, Laplace's and Student's distribution "
                "would have. Points on the line: that noise. An S that leaves it at both ends: heavier tails "
                "than that noise has."
            ),
            _qq(c, m),
        ),
    ]
    if m.spread.centers:
        drawn.append(
            (
                "How errors go with the prediction",
                (
                    "Residuals against predictions, and their deviation in each tenth of the predictions. A "
                    "band that opens: the variance is not the same everywhere."
                ),
                _spread(c, m),
            )
        )
    if len(m.groups) > 1:
        drawn.append(
            (
                "Groups",
                "The share of the squared error of each group, beside its share of the elements.",
                _groups(c, m),
            )
        )
    return drawn


def _shares(c: Cleaned, m: Measures) -> Figure:
    delta = float(f"{m.scale.delta:.4g}")
    losses: list[Any] = ["squared_error", "absolute_error"]
    if delta > 0:
        losses.insert(1, {"name": "Huber", "delta": delta})
    weight = None if np.ptp(c.w) == 0 else c.w
    return residuals(c.pred, c.target, *losses, weight=weight)


def _qq(c: Cleaned, m: Measures) -> Figure:
    models = m.models
    figure, panels = empty(3, 10.5, 3.6)
    n = min(len(c.r), 500)
    levels = (np.arange(n) + 0.5) / n
    seen = quantile(c.r, c.w, levels)
    best = min(x.bic for x in models)
    for panel, model in zip(panels, models, strict=True):
        expected = model.quantile(levels)
        ends = [min(seen[0], expected[0]), max(seen[-1], expected[-1])]
        panel.plot(ends, ends, color="#999999", linewidth=1)
        panel.plot(expected, seen, ".", color=COLORS[0], markersize=4)
        df = "" if model.df is None else f", {model.df:.3g} degrees"
        panel.set_title(f"{model.name}{df}{' (best)' if model.bic == best else ''}")
        panel.set(xlabel="residual that it would have")
    panels[0].set_ylabel("residual")
    return figure


def _spread(c: Cleaned, m: Measures) -> Figure:
    spread = m.spread
    figure, (left, right) = empty(2, 10.5, 3.6)
    part = np.linspace(0, len(c.r) - 1, min(len(c.r), DOTS)).astype(int)
    size = 2 if len(part) > 1000 else 5
    left.plot(c.pred[part], c.r[part], ".", color=COLORS[0], markersize=size, alpha=0.5)
    left.axhline(0, color="#444444", linewidth=0.8)
    reach = float(np.quantile(np.abs(c.r), 0.995)) * 1.3
    if reach > 0:
        left.set_ylim(-reach, reach)
    left.set(xlabel="prediction", ylabel="residual")
    right.plot(spread.centers, spread.deviations, "o-", color=COLORS[1])
    right.set_ylim(0, 1.15 * max(spread.deviations))
    right.set(xlabel="prediction, by tenths", ylabel="deviation of the residuals")
    return figure


def _groups(c: Cleaned, m: Measures) -> Figure:
    groups = m.groups[:20]
    figure, (panel,) = empty(1, 10.5, 1.2 + 0.32 * len(groups))
    at = np.arange(len(groups))
    panel.barh(
        at - 0.2, [100 * g.share for g in groups], 0.4, color=COLORS[1], label="squared error"
    )
    panel.barh(at + 0.2, [100 * g.weight for g in groups], 0.4, color="#bbbbbb", label="elements")
    panel.set_yticks(at, [g.name.replace("$", r"\$") for g in groups])
    panel.invert_yaxis()
    panel.set(xlabel="share, %")
    panel.legend(frameon=False)
    return figure
