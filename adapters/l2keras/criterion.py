"""The criterion as a Keras loss, on whichever backend Keras runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np

import l2core
from l2core import Loss, SquaredError
from l2core.backend import NUMPY, Array, Backend, backend_of, check_array, narrowed
from l2core.dtypes import KNOWN, dtype_name

PACKAGE = "l2keras"


def keras_backend() -> Backend:
    """The backend of Keras's own: TensorFlow's, JAX's or torch's."""
    return backend_of(keras.ops.zeros(()), "y_pred")


@dataclass(frozen=True)
class Core(l2core.Criterion):
    """The core's criterion with Keras's argument names, for tensors of Keras's backend."""

    _names: ClassVar[tuple[str, str, str]] = ("y_pred", "y_true", "sample_weight")


def to_tensor(x: Any, name: str, dtype: str | None = None, optional: bool = False) -> Any:
    """x as a tensor of Keras's backend; if optional, None and numbers stay; else TypeError."""
    if optional and (x is None or isinstance(x, int | float) and not isinstance(x, np.generic)):
        return x
    backend = keras_backend()
    if isinstance(x, np.ndarray | np.generic):
        check_array(x, name, NUMPY)
        if dtype_name(x.dtype) not in KNOWN:
            raise TypeError(
                f"{name}: expected a bool, integer, float or complex dtype, got {x.dtype}"
            )
        x = keras.ops.convert_to_tensor(narrowed(x, backend.widest))
    elif isinstance(x, keras.Variable):
        x = keras.ops.convert_to_tensor(x)
    check_array(x, name, backend)
    return x if dtype is None else keras.ops.cast(x, dtype)


def replicas() -> int:
    """How many replicas add up their losses under ``tf.distribute``; 1 elsewhere."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


class KerasLoss(keras.losses.Loss):  # type: ignore[misc]
    """What our Keras losses share. It overrides ``__call__``, since Keras's own casts to float32
    and multiplies by the mask.

    ``dtype``: None computes and returns what the dtype table of l2core says; else inputs are cast
    to it first, and the result too (halves are computed in float32).
    """

    def __init__(self, name: str | None, reduction: str | None, dtype: Any) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self._given_dtype = None if dtype is None else keras.dtype_policies.get(dtype)

    def __call__(
        self,
        y_true: Array,
        y_pred: Array,
        sample_weight: Array | float | None = None,
        **others: Any,
    ) -> Array:
        """The loss; absent where ``sample_weight`` is 0 or y_pred's Keras mask is False."""
        dtype = None if self._given_dtype is None else self._given_dtype.compute_dtype
        mask = getattr(y_pred, "_keras_mask", None)
        others = {name: to_tensor(x, name, optional=True) for name, x in others.items()}
        if others.get("mask") is not None and mask is not None:
            raise ValueError(
                "mask: expected None with a y_pred that carries a Keras mask, got both"
            )
        value = self.evaluate(
            to_tensor(y_true, "y_true", dtype),
            to_tensor(y_pred, "y_pred", dtype),
            weight=to_tensor(sample_weight, "sample_weight", optional=True),
            **{"mask": to_tensor(mask, "mask", optional=True), **others},
        )
        return value if dtype is None else keras.ops.cast(value, dtype)

    def evaluate(self, y_true: Any, y_pred: Any, **arguments: Any) -> Any:
        """The loss of tensors of Keras's backend."""
        raise NotImplementedError(f"{type(self).__name__}.evaluate")

    def call(self, y_true: Array, y_pred: Array) -> Array:
        """The loss without weights, as Keras's own losses have it."""
        return self(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """What Keras saves, dtype included."""
        policy = self._given_dtype
        return {"name": self.name, "dtype": None if policy is None else policy.name}


@keras.saving.register_keras_serializable(package=PACKAGE)
class Criterion(KerasLoss):
    """An :class:`l2core.Criterion` for ``compile(loss=...)``: fields and meaning are the core's.

    Called ``(y_true, y_pred, sample_weight=None, *, mask=None, variance=None, denominator=None)``
    with arrays of equal shapes; it never squeezes. ``sample_weight`` aligns with the leading axes;
    y_pred's Keras mask is honoured. Under ``tf.distribute`` a mean is divided by the number of
    replicas, as Keras expects of a loss.
    """

    def __init__(
        self,
        loss: Loss = SquaredError(),  # noqa: B008 (frozen)
        reduction: str = "mean",
        denominator: str | float = "weight",
        axis: int | tuple[int, ...] | None = None,
        empty: str = "nan",
        nan_targets: str = "propagate",
        *,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        self.criterion = Core(loss, reduction, denominator, axis, empty, nan_targets)
        own = {"sum": "sum", "none": "none"}.get(reduction, "sum_over_batch_size")
        super().__init__(name, own, dtype)

    def evaluate(self, y_true: Any, y_pred: Any, **arguments: Any) -> Any:
        """The criterion of tensors of Keras's backend."""
        value = self.criterion(y_pred, y_true, **arguments)
        if self.criterion.reduction in ("mean", "root_mean") and replicas() > 1:
            value = value / replicas()
        return value

    def get_config(self) -> dict[str, Any]:
        """The criterion's config beside Keras's own."""
        return {**super().get_config(), "criterion": self.criterion.to_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Criterion:
        """The loss of a ``get_config`` dict."""
        core = Core.from_config(config["criterion"])
        return cls(
            core.loss,
            core.reduction,
            core.denominator,
            core.axis,
            core.empty,
            core.nan_targets,
            name=config["name"],
            dtype=config["dtype"],
        )
