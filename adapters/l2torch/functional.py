"""Mirrors ``torch.nn.functional``: the same names, arguments and order, weights too."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from l2core import (
    AbsoluteError,
    GaussianNLL,
    Huber,
    LogCosh,
    Loss,
    Quantile,
    SmoothL1,
    SquaredError,
)
from l2torch.criterion import CoreCriterion
from l2torch.losses import refuse_legacy


def _loss(
    loss: Loss,
    reduction: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    **parameter: Tensor | float,
) -> Tensor:
    """With a parameter that the loss fixes if it is a number, and that comes with the call if not."""
    for name, x in parameter.items():
        if not isinstance(x, Tensor):
            loss, parameter = replace(loss, **{name: x}), {}
    value: Tensor = CoreCriterion(loss, reduction)(input, target, weight=weight, **parameter)
    return value


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """r²; a weighted mean divides by the sum of weights; unequal shapes raise."""
    refuse_legacy(size_average, reduce)
    return _loss(SquaredError(), reduction, input, target, weight)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    r"""\|r\|; a weighted mean divides by the sum of weights; unequal shapes raise."""
    refuse_legacy(size_average, reduce)
    return _loss(AbsoluteError(), reduction, input, target, weight)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: Tensor | float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Huber's loss; a weighted mean divides by the sum of weights, where PyTorch's by N.

    A tensor of deltas aligns like a weight, and has a gradient.
    """
    return _loss(Huber(), reduction, input, target, weight, delta=delta)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    beta: Tensor | float = 1.0,
) -> Tensor:
    """Huber(beta)/beta, of one beta or a tensor of them; unequal shapes raise."""
    refuse_legacy(size_average, reduce)
    return _loss(SmoothL1(), reduction, input, target, None, beta=beta)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """The Gaussian negative log-likelihood, with no gradient to a variance below eps."""
    value: Tensor = CoreCriterion(GaussianNLL(full, eps), reduction)(input, target, variance=var)
    return value


def log_cosh_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None
) -> Tensor:
    """Log cosh r, to a few ULP at any size of r."""
    return _loss(LogCosh(), reduction, input, target, weight)


def quantile_loss(
    input: Tensor,
    target: Tensor,
    q: Tensor | float = 0.5,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The pinball loss of the q-quantile: too low costs q a unit, too high 1 - q.

    A tensor of several, ``(1, Q)``, serves predictions ``(N, Q)`` of as many quantiles.
    """
    return _loss(Quantile(), reduction, input, target, weight, q=q)


def rmse_loss(input: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """The root of the mean of r²; its gradient at a perfect fit is 0."""
    return _loss(SquaredError(), "root_mean", input, target, weight)
