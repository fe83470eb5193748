"""The checks in anybody's own pytest file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from l2core.conformance.extras import require
from l2core.conformance.subjects import Subject

if TYPE_CHECKING:
    from l2core.conformance.checks import Check
    from l2core.conformance.runner import Options

Expected = Mapping[str | tuple[str, str], str]


def parametrize_checks(
    subjects: Subject | Sequence[Subject],
    *,
    expected_failures: Expected | None = None,
    checks: Sequence[str] | None = None,
    cases: int = 6,
    seed: int = 0,
) -> Callable[..., Any]:
    """Decorate a test that takes ``check`` and calls it, to run every check on every subject.

    ``expected_failures`` maps a check's name, or (subject, check), to the reason why it fails; an
    entry that matches nothing raises ValueError here, and one whose check passes fails its test.
    ``checks`` limits the run to the names that begin with one of these.
    """
    pytest = require("pytest")
    from l2core.conformance.checks import checks as registry
    from l2core.conformance.runner import Options

    if isinstance(subjects, Subject):
        subjects = [subjects]
    ledger, stale = dict(expected_failures or {}), set(expected_failures or {})
    parameters = []
    for subject in subjects:
        for check in registry().values():
            if not _concerns(subject, check) or (
                checks is not None and not check.name.startswith(tuple(checks))
            ):
                continue
            keys = [key for key in (check.name, (subject.name, check.name)) if key in ledger]
            stale -= set(keys)
            reason = ledger[keys[-1]] if keys else None
            run = partial(_examine, subject, check, Options(cases, seed), reason)
            parameters.append(pytest.param(run, id=f"{subject.name}-{check.name}"))
    if stale:
        raise ValueError(
            "expected_failures: expected the names of checks that concern a subject, "
            f"got {sorted(map(str, stale))}"
        )
    decorator: Callable[..., Any] = pytest.mark.parametrize("check", parameters)
    return decorator


def _concerns(subject: Subject, check: Check) -> bool:
    from l2core.conformance.harness import harness

    driver = harness(subject.harness)
    with driver.context():
        return next(check.claims(subject, driver), None) is not None


def _examine(subject: Subject, check: Check, options: Options, reason: str | None) -> None:
    from l2core.conformance.runner import CONVENTION, KNOWN, PASSED, examine

    outcome = examine(subject, check, options)
    if outcome is None or outcome.verdict in (PASSED, CONVENTION, KNOWN):
        if reason is not None:
            raise AssertionError(
                f"expected_failures: {check.name} is expected to fail ({reason}), but it passes"
            )
        return
    if outcome.report is None:
        raise AssertionError(f"{check.name}: declared ({outcome.reason}), but it does not show")
    if reason is not None:
        require("pytest").xfail(reason)
    report = outcome.report
    raise AssertionError(
        f"{check.name}: {report.law}\n{report.message}: observed {report.observed}, "
        f"expected {report.expected}\n\n{report.snippet}"
    )
