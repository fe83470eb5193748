"""The criterion as a Keras loss, on whichever backend Keras runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, ClassVar, cast

import keras
import numpy as np

import l2core
from l2core import Terms
from l2core.arrays import Array
from l2core.attributes import Attributes
from l2core.backend import Backend, check_array, narrowed
from l2core.call import Call
from l2core.checks import check_parameters
from l2core.config import Axis, LossLike
from l2core.dtypes import KNOWN, dtype_name
from l2core.numpy_backend import NUMPY
from l2keras.distribution import all_reduced, replicas
from l2keras.internals import compiling, get_keras_mask

PACKAGE = "l2keras"
BACKENDS = {
    "jax": ("l2jax.backend", "BACKEND"),
    "numpy": ("l2core.numpy_backend", "NUMPY"),
    "tensorflow": ("l2keras.tensorflow", "BACKEND"),
    "torch": ("l2torch.backend", "BACKEND"),
}


def _keras_backend() -> Backend:
    name = keras.backend.backend()
    if name not in BACKENDS:
        raise ImportError(f"KERAS_BACKEND: expected one of {', '.join(BACKENDS)}, got {name}")
    module, attribute = BACKENDS[name]
    return cast(Backend, getattr(import_module(module), attribute))


BACKEND = _keras_backend()
"""The backend of the framework that Keras runs on, which does not change in a process."""


class Core(l2core.Criterion):
    """The core's criterion with Keras's argument names, for tensors of Keras's backend."""

    _backend: ClassVar[Backend | None] = BACKEND
    _names: ClassVar[tuple[str, str, str]] = ("y_pred", "y_true", "sample_weight")


def to_tensor(x: Any, name: str, dtype: str | None = None, optional: bool = False) -> Any:
    """x as a tensor of Keras's backend; if optional, None and numbers stay; else TypeError."""
    if optional and (x is None or (isinstance(x, (int, float)) and not isinstance(x, np.generic))):
        return x
    if isinstance(x, (np.ndarray, np.generic)):  # a union of types is too much for torch.compile
        check_array(x, name, NUMPY)
        if dtype_name(x.dtype) not in KNOWN:
            raise TypeError(
                f"{name}: expected a bool, integer, float or complex dtype, got {x.dtype}"
            )
        x = keras.ops.convert_to_tensor(narrowed(x, BACKEND.widest))
    elif isinstance(x, keras.Variable):
        x = x.value
    check_array(x, name, BACKEND)
    return x if dtype is None else keras.ops.cast(x, dtype)


def called_by(function: Callable[..., Any]) -> bool:
    """Whether the caller's caller is this function."""
    frame = sys._getframe(2) if hasattr(sys, "_getframe") else None
    return frame is not None and frame.f_code is getattr(function, "__code__", None)


class KerasLoss(Attributes, keras.losses.Loss):  # type: ignore[misc]
    """What our Keras losses share. It overrides ``__call__``, since Keras's own casts to float32
    and multiplies by the mask.

    ``dtype``: None computes and returns what the dtype table of l2core says; else inputs are cast
    to it first, and the result too (halves are computed in float32).
    """

    packed: tuple[str, ...] = ()

    def __init__(
        self, criterion: Core, name: str | None, reduction: str | None, dtype: Any
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self._given_dtype = None if dtype is None else keras.dtype_policies.get(dtype)
        self.criterion = criterion

    def __call__(
        self,
        y_true: Array,
        y_pred: Array,
        sample_weight: Array | float | None = None,
        *,
        mask: Array | None = None,
        denominator: Array | float | None = None,
        **parameters: Any,
    ) -> Array:
        """The loss; absent where ``sample_weight`` is 0 or y_pred's Keras mask is False."""
        if not compiling() and called_by(keras.metrics.MeanMetricWrapper.update_state):
            # A loss in compile(metrics=...), of which Keras takes the weighted mean itself.
            return self.samples(y_true, y_pred)
        given = Call(y_pred, y_true, sample_weight, mask, denominator, parameters)
        if any(isinstance(x, keras.KerasTensor) for x in (*given[:5], *parameters.values())):
            return LossOperation(self)(
                y_true, y_pred, sample_weight, mask=mask, denominator=denominator, **parameters
            )
        call = self._tensors(given)
        if replicas() > 1 and self._averages(call.pred):
            value = all_reduced(self._terms(call, denominator)).value() / replicas()
        else:
            value = self.criterion._value_of(call)
        dtype = self._cast_to()
        return value if dtype is None else keras.ops.cast(value, dtype)

    def terms(
        self,
        y_true: Array,
        y_pred: Array,
        sample_weight: Array | float | None = None,
        **others: Any,
    ) -> Terms:
        """Numerator and denominator of the mean, which add up over batches and replicas."""
        given = Call.of(y_pred, y_true, weight=sample_weight, **others)
        return self._terms(self._tensors(given), given.denominator)

    def denominator_of(
        self,
        y_true: Array,
        sample_weight: Array | float | None = None,
        *,
        mask: Array | None = None,
    ) -> Array:
        """What the mean divides by, as :meth:`l2core.Criterion.denominator_of` says."""
        self.criterion._check_terms("denominator_of")
        y_true = to_tensor(y_true, "y_true", self._cast_to())
        weight, mask = (
            to_tensor(x, name, optional=True)
            for x, name in ((sample_weight, "sample_weight"), (mask, "mask"))
        )
        call = Call(y_true, y_true, weight, mask)
        return self.criterion._denominator_of(self.divided(call))

    def divided(self, call: Call) -> Call:
        """The call with the denominator that a kind of loss means by its reduction."""
        return call

    def call(self, y_true: Array, y_pred: Array) -> Array:
        """The loss without weights."""
        return self(y_true, y_pred)

    def samples(self, y_true: Array, y_pred: Array) -> Array:
        """What each sample counts in a mean by weights over all batches.

        ValueError for a loss that is no such mean, of which Keras would make another number.
        """
        raise NotImplementedError(f"{type(self).__name__}.samples")

    def no_such_mean(self) -> ValueError:
        """The error of a loss that cannot be a metric by itself."""
        return ValueError(
            f"metrics: expected l2keras.CriterionMetric({self!r}), since Keras's own metric of a "
            f"loss is a mean by weights over all axes, got {self!r}"
        )

    def adapted(self, call: Call) -> Call:
        """The call of the core's criterion, of which a kind of loss may change some."""
        return call

    def _tensors(self, call: Call) -> Call:
        """The call of the core's criterion, with tensors of Keras's backend."""
        mask, keras_mask = call.mask, get_keras_mask(call.pred)
        if mask is not None and keras_mask is not None:
            raise ValueError(
                "mask: expected None with a y_pred that carries a Keras mask, got both"
            )
        mask = keras_mask if mask is None else mask
        dtype = self._cast_to()
        check_parameters(
            self.criterion, {**call.parameters, **dict.fromkeys(self.packed, call.pred)}
        )
        return self.adapted(
            Call(
                to_tensor(call.pred, "y_pred", dtype),
                to_tensor(call.target, "y_true", dtype),
                to_tensor(call.weight, "sample_weight", optional=True),
                to_tensor(mask, "mask", optional=True),
                to_tensor(call.denominator, "denominator", optional=True),
                {name: to_tensor(x, name, optional=True) for name, x in call.parameters.items()},
            )
        )

    def _cast_to(self) -> str | None:
        return None if self._given_dtype is None else str(self._given_dtype.compute_dtype)

    def _averages(self, y_pred: Any) -> bool:
        """Whether the value is a mean over the batch, which the replicas share among them."""
        axis = self.criterion.axis
        axes = (0,) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        return self.reduction not in (None, "none", "sum") and (
            0 in axes or -len(y_pred.shape) in axes
        )

    def _terms(self, call: Call, denominator: Any) -> Terms:
        terms = self.criterion.terms(*call[:2], **call.others)
        if replicas() > 1 and (
            denominator is not None or not isinstance(self.criterion.denominator, str)
        ):
            # The caller's denominator is that of all replicas together.
            terms = replace(terms, denominator=terms.denominator / replicas())
        return terms

    def told(self) -> dict[str, Any]:
        """The arguments that make it, as far as they are not as by default."""
        return {"reduction": self.reduction}

    def __repr__(self) -> str:
        """Its class with the parameters of its loss, and what else it was told."""
        told = self.told()
        if self._given_dtype is not None:
            told["dtype"] = self._given_dtype.name
        return f"{type(self).__name__}({', '.join(f'{name}={x!r}' for name, x in told.items())})"

    def get_config(self) -> dict[str, Any]:
        """What Keras saves, dtype included."""
        policy = self._given_dtype
        return {"name": self.name, "dtype": None if policy is None else policy.name}


@keras.saving.register_keras_serializable(package=PACKAGE)
class LossOperation(keras.Operation):  # type: ignore[misc]
    """A loss as a node of a functional model: what a loss of symbolic tensors gives."""

    def __init__(self, loss: KerasLoss, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.loss = loss

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The loss of the tensors that come when the model runs."""
        return self.loss(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The loss and the name of the node."""
        return {"loss": keras.saving.serialize_keras_object(self.loss), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LossOperation:
        """The node of a ``get_config`` dict."""
        return cls(keras.saving.deserialize_keras_object(config["loss"]), name=config["name"])


def _packed(names: Any, criterion: l2core.Criterion) -> tuple[str, ...]:
    """The names as a tuple; ValueError unless they are parameters of the loss, each once."""
    known = criterion.loss.parameters
    listed = isinstance(names, (list, tuple)) and all(name in known for name in names)
    if not listed or len(set(names)) < len(names):
        raise ValueError(
            f"packed: expected a list of parameters of {criterion.loss!r}, {list(known)}, "
            f"got {names!r}"
        )
    return tuple(names)


@keras.saving.register_keras_serializable(package=PACKAGE)
class Criterion(KerasLoss):
    """An :class:`l2core.Criterion` for ``compile(loss=...)``: fields and meaning are the core's.

    Called ``(y_true, y_pred, sample_weight=None, *, mask=None, denominator=None, **parameters)``
    with arrays of equal shapes; it never squeezes. ``sample_weight`` aligns with the leading axes;
    y_pred's Keras mask is honoured. ``packed`` names parameters of the loss that y_pred holds behind
    the prediction, along its last axis: with ``packed=["variance"]`` the first half is the
    prediction, and the second its variance. Under ``tf.distribute`` a mean is that over all replicas'
    data, divided by their number, as Keras expects of a loss; a denominator given is theirs all.
    """

    def __init__(
        self,
        loss: LossLike = "squared_error",
        reduction: str = "mean",
        denominator: str | float = "weight",
        axis: Axis = None,
        empty: str = "nan",
        nan_targets: str = "propagate",
        *,
        packed: Sequence[str] = (),
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        criterion = Core(loss, reduction, denominator, axis, empty, nan_targets)
        own = {"sum": "sum", "none": "none"}.get(reduction, "sum_over_batch_size")
        self.packed = _packed(packed, criterion)
        super().__init__(criterion, name, own, dtype)
        self.change(criterion)

    def __setattr__(self, name: str, value: Any) -> None:
        """As of any of ours; what is packed is checked too."""
        if name == "packed" and "criterion" in self.__dict__:
            value = _packed(value, self.criterion)
        super().__setattr__(name, value)

    def change(self, criterion: Core) -> None:
        """Take another criterion, its reduction in place of Keras's."""
        _packed(self.packed, criterion)
        self.__dict__.update(criterion=criterion, reduction=criterion.reduction)

    def adapted(self, call: Call) -> Call:
        """The call with what y_pred holds beside the prediction as parameters."""
        if not self.packed:
            return call
        size = len(self.packed) + 1
        n, wanted = (tuple(x.shape)[-1:] for x in (call.pred, call.target))
        if not wanted or n != (size * wanted[0],):
            raise ValueError(
                f"y_pred: expected {size} times the last axis of y_true, for the prediction and "
                f"{', '.join(self.packed)}, got shapes {tuple(call.pred.shape)} and "
                f"{tuple(call.target.shape)}"
            )
        parts = keras.ops.split(call.pred, size, axis=-1)
        more = dict(zip(self.packed, parts[1:], strict=True))
        given = {name: x for name, x in call.parameters.items() if x is not None}
        if both := more.keys() & given.keys():
            raise ValueError(f"{min(both)}: expected None, since y_pred holds it, got another")
        return call._replace(pred=parts[0], parameters={**given, **more})

    def samples(self, y_true: Array, y_pred: Array) -> Array:
        """The loss of each element."""
        changed = self.criterion.changed.keys() - {"loss", "empty"}
        if changed:
            raise self.no_such_mean()
        core = replace(self.criterion, reduction="none", empty="nan")
        return Criterion.of(core, dtype=self._given_dtype, packed=self.packed)(y_true, y_pred)

    def told(self) -> dict[str, Any]:
        """The loss, and what is not as by default."""
        told = {"loss": self.criterion.loss, **self.criterion.changed}
        return {**told, "packed": list(self.packed)} if self.packed else told

    def to_config(self) -> dict[str, Any]:
        """What it means, as :meth:`l2core.Criterion.to_config` has it, without Keras's name and dtype."""
        return self.criterion.to_config()

    def get_config(self) -> dict[str, Any]:
        """The criterion's config beside Keras's own."""
        own = {"criterion": self.to_config(), "packed": list(self.packed)}
        return {**super().get_config(), **own}

    @classmethod
    def of(cls, core: l2core.Criterion, **own: Any) -> Criterion:
        """The Keras loss of a core criterion, with Keras's own arguments."""
        fields = (core.reduction, core.denominator, core.axis, core.empty, core.nan_targets)
        return cls(core.loss, *fields, **own)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Criterion:
        """The loss of what ``get_config`` or ``to_config`` gave."""
        if "criterion" not in config:
            return cls.of(Core.from_config(config))
        own = {key: x for key, x in config.items() if key != "criterion"}
        return cls.of(Core.from_config(config["criterion"]), **own)
