"""The registry of checks: each a law, the inputs it wants, and whom it concerns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TypeAlias

from l2core.conformance.case import Case
from l2core.conformance.cases import Inputs
from l2core.conformance.harness import Harness
from l2core.conformance.subjects import Claim, Subject
from l2core.conformance.trial import Trial

RELATIONS = (
    "accuracy",
    "parity",
    "invariance",
    "semantics",
    "calculus",
    "theory",
    "transforms",
    "round_trips",
)
"""The families of checks, in the order of reports."""

MODULES = (*RELATIONS, "dtypes", "parameters")
"""Where they are, in ``relations``."""

Law: TypeAlias = Callable[[Trial, Case], None]
Concerns: TypeAlias = Callable[[Subject, Claim, Harness], bool]
Situations: TypeAlias = Callable[[Subject, Claim, Harness], Sequence[Case]]


@dataclass(frozen=True)
class Check:
    """A law and how it is tried.

    ``inputs`` are drawn by hypothesis (None: there is nothing to draw); ``situations`` are tried
    first, always. ``choice`` marks laws that are l2core's own choice among several sensible ones:
    a framework that chose otherwise differs by convention. ``slow`` ones are left out by --quick.
    """

    name: str
    law: str
    test: Law
    concerns: Concerns
    situations: Situations
    inputs: Inputs | None = None
    choice: bool = False
    slow: bool = False

    @property
    def relation(self) -> str:
        """The family."""
        return self.name.partition("/")[0]

    def claims(self, subject: Subject, harness: Harness) -> Iterator[Claim]:
        """The claims of a subject that the law concerns."""
        return (c for c in subject.claims if self.concerns(subject, c, harness))


_checks: dict[str, Check] = {}


def check(
    relation: str,
    *,
    concerns: Concerns = lambda subject, claim, harness: True,
    situations: Situations = lambda subject, claim, harness: (),
    inputs: Inputs | None = None,
    choice: bool = False,
    slow: bool = False,
) -> Callable[[Law], Law]:
    """Register a function as a check; its docstring is the law, its name the check's."""

    def register(test: Law) -> Law:
        name = f"{relation}/{test.__name__.replace('_', '-')}"
        law = " ".join((test.__doc__ or "").split())
        _checks[name] = Check(name, law, test, concerns, situations, inputs, choice, slow)
        return test

    return register


def checks() -> dict[str, Check]:
    """All checks by name, in the order of their relations."""
    for module in MODULES:
        import_module(f"l2core.conformance.relations.{module}")
    ordered = sorted(_checks.values(), key=lambda check: RELATIONS.index(check.relation))
    return {check.name: check for check in ordered}


# --- whom a law concerns --------------------------------------------------------------------------


def reduces(*reductions: str) -> Concerns:
    """Claims with one of these reductions."""
    return lambda subject, claim, harness: claim.criterion.reduction in reductions


def both(*conditions: Concerns) -> Concerns:
    """All of these."""
    return lambda subject, claim, harness: all(c(subject, claim, harness) for c in conditions)


def differentiable(subject: Subject, claim: Claim, harness: Harness) -> bool:
    """Gradients can be had: by autograd, or by the callable's own value_and_grad."""
    if harness.autograd:
        return subject.differentiable
    return hasattr(claim.build(), "value_and_grad")


def autograd(subject: Subject, claim: Claim, harness: Harness) -> bool:
    """Gradients can be had by autograd."""
    return harness.autograd and subject.differentiable


def takes(name: str) -> Concerns:
    """Subjects that take this argument."""
    return lambda subject, claim, harness: name in subject.takes


def has(feature: str) -> Concerns:
    """Frameworks with this feature."""
    return lambda subject, claim, harness: feature in harness.features


def plain(subject: Subject, claim: Claim, harness: Harness) -> bool:
    """One claim a loss is enough: its mean, else what it has; options at their defaults."""
    c = claim.criterion
    if not _default(claim):
        same = [x for x in subject.claims if x.criterion.loss == c.loss]
        return claim is same[0] and not any(_default(x) for x in same)
    wanted = [x for x in subject.claims if x.criterion.loss == c.loss and _default(x)]
    means = [x for x in wanted if x.criterion.reduction == "mean"]
    return claim is (means or wanted)[0]


def _default(claim: Claim) -> bool:
    return claim.criterion.changed.keys() <= {"loss", "reduction"}
