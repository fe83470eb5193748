"""The squared error of an ensemble, taken apart into bias, variance and noise.

S. Geman, E. Bienenstock, R. Doursat, Neural networks and the bias/variance dilemma, 1992.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from l2core.arrays import Array, kind_of
from l2core.backend import backend_of
from l2core.call import Call
from l2core.checks import check_call
from l2core.criterion import Criterion
from l2core.prepared import elements, prepared


class BiasVariance(NamedTuple):
    """``mse = bias_squared + variance + noise``, to rounding."""

    mse: Array
    """Of all models, in mean."""
    bias_squared: Array
    """Of the mean of the models."""
    variance: Array
    """Of the models about their mean."""
    noise: Array | float
    """That of the targets, as it was told; 0 if it was not."""


def bias_variance(
    predictions: Sequence[Array] | Array,
    target: Array,
    noise: Array | float | None = None,
    *,
    weight: Array | float | None = None,
    mask: Array | None = None,
    axis: int | Sequence[int] | None = None,
) -> BiasVariance:
    """The mean squared error of models, and what of it is bias², variance and noise.

    predictions: those of each model for the same inputs, models on the first axis: (M, *), M >= 1.
    target: (*); its ``axis``, ``weight`` and ``mask`` are as of a :class:`l2core.Criterion`.
    noise: the variance of the targets' noise (>= 0), a number or a 0-d array. It is told, since no
    data tells it; None counts it to the bias. Taken off, bias² is an estimate, which may be below 0.

    mse: the mean of (model - target)² over models and elements; bias_squared: that of
    (mean of the models - target)², less noise; variance: that of (model - mean of the models)².
    """
    if not isinstance(predictions, Sequence) and not getattr(predictions, "shape", ()):
        raise TypeError(
            "predictions: expected an array or a sequence of arrays with the models along its first "
            f"axis, got {kind_of(predictions)}"
        )
    models = len(predictions) if isinstance(predictions, Sequence) else predictions.shape[0]
    if models == 0:
        raise ValueError("predictions: expected at least one model on the first axis, got none")
    if getattr(noise, "shape", ()) != ():
        raise ValueError(f"noise: expected a number or a 0-d array, got shape {noise.shape}")  # type: ignore[union-attr]
    known = (
        float(noise) if isinstance(noise, (Real, np.ndarray)) else 0.0
    )  # no device is waited for
    if isinstance(noise, bool) or not 0 <= known < math.inf:
        raise ValueError(f"noise: expected a finite variance >= 0, got {noise!r}")
    criterion = Criterion(axis=axis)
    backend = backend_of(target, "target")
    calls = [Call(_model(predictions, m), target, weight, mask) for m in range(models)]
    residuals: list[Any] = []
    for m, call in enumerate(calls):
        check_call(criterion, call, (f"predictions[{m}]", "target", "weight"), backend)
        p, t, _ = elements(prepared(criterion, backend, call))
        residuals.append(p - t)
    # Of residuals, not of predictions: these may be far from 0, and their mean would be rounded there.
    n, nothing = len(calls), backend.xp.full_like(residuals[0], 0.0)
    center = sum(residuals, nothing) / n
    given = {"weight": weight, "mask": mask}
    variance = sum(criterion(r, center, **given) for r in residuals) / n
    mse = sum(criterion(r, nothing, **given) for r in residuals) / n
    bias = criterion(center, nothing, **given)
    told = 0.0 if noise is None else noise
    return BiasVariance(mse, bias if noise is None else bias - told, variance, told)


def _model(predictions: Any, m: int) -> Array:
    """The predictions of a model; strict namespaces want the other axes named."""
    return predictions[m, ...] if hasattr(predictions, "shape") else predictions[m]
