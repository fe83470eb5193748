"""Sums over all of the data, for each thing that may be lost: what a convention divides."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from l2core.explanation.data import Block, Data, Look
from l2core.explanation.views import VIEWS, View
from l2core.explanation.vocabulary import (
    BATCHES,
    RHOS,
    SMOOTHING,
    R,
    Rho,
    pinballs,
)

COLUMNS = 256
"""Outputs up to which the sum of each is kept."""


@dataclass(frozen=True)
class Kind:
    """Which elements count, and by how much: ``of`` gives the factor of a block, None for 1."""

    words: str
    cost: float
    of: Callable[[Block], Any]
    code: str  # around {rho}
    count: str  # the elements that count, as code


W, M = "_weight", "_mask"  # aligned, in the code of an answer
ALL = "math.prod(pred.shape)"
PLAIN = Kind("", 0.0, lambda b: None, "{rho}", ALL)


def kinds(data: Data) -> list[Kind]:
    """Those that the weights and the mask of the data allow."""
    w, m = data.weight is not None, data.mask is not None
    of_mask = f"{{xp}}.sum({{xp}}.where({M}, 1.0, 0.0) * {{xp}}.ones_like(pred))"
    present = f"{{xp}}.sum({{xp}}.where({W} != 0, 1.0, 0.0) * {{xp}}.ones_like(pred))"
    both = f"{{xp}}.sum({{xp}}.where({M} & ({W} != 0), 1.0, 0.0) * {{xp}}.ones_like(pred))"
    found = []
    weigh = f"{W} * {{rho}}" if data.finite else _where(f"{W} != 0", f"{W} * ")
    if w and m:
        found += [
            Kind(
                "",
                0.0,
                lambda b: np.where(b.mask, b.weight, 0),
                _where(M if data.finite else f"{M} & ({W} != 0)", f"{W} * "),
                both,
            ),
            Kind("weights ignored", 1.0, lambda b: b.mask, _where(M), of_mask),
            Kind("the mask ignored", 1.0, lambda b: b.weight, weigh, present),
        ]
    elif w:
        found += [
            Kind("", 0.0, lambda b: b.weight, weigh, present),
            Kind(
                "weights taken as a mask",
                1.5,
                lambda b: b.weight != 0,
                _where(f"{W} != 0"),
                present,
            ),
            Kind(
                "weights squared",
                3.0,
                lambda b: np.square(b.weight.astype(np.float64)),
                _where(f"{W} != 0", f"{W} ** 2 * "),
                present,
            ),
        ]
    elif m:
        found.append(Kind("", 0.0, lambda b: b.mask, _where(M), of_mask))
    words = {(True, True): "weights and mask", (True, False): "weights", (False, True): "the mask"}
    if (w, m) in words:
        found.append(Kind(f"{words[w, m]} ignored", 1.25, lambda b: None, "{rho}", ALL))
    if not data.finite:
        there = f"{{xp}}.isfinite(1.0 * {R})"
        count = f"{{xp}}.sum({{xp}}.where({there}, 1.0, 0.0))"
        left_out = "what is not finite left out"
        found.append(Kind(left_out, 0.5, _finite, _where(there), count))
    return found if w or m else [PLAIN, *found]


def _finite(b: Block) -> Any:
    return np.isfinite(b.pred.astype(np.float64) - b.target)


def _where(condition: str, factor: str = "") -> str:
    return f"{{xp}}.where({condition}, {factor}{{rho}}, 0.0)"


@dataclass
class Batched:
    """Means of batches of one size, in the order of the rows."""

    size: int
    total: float = 0.0
    count: int = 0
    first: float = math.nan
    last: float = math.nan
    whole: tuple[float, float] = (0.0, 0.0)  # numerator and denominator of full batches
    running: dict[float, float] = field(default_factory=lambda: dict.fromkeys(SMOOTHING, 0.0))
    carry: tuple[float, float, int] = (0.0, 0.0, 0)

    def add(self, top: Any, under: Any) -> None:
        """Further rows: their numerators and denominators."""
        a, b, rows = self.carry
        missing = (self.size - rows) % self.size
        if rows:
            taken = min(missing, len(top))
            a, b, rows = a + top[:taken].sum(), b + under[:taken].sum(), rows + taken
            top, under = top[taken:], under[taken:]
            if rows == self.size:
                self._means(np.array([a]), np.array([b]))
                a, b, rows = 0.0, 0.0, 0
        full = len(top) // self.size * self.size
        if full:
            self._means(*(x[:full].reshape(-1, self.size).sum(axis=1) for x in (top, under)))
        rest = len(top) - full
        if rest:
            a, b, rows = float(top[full:].sum()), float(under[full:].sum()), rest
        self.carry = (float(a), float(b), rows)

    def _means(self, top: Any, under: Any) -> None:
        self.whole = (self.whole[0] + float(top.sum()), self.whole[1] + float(under.sum()))
        self._add_means(top, under)

    def _add_means(self, top: Any, under: Any) -> None:
        with np.errstate(divide="ignore", invalid="ignore"):
            means = top / under
        if not self.count:
            self.first = float(means[0])
        self.total += float(means.sum())
        self.count += len(means)
        self.last = float(means[-1])
        back = np.arange(len(means))[::-1]
        for a in SMOOTHING:
            fresh = float(np.sum((1 - a) * a**back * means))
            self.running[a] = a ** len(means) * self.running[a] + fresh

    def finish(self) -> bool:
        """Count the rows that are left as a batch; whether there were any."""
        a, b, rows = self.carry
        if rows:
            self._add_means(np.array([a]), np.array([b]))
        return bool(rows)


@dataclass
class Tally:
    """The sums of one view, rho and kind."""

    view: View
    rho: Rho
    kind: Kind
    total: float = 0.0
    columns: Any = None  # (2, D): numerators and denominators
    roots: float = 0.0  # the sum of sqrt of the means of rows
    rows: int = 0  # that have one
    batches: dict[int, Batched] = field(default_factory=dict)

    def add(self, rho: Any, factor: Any) -> None:
        """A block of rho, (rows, D)."""
        count: Any = np.broadcast_to(1.0, rho.shape)
        if factor is not None:
            factor = factor.astype(np.float64)
            # Not 0 · NaN: this kind leaves out what it does not count.
            rho, count = np.where(factor != 0, factor * rho, 0.0), factor
        top, under = rho.sum(axis=1), count.sum(axis=1)
        self.total += float(top.sum())
        if self.columns is not None:
            self.columns += np.stack([rho.sum(axis=0), count.sum(axis=0)])
        there = under > 0
        self.roots += float(np.sum(np.sqrt(np.maximum(top[there], 0) / under[there])))
        self.rows += int(there.sum())
        for batched in self.batches.values():
            batched.add(top, under)


def tallied(data: Data, look: Look, tell: Any = None) -> Iterator[Tally]:
    """Every sum, view by view: one pass over the data each."""
    which = kinds(data)
    sizes = [b for b in BATCHES if b < data.rows]
    views = [view for view in VIEWS if view.fits(look)]
    every = [rho for rho in RHOS if rho.fits(look)]
    if data.several > 1:
        views, every = views[:1], [*pinballs(data.several), *every]
    for k, view in enumerate(views):
        if tell is not None:
            tell(k, len(views))
        rhos = [rho for rho in every if _concerns(view, rho)]
        found = [[Tally(view, rho, kind) for kind in which] for rho in rhos]
        for tallies in found:
            for tally in tallies:
                if data.outputs <= COLUMNS:
                    tally.columns = np.zeros((2, data.outputs))
                if view is VIEWS[0] and tally.rho.main:
                    tally.batches = {b: Batched(b) for b in sizes}
        with np.errstate(all="ignore"):
            for block in data.blocks():
                p, t = view.of(block.pred, block.target, look)
                factors = [kind.of(block) for kind in which]
                for tallies in found:
                    rho = tallies[0].rho.of(p, t)
                    for tally, factor in zip(tallies, factors, strict=True):
                        tally.add(rho, factor)
        for tallies in found:
            yield from tallies


def _concerns(view: View, rho: Rho) -> bool:
    if view.rhos == "all":
        return True
    if view.rhos == "residual":
        return rho.of_residual
    return rho.directed if view.rhos == "directed" else rho.main
