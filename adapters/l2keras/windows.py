"""Means over the batches that an optimizer with ``gradient_accumulation_steps`` adds up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from l2core.arrays import Array
from l2core.call import Call
from l2core.reach import check_whole_mean
from l2keras.base import PACKAGE, KerasLoss, same_rank
from l2keras.criterion import Criterion


@keras.saving.register_keras_serializable(package=PACKAGE)
class WindowLoss(Criterion):
    """The sum that :class:`Windows` gives its weights to; ``fix_up``: of shapes, as in Keras's own."""

    def __init__(self, *fields: Any, fix_up: bool = False, **own: Any) -> None:
        super().__init__(*fields, **own)
        self.__dict__["fix_up"] = fix_up

    def adapted(self, call: Call) -> Call:
        """ValueError for a mask, which no one counted ahead."""
        if call.mask is not None:
            raise ValueError(
                "mask: expected None with l2keras.Windows, which counts the targets before the model "
                "has run (give weights of 0), got one"
            )
        if self.fix_up:
            target, pred = same_rank(call.target, call.pred)
            call = call._replace(target=target, pred=pred)
        return super().adapted(call)

    def get_config(self) -> dict[str, Any]:
        """The criterion's config beside Keras's own."""
        return {**super().get_config(), "fix_up": self.fix_up}


class Windows:
    """Batches for ``fit`` whose accumulated gradient is that of the mean over each whole window.

    A Keras optimizer with ``gradient_accumulation_steps=k`` averages the gradients of k batches, which
    is a mean of means. This gives each batch weights by which the average is the mean of the k batches
    together: exact, however uneven they are.

    batches: (x, y) or (x, y, sample_weight), arrays with the batch along their first axis; a list or
    any other iterable that starts anew is repeated without end, since windows reach over the end of
    an epoch (give ``fit`` its ``steps_per_epoch``).
    criterion: the mean that is meant; its denominator is found ahead, of targets and weights.
    steps: the optimizer's ``gradient_accumulation_steps``.

    ``compile(loss=windows.loss, weighted_metrics=[CriterionMetric(criterion)])``, then
    ``fit(iter(windows), steps_per_epoch=..., shuffle=False)``.
    """

    def __init__(self, batches: Iterable[Any], criterion: KerasLoss, steps: int) -> None:
        if not isinstance(criterion, KerasLoss):
            raise TypeError(f"criterion: expected a loss of l2keras, got {criterion!r}")
        core = criterion.criterion
        check_whole_mean(criterion, counted=True)
        if criterion.reduction == "root_mean":
            raise ValueError(
                "criterion: expected a mean, since weights do not make a root of batches that of all, "
                f"got {criterion!r}"
            )
        if criterion.process_group is not None:
            raise ValueError(
                f"criterion: expected no process_group in windows of this process, got {criterion!r}"
            )
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps: expected a whole number >= 1, got {steps!r}")
        self.batches, self.criterion, self.steps = batches, criterion, steps
        summed = replace(core, reduction="sum", denominator="weight", empty="nan")
        own = {"packed": criterion.packed, "dtype": criterion._given_dtype}
        own["fix_up"] = not isinstance(criterion, Criterion)
        self.loss = WindowLoss.of(summed, name=criterion.name, **own)

    def __iter__(self) -> Iterator[tuple[Any, Any, Any]]:
        window: list[tuple[Any, Any, Any]] = []
        for batch in self._endless():
            x, y, *rest = batch
            window.append((x, y, rest[0] if rest else None))
            if len(window) == self.steps:
                yield from self._weighted(window)
                window = []
        yield from self._weighted(window)

    def _endless(self) -> Iterator[Any]:
        again, some = True, False
        while again:
            some = False
            for batch in self.batches:
                some = True
                yield batch
            again = some and iter(self.batches) is not self.batches
        if not some:
            raise ValueError("batches: expected at least one, got none")

    def _weighted(self, window: list[tuple[Any, Any, Any]]) -> Iterator[tuple[Any, Any, Any]]:
        """The batches with ω·k/Σ for weights, Σ being the denominator of all."""
        total = sum(float(self._denominator(y, weight)) for _, y, weight in window)
        scale = 0.0 if total == 0 else self.steps / total
        for x, y, weight in window:
            ones = np.ones(y.shape[:1], "f4") if weight is None else np.asarray(weight)
            # A scale is far below what a half holds.
            yield x, y, (ones * np.float64(scale)).astype(np.result_type(ones, "f4"))

    def _denominator(self, y: Array, weight: Array | None) -> Any:
        found = self.criterion.denominator_of(y, weight)
        return keras.ops.convert_to_numpy(found)
