"""What our Keras losses share, on whichever backend Keras runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any, ClassVar, Self, cast

import keras
import numpy as np

import l2core
from l2core import Terms
from l2core.arrays import Array
from l2core.attributes import Attributes
from l2core.backend import Backend, check_array, narrowed
from l2core.call import Call
from l2core.checks import axes_of, check_parameters
from l2core.dtypes import KNOWN, dtype_name
from l2core.numpy_backend import NUMPY
from l2core.reach import value_over
from l2keras.distribution import Group, Replicas, replicas
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


def same_rank(a: Any, b: Any) -> tuple[Any, Any]:
    """Keras's fix-up of a last axis of length 1 that one of the two lacks."""
    if len(a.shape) == len(b.shape) + 1 and a.shape[-1] == 1:
        return (a, b[..., None]) if len(b.shape) == 1 else (a[..., 0], b)
    if len(b.shape) == len(a.shape) + 1 and b.shape[-1] == 1:
        return (a[..., None], b) if len(a.shape) == 1 else (a, b[..., 0])
    return a, b


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
    _group: Group | None = None

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
        call, parts = self._tensors(given), self._parts()
        value = (
            self.criterion._value_of(call)
            if parts is None
            else self._over(parts, call, denominator)
        )
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
        terms = self.criterion.terms(*(call := self._tensors(given))[:2], **call.others)
        number = self.criterion.denominator
        if replicas() > 1 and (given.denominator is not None or not isinstance(number, str)):
            if self.criterion.exact:
                raise ValueError(
                    "exact: expected False for terms of replicas over a denominator that is a number, got True"
                )
            # The caller's denominator is that of all replicas together.
            terms = replace(terms, denominator=terms.denominator / replicas())
        return terms

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

    @property
    def process_group(self) -> Any:
        """The ranks whose data a mean (or sum) is over, with Keras on torch; None: this process."""
        return None if self._group is None else self._group.ranks.group

    @process_group.setter
    def process_group(self, group: Any) -> None:
        self.__dict__["_group"] = None if group is None else Group(group)

    def _parts(self) -> Replicas | Group | None:
        """Those who share the mean; None: nobody."""
        if self._group is not None:
            return self._group
        number = replicas()
        return Replicas(number) if number > 1 else None

    def _over(self, parts: Replicas | Group, call: Call, denominator: Any) -> Array:
        """The value over all of them."""
        whole = self.reduction not in (None, "none")
        axis = self.criterion.axis
        if axis is not None and 0 not in axes_of(axis, len(call.pred.shape)):
            whole = False
        if not whole and isinstance(parts, Group):
            raise ValueError(
                f"process_group: expected None for a loss of each sample, got {self.process_group!r}"
            )
        if not whole or (self.reduction == "sum" and isinstance(parts, Replicas)):
            return self.criterion._value_of(call)
        told = denominator is not None or not isinstance(self.criterion.denominator, str)
        # Of Keras's own losses "sum" is a sum of means, which parts add up too.
        told = told or self.reduction == "sum"
        value = value_over(self.criterion, call, parts.add_up, told)
        return value if parts.divisor == 1 else value / parts.divisor

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
        own = {"name": self.name, "dtype": None if policy is None else policy.name}
        if self._group is None:
            return own
        if self.process_group != "world":
            raise TypeError(
                'process_group: expected None or "world" in what is saved, since a group belongs to '
                f"its process, got {self.process_group!r}"
            )
        return {**own, "process_group": "world"}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The loss of a ``get_config`` dict."""
        own = {name: x for name, x in config.items() if name != "process_group"}
        loss = cls(**own)
        if "process_group" in config:
            loss.process_group = config["process_group"]
        return loss


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
