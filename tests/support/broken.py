"""A criterion as somebody might write it in NumPy: right, or with one mistake planted."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from l2core.conformance.harness import DTYPES, ArrayApiHarness

# Each mistake, and the groups of cases that must notice it.
MISTAKES = {
    "multiplies by the mask": {"selection", "parameters", "losses"},
    "weights of 0 are present": {"selection", "reductions"},
    "divides by n": {"reductions", "alignment", "missing", "infinities"},
    "counts what the mask hides": {"reductions", "selection", "empties"},
    "counts each weight once": {"reductions", "alignment"},
    "batch means all": {"reductions"},
    "aligns with the last axes": {"alignment"},
    "ignores the axis": {"reductions", "alignment", "empties"},
    "ignores the denominator of the call": {"given_denominators"},
    "nothing is zero": {"empties", "given_denominators"},
    "nothing is NaN": {"empties", "given_denominators"},
    "keeps missing targets": {"missing"},
    "ignores missing predictions": {"missing"},
    "hides infinities": {"infinities"},
    "swaps its arguments": {"losses"},
    "halves the gradient": {"reductions", "losses", "scalars"},
    "forgets the weight in the gradient": {"reductions", "selection", "parameters"},
    "forgets the cotangent": {"reductions", "scalars", "losses"},
    "a root without a guard": {"perfect"},
    "forgets the root": {"reductions", "empties"},
    "returns float64": {"reductions", "scalars", "perfect"},
    "returns shape (1,)": {"scalars", "reductions"},
    "does not clamp the variance": {"parameters"},
    "ignores a parameter": {"parameters"},
    "sums in float16": {"reductions", "losses"},
}


@dataclass(frozen=True)
class Written(ArrayApiHarness):
    """NumPy with this criterion in place of ours."""

    name: str = "numpy"
    xp: Any = np
    dtypes: tuple[str, ...] = DTYPES
    mistake: str = ""

    def face(self, criterion):
        return lambda pred, target, **more: self.value_and_grad(criterion, pred, target, **more)[0]

    def value_and_grad(self, criterion, pred, target, *, mode="eager", cotangent=None, **more):
        return written(criterion, pred, target, self.mistake, cotangent, **more)


def written(
    criterion,
    pred,
    target,
    mistake="",
    cotangent=None,
    weight=None,
    mask=None,
    denominator=None,
    **parameters,
):
    """The value and its gradient in NumPy's float64, cast at the end."""
    dtype, shape = pred.dtype, pred.shape
    p, t = pred.astype(float), target.astype(float)
    w, m = (spread(x, shape, mistake) for x in (weight, mask))
    given = {name: spread(x, shape, mistake) for name, x in parameters.items()}
    m = np.ones(shape, bool) if mask is None else m.astype(bool)
    w = np.ones(shape) if weight is None else w.astype(float)
    if criterion.nan_targets == "ignore" and mistake != "keeps missing targets":
        m = m & ~np.isnan(t)
        if mistake == "ignores missing predictions":
            m = m & ~np.isnan(p)
    present = m if mistake == "weights of 0 are present" else m & (w != 0)
    if mistake == "multiplies by the mask":
        p, t, w = p * present, t * present, w * m
    else:
        p, t = np.where(present, p, 0), np.where(present, t, 0)
        given = {name: np.where(present, x, 0.5) for name, x in given.items()}
        w = np.where(m, w, 0)
    r = t - p if mistake == "swaps its arguments" else p - t
    if mistake == "hides infinities":
        r = np.nan_to_num(r, posinf=1e30, neginf=-1e30)
    rho, psi = pointwise(criterion.loss, r, given, mistake)
    psi = -psi if mistake == "swaps its arguments" else psi
    losses = w * rho
    if mistake == "sums in float16":
        losses = losses.astype(np.float16).astype(float)
    if criterion.reduction == "none":
        value, scale = losses, np.ones(shape)
    else:
        axes = axes_of(criterion.axis, len(shape), mistake)
        total = losses.sum(axis=axes)
        value, scale = total, np.ones(total.shape)
        if criterion.reduction != "sum":
            divisor = divisor_of(criterion, total, w, present, axes, denominator, mistake)
            value, scale = total / divisor, 1 / divisor
            if criterion.reduction == "root_mean" and mistake != "forgets the root":
                value = np.sqrt(value)
                scale = scale / (2 * value)
                if mistake != "a root without a guard":
                    scale = np.where(value == 0, 0, scale)
        if axes is not None:
            scale = np.expand_dims(scale, axes)
    if mistake == "halves the gradient":
        scale = scale / 2
    if cotangent is not None and mistake != "forgets the cotangent":
        scale = scale * np.float64(cotangent)
    if mistake != "forgets the weight in the gradient":
        scale = scale * w
    gradient = psi * scale
    if mistake not in ("multiplies by the mask", "weights of 0 are present"):
        gradient = np.where(present, gradient, 0)
    if mistake != "returns float64":
        value = value.astype(dtype)
    if mistake == "returns shape (1,)" and value.shape == ():
        value = value.reshape(1)
    return value, gradient.astype(dtype)


def spread(x, shape, mistake):
    """x over all of shape: leading axes, or the same rank with axes of length 1."""
    if x is None:
        return np.ones(shape)
    x = np.asarray(x)
    if mistake != "aligns with the last axes" or x.shape != shape[len(shape) - x.ndim :]:
        x = x.reshape(x.shape + (1,) * (len(shape) - x.ndim))
    return np.broadcast_to(x, shape)


def pointwise(loss, r, given, mistake):
    if not loss.needs:
        given = {} if mistake == "ignores a parameter" else given
        return loss.rho(r, np, **given), loss.psi(r, np, **given)
    if "log_variance" in given:
        v, loss = np.exp(given["log_variance"]), replace(loss, eps=0.0)
    else:
        v = given["variance"]
    v = v if mistake == "does not clamp the variance" else np.maximum(v, loss.eps)
    rho = (np.log(v) + r**2 / v) / 2
    return rho + math.log(2 * math.pi) / 2 if loss.full else rho, r / v


def axes_of(axis, ndim, mistake):
    if axis is None or mistake == "ignores the axis":
        return None
    axes = axis if isinstance(axis, tuple) else (axis,)
    return tuple(a % ndim for a in axes)


def divisor_of(criterion, total, w, present, axes, given, mistake):
    name = criterion.denominator
    if given is not None and mistake != "ignores the denominator of the call":
        divisor = np.float64(given)
    elif not isinstance(name, str):
        divisor = np.float64(name)
    elif name == "size":
        divisor = np.ones(present.shape).sum(axis=axes)
    elif name == "batch":
        divisor = np.float64(present.size if mistake == "batch means all" else present.shape[0])
    elif mistake == "divides by n":
        divisor = np.ones(present.shape).sum(axis=axes)
    elif name == "count" or mistake == "counts each weight once":
        hidden = mistake == "counts what the mask hides"
        divisor = (present | hidden).sum(axis=axes).astype(float)
    else:
        divisor = (w if mistake != "counts what the mask hides" else w + ~present).sum(axis=axes)
    empty = {"nan": math.nan, "zero": 1.0}[criterion.empty]
    if mistake.startswith("nothing is"):
        empty = 1.0 if mistake.endswith("zero") else math.nan
    nothing = (divisor == 0) & (total == 0)
    return np.where(nothing, empty, np.broadcast_to(divisor, total.shape))
