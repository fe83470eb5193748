"""A mean over several micro-batches whose denominators are not known ahead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from l2core import Terms
from l2core.reach import check_whole_mean
from l2torch.criterion import Criterion
from l2torch.distributed import Ranks


class Window:
    """The mean of a criterion over a window of micro-batches, and its gradient, exactly.

    Call :meth:`add` for each micro-batch and ``backward`` on what it returns. After the last one, and
    before anything reads the gradients (clipping, the optimizer's step; a GradScaler may unscale them
    first), call :meth:`finish`, which scales them once. However many micro-batches there were, and whatever weights
    and masks left of each, value and gradient are those of one batch of all.

    criterion: its mean, or root of a mean, over everything (no ``axis``); with its
    ``process_group`` over all ranks, each of which adds as often as the others, perhaps nothing.
    divided_by: what the engine divides each loss by before ``backward``: ``accumulate_grad_batches``
    of Lightning (automatic optimisation), ``gradient_accumulation_steps`` of accelerate. 1: it does not.

    Until ``finish`` the gradients are those of this window alone: they start as zero or None, and
    losses of another kind are added after it. Weights without gradient.
    """

    def __init__(self, criterion: Criterion, *, divided_by: float = 1) -> None:
        if not isinstance(criterion, Criterion):
            raise TypeError(f"criterion: expected an l2torch.Criterion, got {criterion!r}")
        check_whole_mean(criterion, counted=True)
        number = isinstance(divided_by, Real) and not isinstance(divided_by, bool)
        if not number or not divided_by > 0:
            raise ValueError(f"divided_by: expected a number > 0, got {divided_by!r}")
        self.criterion = criterion
        self.divided_by = float(divided_by)
        self._terms: Terms | None = None
        self._unit: Tensor | None = None

    def add(self, input: Tensor, target: Tensor, **others: Any) -> Tensor:
        """What to call ``backward`` on for this micro-batch; arguments as in a call of the criterion.

        It is about as large as a mean, but no mean of anything: ``finish`` returns the value.
        """
        if others.get("denominator") is not None:
            raise ValueError(
                "denominator: expected None in a window, which finds it; one that is known ahead is "
                f"for the criterion itself, got {others['denominator']!r}"
            )
        terms = self.criterion.terms(input, target, **others)
        if terms.denominator.requires_grad:
            raise ValueError("weight: expected one without gradient in a window, got one with it")
        if self._unit is None:
            self._unit = self._near(terms.denominator)
        part = terms.detach()
        self._terms = part if self._terms is None else self._terms + part
        part_of_it: Tensor = terms.numerator / self._unit
        return part_of_it

    def finish(self, parameters: Iterable[Tensor] | Tensor) -> Tensor:
        """Scale the gradients of these parameters to those of the mean; returns the mean, detached.

        The window is empty then, and the next one begins.
        """
        if self._terms is None or self._unit is None:
            raise RuntimeError("Window: expected at least one add before finish, got none")
        grads = _gradients(parameters)
        terms, ranks = self._terms._whole(), self.criterion._ranks
        factor = self._unit * self.divided_by
        if ranks is not None:
            factor = factor * ranks.share()
            terms = self._of_all(terms, ranks)
        value: Tensor = terms.value()
        factor = factor / torch.where(terms.denominator == 0, 1.0, terms.denominator)
        if terms.root:
            factor = torch.where(
                value == 0, 0.0, factor * 0.5 / torch.where(value == 0, 1.0, value)
            )
        for grad in grads:
            grad.mul_(factor.to(grad.device))
        self.reset()
        return value

    def reset(self) -> None:
        """Forget what was added: for a window that is given up."""
        self._terms = self._unit = None

    def _of_all(self, terms: Terms, ranks: Ranks) -> Terms:
        """The terms of all ranks."""
        numerator, denominator = ranks.total(terms.numerator, terms.denominator)
        return replace(terms, numerator=numerator, denominator=denominator)

    def _near(self, denominator: Tensor) -> Tensor:
        """A power of two near a first denominator: no rounding, and no overflow of half gradients."""
        whole = denominator.detach()
        ranks = self.criterion._ranks
        if ranks is not None:
            (whole,) = ranks.total(whole)
        whole = torch.where(whole == 0, 1.0, whole.abs().clamp(1e-30, 1e30))
        return torch.exp2(torch.floor(torch.log2(whole)))


def _gradients(parameters: Iterable[Tensor] | Tensor) -> list[Tensor]:
    """The gradient of each of them, once, however often it is named."""
    named = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for p in named:
        if not isinstance(p, Tensor):
            raise TypeError(f"parameters: expected tensors, got {type(p).__name__}")
    found = [p.grad for p in {id(p): p for p in named}.values() if p.grad is not None]
    if not found:
        raise ValueError(
            f"parameters: expected at least one with a gradient, got {len(named)} without any"
        )
    return found
