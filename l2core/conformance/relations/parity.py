"""Against the core on NumPy: the same criterion, the same numbers, in every framework."""

from __future__ import annotations

from functools import partial

import numpy as np

from l2core.conformance.case import Case
from l2core.conformance.cases import Inputs
from l2core.conformance.checks import both, check, differentiable
from l2core.conformance.harness import Harness, NumpyArray
from l2core.conformance.subjects import Claim, Subject
from l2core.conformance.trial import Trial, fail, same_bits
from l2core.losses import HalfSquaredError, SquaredError

parity = partial(check, "parity")


def _named(subject: Subject, claim: Claim, harness: Harness) -> bool:
    return claim.divisor is None


@parity(concerns=_named, inputs=Inputs(values="finite"))
def value(trial: Trial, case: Case) -> None:
    """The value and NumPy's differ by at most the sum of their bounds."""
    exacts = trial.exacts(case)
    allowed = trial.bounds(exacts)
    ours = trial.criterion(case.pred, case.target, **case.others)
    seen = trial.value(case)
    if seen.shape != np.shape(ours):
        fail("the shape of the value", seen.shape, np.shape(ours))
    finite = np.isfinite(seen) & np.isfinite(ours)
    if np.any(np.isfinite(seen) != np.isfinite(ours)) and not np.any(allowed.overflows):
        fail("which values are finite", seen, ours)
    apart = np.abs(seen.astype(np.float64) - ours)[finite]
    ulp = np.spacing(np.abs(np.where(finite, ours, 1)))[finite]
    if np.any(apart > 2 * np.broadcast_to(allowed.value, finite.shape)[finite] + ulp):
        fail("the value", seen, f"{ours} as on NumPy")


def _squared_mean(subject: Subject, claim: Claim, harness: Harness) -> bool:
    c = claim.criterion
    squared = isinstance(c.loss, SquaredError | HalfSquaredError)
    simple = (c.denominator, c.axis, c.nan_targets) == ("weight", None, "propagate")
    return squared and simple and c.reduction in ("mean", "sum", "none")


@parity(
    concerns=both(_named, differentiable, _squared_mean),
    inputs=Inputs(weight="never", mask="never", denominator=False),
    choice=True,
)
def gradient_bits(trial: Trial, case: Case) -> None:
    """The gradient of a squared error, without weights, is NumPy's closed form bit for bit."""
    ours = trial.criterion.value_and_grad(case.pred, case.target)[1]
    seen = trial.gradient(case)
    if not same_bits(_positive_zeros(seen), _positive_zeros(ours)):
        fail("the gradient", _hex(seen), f"{_hex(ours)} as on NumPy")


def _positive_zeros(x: NumpyArray) -> NumpyArray:
    return x + 0.0


def _hex(x: NumpyArray) -> str:
    return f"[{', '.join(float(v).hex() for v in x.ravel())}]"
