"""Properties that follow from the mathematics of a loss.

Whether a loss has a property is read off the oracle's exact numbers: where rho(-r) = rho(r), or
rho(2r) = 4 rho(r), for every residual of a case, the floating-point values must agree as exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from l2core.closed_form import least_squares
from l2core.conformance.bounds import as_floats, height, unit
from l2core.conformance.case import HALVES, Case, cast
from l2core.conformance.cases import Inputs
from l2core.conformance.checks import check, differentiable, plain, reduces
from l2core.conformance.harness import Harness, NumpyArray
from l2core.conformance.relations.invariance import whole
from l2core.conformance.subjects import Claim, Subject
from l2core.conformance.trial import Trial, fail
from l2core.losses import HalfSquaredError, SquaredError

theory = partial(check, "theory")


@theory(concerns=lambda s, c, h: not c.criterion.loss.likelihood, inputs=Inputs(values="finite"))
def non_negative(trial: Trial, case: Case) -> None:
    """No loss is negative."""
    seen = trial.value(case)
    if np.any(seen < 0):
        fail("a loss", seen.tolist(), "at least 0")


@theory(
    concerns=lambda s, c, h: not c.criterion.loss.likelihood,
    inputs=Inputs(values="finite", weight="never", mask="never", denominator=False),
)
def zero_at_a_fit(trial: Trial, case: Case) -> None:
    """A perfect fit costs exactly 0."""
    seen = trial.value(case.but(target=case.pred))
    if np.any(seen != 0):
        fail("the loss of a perfect fit", seen.tolist(), 0.0)


def _equal_exactly(a: Any, b: Any) -> bool:
    return all(isinstance(a[i], Fraction) and a[i] == b[i] for i in np.ndindex(a.shape))


@theory(concerns=plain, inputs=Inputs(values="finite"))
def symmetric(trial: Trial, case: Case) -> None:
    """Where the loss is even, exchanging prediction and target changes no bit."""
    swapped = case.but(pred=case.target, target=case.pred)
    each = {"reduction": "none"}
    rho, other = (_rho(trial, x, each) for x in (case, swapped))
    if not _equal_exactly(rho, other):
        return
    seen, changed = trial.value(case), trial.value(swapped)
    if not np.array_equal(seen, changed, equal_nan=True):
        fail("with pred and target exchanged, the value", changed.tolist(), seen.tolist())


def _rho(trial: Trial, case: Case, options: dict[str, Any]) -> Any:
    exacts = trial.exacts(case)
    exacts.options = {**options, "nan_targets": "propagate"}
    return exacts.value()


@theory(concerns=reduces("none", "sum", "mean"), inputs=Inputs(ndims=(1, 2), denominator=False))
def homogeneous(trial: Trial, case: Case) -> None:
    """Where doubled residuals make every loss 4 (or 2) times as large, so they do to the last bit."""
    zero = case.but(target=np.zeros_like(case.target))
    doubled = zero.but(pred=zero.pred * 2)
    rho, other = (_rho(trial, x, {"reduction": "none"}) for x in (zero, doubled))
    times = [k for k in (4, 2) if _equal_exactly(rho * k, other)]
    if not times or not np.all(as_floats(rho)[zero.pred != 0] > 1e-30):
        return
    seen, grown = trial.value(zero), trial.value(doubled)
    if not np.array_equal(seen * times[0], grown, equal_nan=True):
        expected = f"{times[0]} times {seen.tolist()}"
        fail("with residuals doubled, the value", grown.tolist(), expected)


@theory(inputs=Inputs(weight="never", mask="never", denominator=False))
def convex(trial: Trial, case: Case) -> None:
    """Half-way between two predictions the loss is at most the mean of theirs."""
    other = np.flip(case.pred).copy()
    middle = (case.pred.astype(np.float64) / 2 + other.astype(np.float64) / 2).astype(
        case.pred.dtype
    )
    ends = [case, case.but(pred=other), case.but(pred=middle)]
    exacts = [trial.exacts(x) for x in ends]
    a, b, m = (as_floats(x.value()) for x in exacts)
    if not np.all(m <= a / 2 + b / 2):
        return  # the middle was rounded, or there is a root of nothing
    slack = sum(trial.bounds(x).value for x in exacts)
    seen = [trial.value(x).astype(np.float64) for x in ends]
    slack = slack + np.spacing(np.maximum(np.abs(seen[0]), np.abs(seen[1])).astype(np.float32))
    if np.any(seen[2] > seen[0] / 2 + seen[1] / 2 + slack):
        between = f"at most half of {seen[0].tolist()} + {seen[1].tolist()}"
        fail("the loss half-way", seen[2].tolist(), between)


def _has_both(subject: Subject, claim: Claim, harness: Harness) -> bool:
    simple = claim.divisor is None and claim.criterion.reduction == "mean"
    return simple and plain(subject, claim, harness) and _sum_of(subject, claim) is not None


def _sum_of(subject: Subject, claim: Claim) -> Claim | None:
    for other in subject.claims:
        c = other.criterion
        if c.loss == claim.criterion.loss and c.reduction == "sum" and c.axis is None:
            return other
    return None


@theory(
    concerns=_has_both,
    inputs=Inputs(weight="never", mask="never", denominator=False),
)
def sum_is_n_means(trial: Trial, case: Case) -> None:
    """The sum is the number of elements times the mean, within the roundings of both."""
    mean = trial.value(case)
    summed = _sum_of(trial.subject, trial.claim)
    if summed is None:
        return
    other = Trial(trial.subject, summed, trial.harness)
    other.calls = trial.calls
    total, n = other.value(case), case.pred.size
    slack = float(trial.bounds(trial.exacts(case)).value) * n + float(
        other.bounds(other.exacts(case)).value
    )
    slack += 4 * unit(trial.arithmetic(case).dtype) * abs(float(total))
    if not abs(float(total) - n * float(mean)) <= slack:
        fail("the sum", float(total), f"{n} times the mean {float(mean)!r}")


def _many(subject: Subject, claim: Claim, harness: Harness) -> Sequence[Case]:
    found = []
    for dtype in (*HALVES, *subject.dtypes[:1]):
        if dtype in harness.dtypes and (dtype not in HALVES or subject.halves is not None):
            n, real = 70_000, np.float16 if dtype == "float16" else np.float32
            ones = np.ones(n, np.float64 if dtype == "float64" else real)
            found.append(Case(ones, np.zeros_like(ones), dtype=dtype))
    if "weight" in subject.takes and "element" in subject.weights:
        found += [c.but(weight=np.ones_like(c.pred)) for c in found]
    return found


@theory(
    concerns=lambda s, c, h: (
        whole(s, c, h)
        and plain(s, c, h)
        and c.criterion.reduction in ("mean", "root_mean")
        and 1 in s.ndims
        and not c.criterion.loss.needs
    ),
    situations=_many,
)
def mean_of_equals(trial: Trial, case: Case) -> None:
    """The mean of 70,000 equal losses is that loss, in halves too."""
    one = trial.exacts(case.but(pred=case.pred[:1], target=case.target[:1], weight=None)).value()
    dtype = trial.result_dtype(case)
    # A tree of blocks in the dtype of the result, which halves can have though they cannot count.
    allowed = 2 * (height(len(case.pred), True) + 16) * unit(dtype) * float(one.item())
    trial.near(trial.value(case), one, np.asarray(allowed), "mean", dtype)


def _fitted(subject: Subject, claim: Claim, harness: Harness) -> Sequence[Case]:
    dtype = subject.dtypes[0]
    x, y, weight = _line(dtype)
    found = [Case(x @ least_squares(x, y).coefficients, y, dtype=dtype)]
    if "weight" in subject.takes and "element" in subject.weights:
        w = least_squares(x, y, weight).coefficients
        found.append(Case(x @ w, y, weight, dtype=dtype))
    return [
        case.but(pred=cast(case.pred, dtype), target=cast(case.target, dtype)) for case in found
    ]


def _line(dtype: str) -> tuple[NumpyArray, NumpyArray, NumpyArray]:
    """Inputs (40, 4), targets and weights, of numbers that the dtype has."""
    random = np.random.default_rng(4)
    x, y = random.standard_normal((40, 4)), random.standard_normal(40)
    weight = np.where(np.arange(40) % 7 == 0, 0.0, random.integers(1, 9, 40) / 4)
    return x, cast(y, dtype).astype(np.float64), weight.astype(dtype)


@theory(
    concerns=lambda s, c, h: (
        differentiable(s, c, h)
        and plain(s, c, h)
        and isinstance(c.criterion.loss, (SquaredError, HalfSquaredError))
        and c.criterion.reduction in ("sum", "mean")
        and 1 in s.ndims
    ),
    situations=_fitted,
)
def normal_equation(trial: Trial, case: Case) -> None:
    """At the least-squares solution in closed form the gradient to its coefficients vanishes."""
    x, y, weight = _line(case.dtype)
    w = least_squares(x, y, None if case.weight is None else weight).coefficients
    exacts = trial.exacts(case)
    allowed = trial.bounds(exacts).gradient
    # The prediction was rounded, and so was the solution, by a few eps of what was solved.
    slope = np.abs(as_floats(exacts.gradient()))
    present = slope > 0
    change = np.abs(case.pred.astype(np.float64) - x @ w) + 40 * 2.0**-52 * (np.abs(x) @ np.abs(w))
    steepest = np.max(slope[present] / np.abs(case.pred - case.target)[present])
    error = np.abs(x).T @ (allowed + steepest * change)
    seen = x.T @ trial.gradient(case).astype(np.float64)
    if not np.all(np.abs(seen) <= error):
        fail("the gradient to the coefficients", seen.tolist(), f"0 within {error.tolist()}")
