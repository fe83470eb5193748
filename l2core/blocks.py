"""Statistics of Dask arrays, block by block: arrays that no memory holds, on a cluster or none."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import partial
from numbers import Real
from typing import Any

from l2core.checks import axes_of
from l2core.extras import require
from l2core.statistics import ErrorStatistics

TOGETHER = 8
"""States that one task merges: a tree, of which no task sees much."""


def dask_statistics(
    pred: Any,
    target: Any,
    *,
    weight: Any = None,
    mask: Any = None,
    axis: int | Sequence[int] | None = None,
    quantiles: bool = True,
    exact: bool = False,
) -> Any:
    """:meth:`ErrorStatistics.of` Dask arrays, as a ``dask.delayed`` value: ``.compute()`` runs it.

    Each block becomes a state where it lies, and states are merged as a tree. Arguments as of
    ``ErrorStatistics.of``; weights and masks are Dask arrays or numbers. Other arrays are cut into
    the blocks of ``pred``, whose axes that are kept are each put into one block.
    """
    dask, array = require("dask", "dask"), require("dask.array", "dask")
    for name, x in (("pred", pred), ("target", target)):
        if not isinstance(x, array.Array):
            raise TypeError(f"{name}: expected a dask.array.Array, got {type(x).__name__}")
        if any(math.isnan(n) for n in x.shape):
            raise ValueError(
                f"{name}: expected known lengths (compute_chunk_sizes() finds them), got {x.shape}"
            )
    if pred.shape != target.shape:
        raise ValueError(
            f"pred and target: expected equal shapes, got {pred.shape} and {target.shape}"
        )
    if axis is not None:
        axis = tuple(axis) if isinstance(axis, Sequence) else axis
        along = axes_of(axis, pred.ndim)
        pred = pred.rechunk({i: -1 for i in range(pred.ndim) if i not in along})
    of = dask.delayed(partial(ErrorStatistics.of, axis=axis, quantiles=quantiles, exact=exact))
    parts = []
    target = target.rechunk(pred.chunks)
    named = {"weight": weight, "mask": mask}
    for name, x in named.items():
        if not (x is None or isinstance(x, (Real, array.Array))):
            raise TypeError(
                f"{name}: expected a dask.array.Array or a number, got {type(x).__name__}"
            )
    blocks = {
        name: _cut(x, name, pred) if isinstance(x, array.Array) else None
        for name, x in named.items()
    }
    for index in itertools.product(*(range(n) for n in pred.numblocks)):
        given = {
            name: x if blocks[name] is None else _block(blocks[name], index)
            for name, x in named.items()
        }
        parts.append(of(_block(pred, index), _block(target, index), **given))
    add = dask.delayed(sum)
    while len(parts) > 1:
        parts = [add(parts[i : i + TOGETHER]) for i in range(0, len(parts), TOGETHER)]
    return parts[0]


def _cut(x: Any, name: str, pred: Any) -> Any:
    """A weight or mask in blocks that lie beside those of pred."""
    lengths = zip(x.shape, pred.shape, strict=False)
    if x.ndim > pred.ndim or not all(n in (1, m) for n, m in lengths):
        raise ValueError(
            f"{name}: expected a scalar, the leading axes of pred, or its rank with axes of length 1, "
            f"so that it fits {pred.shape}; got {x.shape}"
        )
    return x.rechunk(tuple(pred.chunks[i] if n > 1 else (1,) for i, n in enumerate(x.shape)))


def _block(x: Any, index: tuple[int, ...]) -> Any:
    """The block of x beside that of pred with this index."""
    if x.ndim == 0:
        return x.to_delayed().item()
    own = tuple(i if n > 1 else 0 for i, n in zip(index, x.numblocks, strict=False))
    return x.blocks[own].to_delayed().item()
