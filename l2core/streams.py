"""Statistics of a stream of batches: constant memory, and a bar of progress."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from l2core.extras import require
from l2core.statistics import ErrorStatistics


def evaluate(
    batches: Iterable[Any],
    start: ErrorStatistics | None = None,
    *,
    axis: int | Sequence[int] | None = None,
    quantiles: bool = True,
    exact: bool = False,
    progress: bool = False,
    total: int | None = None,
) -> ErrorStatistics:
    """The statistics of all batches, of which one at a time is held.

    batches: (pred, target), (pred, target, weight), or mappings of the arguments of
        :meth:`ErrorStatistics.of`, which says what they are.
    start: statistics to go on from: those of ``ErrorStatistics.from_json``, after a stop.
    progress: show a bar, with rich; ``total`` is the number of batches, if ``batches`` has no length.

    ValueError if there is no batch and no ``start``.
    """
    state = start
    for batch in _shown(batches, total) if progress else batches:
        part = ErrorStatistics.of(**_named(batch), axis=axis, quantiles=quantiles, exact=exact)
        state = part if state is None else state + part
    if state is None:
        raise ValueError("batches: expected at least one, got none")
    return state


def _named(batch: Any) -> dict[str, Any]:
    if isinstance(batch, Mapping):
        return dict(batch)
    if not isinstance(batch, Sequence) or len(batch) not in (2, 3):
        raise TypeError(
            "batches: expected (pred, target), (pred, target, weight) or mappings, got "
            f"{type(batch).__name__}"
        )
    return dict(zip(("pred", "target", "weight"), batch, strict=False))


def _shown(batches: Iterable[Any], total: int | None) -> Iterator[Any]:
    track = require("rich.progress", "conformance").track
    shown: Iterator[Any] = track(batches, "evaluating", total=total)
    return shown
