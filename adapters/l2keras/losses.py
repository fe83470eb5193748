"""Losses with Keras's names, arguments and reductions.

Keras's meaning: the mean over the last axis, then the reduction over the rest, so that ``"sum"``
sums per-sample means; ``"sum_over_batch_size"`` (= ``"mean"``) divides by the number of samples
that the mask leaves, weight 0 or not; ``"mean_with_sample_weight"`` by the sum of weights; a mean
over nothing is 0. Keras's ``(n,)`` against ``(n, 1)`` fix-up is kept; other unequal shapes raise,
where Keras broadcasts. Weights select in 1-D too and align with the leading axes; float64 stays.
A number as ``sample_weight`` raises in ``"mean_with_sample_weight"``, in which it cancels (Keras
counts it once in all), and a column of weights leaves ``"none"`` one loss a sample (Keras: a column
of losses).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import keras

import l2core
from l2core import Loss
from l2core.arrays import Array
from l2core.call import Call
from l2keras.base import BACKEND, PACKAGE, Core, KerasLoss, same_rank


def _criterion(loss: Loss, reduction: str | None) -> Core:
    return Core(loss, axis=-1 if reduction in (None, "none") else None, empty="zero")


class _DropIn(KerasLoss):
    """A loss with Keras's reductions, each a mean of the core with its own denominator."""

    fixed: ClassVar[frozenset[str]] = frozenset(
        {"loss", "denominator", "axis", "empty", "nan_targets"}
    )

    def __init__(self, loss: Loss, reduction: str | None, name: str | None, dtype: Any) -> None:
        super().__init__(_criterion(loss, reduction), name, reduction, dtype)

    def __setattr__(self, name: str, value: Any) -> None:
        """Keras's reductions, checked by Keras."""
        criterion = self.__dict__.get("criterion")
        if name == "reduction" and criterion is not None:
            value = keras.losses.Loss(reduction=value).reduction
            self.__dict__.update(reduction=value, criterion=_criterion(criterion.loss, value))
        else:
            super().__setattr__(name, value)

    def adapted(self, call: Call) -> Call:
        """Keras's fix-up of shapes, and the denominator that its reduction means."""
        if call.denominator is not None:
            raise TypeError(
                f"denominator: expected None for {type(self).__name__}, whose reduction says what "
                f"it divides by, got {type(call.denominator).__name__}"
            )
        y_true, y_pred = same_rank(call.target, call.pred)
        return self.divided(call._replace(target=y_true, pred=y_pred))

    def divided(self, call: Call) -> Call:
        """The denominator of Keras's reduction."""
        y_pred = call.pred
        if len(y_pred.shape) == 0:
            raise ValueError("y_pred: expected an array with at least one axis, got shape ()")
        denominator = None
        if self.reduction in (None, "none", "sum"):
            denominator = _size(y_pred, [len(y_pred.shape) - 1])
        elif self.reduction != "mean_with_sample_weight":
            denominator = _selected(y_pred, call.mask)
        return call._replace(denominator=denominator)

    def call(self, y_true: Array, y_pred: Array) -> Array:
        """The loss of each sample, as Keras's own losses have it."""
        loss = type(self)(**{**self.get_config(), "reduction": "none"})
        return loss(y_true, y_pred)

    def samples(self, y_true: Array, y_pred: Array) -> Array:
        """The loss of each element, of which Keras's metrics take the mean by weights."""
        if self.reduction not in ("sum_over_batch_size", "mean", "mean_with_sample_weight"):
            raise self.no_such_mean()
        call = self._tensors(Call(y_pred, y_true))._replace(denominator=None)
        return Core(self.criterion.loss, "none")._value_of(call)

    def told(self) -> dict[str, Any]:
        """The parameters of its loss, and its reduction."""
        parameters = {name: getattr(self, name) for name in self.criterion.loss.parameters}
        return {**parameters, **super().told()}

    def get_config(self) -> dict[str, Any]:
        """Keras's arguments of this loss."""
        return {**super().get_config(), "reduction": self.reduction}


def _size(x: Any, axes: Iterable[int]) -> Any:
    """The number of elements along these axes: a number > 0, or a 0-d tensor if 0 or not known yet."""
    n = math.prod(BACKEND.length(x, axis) for axis in axes)
    return keras.ops.convert_to_tensor(0) if isinstance(n, (int, float)) and n == 0 else n


def _selected(y_pred: Any, mask: Any) -> Any:
    """The number of elements that the mask leaves."""
    axes = range(len(y_pred.shape))
    if mask is None:
        return _size(y_pred, axes)
    rest = [i for i in axes if i >= len(mask.shape) or mask.shape[i] == 1]
    count, repeats = BACKEND.xp.count_nonzero(mask), _size(y_pred, rest)
    known = isinstance(repeats, (int, float))
    return count * (repeats if known else keras.ops.cast(repeats, count.dtype))


@keras.saving.register_keras_serializable(package=PACKAGE)
class MeanSquaredError(_DropIn):
    """r², as ``keras.losses.MeanSquaredError``; what differs stands in this module's docstring."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(l2core.SquaredError(), reduction, name, dtype)


@keras.saving.register_keras_serializable(package=PACKAGE)
class MeanAbsoluteError(_DropIn):
    r"""\|r\|, as ``keras.losses.MeanAbsoluteError``; its gradient at 0 is 0 on every backend."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(l2core.AbsoluteError(), reduction, name, dtype)


@keras.saving.register_keras_serializable(package=PACKAGE)
class Huber(_DropIn):
    """Huber's loss, as ``keras.losses.Huber``; delta <= 0 raises, and delta is saved."""

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(l2core.Huber(delta), reduction, name, dtype)

    def get_config(self) -> dict[str, Any]:
        """Keras's arguments of this loss, delta among them."""
        return {**super().get_config(), "delta": self.delta}


@keras.saving.register_keras_serializable(package=PACKAGE)
class LogCosh(_DropIn):
    """Log cosh r, as ``keras.losses.LogCosh``, but right near 0."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "log_cosh",
        dtype: Any = None,
    ) -> None:
        super().__init__(l2core.LogCosh(), reduction, name, dtype)
