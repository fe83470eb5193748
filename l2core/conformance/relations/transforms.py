"""Compiled, traced, vectorised, in forward mode: the same loss."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from l2core.conformance.case import Case, make_case
from l2core.conformance.cases import fitted, kinks
from l2core.conformance.checks import autograd, both, check, has, plain
from l2core.conformance.harness import Harness, NumpyArray
from l2core.conformance.relations.invariance import whole
from l2core.conformance.subjects import Claim, Subject
from l2core.conformance.trial import Trial, fail

transforms = partial(check, "transforms")


def _representative(subject: Subject, claim: Claim, harness: Harness) -> bool:
    """One claim a class of losses, since every one may cost seconds of compilation; none of the
    drop-in names over a criterion of ours, which is compiled itself."""
    if subject.ours and len(subject.losses()) <= 2:
        return False
    kind = type(claim.criterion.loss)
    same = [
        c for c in subject.claims if type(c.criterion.loss) is kind and plain(subject, c, harness)
    ]
    return claim is same[0]


def _all_at_once(subject: Subject, claim: Claim, harness: Harness) -> Sequence[Case]:
    dtype = subject.dtypes[0]
    pred = [*kinks(claim.criterion.loss, dtype), 1e-10, -1e-4, 0.3, -3.0, 20.0, 1e4, 1e15]
    found = make_case(pred, [0.0] * len(pred), dtype)
    n = len(pred)
    if "weight" in subject.takes and {"sample", "element"} & {*subject.weights}:
        found = found.but(weight=np.resize([1.0, 2.0, 0.5], n).astype(found.real))
    if "mask" in subject.takes:
        found = found.but(mask=np.resize([True, True, False], n))
    return [fitted(found, subject, claim)]


@transforms(
    concerns=lambda s, c, h: len(h.modes) > 1 and autograd(s, c, h) and _representative(s, c, h),
    situations=_all_at_once,
    slow=True,
)
def compiled(trial: Trial, case: Case) -> None:
    """In every other mode of the framework value and gradient are right as well."""
    for mode in trial.harness.modes[1:]:
        trial.record(case, mode=mode)
        f, arrays = trial.function(case)
        value, grads = trial.guarded(partial(trial.harness.vjp, f, *arrays, mode=mode))
        trial.value_is_right(case, trial.numpy(value))
        trial.gradient_is_right(case, trial.numpy(grads[0]))


def _stacked(subject: Subject, claim: Claim, harness: Harness) -> Sequence[Case]:
    rows = np.asarray([[0.5, -2.0, 3.0], [0.0, 1.0, -0.25], [10.0, 0.125, 0.5]])
    target = np.asarray([[0.0, 0.0, 1.0], [0.0, 3.0, 0.0], [-1.0, 0.0, 0.5]])
    return [make_case(rows, target, subject.dtypes[0])]


def _vmaps(subject: Subject, claim: Claim, harness: Harness) -> bool:
    at_once = claim.criterion.reduction == "none" or whole(subject, claim, harness)
    return at_once and plain(subject, claim, harness) and 1 in subject.ndims


@transforms(concerns=both(autograd, has("vmap"), _vmaps), situations=_stacked)
def vmap(trial: Trial, case: Case) -> None:
    """Mapped over a leading axis, the loss of each row is that of the row alone."""
    seen = _mapped(trial, case, "vmap")
    for row, value in zip(_rows(trial, case), seen, strict=True):
        trial.value_is_right(row, value)


@transforms(
    concerns=both(autograd, has("vmap_grad"), _vmaps, whole),
    situations=_stacked,
)
def vmap_of_gradient(trial: Trial, case: Case) -> None:
    """Per-example gradients: mapped over a leading axis, each row's gradient is its own."""
    seen = _mapped(trial, case, "vmap_grad")
    for row, gradient in zip(_rows(trial, case), seen, strict=True):
        trial.gradient_is_right(row, gradient)


def _mapped(trial: Trial, stacked: Case, feature: str) -> NumpyArray:
    row = _rows(trial, stacked)[0]
    many = {name: np.stack([x] * 3) for name, x in row.parameters.items()}
    given = stacked.but(**many)
    trial.record(given, feature)
    f, arrays = trial.function(given)
    return trial.feature(feature, f, *arrays)


def _rows(trial: Trial, stacked: Case) -> list[Case]:
    rows = [
        stacked.but(pred=p, target=t) for p, t in zip(stacked.pred, stacked.target, strict=True)
    ]
    return [fitted(row, trial.subject, trial.claim) for row in rows]


@transforms(concerns=both(has("jvp"), autograd, _vmaps), situations=lambda s, c, h: [_smooth(s, c)])
def forward_mode(trial: Trial, case: Case) -> None:
    """In forward mode the derivative along a direction is the gradient times the direction."""
    exacts = trial.exacts(case)
    direction = np.resize([1.0, -0.5, 2.0], case.pred.shape).astype(case.pred.dtype)
    gradient = exacts.gradient()
    each = np.asarray([float(gradient[i]) for i in np.ndindex(gradient.shape)]).reshape(
        gradient.shape
    )
    each = each * direction
    trial.record(case, "jvp")
    f, (pred, *rest) = trial.function(case)
    tangent = trial.harness.array(direction, case.dtype)
    seen = trial.feature("jvp", lambda x: f(x, *rest), pred, tangent)
    if trial.criterion.reduction == "none":
        expected, slack = each, trial.bounds(exacts).gradient * np.abs(direction)
    else:
        expected = each.sum()
        slack = (trial.bounds(exacts).gradient * np.abs(direction)).sum()
    u = trial.arithmetic(case).u
    slack = slack + (case.pred.size + 4) * u * np.abs(each).sum()
    if seen.shape != np.shape(expected) or np.any(np.abs(seen - expected) > slack):
        fail("the derivative along a direction", seen.tolist(), np.asarray(expected).tolist())


def _smooth(subject: Subject, claim: Claim) -> Case:
    pred = [0.25, -0.5, 2.0, -3.0, 0.75]
    return fitted(make_case(pred, [0.0] * len(pred), subject.dtypes[0]), subject, claim)
