"""Numbers that are no mean of losses: R² and its relatives, extremes, and broadcast pairs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from l2core.explanation.data import Data, Look
from l2core.explanation.tallies import Kind, kinds
from l2core.explanation.views import brain
from l2core.explanation.vocabulary import RHOS, Rho

PAIRS = 4096
"""Rows up to which all pairs of predictions and targets are formed."""
SORTED = 1 << 22
"""Elements up to which a median is taken, or pairs are sorted."""
LOOPED = 1 << 20
"""Elements up to which sums are added one by one, in Python."""


class Aggregate(NamedTuple):
    """A value, what it is, and how common."""

    value: float
    words: str
    cost: float
    code: str
    criterion: str = ""


_R = "(pred - target)"
_MEAN = "{xp}.mean(target)"


def aggregates(data: Data, look: Look) -> Iterator[Aggregate]:
    """All of them; none of several quantiles, which are no predictions of the mean."""
    if data.several > 1:
        return
    moments = [(kind, _moments(data, look, kind)) for kind in kinds(data)]
    for kind, m in moments:
        yield from _determined(kind, m)
    if not data.finite:
        return
    if look.n <= SORTED:
        yield from _one_by_one(data)
    residual = moments[-1][1]
    total = {name: x.sum() for name, x in residual.items()}
    n = total["w"]
    mean = total["r"] / n
    spread = max(float(total["rr"] / n - mean**2), 0.0)
    yield Aggregate(float(mean), "mean residual (bias)", 2.0, f"{{xp}}.mean{_R}")
    yield Aggregate(-float(mean), "mean of target - pred", 2.5, "{xp}.mean(target - pred)")
    yield Aggregate(
        math.sqrt(spread),
        "standard deviation of the residuals",
        2.5,
        f"({{xp}}.mean({_R} ** 2) - {{xp}}.mean{_R} ** 2) ** 0.5",
    )
    largest = float(residual["most"].max())
    yield Aggregate(largest, "largest absolute error", 2.0, f"{{xp}}.max({{xp}}.abs{_R})")
    if look.n <= SORTED:
        sizes = np.abs(data.pred.astype(np.float64) - data.target)
        median = float(np.median(sizes))
        yield Aggregate(
            median, "median absolute error", 2.0, f"{{xp}}.quantile({{xp}}.abs{_R}, 0.5)"
        )
    if look.integer:
        squares = (np.sum((b.pred - b.target) ** 2, dtype=np.float64) for b in data.blocks())
        words = "mean squared error, subtracted and squared in their integers, which wrap around"
        value = float(sum(squares)) / look.n
        yield Aggregate(value, words, 1.0, f"{{xp}}.mean(1.0 * {_R} ** 2)")
    if data.outputs == 1:
        yield from _pairs(data, look)


def _one_by_one(data: Data) -> Iterator[Aggregate]:
    """Means whose sum was added up in halves, one after the other: it stops growing, or is infinite."""
    n = data.pred.size
    for half, rounded, total in (
        ("float16", _halved, _of_halves),
        ("bfloat16", _brained, _of_brains),
    ):
        if half == "bfloat16" and n > LOOPED:
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            r = rounded(rounded(data.pred) - rounded(data.target)).ravel()
            each = {"squared": rounded(r * r), "absolute": np.abs(r)}
            sums = {name: total(x) for name, x in each.items()}
        residual = f"({half}(pred) - {half}(target))"
        codes = {"squared": f"{residual} ** 2", "absolute": f"{{xp}}.abs{residual}"}
        for name, code in codes.items():
            flat = f"1.0 * {{xp}}.cumsum({{xp}}.reshape({code}, (-1,)), 0)[-1]"
            words = f"mean {name} error, added up one by one in {half}"
            yield Aggregate(sums[name] / n, words, 3.0, f"{flat} / math.prod(pred.shape)")


def _halved(x: Any) -> Any:
    return x.astype(np.float16)


def _brained(x: Any) -> Any:
    return brain(x.astype(np.float32))


def _of_halves(x: Any) -> float:
    return float(np.cumsum(x)[-1])


def _of_brains(x: Any) -> float:
    """Each sum rounded to 8 bits, to the nearest even."""
    if not np.isfinite(x).all():
        return math.inf
    total = 0.0
    for each in x.astype(np.float64).tolist():
        mantissa, exponent = math.frexp(total + each)
        total = math.ldexp(round(mantissa * 256), exponent - 8)
    return total


def _moments(data: Data, look: Look, kind: Kind) -> dict[str, Any]:
    """Σω, Σω(t - c), Σω(t - c)², Σωr, Σωr², and the largest |r|, of each output."""
    names = ("w", "t", "tt", "r", "rr")
    found = {name: np.zeros(data.outputs) for name in names}
    found["most"] = np.zeros(data.outputs)
    with np.errstate(all="ignore"):
        for block in data.blocks():
            factor = kind.of(block)
            w = np.ones(block.pred.shape) if factor is None else factor.astype(np.float64)
            t = block.target.astype(np.float64)
            r = block.pred.astype(np.float64) - t
            t, r = (np.where(w != 0, x, 0.0) for x in (t - look.center, r))
            for name, x in zip(names, (w, w * t, w * t * t, w * r, w * r * r), strict=True):
                found[name] += x.sum(axis=0)
            found["most"] = np.maximum(found["most"], np.abs(r).max(axis=0))
    return found


def _determined(kind: Kind, m: dict[str, Any]) -> Iterator[Aggregate]:
    """R² and what others make of it."""
    code = kind.code.format(rho="{rho}", xp="{xp}") if kind.code != "{rho}" else "{rho}"
    tail = f", {kind.words}" if kind.words else ""
    with np.errstate(all="ignore"):
        each = m["tt"] - m["t"] ** 2 / m["w"]
        own = 1 - m["rr"] / each
        varied = 1 - (m["rr"] - m["r"] ** 2 / m["w"]) / each
        w, t = m["w"].sum(), m["t"].sum()
        whole = float(1 - m["rr"].sum() / (m["tt"].sum() - t**2 / w))
    top = f"{{xp}}.sum({code.format(rho=f'{_R} ** 2', xp='{xp}')})"
    weight = f"{{xp}}.sum({code.format(rho='{xp}.ones_like(pred)', xp='{xp}')})"
    center = f"{{xp}}.sum({code.format(rho='target', xp='{xp}')}) / {weight}"
    under = f"{{xp}}.sum({code.format(rho=f'(target - {center}) ** 2', xp='{xp}')})"
    yield Aggregate(whole, f"R²{tail}", 1.0 + kind.cost, f"1 - {top} / {under}")
    words = f"squared error over the target's variance (1 - R²){tail}"
    yield Aggregate(1 - whole, words, 2.0 + kind.cost, f"{top} / {under}")
    if len(own) > 1:
        words = f"mean of the R² of each output{tail}"
        code_of = f"1 - {{xp}}.mean({{xp}}.mean({_R} ** 2, axis=0) / {_variance('target')})"
        if not kind.words and kind.code == "{rho}":
            yield Aggregate(float(own.mean()), words, 1.0, code_of)
    if kind.code == "{rho}":
        yield Aggregate(
            float(varied.mean()),
            f"explained variance{tail}",
            2.0 + kind.cost,
            f"1 - {{xp}}.mean({_variance(_R)} / {_variance('target')})",
        )


def _variance(x: str) -> str:
    return f"{{xp}}.mean(({x} - {{xp}}.mean({x}, axis=0)) ** 2, axis=0)"


def _pairs(data: Data, look: Look) -> Iterator[Aggregate]:
    """(N,) against (N, 1) broadcasts to all pairs, (N, N)."""
    if data.rows < 2 or look.n > SORTED:
        return
    p, t = (x.astype(np.float64).ravel() for x in (data.pred, data.target))
    shapes = f"(N,) against (N, 1), broadcast to {data.rows:,} x {data.rows:,} pairs"
    pairs = "{xp}.reshape(pred, (-1, 1))", "{xp}.reshape(target, (1, -1))"
    for rho in (rho for rho in RHOS if rho.fits(look)):
        value = _over_pairs(rho, p, t)
        if value is not None:
            code = f"{{xp}}.mean({rho.code})".replace("pred", "_p").replace("target", "_t")
            code = code.replace("_p", pairs[0]).replace("_t", pairs[1])
            yield Aggregate(value, f"mean {rho.words}; {shapes}", 1.5 + rho.cost, code)
            if rho is RHOS[0]:
                root, words = f"({code}) ** 0.5", f"root mean {rho.words}; {shapes}"
                yield Aggregate(math.sqrt(value), words, 2.0, root)


def _over_pairs(rho: Rho, p: Any, t: Any) -> float | None:
    """The mean over all pairs; None where it would take too long."""
    if rho.words.endswith("squared error"):
        both = float(np.var(p) + np.var(t) + (p.mean() - t.mean()) ** 2)
        return both * (0.5 if rho.words.startswith("half") else 1.0)
    if rho.words == "absolute error":
        ordered = np.sort(t)
        below = np.searchsorted(ordered, p)
        sums = np.concatenate([[0.0], np.cumsum(ordered)])
        n, at_most = len(t), sums[below]
        return float(np.mean(p * (2 * below - n) + sums[-1] - 2 * at_most) / n)
    if len(p) > PAIRS or not rho.of_residual or not rho.main:
        return None
    rows = max(1, (1 << 18) // len(t))
    blocks = (rho.of(p[i : i + rows, None], t[None, :]) for i in range(0, len(p), rows))
    return float(sum(float(x.sum()) for x in blocks) / len(p) ** 2)
