"""Exact sums as one operator of PyTorch's: what compilers and transforms see of them."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor

from l2core import Criterion
from l2core.call import Call
from l2core.checks import axes_of, residual_dtypes
from l2core.exactly import calls

WEIGHTS, VALUE = "weights", "value"


# Written out: PyTorch 2.6 does not read `Tensor | None`.
@torch.library.custom_op(
    "l2core::exactly",
    mutates_args=(),
    schema="(Tensor pred, Tensor target, Tensor? weight, Tensor? mask, Tensor? denominator, "
    "float[] numbers, str told, int[]? axis) -> Tensor",
)
def exactly(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    mask: Tensor | None,
    denominator: Tensor | None,
    numbers: list[float],
    told: str,
    axis: list[int] | None,
) -> Tensor:
    """The value of a criterion, or the sum of its weights. ``numbers`` are a weight and a denominator
    in place of an array, and a denominator of the criterion, NaN for none; ``told`` names what is
    wanted, the loss, the reduction, the denominator, empty and nan_targets."""
    what, loss, reduction, name, empty, nan_targets = told.split()
    weighs, divides, by = (None if math.isnan(x) else x for x in numbers)
    axes = None if axis is None else tuple(axis)
    criterion = Criterion(
        loss, reduction, name if by is None else by, axes, empty, nan_targets, exact=True
    )
    call = Call(
        pred,
        target,
        weighs if weight is None else weight,
        mask,
        divides if denominator is None else denominator,
    )
    found = calls.DIRECT[what](criterion, call)
    return cast(Tensor, found).clone()


@exactly.register_fake
def _(pred: Any, target: Any, weight: Any, mask: Any, denominator: Any, *others: Any) -> Any:
    from l2torch.backend import BACKEND

    _, told, axis = others
    reduction = told.split()[2]
    factors = (weight, denominator)
    _, real = residual_dtypes(pred, target, factors, BACKEND)
    rank = len(pred.shape)
    axes = (
        () if reduction == "none" else range(rank) if axis is None else axes_of(tuple(axis), rank)
    )
    shape = [n for a, n in enumerate(pred.shape) if a not in axes]
    return pred.new_empty(shape, dtype=getattr(torch, real))


@exactly.register_vmap
def _(info: Any, in_dims: Any, *arguments: Any) -> Any:
    found = []
    for i in range(info.batch_size):
        each = [
            x if d is None or not isinstance(x, Tensor) else x.select(d, i)
            for x, d in zip(arguments, in_dims, strict=True)
        ]
        found.append(exactly(*each))
    return torch.stack(found), 0


def node(what: str, criterion: Any, call: Call) -> Tensor:
    """See :class:`l2core.integers.Integers`."""
    array = [x if isinstance(x, Tensor) else None for x in call[:5]]
    given = [
        float("nan") if x is None or isinstance(x, Tensor) else float(x)
        for x in (call.weight, call.denominator)
    ]
    by = criterion.denominator
    numbers = [*given, float("nan") if isinstance(by, str) else float(by)]
    axis = criterion.axis
    name, loss = by if isinstance(by, str) else "weight", type(criterion.loss).__name__
    told = f"{what} {loss} {criterion.reduction} {name} {criterion.empty} {criterion.nan_targets}"
    axes = None if axis is None else list(axis) if isinstance(axis, tuple) else [axis]
    return cast(Tensor, exactly(*array, numbers, told, axes))
