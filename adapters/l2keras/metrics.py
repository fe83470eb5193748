"""Metrics that are exact over any batches: of a loss, and the figures of errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

import l2core
from l2core import ErrorStatistics, Terms
from l2core.arrays import Array
from l2core.call import Call
from l2core.checks import check_call
from l2core.compensated import Sum
from l2core.figures import Figure
from l2core.reach import check_floats
from l2core.sketch import BINS
from l2core.statistics import NOTHING
from l2keras.base import BACKEND, PACKAGE, Core, KerasLoss, same_rank, to_tensor
from l2keras.criterion import Criterion
from l2keras.distribution import slot, slots
from l2keras.internals import get_keras_mask


@keras.saving.register_keras_serializable(package=PACKAGE)
class CriterionMetric(keras.metrics.Metric):  # type: ignore[misc]
    """The mean that a loss of this package (or an :class:`l2core.Criterion`) gives on all the data.

    Its state is the sum of the batches' numerators and of their denominators, so that the result
    does not depend on how the data was split, the last partial batch included (a denominator that is a
    number is that of each batch). Weights and masks
    count as in the loss, and the least is the best (for callbacks with ``mode="auto"``); pass it to
    ``compile(weighted_metrics=...)``, since Keras withholds
    ``sample_weight`` from ``metrics=``. ``dtype`` is that of the sums: None is the widest that
    Keras's backend has (float64; float32 on JAX without 64-bit types).
    """

    _direction = "down"

    def __init__(
        self, criterion: KerasLoss | l2core.Criterion, name: str | None = None, dtype: Any = None
    ) -> None:
        if isinstance(criterion, l2core.Criterion):
            criterion = Criterion.of(criterion)
        if not isinstance(criterion, KerasLoss):
            raise TypeError(
                f"criterion: expected a loss of l2keras or an l2core.Criterion, got {criterion!r}"
            )
        if criterion.reduction in (None, "none", "sum"):
            raise ValueError(
                f"criterion: expected one whose reduction is a mean, got {criterion.reduction!r}"
            )
        check_floats(criterion)
        super().__init__(name=name or criterion.name, dtype=dtype or BACKEND.widest)
        self._given_dtype = None if dtype is None else self.dtype
        self.criterion = criterion
        self._sums: list[Any] = []
        if criterion.criterion.axis is None:
            self._build(())

    def __repr__(self) -> str:
        """The loss that it averages."""
        return f"{type(self).__name__}({self.criterion!r})"

    def update_state(
        self,
        y_true: Array,
        y_pred: Array,
        sample_weight: Array | float | None = None,
        **others: Any,
    ) -> None:
        """Add a batch; arguments as in a call of the loss."""
        terms = self.criterion.terms(y_true, y_pred, sample_weight, **others)
        shape = tuple(terms.numerator.shape)
        if not self._sums:
            self._build(shape)
        numerator, denominator = (
            keras.ops.broadcast_to(keras.ops.cast(part, self.dtype), self._sums[0].shape)
            for part in (terms.numerator, terms.denominator)
        )
        total = self._total() + Terms(numerator, denominator, terms.root, terms.empty)
        for variable, x in zip(
            self._sums, (total.numerator, total.denominator, *total.compensation), strict=True
        ):
            variable.assign(x)

    def result(self) -> Array:
        """The mean of all batches since the last ``reset_state``."""
        return self._total().value()

    def _total(self) -> Terms:
        """The batches' terms so far."""
        core = self.criterion.criterion
        sums = self._sums or [keras.ops.zeros((), self.dtype)] * 4
        numerator, denominator, *lost = (x + 0 for x in sums)  # a Keras variable is no tensor
        root = core.reduction == "root_mean"
        return Terms(numerator, denominator, root, core.empty, (lost[0], lost[1]))

    def get_config(self) -> dict[str, Any]:
        """The loss beside Keras's own."""
        loss = keras.saving.serialize_keras_object(self.criterion)
        return {"name": self.name, "dtype": self._given_dtype, "criterion": loss}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> CriterionMetric:
        """The metric of a ``get_config`` dict."""
        criterion = keras.saving.deserialize_keras_object(config["criterion"])
        return cls(**{**config, "criterion": criterion})

    def _build(self, shape: tuple[int | None, ...]) -> None:
        if None in shape:
            raise ValueError(f"axis: expected a mean over every open axis, got a mean of {shape}")
        self._sums = [
            self.add_variable(shape, "zeros", dtype=self.dtype, name=name)
            for name in ("numerator", "denominator", "numerator_lost", "denominator_lost")
        ]


@keras.saving.register_keras_serializable(package=PACKAGE)
class ErrorMetric(keras.metrics.Metric):  # type: ignore[misc]
    """A figure of :class:`l2core.ErrorStatistics` over all batches, and over all replicas.

    figure: ``"mse"``, ``"rmse"``, ``"mae"``, ``"bias"``, ``"error_variance"``, ``"r2"``,
        ``"explained_variance"``, ``"max_error"``, ``"median_absolute_error"``, ``"quantile"`` (of
        |error|, with ``q``) or ``"target_variance"``.
    num_outputs: None pools everything; a number D has (N, D) arrays and one figure for each output.
    dtype: that of the sums; None is the widest that Keras's backend has.

    Weights and y_pred's Keras mask count as in the losses, and so does Keras's fix-up of (n,) against
    (n, 1). Pass it to ``compile(weighted_metrics=...)``: Keras withholds ``sample_weight`` from
    ``metrics=``.
    """

    def __init__(
        self,
        figure: str,
        num_outputs: int | None = None,
        q: float | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        self._figure = Figure(figure, q)
        super().__init__(name=name or figure, dtype=dtype or BACKEND.widest)
        self._given_dtype = None if dtype is None else self.dtype
        self.num_outputs = num_outputs
        self._direction = self._figure.direction
        outputs = () if num_outputs is None else (num_outputs,)
        # Replicas add up their variables, which the moments of errors are not made for: one slot each.
        shape = (slots(), len(NOTHING), *outputs)
        self._rows = self.add_variable(shape, "zeros", dtype=self.dtype, name="rows")
        self._bins = None
        if self._figure.sketched:
            sketch = (2, *outputs, BINS)
            self._bins = self.add_variable(sketch, "zeros", dtype=self.dtype, name="bins")

    @property
    def statistics(self) -> ErrorStatistics:
        """All that is known of the batches so far."""
        rows = self._known(self._rows + 0)
        bins = None if self._bins is None else Sum(*keras.ops.unstack(self._bins + 0))
        stacked = ErrorStatistics.from_rows(keras.ops.swapaxes(rows, 0, 1))
        return replace(stacked.merged(), bins=bins)

    def update_state(
        self, y_true: Array, y_pred: Array, sample_weight: Array | float | None = None
    ) -> None:
        """Add a batch."""
        mask = get_keras_mask(y_pred)
        target, pred = same_rank(to_tensor(y_true, "y_true"), to_tensor(y_pred, "y_pred"))
        weight, mask = (
            to_tensor(x, name, optional=True)
            for x, name in ((sample_weight, "sample_weight"), (mask, "mask"))
        )
        axis = None if self.num_outputs is None else 0
        check_call(
            Core(denominator="count"), Call(pred, target, weight, mask), Core._names, BACKEND
        )
        if axis == 0 and tuple(pred.shape)[1:] != (self.num_outputs,):
            raise ValueError(
                f"y_pred: expected shape (N, {self.num_outputs}), got {tuple(pred.shape)}"
            )
        found = ErrorStatistics.of(
            pred, target, weight=weight, mask=mask, axis=axis, quantiles=self._bins is not None
        )
        rows, at = self._rows + 0, slot()
        own = ErrorStatistics.from_rows(self._known(rows)[at])
        new = ErrorStatistics.from_rows(keras.ops.cast(found.to_rows(), self.dtype))
        more = (own + new).to_rows()
        here = keras.ops.reshape(keras.ops.arange(slots()) == at, (-1, *[1] * len(more.shape)))
        self._rows.assign(keras.ops.where(here, more[None], rows))
        if self._bins is not None and found.bins is not None:
            bins = Sum(*(keras.ops.cast(x, self.dtype) for x in found.bins))
            total = Sum(*keras.ops.unstack(self._bins + 0)).plus(bins, BACKEND.xp)
            self._bins.assign(keras.ops.stack(list(total)))

    def result(self) -> Array:
        """The figure of all batches since the last ``reset_state``."""
        return self._figure.of(self.statistics)

    def _known(self, rows: Array) -> Array:
        """The slots, of which zeros are those of nothing."""
        nothing = keras.ops.cast(keras.ops.convert_to_tensor(NOTHING), self.dtype)
        shape = (1, len(NOTHING), *[1] * (len(rows.shape) - 2))
        empty = rows[:, :1] == 0  # their counts
        return keras.ops.where(empty, keras.ops.reshape(nothing, shape), rows)

    def get_config(self) -> dict[str, Any]:
        """The figure beside Keras's own."""
        return {
            "figure": self._figure.name,
            "num_outputs": self.num_outputs,
            "q": self._figure.q,
            "name": self.name,
            "dtype": self._given_dtype,
        }
