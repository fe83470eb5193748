"""The loss of a Transformers ``Trainer``, over all labels of a window of micro-batches and of all
ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from l2torch.criterion import Criterion

ABSENT = -100
"""The label that Transformers' own losses leave out, and its Trainer does not count."""


class hf_loss:
    """``Trainer(compute_loss_func=l2torch.hf_loss(criterion))``: the mean over all labels present.

    Labels -100 are absent, and so are NaN ones where the criterion has ``nan_targets="ignore"``. The
    Trainer counts NaN as present; its ``data_collator=loss.collator(...)`` makes them -100 first, and
    without it a NaN label in a window of several micro-batches raises (on an accelerator, where a look
    would wait, the loss is NaN). Logits (N, 1) serve labels (N,). Under ``evaluate`` the mean is that of
    each batch.

    criterion: a mean over everything (no ``axis``), whose denominator is the number of labels.
    output: the name (or, for a tuple, the position) of the predictions in what the model returns.
    """

    def __init__(self, criterion: Criterion, output: str | int = "logits") -> None:
        if not isinstance(criterion, Criterion):
            raise TypeError(f"criterion: expected an l2torch.Criterion, got {criterion!r}")
        counts = criterion.denominator in ("weight", "count")
        if criterion.reduction != "mean" or criterion.axis is not None or not counts:
            raise ValueError(
                f"criterion: expected a mean over the labels present, over all axes, got {criterion!r}"
            )
        if criterion.process_group is not None:
            raise ValueError(
                "criterion: expected no process_group, since the Trainer counts the labels of all "
                f"ranks itself (average_tokens_across_devices), got {criterion!r}"
            )
        self.criterion = criterion
        self.output = output

    def __call__(
        self, outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """The part of this micro-batch in the mean over ``num_items_in_batch`` labels."""
        if labels is None:
            raise ValueError('labels: expected the entry "labels" in each batch, got None')
        pred = self._predictions(outputs)
        if pred.dim() == labels.dim() + 1 and pred.shape[-1] == 1:
            pred = pred[..., 0]
        mask = labels != ABSENT
        if num_items_in_batch is None:
            loss: Tensor = self.criterion(pred, labels, mask=mask)
            return loss
        total = torch.as_tensor(num_items_in_batch, device=pred.device)
        if self.criterion.nan_targets == "ignore" and labels.is_floating_point():
            missing = torch.count_nonzero(labels.isnan())
            alone = total == torch.count_nonzero(mask)  # the window is this batch
            uncounted = (missing > 0) & ~alone
            if uncounted.device.type == "cpu" and bool(uncounted):
                raise ValueError(
                    "labels: expected NaN labels to be -100 before the Trainer counts them "
                    f"(data_collator=loss.collator(...)), got {int(missing)} NaN"
                )
            total = total - torch.where(alone, missing, 0)
            total = torch.where(uncounted, torch.nan, total)
        nothing = total == 0  # of no label there is no loss
        each: Tensor = self.criterion(
            pred, labels, mask=mask, denominator=torch.where(nothing, 1, total)
        )
        return each

    def collator(self, collate: Callable[[Any], Any] | None = None) -> Callable[[Any], Any]:
        """``collate`` (Transformers' ``default_data_collator`` by default) with -100 for NaN labels."""
        return _Collator(collate or import_module("transformers").default_data_collator)

    def _predictions(self, outputs: Any) -> Tensor:
        found: Tensor
        if isinstance(outputs, Mapping) or isinstance(self.output, int):
            found = outputs[self.output]
        elif isinstance(outputs, tuple) and not hasattr(outputs, self.output):
            if self.output != "logits":
                raise ValueError(
                    f"output: expected a position in a tuple that the model returns, got {self.output!r}"
                )
            found = outputs[0]
        else:
            found = getattr(outputs, self.output)
        return found


class _Collator:
    """A class, so that workers of a DataLoader can be sent one."""

    def __init__(self, collate: Callable[[Any], Any]) -> None:
        self.collate = collate

    def __call__(self, features: Any) -> Any:
        batch = self.collate(features)
        labels = batch.get("labels")
        if isinstance(labels, Tensor) and labels.is_floating_point():
            batch["labels"] = torch.where(labels.isnan(), float(ABSENT), labels)
        return batch
