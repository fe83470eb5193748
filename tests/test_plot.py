"""The pictures show the numbers, which are right: shares by tenths, lines, bars."""

import re
import sys

import matplotlib.figure
import numpy as np
import pytest

from l2core import (
    AbsoluteError,
    BiasVariance,
    Huber,
    LogCosh,
    Quantile,
    SquaredError,
    bias_variance,
    decile_shares,
    plot,
)
from l2core.numpy_namespace import XP

RNG = np.random.default_rng(2)
PRED, TARGET = RNG.standard_normal((2, 40, 3))
WEIGHT = np.arange(40) % 4  # so that the data can be repeated as often
MASK = RNG.random((40, 3)) < 0.9


@pytest.mark.parametrize("loss", [SquaredError(), Huber(0.5), Quantile(0.9)], ids=repr)
def test_shares_by_tenths(loss):
    """Those of the data in which each element stands as often as it weighs, ten times over."""
    r = [
        (PRED[i] - TARGET[i])[MASK[i]] for i, times in enumerate(WEIGHT) for _ in range(10 * times)
    ]
    r = sorted(np.concatenate(r), key=abs)  # ten times each, so that tenths are whole
    each = loss.rho(np.array(r), XP).reshape(10, -1).sum(axis=1)
    target = np.where(MASK & (WEIGHT > 0)[:, None], TARGET, np.nan)
    found = decile_shares(PRED, target, loss, weight=WEIGHT, mask=MASK)
    np.testing.assert_allclose(found, each / each.sum(), rtol=1e-9)
    np.testing.assert_allclose(found.sum(), 1.0, rtol=1e-14)


def test_shares_of_nothing():
    assert decile_shares(np.ones(7), np.ones(7)).tolist() == [0.1] * 10
    for bad in ([1.0, np.nan], [1.0, np.inf], [1.0, 1e200], [1e-200, 0.0]):
        assert np.isnan(decile_shares(np.array(bad), np.zeros(2))).all()
    with pytest.raises(TypeError, match=r"^pred: expected "):
        decile_shares(np.ma.array([1.0, 2.0], mask=[0, 1]), np.ones(2))
    with pytest.raises(ValueError, match=r"^weight: expected numbers >= 0, got others"):
        decile_shares(PRED, TARGET, weight=-WEIGHT)
    with pytest.raises(ValueError, match=r"^loss: expected one that is 0 at r = 0, got LaplaceNLL"):
        decile_shares(PRED, TARGET, "laplace_nll")
    with pytest.raises(
        ValueError, match=r"^pred: expected at least one element present, got none$"
    ):
        decile_shares(PRED, TARGET, mask=np.zeros((40, 3), bool))


def test_losses():
    shown = [Huber(1.0), AbsoluteError(), LogCosh()]
    figure = plot.losses(*shown, width=2.0)
    assert isinstance(figure, matplotlib.figure.Figure)
    panels = figure.axes
    assert [re.split(r"\W", p.get_title())[0] for p in panels] == ["rho", "psi", "curvature"]
    for panel, name in zip(panels, ("rho", "psi", "curvature"), strict=True):
        for line, loss in zip(panel.get_lines(), shown, strict=False):
            x, y = line.get_data()
            drawn = ~np.isnan(y)
            assert drawn.sum() > len(x) - 5
            np.testing.assert_array_equal(y[drawn], getattr(loss, name)(x, XP)[drawn])
            assert (x.min(), x.max()) == (-2, 2)
    psi = panels[1].get_lines()
    assert np.isnan(psi[1].get_ydata()[np.abs(psi[1].get_xdata()) < 2e-3]).any()  # L1 jumps
    for smooth in (psi[0], psi[2]):
        assert not np.isnan(smooth.get_ydata()).any()
    curvature = panels[2].get_lines()[0]
    broken = np.abs(curvature.get_xdata()[np.isnan(curvature.get_ydata())])
    np.testing.assert_allclose(broken, 1.0, atol=2e-3)  # Huber's, at delta
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["Huber(delta=1.0)", "AbsoluteError", "LogCosh"]


def test_residuals():
    pred = np.concatenate([RNG.standard_normal(500), [80.0, -90.0]])
    figure = plot.residuals(pred, np.zeros(502), SquaredError(), "huber")
    left, right = figure.axes
    assert left.get_title() == "502 residuals; 2 lie beyond"
    assert sum(bar.get_height() for bar in left.patches) == 500
    heights = [bar.get_height() for bar in right.patches]
    for loss, found in zip((SquaredError(), Huber()), (heights[:10], heights[10:]), strict=True):
        np.testing.assert_allclose(found, 100 * decile_shares(pred, np.zeros(502), loss))
    weighted = plot.residuals(PRED, TARGET, weight=WEIGHT, mask=MASK).axes[0]
    assert weighted.get_ylabel() == "sum of weights"
    np.testing.assert_allclose(
        sum(bar.get_height() for bar in weighted.patches), np.sum(WEIGHT[:, None] * MASK)
    )
    plot.residuals(np.ones(5), np.ones(5))
    plot.residuals(np.full(5, 1e20), np.zeros(5))


def test_bars():
    models = {k: bias_variance(k * PRED + TARGET * 0.5, TARGET[0], 0.1) for k in (1, 2)}
    (panel,) = plot.bias_variance(models).axes
    heights = np.array([bar.get_height() for bar in panel.patches]).reshape(3, 2)
    for k, parts in enumerate(models.values()):
        np.testing.assert_allclose(heights[:, k], [0.1, parts.bias_squared, parts.variance])
        top = panel.patches[4 + k].get_y() + heights[2, k]
        np.testing.assert_allclose(top, parts.mse)
    np.testing.assert_allclose(panel.get_lines()[0].get_ydata(), [p.mse for p in models.values()])
    below = BiasVariance(0.5, -0.1, 0.4, 0.2)
    bars = plot.bias_variance({"a": below}).axes[0].patches
    assert [bar.get_y() for bar in bars] == [0.0, 0.0, 0.2]


def test_what_is_wrong(monkeypatch):
    with pytest.raises(ValueError, match=r"^losses: expected at least one, got none$"):
        plot.losses()
    with pytest.raises(
        ValueError, match=r"^losses: expected ones with all of their parameters, got"
    ):
        plot.losses("gaussian_nll")
    with pytest.raises(ValueError, match=r"^width: expected a finite number > 0, got 0"):
        plot.losses("huber", width=0)
    with pytest.raises(
        ValueError, match=r"^pred - target: expected finite numbers, got 1 that are not"
    ):
        plot.residuals(np.array([1.0, np.inf]), np.ones(2))
    with pytest.raises(ValueError, match=r"^parts: expected at least one model, got none$"):
        plot.bias_variance({})
    with pytest.raises(
        TypeError, match=r"^parts: expected BiasVariance of one number each, by name"
    ):
        plot.bias_variance(BiasVariance(0.5, 0.1, 0.4, 0.0))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.figure")
    with pytest.raises(ImportError, match=r"pip install 'l2core\[plot\]'"):
        plot.losses("huber")
