"""From a printed number to the convention that made it: :func:`explain`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from l2core.arrays import Array
from l2core.explanation.answer import Explanation, Match, between, explained
from l2core.explanation.data import Data

__all__ = ["Explanation", "Match", "explain"]


def explain(
    value: Any,
    pred: Array,
    target: Array,
    weight: Array | None = None,
    mask: Array | None = None,
    *,
    other: Any = None,
    progress: Any = None,
) -> Explanation:
    """Which convention printed this number for these predictions and targets.

    value: the digits as they were printed ("0.4711", which sets the tolerance), or a number.
    pred, target: arrays of any framework and equal shape, but for axes of length 1; weight, mask: as
        of a :class:`l2core.Criterion`.
    other: a second number for the same data; ``change`` then says what lies between both.
    progress: called as progress(done, total) while it takes long.

    All of the data are used, a block of rows at a time.
    """
    data = Data.of(pred, target, weight, mask)
    first = explained(value, data, tell=progress)
    if other is None:
        return first
    second = explained(other, data, "other", tell=progress)
    return replace(first, other=second, change=between(first, second))
