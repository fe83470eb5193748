"""Losses as functions: elementwise ones named and called as in optax, reduced ones beside them."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
from jax import Array

from l2core import (
    AbsoluteError,
    Expectile,
    GaussianNLL,
    HalfSquaredError,
    Huber,
    LogCosh,
    Loss,
    Quantile,
    SmoothL1,
    SquaredError,
)
from l2jax.criterion import Criterion, as_array


class _Optax(Criterion):
    """A criterion whose errors use optax's argument names."""

    _names: ClassVar[tuple[str, str, str]] = ("predictions", "targets", "weight")


def _elementwise(loss: Loss, predictions: Array, targets: Array | None, **parameters: Any) -> Array:
    criterion = _Optax(loss, "none")
    predictions = _argument(predictions, "predictions")
    other = _zeros(predictions) if targets is None else _argument(targets, "targets")
    return criterion(predictions, other, **parameters)


def _argument(x: Array, name: str) -> Array:
    """x as optax takes it: a number too."""
    return jnp.asarray(x) if isinstance(x, (int, float)) else cast(Array, as_array(x, name))


_zeros = jax.jit(jnp.zeros_like)  # a tenth of the time of zeros_like outside jit


def squared_error(predictions: Array, targets: Array | None = None) -> Array:
    """r², elementwise, as ``optax.squared_error``; unequal shapes raise, halves return float32."""
    return _elementwise(SquaredError(), predictions, targets)


def l2_loss(predictions: Array, targets: Array | None = None) -> Array:
    """½r², elementwise, as ``optax.l2_loss``; unequal shapes raise, halves return float32."""
    return _elementwise(HalfSquaredError(), predictions, targets)


def huber_loss(
    predictions: Array, targets: Array | None = None, delta: Array | float = 1.0
) -> Array:
    """Huber's loss, elementwise, as ``optax.huber_loss``; unequal shapes and numbers <= 0 raise.

    delta, which may be traced and differentiated, is a number, or an array that aligns like a
    weight; an array's sign is not checked.
    """
    return _elementwise(Huber(), predictions, targets, delta=delta)


def log_cosh(predictions: Array, targets: Array | None = None) -> Array:
    """log cosh r, elementwise, as ``optax.log_cosh``; exact near 0, unequal shapes raise."""
    return _elementwise(LogCosh(), predictions, targets)


def mse_loss(
    pred: Array,
    target: Array,
    *,
    weight: Array | float | None = None,
    mask: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """The mean of r²; arguments as in :class:`l2jax.Criterion`."""
    return Criterion(SquaredError(), reduction)(pred, target, weight=weight, mask=mask)


def l1_loss(
    pred: Array,
    target: Array,
    *,
    weight: Array | float | None = None,
    mask: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """The mean of |r|; arguments as in :class:`l2jax.Criterion`."""
    return Criterion(AbsoluteError(), reduction)(pred, target, weight=weight, mask=mask)


def rmse_loss(
    pred: Array,
    target: Array,
    *,
    weight: Array | float | None = None,
    mask: Array | None = None,
) -> Array:
    """The root of the mean of r², with gradient 0 at 0; arguments as in :class:`l2jax.Criterion`."""
    return Criterion(SquaredError(), "root_mean")(pred, target, weight=weight, mask=mask)


def smooth_l1_loss(
    pred: Array,
    target: Array,
    *,
    beta: Array | float = 1.0,
    weight: Array | float | None = None,
    mask: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """The mean of Huber(beta)/beta, of one beta or an array of them.

    Arguments as in :class:`l2jax.Criterion`.
    """
    criterion = Criterion(SmoothL1(), reduction)
    return criterion(pred, target, weight=weight, mask=mask, beta=beta)


def quantile_loss(
    pred: Array,
    target: Array,
    *,
    q: Array | float = 0.5,
    weight: Array | float | None = None,
    mask: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """The mean pinball loss of one q or an array of them.

    Arguments as in :class:`l2jax.Criterion`.
    """
    criterion = Criterion(Quantile(), reduction)
    return criterion(pred, target, weight=weight, mask=mask, q=q)


def expectile_loss(
    pred: Array,
    target: Array,
    *,
    tau: Array | float = 0.5,
    weight: Array | float | None = None,
    mask: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """The mean asymmetric squared error of one tau or an array of them.

    Arguments as in :class:`l2jax.Criterion`.
    """
    criterion = Criterion(Expectile(), reduction)
    return criterion(pred, target, weight=weight, mask=mask, tau=tau)


def gaussian_nll_loss(
    pred: Array,
    target: Array,
    variance: Array | float,
    *,
    full: bool = False,
    eps: float = 1e-6,
    weight: Array | float | None = None,
    mask: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """The mean Gaussian negative log-likelihood; arguments as in :class:`l2jax.Criterion`."""
    criterion = Criterion(GaussianNLL(full, eps), reduction)
    return criterion(pred, target, variance=variance, weight=weight, mask=mask)
