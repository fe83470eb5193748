"""The metric of a loss: the same terms, added up over batches."""

from __future__ import annotations

from typing import Any

import keras

import l2core
from l2core import Terms
from l2core.arrays import Array
from l2keras.criterion import BACKEND, PACKAGE, Criterion, KerasLoss


@keras.saving.register_keras_serializable(package=PACKAGE)
class CriterionMetric(keras.metrics.Metric):  # type: ignore[misc]
    """The mean that a loss of this package (or an :class:`l2core.Criterion`) gives on all the data.

    Its state is the sum of the batches' numerators and of their denominators, so that the result
    does not depend on how the data was split, the last partial batch included. Weights and masks
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
