"""Figures for the report: errors by size, and the gradient's bits, of every mean squared error."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from l2core import reference_arrays
from l2core.conformance.case import Case
from l2core.conformance.checks import differentiable
from l2core.conformance.harness import NumpyArray, harness
from l2core.conformance.subjects import Claim, Subject
from l2core.conformance.trial import Failure, Trial
from l2core.criterion import Criterion
from l2core.exact import ulps
from l2core.losses import SquaredError

SIZES = (1, 3, 10, 31, 100, 316, 1000, 3162, 10_000, 31_623, 100_000)


@dataclass(frozen=True)
class Measurement:
    """One mean squared error of n normal float32 numbers by one subject."""

    subject: str
    ours: bool
    n: int
    value: float
    ulps: float
    same_bits: float | None  # the share of the gradient's elements that are NumPy's, bit for bit
    gradient_ulps: float | None  # and how far off the worst element is


def data(n: int) -> tuple[NumpyArray, NumpyArray]:
    """Predictions and targets, the same in every process."""
    rng = np.random.default_rng(n)
    pred, target = rng.standard_normal((2, n)).astype(np.float32)
    return pred, target


def exact_means(largest: int) -> dict[int, Fraction]:
    """The exact mean squared errors of all sizes up to this one."""
    return {
        n: reference_arrays.value("SquaredError", {}, *data(n)).item()
        for n in SIZES
        if n <= largest
    }


def measure(subject: Subject, exact: dict[int, Fraction]) -> list[Measurement]:
    """One for each size, if the subject has a mean squared error of float32."""
    claim = _mean_squared_error(subject)
    if claim is None:
        return []
    driver = harness(subject.harness)
    found = []
    with driver.context(), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for n, expected in exact.items():
            pred, target = data(n)
            if 1 not in subject.ndims:
                pred, target = pred[:, None], target[:, None]
            trial, case = Trial(subject, claim, driver), Case(pred, target)
            try:
                value = trial.value(case)
                bits = _bits(trial, case) if differentiable(subject, claim, driver) else None
            except Failure:
                continue
            off_by = ulps(float(value), expected, "float32")
            same, off = bits or (None, None)
            found.append(
                Measurement(subject.name, subject.ours, n, float(value), off_by, same, off)
            )
    return found


def _mean_squared_error(subject: Subject) -> Claim | None:
    if "float32" not in subject.dtypes:
        return None
    for claim in subject.claims:
        c = claim.criterion
        if isinstance(c.loss, SquaredError) and c.reduction == "mean" and c.axis is None:
            return claim
    return None


def _bits(trial: Trial, case: Case) -> tuple[float, float]:
    ours: NumpyArray = Criterion().value_and_grad(case.pred, case.target)[1]
    seen = trial.gradient(case)
    if seen.shape != ours.shape or seen.dtype != ours.dtype:
        raise Failure("the gradient's shape or dtype", str(seen.dtype), str(ours.dtype))
    off = np.abs(seen.astype(np.float64) - ours) / np.spacing(np.abs(ours))
    return float(np.mean(seen == ours)), float(np.max(off))
