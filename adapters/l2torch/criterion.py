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
from l2core.call import Call, told_by
from l2core.config import Axis, LossLike
from l2core.reach import value_over
from l2torch.backend import BACKEND
from l2torch.distributed import WORLD, Ranks
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
        if module.process_group is not None:
            raise RuntimeError(
                "process_group: expected a loss that is a submodule of what torch.fx traces, or None, "
                f"got {module.process_group!r}"
            )
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

    ``process_group``: the ranks whose data the mean (or sum) is over, a
    ``torch.distributed.ProcessGroup``, or ``"world"``, the default group of the time of the call;
    None: this process. Each rank calls it as often as the others, perhaps on nothing, and does the
    same with the value. ``gradients``: what the engine does with the ranks' gradients, ``"average"``
    (DistributedDataParallel, FSDP) or ``"sum"``. Neither is part of ``to_config``.
    """

    _ranks: Ranks | None = None
    _gradients: str = "average"
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
        exact: bool = False,
        *,
        process_group: Any = None,
        gradients: str = "average",
    ) -> None:
        super().__init__()
        if gradients != "average":
            self.gradients = gradients
        if process_group is not None:
            self.process_group = process_group
        self.criterion = CoreCriterion(
            loss, reduction, denominator, axis, empty, nan_targets, exact
        )

    def __setattr__(self, name: str, value: Any) -> None:
        """As of any of ours; what is set as a group is no submodule, whatever it is."""
        if name in ("process_group", "gradients"):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    @torch.jit.unused
    def process_group(self) -> Any:
        """The ranks whose data the mean is over; None: this process."""
        return None if self._ranks is None else self._ranks.group

    @process_group.setter
    def process_group(self, group: Any) -> None:
        self.__dict__["_ranks"] = None if group is None else Ranks(group, self.gradients)

    @property
    @torch.jit.unused
    def gradients(self) -> str:
        """What the engine does with the ranks' gradients."""
        return self._gradients

    @gradients.setter
    def gradients(self, gradients: str) -> None:
        ranks = Ranks(WORLD if self.process_group is None else self.process_group, gradients)
        self.__dict__["_gradients"] = gradients
        if self._ranks is not None:
            self.__dict__["_ranks"] = ranks

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
        if self._ranks is not None:
            call = Call(input, target, weight, mask, denominator, parameters)
            value = value_over(self.criterion, call, self._ranks.add_up)
            return value
        if weight is None and mask is None and denominator is None and not parameters:
            # Names of arguments cost a twentieth of a small call.
            value = self.criterion(input, target)
            return value
        value = self.criterion(
            input, target, weight=weight, mask=mask, denominator=denominator, **parameters
        )
        return value

    def terms(self, input: Tensor, target: Tensor, **others: Any) -> Terms:
        """Numerator and denominator of the mean, as :meth:`l2core.Criterion.terms` says.

        Those of this process alone, also under a process group.
        """
        return self.criterion.terms(input, target, **others)

    def denominator_of(
        self, target: Tensor, *, weight: Tensor | float | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """What the mean divides by, as :meth:`l2core.Criterion.denominator_of` says; of this process."""
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
        if self._ranks is not None:
            told["process_group"] = self.process_group
        if self.gradients != "average":
            told["gradients"] = self.gradients
        return ", ".join([loss, *(f"{name}={x!r}" for name, x in told.items())])
