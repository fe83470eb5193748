"""The criterion as a PyTorch module."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.fx import Proxy

import l2core
from l2core import Terms
from l2core.attributes import Attributes
from l2core.backend import Backend
from l2core.call import Call
from l2core.config import Axis, LossLike
from l2core.criterion import told_by
from l2torch.backend import BACKEND
from l2torch.internals import tracing


class CoreCriterion(l2core.Criterion):
    """The core's criterion with PyTorch's argument names, for tensors."""

    _backend: ClassVar[Backend | None] = BACKEND
    _names: ClassVar[tuple[str, str, str]] = ("input", "target", "weight")

    def _value_of(self, call: Call) -> Any:
        if not tracing():
            return super()._value_of(call)
        with quiet():
            return super()._value_of(call)

    def _terms_of(self, call: Call) -> Terms:
        if not tracing():
            return super()._terms_of(call)
        with quiet():
            return super()._terms_of(call)


@contextmanager
def quiet() -> Iterator[None]:
    """Without torch.jit's warnings of what Python decides: the checks, which decide no number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        yield


def _node(module: Criterion, input: Any, target: Any, parameters: Any, **others: Any) -> Any:
    """A node of torch.fx that calls the module, or, where that is all there is, its criterion."""
    others = {name: x for name, x in others.items() if x is not None}
    tracer: Any = (input if isinstance(input, Proxy) else target).tracer
    name = tracer.path_of_module(module)
    if not name:
        arguments = (module.to_config(), input, target, parameters)
        return tracer.create_proxy("call_function", configured, arguments, others)
    renamed = {module._renamed.get(name, name): x for name, x in parameters.items()}
    return tracer.create_proxy("call_module", name, (input, target), {**others, **renamed})


def configured(
    config: dict[str, Any], input: Tensor, target: Tensor, parameters: Any, **others: Any
) -> Tensor:
    """The loss of the criterion of a ``to_config`` mapping."""
    value: Tensor = CoreCriterion.from_config(config)(input, target, **others, **parameters)
    return value


class Criterion(Attributes, nn.Module):
    """An :class:`l2core.Criterion` as a module without parameters or state.

    Shape: ``input`` (*), ``target`` (*) of the same shape; the output is a scalar, or (*) under
    ``reduction="none"``, or without the reduced axes under ``axis``. ``weight``, ``mask`` and the
    parameters of the loss align with the leading axes, or have input's rank with axes of length 1.
    Fields, dtypes and errors are those of :class:`l2core.Criterion`. Fields and the parameters of
    the loss are attributes; set, they take effect (``loss.reduction = "none"``).
    """

    _renamed: ClassVar[dict[str, str]] = {}
    """The names that forward has for parameters of the loss, where they are others."""

    def __init__(
        self,
        loss: LossLike = "squared_error",
        reduction: str = "mean",
        denominator: str | float = "weight",
        axis: Axis = None,
        empty: str = "nan",
        nan_targets: str = "propagate",
    ) -> None:
        super().__init__()
        self.criterion = CoreCriterion(loss, reduction, denominator, axis, empty, nan_targets)

    @torch.jit.unused  # so that models which merely hold one can be scripted
    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        weight: Tensor | float | None = None,
        mask: Tensor | None = None,
        denominator: Tensor | float | None = None,
        **parameters: Tensor | float | None,
    ) -> Tensor:
        """The loss, as :meth:`l2core.Criterion.__call__` says."""
        value: Tensor
        strange = type(input) is not Tensor or type(target) is not Tensor
        if strange and (isinstance(input, Proxy) or isinstance(target, Proxy)):
            others = {"weight": weight, "mask": mask, "denominator": denominator}
            return _node(self, input, target, parameters, **others)
        if weight is None and mask is None and denominator is None and not parameters:
            # Names of arguments cost a twentieth of a small call.
            value = self.criterion(input, target)
            return value
        value = self.criterion(
            input, target, weight=weight, mask=mask, denominator=denominator, **parameters
        )
        return value

    def terms(self, input: Tensor, target: Tensor, **others: Any) -> Terms:
        """Numerator and denominator of the mean, as :meth:`l2core.Criterion.terms` says."""
        return self.criterion.terms(input, target, **others)

    def denominator_of(
        self, target: Tensor, *, weight: Tensor | float | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """What the mean divides by, as :meth:`l2core.Criterion.denominator_of` says."""
        denominator: Tensor = self.criterion.denominator_of(target, weight=weight, mask=mask)
        return denominator

    def to_config(self) -> dict[str, Any]:
        """What it means, as :meth:`l2core.Criterion.to_config` has it."""
        return self.criterion.to_config()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The module of a ``to_config`` mapping; what it leaves out is as ``cls()`` has it."""
        module = cls()
        usual, told = module.criterion, told_by(config)
        criterion = replace(usual, **told)
        for name in cls.fixed:
            kept, found = (getattr(c, name) for c in (usual, criterion))
            if name == "loss":  # its parameters are not fixed
                kept, found = type(kept).__name__, type(found).__name__
            if kept != found:
                raise ValueError(f"{name}: expected {kept} in {cls.__name__}, got {told[name]!r}")
        module.change(criterion)
        return module

    def missing(self, name: str) -> Any:
        """A parameter, buffer or module that a class of the user's has."""
        return nn.Module.__getattr__(self, name)

    def extra_repr(self) -> str:
        """The loss with its parameters, and the fields that differ from their defaults."""
        if torch.compiler.is_compiling():  # vmap wants a name; parameters may be symbols there
            return type(self.criterion.loss).__name__
        told = self.criterion.changed
        loss = repr(told.pop("loss", self.criterion.loss))
        return ", ".join([loss, *(f"{name}={x!r}" for name, x in told.items())])
