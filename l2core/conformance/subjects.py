"""What the checks judge: an implementation of a loss, and what it says that it computes."""

from __future__ import annotations

import ast
import builtins
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import import_module
from types import CodeType
from typing import Any

from l2core.arrays import Array
from l2core.checks import EXACT
from l2core.conformance.case import Case
from l2core.conformance.harness import NUMPY, harnesses, installed
from l2core.criterion import Criterion
from l2core.losses import (
    LOSSES,
    AbsoluteError,
    Barron,
    BarronNLL,
    Cauchy,
    Expectile,
    GaussianNLL,
    Huber,
    LaplaceNLL,
    Loss,
    Quantile,
    SmoothL1,
    SquaredError,
    StudentTNLL,
    Tukey,
)

GROUP = "l2core.conformance.subjects"
"""Entry points of this group give a function that returns subjects. They are named as a framework or
library, ``torch``, or as one with an environment variable to be set before it is imported,
``keras.KERAS_BACKEND.jax``."""

WEIGHTS = ("scalar", "sample", "output", "element")
"""The shapes of weights: a number, (N,), (1, D) and that of the prediction."""


@dataclass(frozen=True)
class Claim:
    """One callable, and what it computes by its own account.

    ``make`` is the callable, or Python code that makes it, which then stands in the snippets of a
    report; modules named in it are imported. ``divisor`` gives what a mean of a case is divided by,
    where the criterion has no name for it; ``named`` is the reduction that its own name says, where
    that is another than the criterion's.
    """

    criterion: Criterion
    make: str | Callable[..., Array]
    divisor: Callable[[Case], float] | None = None
    named: str = ""

    def build(self) -> Callable[..., Any]:
        """The callable, made anew if by code."""
        if not isinstance(self.make, str):
            return self.make
        found: Callable[..., Any] = evaluate(self.make)
        return found

    @property
    def code(self) -> str:
        """Python code that makes the callable."""
        if isinstance(self.make, str):
            return self.make
        return f"{self.make.__module__}.{getattr(self.make, '__qualname__', repr(self.make))}"


@dataclass(frozen=True)
class Subject:
    """An implementation of a loss, described by what it claims.

    Parameters
    ----------
    name: how reports call it.
    harness: the name of the harness of its framework.
    claims: what it computes, one callable a criterion.
    order: the order of its two positional arguments.
    takes: its names of the further arguments that it takes, by ours (weight, mask, denominator,
        parameters of losses).
    weights: the shapes of weights that it documents, of ``WEIGHTS``.
    masks: the shapes of masks that it documents, of "sample" and "element".
    dtypes: the float dtypes that it computes in.
    halves: the dtype of its result for halves: "float32", "same" as theirs, or None: not taken.
    ndims: the ranks of arrays that it takes; ``weighted_ndims`` those that are tried with weights
        throughout (None: all).
    finite: whether it refuses NaN and infinities, by an error.
    squeezes: whether a last axis of length 1 that one of the two arrays lacks is added to it.
    mergeable: whether its ``terms``, called as it is itself, are pairs that add up.
    selects: whether weight 0 means absent, whatever stands there.
    pairwise: whether its sums run over blocks and trees, as those of array libraries do.
    refuses: code that makes it with senseless options, and must raise.
    saves: a function of the callable that saves and loads it by the framework's own means.
    differentiable: whether gradients may be taken through it, where the framework has autograd.
    ours: a failure of it is a failure of l2core.
    builtin: it belongs to a framework: departures in matters of choice are its conventions.
    conventions: checks that it departs from by its own documentation, each with the reason.
    implies: checks of choice that its own documentation implies, each with the place.
    known: failures that are known, each with the reason and a link; a stale one is an error.
    """

    name: str
    harness: str
    claims: tuple[Claim, ...]
    order: tuple[str, str] = ("pred", "target")
    takes: Mapping[str, str] = field(default_factory=dict)
    weights: tuple[str, ...] = WEIGHTS
    masks: tuple[str, ...] = ("sample", "element")
    dtypes: tuple[str, ...] = ("float32", "float64")
    halves: str | None = "float32"
    ndims: tuple[int, ...] = (1, 2, 3)
    weighted_ndims: tuple[int, ...] | None = None
    finite: bool = False
    squeezes: bool = False
    mergeable: bool = False
    selects: bool = False
    pairwise: bool = False
    refuses: tuple[str, ...] = ()
    saves: Callable[[Any], Any] | None = None
    differentiable: bool = True
    ours: bool = False
    builtin: bool = False
    conventions: Mapping[str, str] = field(default_factory=dict)
    implies: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)

    def arguments(self, given: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Positional and named arguments of a call, in its own order and words."""
        positional = [given[name] for name in self.order]
        named = {self.takes[name]: x for name, x in given.items() if name not in self.order}
        return positional, named

    def weighs(self, ndim: int) -> bool:
        """Whether arrays of this rank are tried with weights."""
        ndims = self.ndims if self.weighted_ndims is None else self.weighted_ndims
        return "weight" in self.takes and ndim in ndims

    def losses(self) -> list[Loss]:
        """The losses of its claims, each once."""
        return list(dict.fromkeys(claim.criterion.loss for claim in self.claims))


def evaluate(code: str) -> Any:
    """The value of an expression in which modules and the names of l2core may stand."""
    compiled, names = _prepared(code)
    return eval(compiled, dict(names))


@cache
def _prepared(code: str) -> tuple[CodeType, dict[str, Any]]:
    names: dict[str, Any] = {}
    for path in dotted_names(code):
        root, *rest = path.split(".")
        if hasattr(builtins, root):
            continue
        names[root] = names.get(root) or _top(root)
        for depth in range(len(rest)):
            try:
                import_module(".".join([root, *rest[: depth + 1]]))
            except ModuleNotFoundError:
                break  # an attribute, not a module
    return compile(code, "<claim>", "eval"), names


def dotted_names(code: str) -> Iterator[str]:
    """The names, dotted ones whole, that an expression reads."""
    for node in ast.walk(ast.parse(code, mode="eval")):
        if isinstance(node, ast.Attribute | ast.Name):
            path = ast.unparse(node)
            if all(part.isidentifier() for part in path.split(".")):
                yield path


def _top(name: str) -> Any:
    core = import_module("l2core")
    return getattr(core, name) if name in core.__all__ else import_module(name)


# --- ours -----------------------------------------------------------------------------------------

PARAMETERS = (
    Huber(0.5),
    SmoothL1(0.25),
    SmoothL1(0.0),
    Quantile(0.9),
    Expectile(0.2),
    GaussianNLL(full=True, eps=1e-3, beta=0.5),
    GaussianNLL(variance=2.0),
    LaplaceNLL(0.25),
    StudentTNLL(0.5, 1.0),
    Cauchy(2.5),
    Tukey(1.5),
    Barron(0.0, 0.5),
    Barron(-2.0),
    Barron(-math.inf),
    Barron(2.0, 3.0),
    BarronNLL(0.5, 2.0),
)
"""Losses with other parameters than their defaults, which may hide a parameter that is ignored."""


def every_parameter() -> list[str]:
    """The names of the parameters of all losses."""
    return list(dict.fromkeys(name for kind in LOSSES.values() for name in kind.parameters))


def criteria() -> list[Criterion]:
    """Every loss with every reduction, and each further field of a criterion in use."""
    losses = [*(kind() for kind in LOSSES.values()), *PARAMETERS]
    found = [Criterion(loss, r) for loss in losses for r in ("none", "sum", "mean", "root_mean")]
    # No root of what may be < 0.
    found = [c for c in found if not (c.reduction == "root_mean" and c.loss.likelihood)]
    for loss in (SquaredError(), AbsoluteError(), Huber()):
        found += [
            Criterion(loss, "mean", "count"),
            Criterion(loss, "mean", "batch"),
            Criterion(loss, "mean", "size"),
            Criterion(loss, "mean", 7.0),
            Criterion(loss, "mean", axis=0),
            Criterion(loss, "sum", axis=-1),
            Criterion(loss, "root_mean", "count", axis=(0, 1)),
            Criterion(loss, "mean", empty="zero"),
            Criterion(loss, "mean", nan_targets="ignore"),
        ]
    found += [Criterion(kind(), exact=True) for kind in EXACT]
    found.append(Criterion(SquaredError(), "root_mean", "count", axis=0, exact=True))
    return found


def written(criterion: Criterion, face: str) -> str:
    """Code that makes this criterion by the class of this name, defaults left out."""
    told = {"loss": criterion.loss, **criterion.changed}
    code = f"{face}({', '.join(f'{name}={x!r}' for name, x in told.items())})"
    return re.sub(r"\binf\b", "float('inf')", code)


def of_ours(
    name: str, harness: str, face: str, *, exact: bool = True, **description: Any
) -> Subject:
    """All of :func:`criteria` by the class of this name, whose arguments are the core's.

    exact: whether there are exact values, which ask for integers of the framework's own.
    """
    claims = tuple(Claim(c, written(c, face)) for c in criteria() if exact or not c.exact)
    takes = {name: name for name in ("weight", "mask", "denominator", *every_parameter())}
    defaults: dict[str, Any] = {"takes": takes, "mergeable": True, "selects": True}
    defaults |= {"pairwise": True, "ours": True}
    defaults["refuses"] = tuple(
        f"{face}({wrong})"
        for wrong in (
            "loss=SquaredError(), reduction='Mean'",
            "loss=SquaredError(), denominator='weights'",
            "loss=SquaredError(), denominator=0.0",
            "loss=SquaredError(), reduction='sum', denominator='count'",
            "loss=SquaredError(), empty='raise'",
            "loss=SquaredError(), axis='rows'",
            "loss='mse'",
            "loss=Huber(delta=-1.0)",
            "loss=Huber(delta=float('nan'))",
            "loss=Quantile(q=1.0)",
        )
    )
    return Subject(name, harness, claims, **{**defaults, **description})


def numpy_subjects() -> list[Subject]:
    """The core itself, on NumPy and on any other namespace of the array standard here."""
    names = {"numpy": "l2core"}
    return [
        of_ours(
            names.get(h.name, f"l2core on {h.name}"),
            h.name,
            "l2core.Criterion",
            exact=h.name == NUMPY,
        )
        for h in harnesses(NUMPY)
    ]


def providers() -> dict[str, Callable[[], list[Subject]]]:
    """What gives subjects, by name: NumPy, and each entry point whose library is installed."""
    found: dict[str, Callable[[], list[Subject]]] = {NUMPY: numpy_subjects}
    for point in installed(GROUP):
        found[point.name] = partial(_loaded, point)
    return found


def _loaded(point: Any) -> list[Subject]:
    subjects: list[Subject] = point.load()()
    return subjects
