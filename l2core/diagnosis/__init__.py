"""Is squared error right for these data, and what would be? :func:`diagnose`."""

from __future__ import annotations

from typing import Any

import numpy as np

from l2core.arrays import Array
from l2core.diagnosis.advice import Suggestion, suggestions
from l2core.diagnosis.answer import Diagnosis
from l2core.diagnosis.measures import Cleaned, measured
from l2core.explanation.data import Data

__all__ = ["Diagnosis", "Suggestion", "diagnose"]


def diagnose(
    pred: Array,
    target: Array,
    weight: Array | None = None,
    mask: Array | None = None,
    *,
    by: Any = None,
) -> Diagnosis:
    """What the residuals say: their sizes, tails, spread, skewness and groups, and what to do.

    pred, target: arrays of any framework and equal shape; weight and mask: as of a
        :class:`l2core.Criterion`. Missing (NaN) targets are counted and left out.
    by: (N,), a label for each row (axis 0), compared as text: the figures of each group too.

    ValueError if fewer than two elements are present and finite. Everything is held in memory.
    """
    data = Data.of(pred, target, weight, mask)
    shape = tuple(getattr(pred, "shape", np.shape(pred))) or (1,)
    p, t = (np.asarray(x, np.float64) for x in (data.pred, data.target))
    w, m = (None if x is None else np.broadcast_to(x, p.shape) for x in (data.weight, data.mask))
    weights = np.ones(p.shape) if w is None else w.astype(np.float64)
    there = weights != 0 if m is None else (weights != 0) & m
    missing = there & np.isnan(t)
    finite = there & np.isfinite(p) & np.isfinite(t)
    kept = finite.ravel()
    with np.errstate(over="ignore"):
        if not np.all(np.isfinite(np.square((p - t).ravel()[kept]))):
            raise ValueError(
                "pred - target: expected numbers of which the square is finite, got larger"
            )
    if kept.sum() < 2:
        raise ValueError(f"pred: expected two finite elements or more, got {int(kept.sum())}")
    group = None
    if by is not None:
        labels = np.array([str(x) for x in np.asarray(by, object).ravel()])
        if labels.shape != (data.rows,):
            raise ValueError(f"by: expected shape ({data.rows},), got {labels.shape}")
        group = np.repeat(labels, data.outputs)[kept]
    cleaned = Cleaned(
        (p - t).ravel()[kept],
        weights.ravel()[kept],
        p.ravel()[kept],
        t.ravel()[kept],
        np.flatnonzero(kept),
        group,
        int(missing.sum()),
        int((there & ~missing & ~finite).sum()),
        int((~there).sum()),
        shape if int(np.prod(shape)) == p.size else p.shape,
    )
    found = measured(cleaned)
    return Diagnosis(cleaned, found, suggestions(cleaned, found))
