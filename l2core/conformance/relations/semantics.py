"""What a loss means: shapes, weights, masks, what is empty or missing, dtypes, options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from l2core.conformance.case import Case, make_case, recast
from l2core.conformance.cases import fitted, needed
from l2core.conformance.checks import both, check, plain, takes
from l2core.conformance.harness import NUMPY, Harness
from l2core.conformance.subjects import Claim, Subject, evaluate
from l2core.conformance.trial import Trial, fail
from l2core.losses import HalfSquaredError, SquaredError

semantics = partial(check, "semantics")
NAN, INF = float("nan"), float("inf")


def given(*cases: Case) -> Callable[[Subject, Claim, Harness], Sequence[Case]]:
    """These situations, as each claim takes them."""

    def situations(subject: Subject, claim: Claim, harness: Harness) -> Sequence[Case]:
        return [fitted(recast(c, subject.dtypes[0]), subject, claim) for c in cases]

    return situations


# --- shapes ---------------------------------------------------------------------------------------

UNEQUAL = [((3,), (3, 1)), ((3, 1), (1, 3)), ((4, 1), (4, 3))]


def _unequal(subject: Subject, claim: Claim, harness: Harness) -> Sequence[Case]:
    fits = [(p, t) for p, t in UNEQUAL if claim.criterion.axis is None or len(p) > 1]
    fits = [(p, t) for p, t in fits if len(p) == len(t) or not subject.squeezes]
    dtype = subject.dtypes[0]
    found = []
    for p, t in fits:
        each = make_case(np.arange(np.prod(p)).reshape(p), np.arange(np.prod(t)).reshape(t), dtype)
        found.append(needed(each, claim, 1.0))
    return found


@semantics(concerns=plain, situations=_unequal, choice=True)
def unequal_shapes(trial: Trial, case: Case) -> None:
    """Arrays of unequal shapes raise; nothing is broadcast."""
    trial.record(case)
    f, arrays = trial.function(case)
    seen: list[Any] = []
    if trial.error(lambda: seen.append(trial.numpy(trial.harness.run(f, *arrays)))) is None:
        shapes = f"shapes {case.pred.shape} and {case.target.shape}"
        fail(shapes, f"a result of shape {seen[0].shape}: {seen[0].tolist()}", "an error")


def _shapes(subject: Subject, claim: Claim, harness: Harness) -> Sequence[Case]:
    shapes = [(2, 3), (0, 3)] if claim.criterion.reduction != "none" else [(2, 3)]
    dtype = subject.dtypes[0]
    found = [make_case(np.ones(s), np.zeros(s), dtype) for s in shapes if 2 in subject.ndims]
    found = [needed(c, claim, 1.0) for c in found]
    return [*found, *(_unequal(subject, claim, harness) if len(shapes) == 1 else [])]


@semantics(situations=_shapes)
def shape_of_result(trial: Trial, case: Case) -> None:
    """A result has the shape that its reduction says, that of pred without one, or none at all."""
    trial.record(case)
    f, arrays = trial.function(case)
    seen: list[Any] = []
    error = trial.error(lambda: seen.append(trial.numpy(trial.harness.run(f, *arrays))))
    expected = case.pred.shape
    if case.pred.shape == case.target.shape:
        if error is not None and case.pred.size:
            fail("the call raised", repr(error), "a result")
        expected = trial.exacts(case).value().shape
    if error is None and seen[0].shape != expected:
        shapes = f"for shapes {case.pred.shape} and {case.target.shape}, the shape of the result"
        fail(shapes, seen[0].shape, expected)


def _numpy_number(subject: Subject, claim: Claim, harness: Harness) -> bool:
    c = claim.criterion
    return harness.name == NUMPY and c.axis is None and c.reduction != "none"


@semantics(
    concerns=_numpy_number,
    situations=given(make_case([1.0, 2.0], [0.0, 0.0])),
)
def number(trial: Trial, case: Case) -> None:
    """In NumPy a value without axes is a number: it hashes, and += makes another one."""
    seen = best = trial.raw(case)
    before = float(best)
    seen += 100
    if float(best) != before or trial.error(lambda: hash(best)) is not None:
        fail("the value", f"a mutable {type(best).__name__}", "a number")


def _asymmetric(subject: Subject, claim: Claim, harness: Harness) -> bool:
    return not claim.criterion.loss.symmetric


@semantics(
    concerns=both(plain, _asymmetric),
    situations=given(make_case([3.0, 1.0], [1.0, 1.5]), make_case([1.0, 1.5], [3.0, 1.0])),
)
def order(trial: Trial, case: Case) -> None:
    """Prediction and target do not change places: too high is not too low."""
    exacts = trial.exacts(case)
    allowed = trial.bounds(exacts).value
    dtype = trial.result_dtype(case)
    trial.near(trial.value(case), exacts.value(), allowed, "the value", dtype)


# --- weights --------------------------------------------------------------------------------------

# Losses 1 and 4 (squared) with weights 1 and 3: 13/4 by weight, 13/2 by count.
WEIGHTED = make_case([1.0, 2.0], [0.0, 0.0], weight=[1.0, 3.0])


def _weighs(subject: Subject, claim: Claim, harness: Harness) -> bool:
    return "weight" in subject.takes and bool({"sample", "element"} & {*subject.weights})


def _mean_of_all(subject: Subject, claim: Claim, harness: Harness) -> bool:
    c = claim.criterion
    by_weight = c.denominator == "weight" and c.nan_targets == "propagate"
    return c.reduction == "mean" and c.axis is None and by_weight and not claim.named


@semantics(concerns=both(_weighs, _mean_of_all), situations=given(WEIGHTED), choice=True)
def weighted_mean(trial: Trial, case: Case) -> None:
    """A weighted mean divides by the sum of weights."""
    exacts = trial.exacts(case, denominator="weight")
    allowed = trial.bounds(exacts).value
    dtype = trial.result_dtype(case)
    trial.near(trial.value(case), exacts.value(), allowed, "weighted mean", dtype)


def _one_axis(subject: Subject, claim: Claim, harness: Harness) -> Sequence[Case]:
    found = recast(make_case([1.0, 100.0], [0.0, 0.0], weight=[1.0, 0.0]), subject.dtypes[0])
    return [needed(found, claim, 1.0)]


@semantics(
    concerns=lambda s, c, h: _weighs(s, c, h) and 1 in s.ndims and c.criterion.axis is None,
    situations=_one_axis,
)
def weights_select(trial: Trial, case: Case) -> None:
    """Each weight scales its own element, in arrays of one axis too."""
    trial.value_is_right(case)


def _squares(subject: Subject, claim: Claim, harness: Harness) -> Sequence[Case]:
    shapes = [s for s in ((2, 2), (2, 2, 3)) if len(s) in subject.ndims]
    found = []
    for shape in shapes:
        pred = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
        each = make_case(pred, 0 * pred, subject.dtypes[0], weight=[1.0, 3.0])
        found.append(needed(each, claim, 1.0))
    return found


@semantics(
    concerns=lambda s, c, h: _weighs(s, c, h) and "sample" in s.weights,
    situations=_squares,
    choice=True,
)
def leading_axes(trial: Trial, case: Case) -> None:
    """Weights of shape (N,) are per sample, also where another axis has length N."""
    trial.value_is_right(case)


RUBBISH = [NAN, INF, 1.0, 2.0]


def _rubbish(by: str) -> Case:
    absent: Any = [False, False, True, True] if by == "mask" else [0.0, 0.0, 1.0, 3.0]
    return make_case(RUBBISH, [1.0, 2.0, 0.0, 0.0], **{by: absent})


@semantics(concerns=_weighs, situations=given(_rubbish("weight")), choice=True)
def zero_weight(trial: Trial, case: Case) -> None:
    """An element of weight 0 has no part in the value, though NaN or infinity stands there."""
    trial.value_is_right(case)


@semantics(concerns=takes("mask"), situations=given(_rubbish("mask")), choice=True)
def mask(trial: Trial, case: Case) -> None:
    """An element with mask False has no part in the value, though NaN or infinity stands there."""
    trial.value_is_right(case)


# --- nothing, and NaN -----------------------------------------------------------------------------


def _nothing(subject: Subject, claim: Claim, harness: Harness) -> Sequence[Case]:
    found = [make_case([], [], subject.dtypes[0])]
    one = make_case([1.0, 2.0], [0.0, 0.0], subject.dtypes[0])
    if "weight" in subject.takes and claim.divisor is None:
        found.append(one.but(weight=np.zeros(2, one.real)))
    if "mask" in subject.takes:
        found.append(one.but(mask=np.zeros(2, bool)))
    return [fitted(c, subject, claim) for c in found]


@semantics(
    concerns=lambda s, c, h: (
        c.criterion.reduction != "none"
        and c.criterion.axis is None
        and c.criterion.denominator in ("weight", "count")
    ),
    situations=_nothing,
    choice=True,
)
def empty(trial: Trial, case: Case) -> None:
    """A sum over nothing is 0; a mean over nothing is NaN, or 0 where the criterion says so."""
    trial.value_is_right(case)


MISSING = [
    make_case([NAN, 1.0], [0.0, 0.0]),
    make_case([1.0, 1.0], [0.0, NAN]),
    make_case([INF, 1.0], [INF, 0.0]),
    make_case([-INF, 1.0], [0.0, 0.0]),
]


@semantics(situations=given(*MISSING))
def nan_propagates(trial: Trial, case: Case) -> None:
    """NaN in a prediction or target, and inf - inf, give NaN; an infinite residual gives inf."""
    trial.value_is_right(case)


@semantics(
    concerns=lambda s, c, h: c.criterion.nan_targets == "ignore",
    situations=given(
        make_case([5.0, 1.0, 3.0], [NAN, 0.0, 0.0]), make_case([NAN, 1.0], [0.0, 0.0])
    ),
)
def nan_targets(trial: Trial, case: Case) -> None:
    """Where missing targets are ignored, a NaN target is absent, and a NaN prediction is not."""
    trial.value_is_right(case)


@semantics(
    situations=given(make_case([3e38, 3e38], [0.0, 0.0]), make_case([1e30, 1.0], [0.0, 0.0]))
)
def overflow(trial: Trial, case: Case) -> None:
    """A sum that overflows is reported by inf, never by NaN or by a finite number."""
    trial.value_is_right(case)


# --- conventions of factor and sum ----------------------------------------------------------------


def _one_square(subject: Subject, claim: Claim, harness: Harness) -> bool:
    return len(subject.losses()) == 1 and isinstance(
        claim.criterion.loss, SquaredError | HalfSquaredError
    )


@semantics(
    concerns=both(_one_square, plain), situations=given(make_case([2.0], [0.0])), choice=True
)
def factor(trial: Trial, case: Case) -> None:
    """A squared error is the square, without a half before it."""
    seen = trial.value(case)
    if seen.size != 1 or float(seen.item()) != 4.0:
        fail("the squared error of 2 against 0", seen.tolist(), 4.0)


@semantics(
    concerns=lambda s, c, h: (
        "sum" in (c.named, c.criterion.reduction) and c.criterion.axis is None and 2 in s.ndims
    ),
    situations=lambda s, c, h: _shapes(s, c, h)[:1],
    choice=True,
)
def sum_of_all(trial: Trial, case: Case) -> None:
    """A sum adds the losses of all elements."""
    exacts = trial.exacts(case, reduction="sum")
    for name in ("denominator", "empty"):
        exacts.options.pop(name, None)
    allowed = trial.bounds(exacts).value
    trial.near(trial.value(case), exacts.value(), allowed, "sum", trial.result_dtype(case))


# --- options --------------------------------------------------------------------------------------


def _first(subject: Subject, claim: Claim, harness: Harness) -> bool:
    return bool(subject.refuses) and claim is subject.claims[0]


@semantics(concerns=_first, situations=given(make_case([1.0, -2.0], [0.0, 0.0])))
def bad_options(trial: Trial, case: Case) -> None:
    """Senseless options (an unknown name, delta <= 0) are never computed with."""
    from dataclasses import replace

    for code in trial.subject.refuses:
        wrong = replace(trial.claim, make=code)
        seen: list[Any] = []

        def called(claim: Claim = wrong, seen: list[Any] = seen) -> None:
            f, arrays = trial.function(case, claim)
            seen.append(trial.numpy(trial.harness.run(f, *arrays)))

        if trial.error(called) is None:
            trial.claim = wrong
            trial.record(case)
            fail(code, seen[0].tolist(), "an error")


@semantics(concerns=_first, situations=given(make_case([1.0], [0.0])), choice=True)
def early_errors(trial: Trial, case: Case) -> None:
    """Senseless options raise when the loss is made, not in the middle of training."""
    for code in trial.subject.refuses:
        if code.startswith("functools.partial"):
            continue  # a function, which is made without being called
        if trial.error(partial(evaluate, code)) is None:
            fail(code, "no error", "an error")
