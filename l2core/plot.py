"""Pictures of losses, residuals and bias; each a matplotlib figure (``pip install 'l2core[plot]'``).

They belong to no window and no state of pyplot: ``figure.savefig("losses.png")``.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from l2core.arrays import Array
from l2core.config import LossLike, loss_of
from l2core.decomposition import BiasVariance
from l2core.extras import require
from l2core.losses import Loss
from l2core.losses.base import number
from l2core.numpy_namespace import XP
from l2core.shares import residuals as _residuals
from l2core.shares import shares_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["bias_variance", "losses", "residuals", "svg"]

# Told apart by people who see colours otherwise: P. Tol, "Colour schemes" (2021), bright.
COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777")
DASHES = ("-", "--", "-.", ":")
PARTS = {"noise": "#bbbbbb", "bias²": "#4477aa", "variance": "#ee8866"}


def losses(*losses: LossLike, width: float = 3.0) -> Figure:
    """rho, psi and curvature of these losses side by side, for residuals within ±width.

    Where one of them jumps, its line is broken.
    """
    found = [loss_of(loss) for loss in losses]
    if not found:
        raise ValueError("losses: expected at least one, got none")
    for loss in found:
        if loss.needs:
            raise ValueError(f"losses: expected ones with all of their parameters, got {loss!r}")
    limit = number("width", width, 0.0, np.inf, "a finite number > 0")
    figure, panels = empty(3, 10.5, 3.6)
    r = np.linspace(-limit, limit, 2401)
    for k, loss in enumerate(found):
        how = {"color": COLORS[k % len(COLORS)], "linestyle": DASHES[k % len(DASHES)]}
        for panel, name in zip(panels, ("rho", "psi", "curvature"), strict=True):
            y = getattr(loss, name)(r, XP)
            panel.plot(r, _broken(y), label=_name(loss), linewidth=1.8, **how)
    for panel, title in zip(
        panels, ("rho(r)", "psi(r) = rho'", "curvature(r) = psi'"), strict=True
    ):
        panel.set(title=title, xlabel="residual r = pred - target")
        panel.axhline(0, color="#999999", linewidth=0.8, zorder=0)
        panel.axvline(0, color="#999999", linewidth=0.8, zorder=0)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(len(found), 4), frameon=False
    )
    return figure


def residuals(
    pred: Array,
    target: Array,
    *losses: LossLike,
    weight: Array | None = None,
    mask: Array | None = None,
) -> Figure:
    """The histogram of residuals, and the share of each loss that each tenth of \\|r\\| carries.

    losses: squared error, if none is given. Arrays as :func:`l2core.decile_shares` takes them;
    the histogram counts weights.
    """
    found = [loss_of(loss) for loss in losses or ("squared_error",)]
    r, w = _residuals(pred, target, weight, mask)
    if not np.all(np.isfinite(r)):
        lost = np.count_nonzero(~np.isfinite(r))
        raise ValueError(f"pred - target: expected finite numbers, got {lost} that are not")
    figure, (left, right) = empty(2, 10.5, 3.8)
    low, high = _range(r)
    beyond = np.count_nonzero((r < low) | (r > high))
    bins = min(max(len(np.histogram_bin_edges(r, "fd", (low, high))) - 1, 10), 80)
    left.hist(
        r, bins, range=(low, high), weights=w, color=COLORS[0], edgecolor="white", linewidth=0.3
    )
    left.axvline(0, color="#444444", linewidth=0.8)
    note = f"; {beyond:,} lie beyond" if beyond else ""
    if beyond and weight is not None:
        far = w[(r < low) | (r > high)].sum() / w.sum()
        note = f"; {100 * far:.2g} % of the weight lies beyond"
    left.set(title=f"{r.size:,} residuals{note}", xlabel="residual r = pred - target")
    left.set_ylabel("number" if weight is None else "sum of weights")
    deciles, bar, most = np.arange(1, 11), 0.8 / len(found), 10.0
    for k, loss in enumerate(found):
        at = deciles + (k - 0.5 * (len(found) - 1)) * bar
        shares = 100 * shares_of(r, w, loss)
        right.bar(at, shares, bar, color=COLORS[k % len(COLORS)], label=_name(loss))
        most = max(most, float(shares.max()))
    right.axhline(10, color="#444444", linewidth=0.8, linestyle=":", label="an equal share")
    right.set(title="What each tenth of the residuals adds to the loss", xticks=deciles)
    right.set(xlabel="tenth, from the smallest |r| to the largest", ylabel="share of the loss, %")
    right.set_ylim(0, most * (1.1 + 0.08 * len(found)))  # with room for the legend
    right.legend(frameon=False, loc="upper left")
    return figure


def bias_variance(parts: Mapping[Any, BiasVariance]) -> Figure:
    """Noise, bias² and variance of each model, one upon the other, up to its mean squared error.

    parts: what :func:`l2core.bias_variance` found, of one number each, by the name of the model.
    """
    if not isinstance(parts, Mapping) or not all(
        isinstance(p, BiasVariance) and np.ndim(p.mse) == 0 for p in parts.values()
    ):
        raise TypeError(
            "parts: expected BiasVariance of one number each, by name, got another thing"
        )
    if not parts:
        raise ValueError("parts: expected at least one model, got none")
    figure, (panel,) = empty(1, max(4.5, 1.5 + 0.7 * len(parts)), 3.8)
    at, up, down = np.arange(len(parts)), np.zeros(len(parts)), np.zeros(len(parts))
    each = {"noise": "noise", "bias²": "bias_squared", "variance": "variance"}
    for name, field in each.items():
        sizes = np.array([float(getattr(p, field)) for p in parts.values()])
        if not sizes.any():
            continue
        bottom = np.where(sizes < 0, down, up)  # an estimated bias² may be below 0
        panel.bar(at, sizes, 0.75, bottom, color=PARTS[name], label=name)
        up, down = up + np.maximum(sizes, 0), down + np.minimum(sizes, 0)
    total = [float(p.mse) for p in parts.values()]
    panel.plot(at, total, "o", color="#222222", markersize=4, label="mean squared error")
    panel.set_xticks(at, [str(name) for name in parts])
    panel.set(ylabel="mean squared error")
    panel.legend(frameon=False)
    return figure


def svg(figure: Figure) -> str:
    """A figure as SVG that stands inside a page: the same bytes for the same picture."""
    out = io.StringIO()
    with require("matplotlib", "plot").rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "l2core"}
    ):
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    size = re.compile(r'width="[\d.]+pt" height="[\d.]+pt"')
    return size.sub('width="100%"', text[text.index("<svg") :], count=1)


def _name(loss: Loss) -> str:
    return repr(loss).replace("()", "")


def empty(panels: int, width: float, height: float) -> tuple[Figure, Any]:
    """A figure of panels beside each other, in inches."""
    figure = require("matplotlib.figure", "plot").Figure((width, height), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.locator_params(nbins=7)
        each.ticklabel_format(scilimits=(-3, 4))  # or long labels run into each other
    return figure, axes


def _broken(y: Any) -> Any:
    """The line with a gap where one step is far larger than those beside it."""
    step = np.abs(np.diff(y))
    beside = np.maximum(np.append(step[1:], 0), np.insert(step[:-1], 0, 0))
    jump = (step > 0.01 * np.ptp(y)) & (step > 10 * beside)
    # A value on the jump itself (psi of L1 at 0) makes two steps of one.
    twice = np.append(step[1:], 0)
    outer = np.maximum(np.append(step[2:], [0, 0]), np.insert(step[:-1], 0, 0))
    both = (
        (step > 0.01 * np.ptp(y))
        & (twice > 0.01 * np.ptp(y))
        & (np.minimum(step, twice) > 10 * outer)
    )
    line = y.copy()
    line[1:][jump] = np.nan
    line[1:][both] = np.nan
    return line


def _range(r: Any) -> tuple[float, float]:
    """All residuals; but where a few lie far out, the range of the others."""
    low, high = (float(x) for x in np.quantile(r, [0.005, 0.995]))
    middle, reach = 0.5 * (low + high), 0.75 * (high - low)
    least, most = float(r.min()), float(r.max())
    if reach == 0:
        around = max(0.5, 1e-3 * abs(middle))
        return least - around, most + around
    return max(least, middle - reach), min(most, middle + reach)
