"""What must not matter: order, splits, padding, layout in memory, threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from l2core.conformance.bounds import as_floats
from l2core.conformance.case import Case, make_case
from l2core.conformance.cases import Inputs, fitted, needed
from l2core.conformance.checks import both, check, differentiable, has, plain, reduces, takes
from l2core.conformance.harness import Harness, NumpyArray
from l2core.conformance.subjects import Claim, Subject
from l2core.conformance.trial import Trial, fail, same_bits

invariance = partial(check, "invariance")


def whole(subject: Subject, claim: Claim, harness: Harness) -> bool:
    """Everything reduced to one number."""
    return claim.criterion.reduction != "none" and claim.criterion.axis is None


def per_element(x: Any, shape: tuple[int, ...]) -> Any:
    """A weight or mask of leading axes as one of full shape; numbers stay."""
    if not isinstance(x, np.ndarray):
        return x
    aligned = x.reshape(x.shape + (1,) * (len(shape) - x.ndim))
    return np.broadcast_to(aligned, shape).copy()


def rows(case: Case, index: Any) -> Case:
    """The case of these rows."""
    n = case.pred.shape[0]

    def taken(x: Any) -> Any:
        return x[index] if isinstance(x, np.ndarray) and x.shape[:1] == (n,) else x

    return case.but(
        pred=case.pred[index],
        target=case.target[index],
        **{name: taken(x) for name, x in case.others.items()},
    )


def close(trial: Trial, case: Case, one: NumpyArray, other: NumpyArray, what: str) -> None:
    """Failure unless two values of one exact number are each within its bound."""
    exacts = trial.exacts(case)
    allowed = 2 * trial.bounds(exacts).value + np.spacing(np.abs(as_floats(exacts.value())))
    apart = np.abs(one.astype(np.float64) - other)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    if not np.all(same | (apart <= allowed)):
        fail(what, other, one)


@invariance(concerns=whole, inputs=Inputs(min_size=2))
def permutation(trial: Trial, case: Case) -> None:
    """The order of the samples does not matter, beyond the bound of the sum."""
    order = np.argsort(np.resize([3, 1, 4, 1, 5, 9, 2, 6], len(case.pred)), kind="stable")
    close(trial, case, trial.value(case), trial.value(rows(case, order)), "permuted, the value")


def _adds_up(subject: Subject, claim: Claim, harness: Harness) -> bool:
    c = claim.criterion
    if not whole(subject, claim, harness) or c.reduction == "sum":
        return c.reduction == "sum" and c.axis is None
    mergeable = subject.mergeable and hasattr(claim.build(), "terms")
    return mergeable and not isinstance(c.denominator, float)


@invariance(concerns=_adds_up, inputs=Inputs(min_size=2, denominator=False))
def split(trial: Trial, case: Case) -> None:
    """However the samples are split, sums (and the terms of means) of the parts add up."""
    cut = (len(case.pred) + 2) // 3
    parts = [rows(case, slice(cut)), rows(case, slice(cut, None))]
    parts = [part for part in parts if len(part.pred)]
    if trial.criterion.reduction == "sum":
        together = np.asarray(sum(trial.value(part) for part in parts))
    else:
        together = _merged(trial, parts)
    close(trial, case, trial.value(case), together, "put together from parts, the value")


PARTS = 1000


def _merges(subject: Subject, claim: Claim, harness: Harness) -> bool:
    means = claim.criterion.reduction != "sum"
    return means and _adds_up(subject, claim, harness) and plain(subject, claim, harness)


@invariance(
    concerns=_merges,
    situations=lambda s, c, h: [fitted(make_case([0.3, 1.7], [0.0, 0.0], s.dtypes[0]), s, c)],
)
def many_parts(trial: Trial, case: Case) -> None:
    """A total does not drift: the mean of a thousand equal batches is that of one."""
    seen = _merged(trial, [case], PARTS)
    close(trial, case, trial.value(case), seen, f"put together from {PARTS} parts, the value")


def _tells_ahead(subject: Subject, claim: Claim, harness: Harness) -> bool:
    c = claim.criterion
    # The terms of exact ones are no numbers.
    means = subject.mergeable and c.reduction in ("mean", "root_mean") and not c.exact
    return means and hasattr(claim.build(), "denominator_of")


@invariance(concerns=_tells_ahead, inputs=Inputs(denominator=False))
def denominator_ahead(trial: Trial, case: Case) -> None:
    """What a mean divides by is known of the targets, weights and masks, ahead of any prediction."""

    def ahead(loss: Any, given: dict[str, Any]) -> Any:
        names = {"weight": trial.subject.takes.get("weight", "weight"), "mask": "mask"}
        named = {names[name]: x for name, x in given.items() if name in names}
        return loss.denominator_of(given["target"], **named)

    def found(loss: Any, given: dict[str, Any]) -> Any:
        positional, named = trial.subject.arguments(given)
        return loss.terms(*positional, **named).denominator

    one, other = (trial.numpy(_asked(trial, case, f)) for f in (found, ahead))
    if not np.all((one == other) | (np.isnan(one) & np.isnan(other))):
        fail("told ahead, the denominator", one, other)


def _asked(trial: Trial, case: Case, ask: Callable[[Any, dict[str, Any]], Any]) -> Any:
    """What the loss answers about the arrays of a case."""
    given = {"pred": case.pred, "target": case.target, **case.others}
    arrays = {k: trial.array(case, k, x) for k, x in given.items() if isinstance(x, np.ndarray)}
    numbers = {k: x for k, x in given.items() if k not in arrays}
    loss: Any = trial.claim.build()

    def call(*values: Any) -> Any:
        return ask(loss, {**dict(zip(arrays, values, strict=True)), **numbers})

    return trial.harness.run(call, *arrays.values())


def _merged(trial: Trial, parts: Sequence[Case], times: int = 1) -> NumpyArray:
    """The value of the added terms, each so many times."""

    def found(loss: Any, given: dict[str, Any]) -> Any:
        positional, named = trial.subject.arguments(given)
        return loss.terms(*positional, **named)

    terms = [_asked(trial, part, found) for part in parts]
    return trial.numpy(sum(terms * times).value())


RUBBISH = (float("nan"), float("inf"), float("-inf"), 1e30)


def padded(trial: Trial, case: Case, by: str) -> Case:
    """The case with four absent samples behind it, in which rubbish stands."""

    def longer(x: NumpyArray, more: Any) -> NumpyArray:
        first = np.resize(np.asarray(more, x.dtype), len(RUBBISH))
        tail = np.broadcast_to(first.reshape(-1, *(1 for _ in x.shape[1:])), (4, *x.shape[1:]))
        return np.concatenate([x, tail])

    changes: dict[str, Any] = {
        "pred": longer(case.pred, RUBBISH),
        "target": longer(case.target, RUBBISH[::-1]),
    }
    for name, x in case.parameters.items():
        if isinstance(x, np.ndarray) and x.shape[:1] == case.pred.shape[:1]:
            changes[name] = longer(x, RUBBISH)
    kind: Any = bool if by == "mask" else case.real
    present = getattr(case, by)
    if not isinstance(present, np.ndarray):
        present = np.ones(case.pred.shape[:1], kind) * (1 if present is None else present)
        present = present.astype(kind)
    if present.shape[0] == 1 < case.pred.shape[0]:
        present = per_element(present, case.pred.shape)
    changes[by] = longer(present, 0)
    other = "weight" if by == "mask" else "mask"
    rest = getattr(case, other)
    if isinstance(rest, np.ndarray) and rest.shape[0] == len(case.pred):
        changes[other] = longer(rest, 1)
    return case.but(**changes)


def _pads(by: str) -> Any:
    def concerned(subject: Subject, claim: Claim, harness: Harness) -> bool:
        c = claim.criterion
        counted = c.denominator in ("batch", "size") or (
            by == "weight" and claim.divisor is not None
        )
        shapes = {"sample", "element"} & {*subject.weights}
        return (
            whole(subject, claim, harness) and by in subject.takes and bool(shapes) and not counted
        )

    return concerned


@invariance(concerns=_pads("mask"), inputs=Inputs(weight="never", zeros=False))
def padding(trial: Trial, case: Case) -> None:
    """Masked samples behind the others change nothing, whatever stands there."""
    longer = padded(trial, case, "mask")
    divisor = trial.claim.divisor
    if divisor is None or divisor(case) == divisor(longer):
        close(trial, case, trial.value(case), trial.value(longer), "padded, the value")


@invariance(concerns=both(has("layouts"), plain), inputs=Inputs(min_size=2))
def layout(trial: Trial, case: Case) -> None:
    """How arrays lie in memory does not matter: value within its bound, gradient bit for bit."""
    straight = trial.value(case)
    trial.record(case, note="here pred and target are views that are not contiguous")
    f, arrays = trial.function(case)
    preds, targets = (trial.harness.features["layouts"](x) for x in (case.pred, case.target))
    for pred, target in zip(preds, targets, strict=True):
        seen = trial.called(f, pred, target, *arrays[2:])
        close(trial, case, straight, seen, "laid out otherwise in memory, the value")


@invariance(
    concerns=both(has("threads"), differentiable, plain), situations=lambda s, c, h: _big(s, c)
)
def threads(trial: Trial, case: Case) -> None:
    """With one thread or two the value stays within its bound, and the gradient keeps its bits."""
    seen = []
    for n in (1, 2):
        with trial.harness.features["threads"](n):
            seen.append((trial.value(case), trial.gradient(case)))
    (value, gradient), (other, changed) = seen
    n = case.pred.size
    height = 128 + np.ceil(np.log2(n)) if trial.subject.pairwise else n
    if abs(float(value) - float(other)) > 2 * height * np.spacing(abs(value)):
        fail("with two threads, the value", other, value)
    if not same_bits(gradient, changed):
        fail("with two threads, the gradient", "other bits", "the bits of one thread")


def _big(subject: Subject, claim: Claim) -> Sequence[Case]:
    n, dtype = 100_003, subject.dtypes[0]
    pred = np.resize(np.asarray([0.1, -2.5, 3.7, 0.4, -0.9], dtype), n)
    found = Case(
        pred, np.zeros_like(pred), dtype=dtype, code=f"np.resize([0.1, -2.5, 3.7, 0.4, -0.9], {n})"
    )
    return [needed(found, claim, 1.0)] if 1 in subject.ndims else []


@invariance(
    concerns=lambda s, c, h: (
        whole(s, c, h)
        and "weight" in s.takes
        and "sample" in s.weights
        and c.criterion.reduction != "none"
        and c.criterion.denominator in ("weight",)
        and c.divisor is None
    ),
    inputs=Inputs(weight="always", mask="never", denominator=False),
)
def repetition(trial: Trial, case: Case) -> None:
    """A sample of weight 2 counts as two samples."""
    doubled = np.resize([2.0, 1.0, 1.0], len(case.pred)).astype(case.real)
    weighted = case.but(weight=doubled)
    index = np.repeat(np.arange(len(doubled)), doubled.astype(int))
    repeated = rows(case.but(weight=None), index)
    close(trial, repeated, trial.value(repeated), trial.value(weighted), "by weight, the value")


@invariance(
    concerns=both(
        takes("weight"),
        reduces("mean", "root_mean"),
        lambda s, c, h: c.divisor is None and c.criterion.denominator == "weight",
    ),
    inputs=Inputs(weight="always", zeros=False, denominator=False),
)
def weight_scale(trial: Trial, case: Case) -> None:
    """Weights times 4 leave a mean over the sum of weights as it is, bit for bit."""
    times4: Any = case.weight * 4  # type: ignore[operator]
    seen, scaled = trial.value(case), trial.value(case.but(weight=times4))
    if not np.array_equal(seen, scaled, equal_nan=True):
        fail("with weights times 4, the value", scaled, seen)
