"""Metrics of torchmetrics that are exact over any batches and ranks."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from l2core import ErrorStatistics, Terms
from l2core.compensated import Sum, added
from l2core.figures import Figure
from l2core.reach import check_whole_mean
from l2core.sketch import BINS
from l2core.statistics import NOTHING
from l2torch.criterion import Criterion
from l2torch.namespace import XP


class CriterionMetric(Metric):
    """The mean of an ``l2torch.Criterion`` over all batches and ranks, as if they were one batch.

    ``update(preds, target, weight=, mask=, ...)`` as in a call of the criterion, whose mean is over
    all axes; a denominator that is a number is that of each batch. ``dtype`` is that of the sums,
    whatever the metric is moved to.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    def __init__(
        self, criterion: Criterion, *, dtype: torch.dtype = torch.float64, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(criterion, Criterion):
            raise TypeError(f"criterion: expected an l2torch.Criterion, got {criterion!r}")
        check_whole_mean(criterion)
        self.criterion = criterion
        # Numerator and denominator, then what rounding took from each. The name tells criteria apart: a
        # MetricCollection takes metrics whose states are equal after a batch for one.
        meaning = json.dumps(criterion.to_config(), sort_keys=True)
        self._state = f"sums_{hashlib.sha256(meaning.encode()).hexdigest()[:12]}"
        self.add_state(self._state, torch.zeros(2, 2, dtype=dtype), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor, **others: Any) -> None:
        """Add a batch."""
        terms = self.criterion.terms(preds, target, **others).detach()
        total, lost = getattr(self, self._state)
        more = torch.stack([terms.numerator, terms.denominator]).to(total.dtype)
        setattr(self, self._state, torch.stack(added(total, more, lost, XP)))

    def compute(self) -> Tensor:
        """The mean of all batches."""
        total, lost = getattr(self, self._state)
        root = self.criterion.reduction == "root_mean"
        numerator, denominator = total + lost
        value: Tensor = Terms(numerator, denominator, root, self.criterion.empty).value()
        return value


class ErrorMetric(Metric):
    """A figure of :class:`l2core.ErrorStatistics` over all batches and ranks.

    figure: ``"mse"``, ``"rmse"``, ``"mae"``, ``"bias"``, ``"error_variance"``, ``"r2"``,
        ``"explained_variance"``, ``"max_error"``, ``"median_absolute_error"``, ``"quantile"`` (of
        |error|, with ``q``) or ``"target_variance"``.
    num_outputs: None pools everything; a number D has (N, D) arrays and one figure for each output.
    dtype: that of the sums, whatever the metric is moved to.

    ``update(preds, target, weight=, mask=)``. ``statistics`` has all figures of the batches so far.
    """

    is_differentiable = False
    full_state_update = False
    rows: Tensor
    bins: Tensor

    def __init__(
        self,
        figure: str,
        *,
        num_outputs: int | None = None,
        q: float | None = None,
        dtype: torch.dtype = torch.float64,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.figure, self.num_outputs = Figure(figure, q), num_outputs
        shape = () if num_outputs is None else (num_outputs,)
        rows = torch.stack([torch.full(shape, x, dtype=dtype) for x in NOTHING])
        self.add_state("rows", rows, dist_reduce_fx=merged)
        if self.figure.sketched:
            bins = torch.zeros((2, *shape, BINS), dtype=dtype)
            self.add_state("bins", bins, dist_reduce_fx="sum")

    @property
    def higher_is_better(self) -> bool | None:  # type: ignore[override]
        """Whether a higher figure is the better; None where neither is."""
        direction = self.figure.direction
        return None if direction is None else direction == "up"

    @property
    def statistics(self) -> ErrorStatistics:
        """All that is known of the batches so far."""
        bins = None
        if self.figure.sketched:
            bins = Sum(*self.bins)
        return ErrorStatistics.from_rows(self.rows, bins)

    def update(
        self,
        preds: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> None:
        """Add a batch."""
        if self.num_outputs is not None and tuple(preds.shape[1:]) != (self.num_outputs,):
            raise ValueError(
                f"preds: expected shape (N, {self.num_outputs}), got {tuple(preds.shape)}"
            )
        found = ErrorStatistics.of(
            preds.detach(),
            target.detach(),
            weight=weight,
            mask=mask,
            axis=None if self.num_outputs is None else 0,
            quantiles=self.figure.sketched,
        )
        self.rows = merged(torch.stack([self.rows, found.to_rows().to(self.rows.dtype)]))
        if found.bins is not None:
            more = Sum(*(x.to(self.bins.dtype) for x in found.alike().bins or ()))
            self.bins = torch.stack(list(Sum(*self.bins).plus(more, XP)))

    def compute(self) -> Tensor:
        """The figure of all batches."""
        value: Tensor = self.figure.of(self.statistics)
        return value


def merged(rows: Tensor) -> Tensor:
    """The rows of several states, stacked, as those of all their data."""
    state: Tensor = ErrorStatistics.from_rows(rows.transpose(0, 1)).merged().to_rows()
    return state
