"""Outliers among residuals: left out, moved in, or weighted down; and the scale they are judged by.

All but :func:`fit` work inside ``jit`` and look at no data on the host. Arguments align, are cast and
are absent as in a call of a criterion.
"""

from __future__ import annotations

import math
import warnings
from fractions import Fraction
from numbers import Integral
from typing import Any, NamedTuple

import array_api_compat

from l2core.arrays import Array
from l2core.backend import backend_of
from l2core.call import Call
from l2core.checks import check_call
from l2core.closed_form import least_squares
from l2core.config import LossLike, loss_of
from l2core.criterion import Criterion
from l2core.dtypes import REAL_FLOATS, dtype_name
from l2core.losses import Huber
from l2core.losses.base import number
from l2core.prepared import Prepared, cast_to, elements, prepared

__all__ = ["RobustFit", "fit", "huber_delta", "huber_tuning", "mad_scale", "trim", "winsorize"]

GAUSSIAN_MAD = 0.6744897501960817
"""The median of \\|x\\| of a standard Gaussian, the 3/4 quantile."""


class RobustFit(NamedTuple):
    """The answer of :func:`fit`, in arrays of X's framework and dtype."""

    coefficients: Array
    """(D,)."""
    scale: Array
    """0-d, in units of y: what residuals were divided by."""
    weight: Array
    """(N,): ω·psi(u)/u of each residual u = r/scale, by which this is a least-squares fit."""
    iterations: int
    """Least-squares fits that were made."""
    converged: bool
    """Whether the last one changed the coefficients by less than asked."""


def trim(
    pred: Array,
    target: Array,
    fraction: float,
    *,
    weight: Array | float | None = None,
    mask: Array | None = None,
) -> Array:
    """The mask, of pred's shape, that leaves out the largest residuals: this fraction of those present.

    So many as ``floor(fraction·n)``; of equal \\|r\\| the earlier stay. An absent element stays absent.
    NaN is never left out: it is no outlier, and the loss shall show it. 0 <= fraction < 1, as the
    nearest ratio of integers below four million (so 0.29 of 100 are 29).
    """
    return _kept(pred, target, fraction, weight, mask)[0]


def winsorize(
    pred: Array,
    target: Array,
    fraction: float,
    *,
    weight: Array | float | None = None,
    mask: Array | None = None,
) -> Array:
    """The prediction, in which what :func:`trim` leaves out is moved to the largest \\|r\\| that stays.

    Pass it to a criterion in pred's place, with the same weight and mask. Where it was moved its
    gradient is 0. TypeError unless pred holds real floats.
    """
    kept, key, inputs = _kept(pred, target, fraction, weight, mask)
    backend = inputs.backend
    if 0 in key.shape:
        return pred
    p, t, _ = elements(inputs)
    for name, x in (("pred", pred), ("pred - target", p)):
        if dtype_name(x.dtype) not in REAL_FLOATS:
            raise TypeError(f"{name}: expected a real float dtype, got {dtype_name(x.dtype)}")
    xp = backend.xp
    largest = xp.max(xp.reshape(xp.where(kept, key, 0.0), (-1,)), axis=0)
    moved = backend.detached(t + xp.sign(p - t) * largest)
    moved = cast_to(moved, dtype_name(pred.dtype), backend)
    stays = kept if inputs.present is None else kept | ~inputs.present
    return xp.where(stays, pred, moved)


def mad_scale(
    pred: Array,
    target: Array,
    *,
    weight: Array | float | None = None,
    mask: Array | None = None,
) -> Array:
    """The standard deviation of Gaussian errors from the median of \\|r\\|, which outliers do not move.

    0-d: median(\\|pred - target\\|) / 0.6745, about 0, not about the residuals' own median. Weights
    count as how often an element is there; where half of their sum ends between two elements, the
    median is the mean of both. NaN if a residual is, or if none is present. Hampel (1974), "The
    influence curve and its role in robust estimation".
    """
    key, present, inputs = _sizes(pred, target, weight, mask)
    backend = inputs.backend
    xp = backend.xp
    if 0 in key.shape:
        return backend.scalar(math.nan, inputs.real, inputs.pred)
    counted = inputs.weight if inputs.weight is not None else xp.full_like(key, 1.0)
    counted = xp.where(present, counted + xp.full_like(key, 0.0), 0.0)  # of each element
    counted, flat = xp.reshape(counted, (-1,)), xp.reshape(key, (-1,))
    most = xp.max(counted, axis=0)
    least = xp.min(xp.where(counted > 0, counted, math.inf), axis=0)
    counted = counted / xp.where(most == least, most, 1.0)  # equal ones add up without rounding
    order = xp.argsort(flat)
    sizes = xp.take(flat, order, axis=0)
    below = cast_to(xp.take(counted, order, axis=0), backend.widest_of(pred), backend)
    below = xp.cumulative_sum(below, axis=0)
    half = 0.5 * xp.max(below, axis=0)
    infinite = xp.full_like(sizes, math.inf)
    low = xp.min(xp.where(below >= half, sizes, infinite), axis=0)
    high = xp.min(xp.where(below > half, sizes, infinite), axis=0)
    told = (half > 0) & (half < math.inf)  # not of weights that are NaN, infinite or below 0
    unknown = (xp.min(xp.where(sizes == _ABSENT, 0.0, sizes), axis=0) == _NAN) | ~told
    return xp.where(unknown, math.nan, (0.5 * low + 0.5 * high) * (1 / GAUSSIAN_MAD))


def huber_delta(
    pred: Array,
    target: Array,
    *,
    weight: Array | float | None = None,
    mask: Array | None = None,
    efficiency: float = 0.95,
) -> Array:
    """Huber's delta from data: :func:`mad_scale` times :func:`huber_tuning` of this efficiency.

    0-d, to give as ``delta`` in a call; ``Huber(float(...))`` fixes it. 1.345 scales for 95 %.
    """
    return huber_tuning(efficiency) * mad_scale(pred, target, weight=weight, mask=mask)


def huber_tuning(efficiency: float = 0.95) -> float:
    """Huber's delta, in standard deviations, that has this efficiency on Gaussian errors.

    Of the asymptotic variance against the mean's, between 0.637 (2/pi is the median's) and 1, both
    excluded. Huber (1964), "Robust estimation of a location parameter".
    """
    low, high = 0.0, 40.0
    expected = "a number between 0.637 and 1, both excluded"
    wanted = number("efficiency", efficiency, 0.637, 1.0, expected)
    while (middle := 0.5 * (low + high)) not in (low, high):
        low, high = (middle, high) if _efficiency(middle) < wanted else (low, middle)
    return high


def fit(
    X: Array,
    y: Array,
    loss: LossLike = Huber(1.345),  # noqa: B008 (frozen)
    *,
    weight: Array | None = None,
    scale: float | None = None,
    tolerance: float = 1e-10,
    iterations: int = 200,
) -> RobustFit:
    """The w that minimises Σω·rho((Xw - y)/scale), by iteratively reweighted least squares.

    ``scale`` None: :func:`mad_scale` of the residuals, found anew in each step, so that the loss is
    in standard deviations (Huber(1.345), Tukey(4.685), Cauchy(2.385): 95 % efficiency). A number: the
    loss in that unit; 1.0 in y's own. It starts at least squares, and stops when no prediction moves by
    more than ``tolerance`` of the scale, or by rounding; RuntimeWarning where that does not happen
    within so many ``iterations``, or where fewer than half of the rows keep a weight. Losses that are not
    convex (Tukey, Cauchy) may find a local minimum. There is no gradient.

    X: (N, D), y: (N,), weight: (N,), as :func:`l2core.least_squares` takes them (there is no
    intercept). ValueError for a loss whose psi jumps at 0 (L1, quantiles), where these weights are
    infinite, or for a scale at which no more rows keep a weight than there are coefficients. Holland and Welsch (1977), "Robust regression using iteratively reweighted least-squares".
    """
    rho = loss_of(loss)
    if rho.needs:
        raise ValueError(f"loss: expected one with all of its parameters, got {rho!r}")
    number("tolerance", tolerance, 0.0, 1.0, "a number between 0 and 1, both excluded")
    if isinstance(iterations, bool) or not isinstance(iterations, Integral) or iterations < 1:
        raise ValueError(f"iterations: expected an integer >= 1, got {iterations!r}")
    backend = backend_of(X, "X")
    X, y, weight = (x if x is None else backend.detached(x) for x in (X, y, weight))
    if weight is not None:
        _check_weight(weight)
    start = least_squares(X, y, weight)
    found, rank = start.coefficients, int(start.rank)
    if len(y.shape) != 1:
        raise ValueError(f"y: expected shape (N,), got {tuple(y.shape)}")
    xp: Any = array_api_compat.array_namespace(X, y)
    X, y = (xp.astype(x, found.dtype) for x in (X, y))
    counted = xp.ones_like(y) if weight is None else xp.astype(weight, found.dtype)
    present = counted != 0
    _check_rows(X, y, present, xp)
    if not float(rho.curvature(found[:1] * 0.0, xp)[0]) > 0:
        raise ValueError(f"loss: expected one whose psi does not jump at 0, got {rho!r}")
    if scale is not None:
        number("scale", scale, 0.0, math.inf, "None or a finite number > 0")
        if not 0 < float(found[0] * 0.0 + scale) < math.inf:
            raise ValueError(f"scale: expected a number > 0 in {found.dtype}, got {scale!r}")
    zero = xp.zeros_like(y)
    y = xp.where(present, y, zero)
    X = xp.where(present[:, None], X, xp.zeros_like(X))
    width = xp.ones_like(found)
    if rank == found.shape[0]:
        # Columns of one size, in powers of two: the solver then errs by the roundings of each.
        width = 2.0 ** xp.floor(xp.log2(xp.max(xp.abs(X), axis=0)))
        X, found = X / width, found * width
    eps = float(xp.finfo(found.dtype).eps)
    for step in range(1, int(iterations) + 1):
        unit = mad_scale(X @ found, y, weight=weight) if scale is None else found[0] * 0.0 + scale
        if not float(unit) > 0:
            raise ValueError(
                "scale: expected a number where half of the residuals or more are 0, got None"
            )
        each = xp.where(present, counted * rho.irls_weight((X @ found - y) / unit, xp), zero)
        # Of what is left to explain, which is small: a row far out has roundings of its own size.
        solved, kept = least_squares(X, y - X @ found, each), int(xp.count_nonzero(each))
        if kept <= rank or int(solved.rank) < rank:
            raise ValueError(
                f"scale: expected one at which more than {rank} of the {y.shape[0]} residuals keep a "
                f"weight, got {float(unit):.3g}, at which {kept} do"
            )
        found = found + solved.coefficients
        moved = xp.abs(X @ solved.coefficients)
        # What a stable solver of the step may err by: a few eps of the terms of a row of Xw.
        allowed = tolerance * unit + 8 * eps * (xp.abs(X) @ xp.abs(found))
        if not bool(xp.any((each != 0) & (moved > allowed))):
            if 2 * kept < int(xp.count_nonzero(present)):
                _warn(
                    f"only {kept} of {y.shape[0]} rows have a weight at this scale, {float(unit):.3g}"
                )
            return RobustFit(found / width, unit, each, step, True)
    most = float(xp.max(xp.where(each != 0, moved, zero)))
    _warn(f"a prediction still moves by {most:.1e} after {iterations} iterations")
    return RobustFit(found / width, unit, each, int(iterations), False)


def _check_weight(weight: Array) -> None:
    """ValueError unless weights are finite and >= 0, and some are > 0."""
    xp: Any = array_api_compat.array_namespace(weight)
    if not bool(xp.all(weight >= 0)) or not bool(xp.any(weight > 0)):
        raise ValueError("weight: expected numbers >= 0 of which some are > 0, got others")
    if not bool(xp.all(xp.isfinite(weight))):
        raise ValueError("weight: expected finite numbers, got others")


def _check_rows(X: Array, y: Array, present: Array, xp: Any) -> None:
    """ValueError unless what is present is finite."""
    for name, x in (("X", xp.sum(xp.abs(X), axis=1)), ("y", y)):
        if not bool(xp.all(xp.isfinite(xp.where(present, x, xp.zeros_like(x))))):
            raise ValueError(
                f"{name}: expected finite numbers where a row has a weight, got others"
            )


def _warn(text: str) -> None:
    warnings.warn(f"robust.fit: {text}", RuntimeWarning, stacklevel=3)


_L1 = Criterion("absolute_error", "none")
_NAN, _ABSENT = -1.0, -2.0
"""What stands in the place of \\|r\\| where it is NaN or absent: below all others."""


def _sizes(pred: Array, target: Array, weight: Any, mask: Any) -> tuple[Array, Array, Prepared]:
    """|r| with stand-ins, where it is present, and the call; of pred's shape."""
    call = Call(pred, target, weight, mask, parameters={})  # Dynamo of 2.6 has no mappingproxy
    backend = check_call(_L1, call, ("pred", "target", "weight"), None)
    inputs = prepared(_L1, backend, call)
    xp = backend.xp
    p, t, _ = elements(inputs)
    key = backend.detached(xp.abs(p - t))
    key = xp.where(xp.isnan(key), _NAN, key)
    if inputs.present is not None:
        key = xp.where(inputs.present, key, _ABSENT)
    return key, key > _ABSENT, inputs


def _kept(
    pred: Array, target: Array, fraction: float, weight: Any, mask: Any
) -> tuple[Array, Array, Prepared]:
    """Where elements stay, |r| with stand-ins, and the call."""
    share = number("fraction", fraction, -1.0, 1.0, "a number >= 0 and < 1")
    if share < 0:
        raise ValueError(f"fraction: expected a number >= 0 and < 1, got {fraction!r}")
    key, present, inputs = _sizes(pred, target, weight, mask)
    xp = inputs.backend.xp
    flat = xp.reshape(key, (-1,))
    rank = xp.argsort(xp.argsort(flat))  # of equal ones in their order
    all_of, n = xp.count_nonzero(flat >= _ABSENT), xp.count_nonzero(present)
    rank = cast_to(rank, dtype_name(all_of.dtype), inputs.backend)
    staying = (rank < all_of - _floor_of_share(share, n)) | (flat == _NAN)
    shape = tuple(key.shape)
    if None in shape:  # a length that is not known while tracing
        shape = tuple(inputs.backend.length(key, i) for i in range(len(shape)))
    return present & xp.reshape(staying, shape), key, inputs


def _floor_of_share(share: float, n: Array) -> Array:
    """floor(share·n) of an integer array, which may be of 32 bits: by long division, with digits of
    8 bits, so that nothing overflows."""
    finest = 4_000_000  # 511 times as much is below 2^31
    ratio = Fraction(min(share, 1 - 1 / finest)).limit_denominator(finest)
    over, under = ratio.numerator, ratio.denominator
    quotient = rest = n * 0
    digits = n // 2**24, n // 2**16 % 256, n // 2**8 % 256, n % 256
    for digit in digits:
        rest = rest * 256 + digit * over
        quotient, rest = quotient * 256 + rest // under, rest % under
    return quotient


def _efficiency(k: float) -> float:
    """Of Huber's estimator with delta = k on standard Gaussian errors: E[psi']² / E[psi²]."""
    inside = math.erf(k / math.sqrt(2))
    density = math.exp(-0.5 * k * k) / math.sqrt(2 * math.pi)
    return inside**2 / (inside - 2 * k * density + k * k * math.erfc(k / math.sqrt(2)))
