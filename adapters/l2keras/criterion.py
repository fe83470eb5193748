"""The criterion as a Keras loss, on whichever backend Keras runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras

import l2core
from l2core.arrays import Array
from l2core.call import Call
from l2core.config import Axis, LossLike
from l2keras.base import PACKAGE, Core, KerasLoss


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
    ``process_group`` (Keras on torch): ``"world"`` or a ``torch.distributed.ProcessGroup``, over whose ranks
    the mean is, for DistributedDataParallel, which averages their gradients.
    """

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
        packed: Sequence[str] = (),
        process_group: Any = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        if process_group is not None:
            self.process_group = process_group
        criterion = Core(loss, reduction, denominator, axis, empty, nan_targets, exact)
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
        if self.process_group is not None:
            told["process_group"] = self.process_group
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
        return cls(**core.arguments, **own)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Criterion:
        """The loss of what ``get_config`` or ``to_config`` gave."""
        if "criterion" not in config:
            return cls.of(Core.from_config(config))
        own = {key: x for key, x in config.items() if key != "criterion"}
        return cls.of(Core.from_config(config["criterion"]), **own)
