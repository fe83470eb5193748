"""Runs checks on subjects and passes judgement."""

from __future__ import annotations

import time
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from l2core.conformance.case import Case
from l2core.conformance.cases import inputs
from l2core.conformance.checks import Check, checks
from l2core.conformance.extras import require
from l2core.conformance.harness import Harness, harness
from l2core.conformance.snippet import snippet
from l2core.conformance.subjects import Claim, Subject
from l2core.conformance.trial import Failure, Trial

hypothesis: Any = require("hypothesis")

PASSED, CONVENTION, WRONG, FAILED, KNOWN, STALE = (
    "passed",
    "differs by convention",
    "wrong",
    "failed",
    "known",
    "stale",
)
"""Verdicts. "wrong" is a framework's own loss that breaks a law, "failed" any other subject;
"stale" a convention or known failure that is declared and does not show."""


@dataclass(frozen=True)
class Options:
    """How much to try: inputs drawn a check and loss, and where the draw begins; ``quick`` leaves
    slow checks out, and tries each other one on one claim of a subject."""

    cases: int = 6
    seed: int = 0
    quick: bool = False


@dataclass(frozen=True)
class Report:
    """A failure for people."""

    law: str
    message: str
    observed: str
    expected: str
    claim: str
    snippet: str
    also: tuple[str, ...] = ()  # other losses that fail too


@dataclass(frozen=True)
class Outcome:
    """The verdict on one subject by one check."""

    subject: str
    check: str
    verdict: str
    tried: int
    ulps: float
    seconds: float
    reason: str = ""
    report: Report | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def run(
    subjects: Iterable[Subject], options: Options, wanted: Callable[[str], bool] = lambda name: True
) -> Iterator[Outcome]:
    """Every wanted check of every subject, as far as it concerns it."""
    for subject in subjects:
        for check in checks().values():
            if wanted(check.name) and not (options.quick and check.slow):
                outcome = examine(subject, check, options)
                if outcome is not None:
                    yield outcome


def examine(subject: Subject, check: Check, options: Options | None = None) -> Outcome | None:
    """One check of one subject; None if it does not concern it."""
    options = options or Options()
    start = time.perf_counter()
    driver = harness(subject.harness)
    failures: list[tuple[Trial, Failure]] = []
    tried, ulps = 0, 0.0
    with driver.context(), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        claims = list(check.claims(subject, driver))
        if options.quick:
            claims = _one(claims, check, options.seed)
        for group in _groups(subject, claims, driver):
            attempts = Attempts(subject, check, driver, options.seed)
            attempts.situations(group)
            if attempts.failed is None and check.inputs is not None:
                attempts.search(group, _number(options, subject, group, driver))
            tried, ulps = tried + attempts.tried, max(ulps, attempts.ulps)
            if attempts.failed is not None:
                failures.append(attempts.failed)
        report = _report(check, failures) if failures else None
    if not tried:
        return None
    verdict, reason = judged(subject, check, bool(failures))
    seconds = time.perf_counter() - start
    return Outcome(subject.name, check.name, verdict, tried, ulps, seconds, reason, report)


def _one(claims: list[Claim], check: Check, seed: int) -> list[Claim]:
    """One of the claims, another for another check or seed, so that all have their turn."""
    turn = zlib.crc32(check.name.encode()) + seed
    return [claims[turn % len(claims)]] if claims else []


def _groups(subject: Subject, claims: list[Claim], driver: Harness) -> list[list[Claim]]:
    """The claims by loss; in a slow framework all together."""
    if driver.thrift >= SLOW:
        return [claims] if claims else []
    groups = [[c for c in claims if c.criterion.loss == x] for x in subject.losses()]
    return [group for group in groups if group]


SLOW = 4
"""The thrift of a framework in which the losses of a subject share their inputs."""


def _number(options: Options, subject: Subject, group: list[Claim], driver: Harness) -> int:
    """How many inputs a group gets: more if a subject has one loss, fewer in a slow framework."""
    if options.quick:
        return options.cases
    losses = len({c.criterion.loss for c in group})
    return max(
        2, options.cases * max(losses, 2 if len(subject.losses()) == 1 else 1) // driver.thrift
    )


class Attempts:
    """What one check tried on one loss of a subject."""

    def __init__(self, subject: Subject, check: Check, driver: Harness, seed: int) -> None:
        self.subject, self.check, self.driver, self.seed = subject, check, driver, seed
        self.tried, self.ulps = 0, 0.0
        self.failed: tuple[Trial, Failure] | None = None

    def one(self, claim: Claim, case: Case) -> None:
        """Try the law once; Failure if it does not hold."""
        trial = Trial(self.subject, claim, self.driver)
        self.tried += 1
        try:
            self.check.test(trial, case)
        except Failure as failure:
            self.failed = (trial, failure)
            raise
        self.ulps = max(self.ulps, trial.ulps)

    def situations(self, claims: Sequence[Claim]) -> None:
        """Try what is to be tried always, up to the first failure.

        In a slow framework the claims of a loss take turns, one situation each.
        """
        turns = min(self.driver.thrift, len(claims))
        try:
            for i, claim in enumerate(claims):
                cases = self.check.situations(self.subject, claim, self.driver)
                for j, case in enumerate(cases):
                    if (i + j) % turns == 0:
                        self.one(claim, case)
        except Failure:
            return

    def search(self, claims: Sequence[Claim], number: int) -> None:
        """Try inputs drawn by hypothesis; a failure is shrunk to the least that fails."""
        st = hypothesis.strategies
        wanted = self.check.inputs

        def cases(claim: Claim) -> Any:
            drawn = inputs(wanted, self.subject, claim, self.driver)  # type: ignore[arg-type]
            return drawn.map(lambda case: (claim, case))

        settings = hypothesis.settings(
            max_examples=number,
            database=None,
            derandomize=False,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        )

        def attempt(drawn: tuple[Claim, Case]) -> None:
            self.one(*drawn)

        drawn = st.sampled_from(list(claims)).flatmap(cases)
        search = hypothesis.seed(self.seed)(settings(hypothesis.given(drawn)(attempt)))
        try:
            search()
        except Failure:
            return  # the last attempt, which is kept, was the least that fails
        except hypothesis.errors.Flaky as error:
            if self.failed is None:
                raise
            trial, failure = self.failed
            message = f"{failure.message} (not every time: {type(error).__name__})"
            self.failed = trial, Failure(message, failure.observed, failure.expected)


def judged(subject: Subject, check: Check, fell: bool) -> tuple[str, str]:
    """The verdict, and the reason of one that is not plain."""
    declared = {**subject.conventions, **subject.known}.get(check.name, "")
    if not fell:
        return (STALE if declared else PASSED), declared
    if check.name in subject.conventions:
        return CONVENTION, declared
    if check.name in subject.known:
        return KNOWN, declared
    if not subject.builtin:
        return FAILED, ""
    implied = subject.implies.get(check.name, "")
    if check.choice and not implied:
        return CONVENTION, "its documentation does not say otherwise"
    return WRONG, implied


def _report(check: Check, failures: Sequence[tuple[Trial, Failure]]) -> Report:
    trial, failure = failures[0]
    return Report(
        check.law,
        failure.message,
        failure.observed,
        failure.expected,
        trial.claim.code,
        snippet(trial, failure),
        tuple(repr(t.loss) for t, _ in failures[1:]),
    )
