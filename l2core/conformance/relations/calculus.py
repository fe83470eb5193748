"""Derivatives: against values, against the oracle, at kinks, at absent elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from l2core import reference
from l2core.arrays import Array
from l2core.conformance import sizes
from l2core.conformance.bounds import (
    as_floats,
    edges,
    largest,
    magnitude,
    residuals,
    rho_errors,
    sized,
)
from l2core.conformance.case import Case, make_case
from l2core.conformance.cases import Inputs, fitted
from l2core.conformance.checks import autograd, both, check, differentiable, has, plain
from l2core.conformance.harness import Harness, NumpyArray
from l2core.conformance.relations.semantics import given
from l2core.conformance.roundings import CURVATURE_ROUNDINGS
from l2core.conformance.subjects import Claim, Subject
from l2core.conformance.trial import Trial, fail

calculus = partial(check, "calculus")
NAN, INF = float("nan"), float("inf")


@calculus(concerns=differentiable, inputs=Inputs(zeros=False))
def difference_quotients(trial: Trial, case: Case) -> None:
    """A difference quotient lies between the gradients at its ends, where the loss is convex."""
    i = (0,) * case.pred.ndim
    step = 2.0**-4 * max(1.0, 2.0 ** math.frexp(float(case.pred[i]))[1])
    ends, values, slopes, slack = [], [], [], 0.0
    for sign in (-1, 1):
        moved = case.pred.copy()
        moved[i] = case.pred[i] + sign * step
        end = case.but(pred=moved)
        exacts = trial.exacts(end)
        allowed = trial.bounds(exacts)
        if not np.all(np.isfinite(allowed.value)) or np.any(allowed.overflows):
            return
        if exacts.elements(reference.curvature)[i] < 0:
            return  # not convex here
        ends.append(float(moved[i]))
        values.append(float(trial.value(end).astype(np.float64).sum()))
        slopes.append(float(trial.gradient(end)[i]))
        ulps = np.spacing(np.abs(trial.numpy(values[-1]))) * case.pred.size
        slack += float(np.sum(allowed.value)) + float(ulps)
        slack += float(np.max(np.where(np.isinf(allowed.gradient), 0, allowed.gradient))) * step
    width = ends[1] - ends[0]
    quotient = (values[1] - values[0]) / width
    slack = slack / width + _unit(trial, case) * (abs(quotient) + sum(map(abs, values)) / width)
    if not min(slopes) - slack <= quotient <= max(slopes) + slack:
        where = f"between {ends[0]!r} and {ends[1]!r} the slope of the value"
        fail(where, quotient, f"between the gradients {slopes[0]!r} and {slopes[1]!r}")


def _unit(trial: Trial, case: Case) -> float:
    return trial.arithmetic(case).u * 4


@calculus(concerns=differentiable, inputs=Inputs())
def cotangent(trial: Trial, case: Case) -> None:
    """The gradient of -3 times the value is -3 times the gradient."""
    trial.gradient_is_right(case, factor=-3.0)


@calculus(concerns=both(autograd, plain), inputs=Inputs(values="finite"))
def target(trial: Trial, case: Case) -> None:
    """The gradient to the target is minus the gradient to the prediction, bit for bit."""
    to_pred, to_target = trial.gradient(case), trial.gradient(case, wrt="target")
    if not np.array_equal(to_pred, -to_target, equal_nan=True):
        fail("the gradient to the target", to_target.tolist(), (-to_pred).tolist())


def _depending(case: Case) -> Case:
    """The case of a target z and a prediction z + z, whose residual is z without rounding."""
    return case.but(pred=case.pred + case.pred, target=case.pred)


def _depends(trial: Trial, case: Case, seen: NumpyArray, times: int) -> None:
    """Failure unless this is the gradient to the prediction so many times."""
    exacts = trial.exacts(case)
    allowed = trial.bounds(exacts).gradient
    if trial.criterion.reduction == "root_mean" and not np.all(np.isfinite(allowed)):
        return
    # Of the gradient, added up from copies of either sign: an error each, and a rounding.
    size = np.abs(as_floats(exacts.gradient()))
    allowed = (times + 2) * (allowed + 2 * trial.arithmetic(case).u * size)
    expected = np.vectorize(lambda x: times * x, otypes=[object])(exacts.gradient())
    trial.near(seen, expected, allowed, "gradient to what both come from", case.dtype)


@calculus(concerns=autograd, inputs=Inputs())
def dependent_inputs(trial: Trial, case: Case) -> None:
    """A gradient is right whatever prediction and target depend on: both on one array, too."""
    f, (z, _, *rest) = trial.function(case)
    case = _depending(case)
    trial.record(case, "gradient", note="here pred is z + z and target is z")

    def of(z: Array, *rest: Array) -> Array:
        return f(z + z, z, *rest)

    found = trial.guarded(lambda: trial.harness.vjp(of, z, *rest)[1][0])
    _depends(trial, case, trial.numpy(found), 1)


@calculus(concerns=both(autograd, has("watched")), inputs=Inputs())
def graph_and_hooks(trial: Trial, case: Case) -> None:
    """A gradient does not depend on whether its graph is kept; a hook on an input runs once."""
    f, (z, _, *rest) = trial.function(case)
    case = _depending(case)
    note = "here pred is z + z, target is z, and a hook doubles the gradient to pred"
    trial.record(case, "gradient", note=note)
    seen = trial.feature("watched", lambda p, t: f(p, t, *rest), z)
    _depends(trial, case, seen, 3)


def _separable(subject: Subject, claim: Claim, harness: Harness) -> bool:
    return claim.criterion.reduction in ("none", "sum", "mean")


@calculus(
    concerns=both(autograd, has("second"), _separable),
    situations=lambda s, c, h: [_bends(s, c)],
    inputs=Inputs(weight="never", mask="never", denominator=False),
)
def curvature(trial: Trial, case: Case) -> None:
    """The gradient of the gradient is the curvature, omega rho'' / denominator, off the kinks."""
    exacts = trial.exacts(case)
    how = trial.arithmetic(case)
    r = residuals(case)
    bend = exacts.elements(reference.curvature)
    size = np.ones(bend.shape)
    if trial.criterion.reduction == "mean":
        size = np.broadcast_to(np.expand_dims(1 / exacts.divisor(), _axes(trial, case)), bend.shape)
    expected = bend * size
    # psi'' <= 2 |psi'| for log cosh, 0 for the others: what the subtraction's rounding costs.
    roundings = 2 * np.abs(r) + CURVATURE_ROUNDINGS.get(exacts.name, 1) + 4
    terms = sized(exacts, reference.curvature, sizes.CURVATURE) * size
    allowed = (how.u * roundings * terms + how.tiny) * 1.05
    trial.record(case, "second")
    f, (pred, *rest) = trial.function(case)
    seen = trial.feature("second", lambda x: f(x, *rest), pred)
    jumps = [np.zeros(r.shape), *edges(exacts)]
    off = np.logical_and.reduce([np.abs(np.abs(r) - k) > 8 * how.u * k for k in jumps])
    for index in np.ndindex(bend.shape):
        if off[index] and not abs(seen[index] - expected[index]) <= allowed[index]:
            fail(f"the curvature at {index}", float(seen[index]), float(expected[index]))


def _axes(trial: Trial, case: Case) -> tuple[int, ...]:
    axis = trial.criterion.axis
    if axis is None:
        return tuple(range(case.pred.ndim))
    return axis if isinstance(axis, tuple) else (axis,)


def _bends(subject: Subject, claim: Claim) -> Case:
    pred = [0.0, 0.0625, -0.125, 0.4, -0.7, 2.0, -3.0, 30.0]
    return fitted(make_case(pred, [0.0] * len(pred), subject.dtypes[0]), subject, claim)


@calculus(
    concerns=both(differentiable, plain),
    situations=given(make_case([0.0, 2.0], [0.0, 2.0]), make_case([0.0, 1.0], [0.0, 3.0])),
    choice=True,
)
def zero_at_zero(trial: Trial, case: Case) -> None:
    """Where the residual is 0 the gradient is 0, at a kink too."""
    if trial.criterion.reduction == "root_mean" and np.array_equal(case.pred, case.target):
        return  # finite_at_a_fit
    seen = trial.gradient(case)[case.pred == case.target]
    if np.any(seen != 0):
        fail("the gradient where pred equals target", seen.tolist(), 0.0)


@calculus(
    concerns=differentiable,
    situations=given(make_case([1.0, 2.0], [1.0, 2.0]), make_case([1e-30, 0.0], [0.0, 0.0])),
)
def finite_at_a_fit(trial: Trial, case: Case) -> None:
    """At a perfect fit, and very near it, the gradient is finite; a root's is 0 there."""
    seen = trial.gradient(case)
    if not np.all(np.isfinite(seen)):
        fail("the gradient", seen.tolist(), "finite numbers")
    fit = np.array_equal(case.pred, case.target)
    if fit and trial.criterion.reduction == "root_mean" and np.any(seen != 0):
        fail("the gradient of the root", seen.tolist(), 0.0)


def _absent(subject: Subject, claim: Claim, harness: Harness) -> Sequence[Case]:
    rubbish, numbers = [NAN, INF, 1e30, 1.0], [1.0, NAN, 0.0, 0.0]
    found = []
    if "mask" in subject.takes:
        found.append(make_case(rubbish, numbers, mask=[False, False, False, True]))
    if "weight" in subject.takes and {"sample", "element"} & {*subject.weights}:
        found.append(make_case(rubbish, numbers, weight=[0.0, 0.0, 0.0, 2.0]))
    return given(*found)(subject, claim, harness)


@calculus(concerns=differentiable, situations=_absent, choice=True)
def absent(trial: Trial, case: Case) -> None:
    """At an absent element the gradient is exactly 0, whatever stands there."""
    _zero_but_last(trial.gradient(case))
    if trial.harness.autograd:
        _zero_but_last(trial.gradient(case, wrt="target"))


def _hidden(subject: Subject, claim: Claim, harness: Harness) -> Sequence[Case]:
    """Weights of 0 over numbers, NaN, infinity and what overflows float32 when it is squared."""
    shape = make_case(
        [3.0, NAN, INF, 1e30, -0.5, 2.0],
        [1.0, 1.0, NAN, 0.0, 1.0, 0.0],
        weight=[0.0, 0.0, 0.0, 0.0, 1.0, 0.5],
    )
    return given(shape)(subject, claim, harness)


def _weighs_elements(subject: Subject, claim: Claim, harness: Harness) -> bool:
    one = claim.divisor is None and claim.criterion.axis is None and subject.selects
    elements = "weight" in subject.takes and "element" in subject.weights and subject.weighs(1)
    return one and elements and claim.criterion.reduction in ("sum", "mean")


@calculus(concerns=both(autograd, _weighs_elements), situations=_hidden)
def weight(trial: Trial, case: Case) -> None:
    """The gradient to a weight is the true derivative, at 0 too; 0 where weight 0 hides no number."""
    exacts, how = trial.exacts(case), trial.arithmetic(case)
    rho, size = exacts.elements(reference.rho), magnitude(exacts)
    finite = np.isfinite(case.pred) & np.isfinite(case.target) & (size < largest(how.dtype))
    expected = np.where(finite, rho, 0.0)
    with np.errstate(over="ignore"):
        errors = rho_errors(exacts, how) + how.u * (rho.size + 8) * size
    if trial.criterion.reduction == "mean":
        d = exacts.divisor()
        if trial.criterion.denominator == "weight":
            mean = as_floats(exacts.value())
            expected = np.where(finite, expected - mean, 0.0)
            errors = errors + trial.bounds(exacts).value + how.u * (rho.size + 8) * np.abs(mean)
        expected, errors = expected / d, errors / d
    note = "here the gradient is to the weight"
    trial.record(case, "gradient", note=note)
    f, arrays = trial.function(case)
    seen = trial.numpy(trial.guarded(lambda: trial.harness.vjp(f, *arrays)[1][2]))
    wrong = ~(np.abs(seen - expected) <= np.where(finite, errors, 0.0))
    if np.any(wrong):
        fail("the gradient to the weight", seen.tolist(), expected.tolist())


def _zero_but_last(seen: NumpyArray) -> None:
    if np.any(seen[:-1] != 0) or not np.all(np.isfinite(seen[-1])):
        fail("the gradient, absent in all but the last", seen.tolist(), "0 in all but the last")
