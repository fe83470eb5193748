"""Batches of every other size, where no usual one fits: from running sums of the rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from l2core.explanation.data import Data, Look
from l2core.explanation.printed import Printed
from l2core.explanation.tallies import Batched, Kind, Tally, kinds
from l2core.explanation.views import VIEWS
from l2core.explanation.vocabulary import BATCHES, RHOS, SMOOTHING, Rho

ROWS = 1 << 22
"""Rows up to which every size is tried; their sums are held."""
KEPT = 100
"""Sizes that are named for each thing that may be lost, the smallest first."""


def unusual(data: Data, look: Look, printed: Printed) -> Iterator[Tally]:
    """Tallies with the sizes from which the number may come; every one below the rows is tried."""
    if not 3 <= data.rows <= ROWS:
        return
    for rho in (rho for rho in RHOS if rho.main):
        for kind in kinds(data):
            top, under = _rows(data, look, rho, kind)
            squared = "squared" in rho.words
            fitting = sorted(_fitting(np.cumsum(top), np.cumsum(under), printed, squared))
            if not fitting:
                continue
            tally = Tally(replace(VIEWS[0], cost=1.5), rho, kind)
            for b in fitting[:KEPT]:
                tally.batches[b] = Batched(b)
                tally.batches[b].add(top, under)
            yield tally


def _rows(data: Data, look: Look, rho: Rho, kind: Kind) -> tuple[Any, Any]:
    """Numerator and denominator of each row."""
    found = np.empty((2, data.rows))
    at = 0
    with np.errstate(all="ignore"):
        for block in data.blocks():
            p, t = VIEWS[0].of(block.pred, block.target, look)
            x, count = rho.of(p, t), np.ones(p.shape)
            factor = kind.of(block)
            if factor is not None:
                count = factor.astype(np.float64)
                x = np.where(count != 0, count * x, 0.0)
            found[:, at : at + len(p)] = x.sum(axis=1), count.sum(axis=1)
            at += len(p)
    return found[0], found[1]


def _fitting(top: Any, under: Any, printed: Printed, squared: bool) -> set[int]:
    """Sizes of which some mean prints as the number, from running sums, which are a little off."""
    n = len(top)
    sums = np.concatenate([[[0.0], [0.0]], np.stack([top, under])], axis=1)
    middle = math.isqrt(n)
    usual = set(BATCHES)
    found: set[int] = set()
    with np.errstate(all="ignore"):
        for b in range(2, middle + 1):
            if b not in usual and _fits(sums, np.array([b]), printed, squared).any():
                found.add(b)
        # Beyond, sizes that make as many batches of the data go together.
        for k in range(2, -(-n // (middle + 1)) + 1):
            sizes = np.arange(max(-(-n // k), middle + 1), -(-n // (k - 1)))
            step = max(1, (1 << 20) // k)
            for i in range(0, len(sizes), step):
                some = sizes[i : i + step]
                hits = some[_fits(sums, some, printed, squared)]
                found.update(b for b in map(int, hits) if b not in usual)
    return found


def _fits(sums: Any, sizes: Any, printed: Printed, squared: bool) -> Any:
    """For each of these sizes, all of which make as many batches, whether a mean of them fits."""
    n = sums.shape[1] - 1
    k = -(-n // int(sizes[0]))
    ends = np.minimum(np.arange(k + 1) * sizes[:, None], n)
    top, under = np.diff(sums[:, ends], axis=-1)
    means = top / under
    whole = n // sizes * sizes
    values = [means.mean(axis=1), means[:, -1], means[:, 0], sums[0, whole] / sums[1, whole]]
    if squared:
        values += [np.sqrt(values[0]), np.sqrt(values[3])]
    back = np.arange(k)[::-1]
    for a in SMOOTHING:
        running = means @ ((1 - a) * a**back)
        values += [running, running / (1 - a**k)]
    slack = 1.001 * printed.slack + 1e-9 * abs(printed.value)
    return np.any([np.abs(x - printed.value) <= slack for x in values], axis=0)
