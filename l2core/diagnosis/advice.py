"""What the measures suggest, each with the numbers behind it and what it would change."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from l2core.constant import best_constant
from l2core.diagnosis.measures import Cleaned, Measures
from l2core.hosted import quantile
from l2core.losses import AbsoluteError, Huber, Loss, SquaredError
from l2core.numpy_namespace import XP
from l2core.robust import huber_tuning
from l2core.shares import shares_of
from l2core.written import calls, options

SURE = 10.0
"""BIC by which a model must be better: "very strong" evidence (Kass and Raftery, 1995)."""
RARE = 0.001
"""p below which a trend is no accident, and how many standard errors that is."""
ERRORS = 3.3
TREND, SKEW, BIAS = 0.1, 0.1, 0.05
"""Sizes below which an effect is not worth a change, however sure: a correlation of ranks, a skewness,
a share of the residuals' deviation."""
FEW, TIED = 20, 0.05
"""Residuals below which nothing is judged; the share of one number from which they are discrete."""


@dataclass(frozen=True)
class Suggestion:
    """What to do, why, what it would change on these data, and one line of code for each framework."""

    name: str
    title: str
    reason: str
    effect: str
    code: dict[str, str]


def suggestions(c: Cleaned, m: Measures) -> tuple[Suggestion, ...]:
    """The most important first; "keep" alone where nothing speaks against squared error."""
    lost = [s for s in (_missing(c), _broken(c)) if s is not None]
    if m.constant:
        return (_constant(m), *lost)
    more = [s for s in (_bias(m), _scaled(m)) if s is not None]
    return (*_noise(c, m), *lost, *more)


def _noise(c: Cleaned, m: Measures) -> tuple[Suggestion, ...]:
    """Of skewness, of a spread that goes with the prediction, of heavy tails: what there is."""
    if not np.ptp(c.r):
        return (_same(c),)
    if len(c.r) < FEW:
        return (_few(c),)
    found, tied = [], m.tied > TIED
    if not tied and abs(m.skew.value) > max(SKEW, ERRORS * m.skew.error):
        found.append(_skewed(c, m))
    if m.spread.p < RARE and m.spread.share > TREND**2:
        found.append(_spread(m))
    # Tails that remain when the spread is taken out; a skewed distribution has one of them anyway.
    if not tied and not any(s.name == "skewed" for s in found):
        tails = _tails(c, m, bool(found))
        if tails is not None:
            found.append(tails)
    if tied:
        found.append(_discrete(c, m))
    return tuple(found) or (_keep(m),)


def _same(c: Cleaned) -> Suggestion:
    what = f"All {len(c.r):,} residuals are {c.r[0]:.6g}."
    return Suggestion("keep", "Keep squared error", what, "Nothing.", dict(_SQUARED))


def _few(c: Cleaned) -> Suggestion:
    return Suggestion(
        "few",
        "Too few residuals to judge",
        f"There are {len(c.r)}; from {FEW} on kinds of noise can be told apart.",
        "Nothing.",
        {},
    )


def _discrete(c: Cleaned, m: Measures) -> Suggestion:
    distinct = len(np.unique(c.r))
    return Suggestion(
        "discrete",
        "Residuals repeat: no kind of noise is suggested",
        f"{100 * m.tied:.0f} % of them are one number, and {distinct:,} of {len(c.r):,} are distinct; the "
        "likelihoods of continuous noise have no meaning for them.",
        "Counts want a likelihood of counts (Poisson, negative binomial), which is none of a residual.",
        {},
    )


def _keep(m: Measures) -> Suggestion:
    gaussian, *others = m.models
    best = min(others, key=lambda x: x.bic)
    return Suggestion(
        "keep",
        "Keep squared error",
        "No heavier tail, no spread that goes with the prediction and no skewness was found: BIC "
        f"{gaussian.bic:.1f} of Gaussian noise, against {best.bic:.1f} of {best.name} (less is better); "
        f"rank correlation of |r| with the prediction {m.spread.correlation:+.2f}; skewness "
        f"{m.skew.value:+.2f} ± {m.skew.error:.2f}.",
        "Nothing.",
        dict(_SQUARED),
    )


def _tails(c: Cleaned, m: Measures, divided: bool) -> Suggestion | None:
    gaussian, laplace, student = m.within if divided else m.models
    which = (
        "the residuals, each divided by the spread at its prediction,"
        if divided
        else "the residuals"
    )
    best = min(laplace, student, key=lambda x: x.bic)
    if best.bic > gaussian.bic - SURE:
        return None
    d = f"{m.scale.delta:.4g}"
    loss: Loss = AbsoluteError() if best is laplace else Huber(float(d))
    df = "" if best.df is None else f" with {best.df:.1f} degrees of freedom"
    reason = (
        f"{best.name}{df} fits {which} better than a Gaussian: BIC {best.bic:.1f} against "
        f"{gaussian.bic:.1f}."
    )
    effect = _effect(c, m, loss)
    if best is laplace:
        code = calls(
            "Criterion(AbsoluteError())", "L1Loss()", "MeanAbsoluteError()", "l1_loss(pred, target)"
        )
        return Suggestion("laplace", "Use the absolute error", reason, effect, code)
    code = calls(
        f"Criterion(Huber({d}))",
        f"HuberLoss(delta={d})",
        f"Huber(delta={d})",
        f"huber_loss(pred, target, {d})",
    )
    title = f"Use Huber's loss with delta = {d}"
    reason += (
        f" That delta is {huber_tuning():.4f} times the scale {m.scale.robust:.4g} by the median "
        "of |r|, and has 95 % of the efficiency of squared error on Gaussian errors."
    )
    return Suggestion("outliers", title, reason, effect, code)


def _effect(c: Cleaned, m: Measures, loss: Loss) -> str:
    """Shares of the largest tenth, and how well each loss tells a constant."""
    before, after = (100 * shares_of(c.r, c.w, x)[-1] for x in (SquaredError(), loss))
    text = (
        f"The tenth of the residuals that are largest makes {after:.0f} % of the loss in place of "
        f"{before:.0f} %"
    )
    ratio = _variance(c, m, loss) / _variance(c, m, SquaredError())
    if ratio < 1:
        text += f"; a constant that is fitted to such residuals has {100 * (1 - ratio):.0f} % less variance"
    return text + "."


def _variance(c: Cleaned, m: Measures, loss: Loss) -> float:
    """The asymptotic variance of the best constant: E[psi²] / (d/dc E[psi])²."""
    at = best_constant(loss, c.r, c.w)
    r = c.r - at
    psi = float(np.average(loss.psi(r, XP) ** 2, weights=c.w))
    # The slope by a step, for psi that jumps (L1) too: of the size at which densities are estimated.
    step = max((m.scale.robust or m.scale.mae) * c.effective**-0.2, 1e-300)
    up, down = (float(np.average(loss.psi(r + s, XP), weights=c.w)) for s in (step, -step))
    slope = (up - down) / (2 * step)
    return psi / slope**2 if slope > 0 else math.inf


def _spread(m: Measures) -> Suggestion:
    s = m.spread
    if not s.deviations:
        how = f"Errors go with the prediction: rank correlation of |r| {s.correlation:+.2f}"
    else:
        least, most = min(s.deviations), max(s.deviations)
        at = [s.centers[s.deviations.index(x)] for x in (least, most)]
        how = (
            f"Errors go with the prediction: over its tenths their deviation is from {least:.3g} (about "
            f"{at[0]:.3g}) to {most:.3g} (about {at[1]:.3g}); rank correlation of |r| {s.correlation:+.2f}"
        )
    effect = (
        f"A variance for each tenth of predictions raises the Gaussian log likelihood by {s.gain:.3f} an "
        "element. Predict it beside the mean; the mean then weighs each element by its own precision."
    )
    call = "(mean, target, log_variance=log_variance)"
    code = calls(
        f"Criterion(GaussianNLL()){call}",
        f'Criterion("gaussian_nll"){call}',
        'Criterion("gaussian_nll", packed=["variance"])',
        f'Criterion("gaussian_nll"){call}',
    )
    reason = f"{how} (by accident in {s.p:.1g} of cases)."
    return Suggestion("spread", "Predict the variance too (GaussianNLL)", reason, effect, code)


def _skewed(c: Cleaned, m: Measures) -> Suggestion:
    side = "low" if m.skew.value < 0 else "high"
    positive = np.all(c.target > 0)
    reason = (
        f"The residuals are skewed: (q90 + q10 - 2 median) / (q90 - q10) is {m.skew.value:+.2f} ± "
        f"{m.skew.error:.2f}; predictions that are too {side} are the larger ones."
    )
    effect = (
        f"The mean, which squared error predicts, and the median of the residuals lie "
        f"{abs(m.scale.bias - m.scale.median):.4g} apart"
        f" ({abs(m.scale.bias - m.scale.median) / (m.scale.rmse or 1):.2f} of the RMSE): decide which one "
        "is wanted."
    )
    logs = _log_skew(c) if positive else math.nan
    if abs(logs) < 0.5 * abs(m.skew.value):
        effect += f" All targets are positive, and errors of their logarithms are less skewed ({logs:+.2f})."
    code = calls(
        "Criterion(Quantile(0.5))",
        "QuantileLoss(0.5)",
        'Criterion("quantile")',
        'Criterion("quantile")(pred, target)',
    )
    return Suggestion(
        "skewed", "Predict quantiles (the median), or transform the target", reason, effect, code
    )


def _log_skew(c: Cleaned) -> float:
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.log(np.maximum(c.pred, 1e-300)) - np.log(c.target)
    kept = np.isfinite(r) & (c.pred > 0)
    if not kept.any():
        return math.nan
    low, middle, high = quantile(r[kept], c.w[kept], [0.1, 0.5, 0.9])
    return float((high + low - 2 * middle) / (high - low)) if high > low else 0.0


def _bias(m: Measures) -> Suggestion | None:
    s = m.scale
    spread = math.sqrt(max(s.rmse**2 - s.bias**2, 0.0))
    if abs(s.bias) <= ERRORS * s.bias_error or abs(s.bias) <= BIAS * spread:
        return None
    how = "high" if s.bias > 0 else "low"
    share = s.bias**2 / s.rmse**2 if s.rmse else 0.0
    return Suggestion(
        "bias",
        f"Predictions are too {how} by {abs(s.bias):.4g}",
        f"The mean residual is {s.bias:+.4g} ± {s.bias_error:.2g}.",
        f"Taking it off lowers the mean squared error by {100 * share:.1f} %, "
        f"to an RMSE of {spread:.4g}.",
        {"l2core": f"pred - {s.bias:.6g}"},
    )


def _scaled(m: Measures) -> Suggestion | None:
    s = m.scale
    if not s.deviation or (1e-3 <= s.deviation <= 1e3 and abs(s.center) < 1e3 * s.deviation):
        return None
    return Suggestion(
        "standardise",
        "Standardise the target",
        f"Its mean is {s.center:.4g} and its standard deviation {s.deviation:.4g}.",
        f"Gradients of squared error, now of the size {2 * s.rmse:.3g}, become {2 * s.rmse / s.deviation:.3g}; "
        f"the loss {s.rmse**2:.3g} becomes {(s.rmse / s.deviation) ** 2:.3g}, the share of the "
        "target's variance that is not explained.",
        {"l2core": f"(target - {s.center:.6g}) / {s.deviation:.6g}"},
    )


def _missing(c: Cleaned) -> Suggestion | None:
    if not c.missing:
        return None
    kept = len(c.r) + c.broken
    return Suggestion(
        "missing",
        "Leave out the missing targets",
        f"{c.missing:,} of the targets {'is' if c.missing == 1 else 'are'} NaN, and so is any mean over them.",
        f"The loss is then that of the other {kept:,} elements.",
        options('SquaredError(), nan_targets="ignore"', 'nan_targets="ignore"'),
    )


def _broken(c: Cleaned) -> Suggestion | None:
    if not c.broken:
        return None
    return Suggestion(
        "broken",
        "Some predictions or targets are not finite",
        f"{c.broken:,} of them, which are left out of all figures here.",
        "A loss over them is infinite or NaN: look where they come from.",
        {},
    )


def _constant(m: Measures) -> Suggestion:
    return Suggestion(
        "constant",
        "The target is constant",
        f"All targets are {m.scale.center:.6g}.",
        "There is nothing to learn from them; R² has no meaning.",
        {},
    )


_SQUARED = calls(
    "Criterion(SquaredError())", "MSELoss()", "MeanSquaredError()", "mse_loss(pred, target)"
)
