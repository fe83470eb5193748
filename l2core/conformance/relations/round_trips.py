"""Saved and loaded, pickled, copied: the same loss with the same parameters."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from l2core.conformance.case import Case, make_case
from l2core.conformance.cases import given_to
from l2core.conformance.checks import check
from l2core.conformance.harness import Harness
from l2core.conformance.relations.semantics import given
from l2core.conformance.subjects import Claim, Subject
from l2core.conformance.trial import Trial, fail
from l2core.criterion import Criterion

round_trips = partial(check, "round_trips")


def several(subject: Subject, claim: Claim, harness: Harness) -> Sequence[Case]:
    """A case, and the same with the parameters that may come with the call."""
    (case,) = given(make_case([0.1, -2.0, 3.0], [0.0, 0.0, 0.5]))(subject, claim, harness)
    names = [x for x in given_to(subject, claim) if x not in claim.criterion.loss.instead]
    more = {name: np.full(case.pred.shape, 0.75, case.real) for name in names}
    return [case, case.but(**more)] if names else [case]


def _same(trial: Trial, case: Case, trip: Callable[[Any], Any]) -> None:
    """Failure unless the callable computes the same bits after the trip."""
    loss: Any = trial.claim.build()
    back = trial.guarded(lambda: trip(loss))
    before = trial.value(case)
    claim, calls = trial.claim, list(trial.calls)
    trial.claim = replace(claim, make=back)
    after = trial.value(case)
    trial.claim, trial.calls = claim, calls
    if not np.array_equal(before, after, equal_nan=True):
        fail("after the trip, the value", after.tolist(), before.tolist())


def _named(subject: Subject, claim: Claim, harness: Harness) -> bool:
    return isinstance(claim.make, str)


@round_trips(concerns=_named, situations=several)
def pickled(trial: Trial, case: Case) -> None:
    """A loss can be pickled, and comes back the same."""
    _same(trial, case, lambda loss: pickle.loads(pickle.dumps(loss)))


@round_trips(concerns=_named, situations=several)
def copied(trial: Trial, case: Case) -> None:
    """A deep copy of a loss computes the same."""
    _same(trial, case, copy.deepcopy)


@round_trips(concerns=lambda s, c, h: s.saves is not None, situations=several)
def saved(trial: Trial, case: Case) -> None:
    """Saved and loaded by the framework's own means, a loss keeps every parameter."""
    saves = trial.subject.saves
    if saves is not None:
        _same(trial, case, saves)


def _configured(subject: Subject, claim: Claim, harness: Harness) -> bool:
    loss = claim.build()
    return hasattr(loss, "to_config") and hasattr(type(loss), "from_config")


@round_trips(concerns=_configured, situations=several)
def config(trial: Trial, case: Case) -> None:
    """A criterion survives JSON: from_config(to_config()) equals it and computes the same."""
    loss: Any = trial.claim.build()
    back = type(loss).from_config(json.loads(json.dumps(loss.to_config())))
    if isinstance(loss, Criterion) and back != loss:
        fail("the criterion after its config", back, loss)
    _same(
        trial, case, lambda loss: type(loss).from_config(json.loads(json.dumps(loss.to_config())))
    )
