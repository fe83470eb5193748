"""Values and gradients against the exact oracle, within bounds derived in ``bounds``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from l2core.conformance.bounds import bounds
from l2core.conformance.case import HALVES, Case, cast, make_case
from l2core.conformance.cases import Inputs, fitted, kinks
from l2core.conformance.checks import both, check, differentiable, reduces
from l2core.conformance.harness import Harness
from l2core.conformance.subjects import Claim, Subject
from l2core.conformance.trial import Trial, gradient_dtype

accuracy = partial(check, "accuracy")
WILD = Inputs(values="wild")


def special_residuals(subject: Subject, claim: Claim, harness: Harness) -> Sequence[Case]:
    """Kinks with their neighbours, and residuals from 1e-30 to 1e30, of either sign."""
    dtype = subject.dtypes[0]
    sizes = [1e-30, 1e-10, 1e-4, 0.1, 0.3, 3.0, 20.0, 89.0, 1e4, 1e19, 1e30]
    pred = [*kinks(claim.criterion.loss, dtype), *sizes, *(-x for x in sizes)]
    return [fitted(make_case(pred, [0.0] * len(pred), dtype), subject, claim)]


@accuracy(concerns=reduces("none"), situations=special_residuals, inputs=WILD)
def rho(trial: Trial, case: Case) -> None:
    """Each element's loss is the exact one, within the roundings of its formula."""
    trial.value_is_right(case)


@accuracy(concerns=reduces("sum", "mean", "root_mean"), inputs=WILD)
def value(trial: Trial, case: Case) -> None:
    """A reduced loss is the exact one, within the bound of a sum of that height."""
    trial.value_is_right(case)


def _exact(subject: Subject, claim: Claim, harness: Harness) -> bool:
    return claim.criterion.exact


@accuracy(concerns=_exact, inputs=WILD)
def correctly_rounded(trial: Trial, case: Case) -> None:
    """With exact=True the value is the float nearest to the formula over real numbers, ties to even."""
    trial.value_is_nearest(case)


@accuracy(
    concerns=differentiable,
    situations=special_residuals,
    inputs=Inputs(values="finite"),
)
def gradient(trial: Trial, case: Case) -> None:
    """The gradient is the exact one, omega psi / denominator, within its roundings."""
    trial.gradient_is_right(case)


def long_arrays(subject: Subject, claim: Claim, harness: Harness) -> Sequence[Case]:
    """Around powers of two, and once a million: constant, and of three values in turn."""
    dtype = subject.dtypes[0]
    sizes = [1023, 1025, 65537]
    if subject.pairwise and claim.criterion.loss == subject.losses()[0]:
        sizes.append(1_000_003)  # in any order, so many terms promise no digit
    return [
        Case(
            np.resize(np.asarray(period, dtype), n),
            np.zeros(n, dtype),
            dtype=dtype,
            code=f"np.resize({period}, {n})",
        )
        for n in sizes
        for period in ([0.1], [0.1, 3.0, -7.7])
    ]


def _long(subject: Subject, claim: Claim, harness: Harness) -> bool:
    c = claim.criterion
    default = c.denominator == "weight" and c.axis is None and c.nan_targets == "propagate"
    simple = default and c.empty == "nan" and not c.loss.needs
    return simple and 1 in subject.ndims and c.reduction in ("mean", "sum")


@accuracy(concerns=_long, situations=long_arrays)
def long_sums(trial: Trial, case: Case) -> None:
    """Sums of up to a million terms stay within the bound of blocks added up as a tree."""
    # Few values, each many times: the oracle sees every value once, with its count as a weight.
    n, values = len(case.pred), np.unique(case.pred[:3])
    counts = np.asarray([np.count_nonzero(case.pred == v) for v in values], float)
    small = Case(values, np.zeros_like(values), counts, dtype=case.dtype)
    divisor = trial.claim.divisor
    changes = {"denominator": divisor(case) if divisor else n} if _mean(trial) else {}
    exacts = trial.exacts(small, **changes)
    allowed = bounds(exacts, trial.arithmetic(small), terms=n).value
    trial.near(trial.value(case), exacts.value(), allowed, "value", trial.result_dtype(case))


def _mean(trial: Trial) -> bool:
    return trial.criterion.reduction == "mean"


def half_cases(subject: Subject, claim: Claim, harness: Harness) -> Sequence[Case]:
    """Squares beyond the largest half whose mean is not, and sums beyond it."""
    found = []
    for dtype in HALVES:
        if dtype in harness.dtypes:
            one = [300.0] + [0.0] * 99
            found.append(Case(cast(one, dtype), cast([0.0] * 100, dtype), dtype=dtype))
    return found


@accuracy(
    concerns=lambda s, c, h: (
        s.halves is not None
        and bool({*HALVES} & {*h.dtypes})
        and 1 in s.ndims
        and c.criterion.axis is None
        and not c.criterion.loss.needs
        and c.criterion.reduction == "mean"
    ),
    situations=half_cases,
)
def halves(trial: Trial, case: Case) -> None:
    """A mean of halves that is itself a half is right, though a square on the way overflows."""
    exacts = trial.exacts(case)
    allowed = trial.bounds(exacts)
    dtype = trial.result_dtype(case)
    trial.near(trial.value(case), exacts.value(), allowed.value, "value", dtype)


@accuracy(
    concerns=both(
        differentiable, lambda s, c, h: s.halves is not None and bool({*HALVES} & {*h.dtypes})
    ),
    inputs=Inputs(dtypes=HALVES),
)
def half_gradients(trial: Trial, case: Case) -> None:
    """The gradient to a half has its dtype and is the exact one, rounded to it."""
    expected = trial.exacts(case).gradient()
    allowed = trial.bounds(trial.exacts(case)).gradient
    trial.near(trial.gradient(case), expected, allowed, "gradient", gradient_dtype(trial, case))
