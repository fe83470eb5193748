"""Losses as functions: elementwise ones named and called as in optax, reduced ones beside them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, cast

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
from l2core.call import Call
from l2core.checks import check_call
from l2core.prepared import prepared
from l2jax.backend import BACKEND, rho
from l2jax.criterion import Criterion, as_array


@dataclass(frozen=True)
class _Optax(Criterion):
    """A criterion whose errors use optax's argument names."""

    _names: ClassVar[tuple[str, str, str]] = ("predictions", "targets", "weight")


def _elementwise(loss: Loss, predictions: Array, targets: Array | None) -> Array:
    criterion = _Optax(loss, "none")
    predictions = _argument(predictions, "predictions")
    if targets is None:
        return cast(Array, _alone(criterion, predictions))
    return criterion(predictions, _argument(targets, "targets"))


def _argument(x: Array, name: str) -> Array:
    """x as optax takes it: a number too."""
    return jnp.asarray(x) if isinstance(x, (int, float)) else cast(Array, as_array(x, name))


@partial(jax.jit, static_argnums=0)
def _alone(criterion: Criterion, predictions: Array) -> Array:
    return criterion(predictions, jnp.zeros_like(predictions))


@jax.jit
def _huber(predictions: Array, targets: Array, delta: Array) -> Array:
    """Huber's loss with a delta for all or for each, which may be differentiated."""
    checked, call = _Optax(Huber(), "none"), Call(predictions, targets)
    check_call(checked, call, checked._names, BACKEND)
    inputs = prepared(checked, BACKEND, call)
    return rho(checked.loss, inputs.pred - inputs.target, {"delta": delta.astype(inputs.real)})


def squared_error(predictions: Array, targets: Array | None = None) -> Array:
    """r², elementwise, as ``optax.squared_error``; unequal shapes raise, halves return float32."""
    return _elementwise(SquaredError(), predictions, targets)


def l2_loss(predictions: Array, targets: Array | None = None) -> Array:
    """½r², elementwise, as ``optax.l2_loss``; unequal shapes raise, halves return float32."""
    return _elementwise(HalfSquaredError(), predictions, targets)


def huber_loss(
    predictions: Array, targets: Array | None = None, delta: Array | float = 1.0
) -> Array:
    """Huber's loss, elementwise, as ``optax.huber_loss``; unequal shapes and delta <= 0 raise.

    A delta that is a JAX array (0-d, or of predictions' shape) may be traced and differentiated;
    its sign is not checked.
    """
    if hasattr(delta, "__jax_array__"):
        delta = as_array(delta, "delta")
    if not isinstance(delta, Array):
        return _elementwise(Huber(delta), predictions, targets)
    predictions = _argument(predictions, "predictions")
    if delta.shape not in ((), predictions.shape):
        raise ValueError(
            f"delta: expected shape () or that of predictions, {predictions.shape}, "
            f"got {delta.shape}"
        )
    if targets is None:
        targets = jnp.zeros_like(predictions)
    return cast(Array, _huber(predictions, _argument(targets, "targets"), delta))


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
    beta: float = 1.0,
    weight: Array | float | None = None,
    mask: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """The mean of Huber(beta)/beta; arguments as in :class:`l2jax.Criterion`."""
    return Criterion(SmoothL1(beta), reduction)(pred, target, weight=weight, mask=mask)


def quantile_loss(
    pred: Array,
    target: Array,
    *,
    q: float = 0.5,
    weight: Array | float | None = None,
    mask: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """The mean pinball loss; arguments as in :class:`l2jax.Criterion`."""
    return Criterion(Quantile(q), reduction)(pred, target, weight=weight, mask=mask)


def expectile_loss(
    pred: Array,
    target: Array,
    *,
    tau: float = 0.5,
    weight: Array | float | None = None,
    mask: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """The mean asymmetric squared error; arguments as in :class:`l2jax.Criterion`."""
    return Criterion(Expectile(tau), reduction)(pred, target, weight=weight, mask=mask)


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
