"""Metrics of Flax NNX that are exact over any batches."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array

from l2core import ErrorStatistics, Terms
from l2core.compensated import Sum
from l2core.figures import Figure
from l2core.reach import check_whole_mean
from l2core.sketch import BINS
from l2core.statistics import NOTHING
from l2jax.criterion import Criterion, as_array


class CriterionMetric(nnx.Metric):
    """The mean of an ``l2jax.Criterion`` over all batches, as if they were one.

    ``update(pred=, target=, weight=, mask=, ...)`` as in a call of the criterion, whose mean is over
    all axes; a denominator that is a number is that of each batch. Sums are kept in twice the digits
    of float32 (or of float64 where JAX has it).
    """

    def __init__(self, criterion: Criterion) -> None:
        if not isinstance(criterion, Criterion):
            raise TypeError(f"criterion: expected an l2jax.Criterion, got {criterion!r}")
        check_whole_mean(criterion)
        self.criterion = criterion
        self.sums = nnx.metrics.MetricState(jnp.zeros(4))

    def reset(self) -> None:
        """Forget all batches."""
        self.sums[...] = jnp.zeros(4)

    def update(self, **arrays: Any) -> None:
        """Add a batch; what is meant for other metrics of a MultiMetric is left to them."""
        named = ("weight", "mask", "denominator", *self.criterion.loss.parameters)
        total = self._total() + self.criterion.terms(**_own(arrays, named))
        sums = jnp.stack([total.numerator, total.denominator, *total.compensation])
        self.sums[...] = sums.astype(self.sums[...].dtype)

    def compute(self) -> Array:
        """The mean of all batches."""
        value: Array = self._total().value()
        return value

    def _total(self) -> Terms:
        numerator, denominator, *lost = self.sums[...]
        root = self.criterion.reduction == "root_mean"
        return Terms(numerator, denominator, root, self.criterion.empty, (lost[0], lost[1]))


class ErrorMetric(nnx.Metric):
    """A figure of :class:`l2core.ErrorStatistics` over all batches.

    figure: ``"mse"``, ``"r2"``, ... as in ``l2core.figures.FIGURES``; ``"quantile"`` (of |error|) with
        ``q``.
    num_outputs: None pools everything; a number D has (N, D) arrays and one figure for each output.

    ``update(pred=, target=, weight=, mask=)``. ``statistics`` has all figures of the batches so far.
    """

    def __init__(
        self, figure: str, *, num_outputs: int | None = None, q: float | None = None
    ) -> None:
        self.figure, self.num_outputs = Figure(figure, q), num_outputs
        self.rows = nnx.metrics.MetricState(self._nothing())
        if self.figure.sketched:
            shape = () if num_outputs is None else (num_outputs,)
            self.bins = nnx.metrics.MetricState(jnp.zeros((2, *shape, BINS)))

    @property
    def statistics(self) -> ErrorStatistics:
        """All that is known of the batches so far."""
        bins = Sum(*self.bins[...]) if self.figure.sketched else None
        return ErrorStatistics.from_rows(self.rows[...], bins)

    def reset(self) -> None:
        """Forget all batches."""
        self.rows[...] = self._nothing()
        if self.figure.sketched:
            self.bins[...] = jnp.zeros_like(self.bins[...])

    def update(self, **arrays: Any) -> None:
        """Add a batch; what is meant for other metrics of a MultiMetric is left to them."""
        found = self.statistics + ErrorStatistics.of(
            **_own(arrays, ("weight", "mask")),
            axis=None if self.num_outputs is None else 0,
            quantiles=self.figure.sketched,
        )
        self.rows[...] = found.to_rows()
        if found.bins is not None:
            self.bins[...] = jnp.stack(list(found.bins))

    def compute(self) -> Array:
        """The figure of all batches."""
        value: Array = self.figure.of(self.statistics)
        return value

    def _nothing(self) -> Array:
        shape = () if self.num_outputs is None else (self.num_outputs,)
        return jnp.stack([jnp.full(shape, x) for x in NOTHING])


def _own(arrays: dict[str, Any], optional: tuple[str, ...]) -> dict[str, Any]:
    """The arrays of a metric among those of several; TypeError for one that is missing, or misspelt."""
    known = ("pred", "target", *optional)
    for name in ("pred", "target"):
        if name not in arrays:
            raise TypeError(f"{name}: expected an array by this name, got {', '.join(arrays)}")
    for name in arrays.keys() - set(known):
        if near := get_close_matches(name, known, 1):
            raise TypeError(f"{name}: expected {near[0]}, or a name unlike it, got {name}=")
    return {
        name: as_array(arrays[name], name, optional=name in optional, number=name != "mask")
        for name in known
        if name in arrays
    }
