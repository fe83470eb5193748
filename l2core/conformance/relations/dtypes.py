"""Part of semantics: which dtype a result has, integers, complex numbers, things that are no array."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

import numpy as np

from l2core.conformance.bounds import within
from l2core.conformance.case import Case, cast, make_case
from l2core.conformance.cases import fitted
from l2core.conformance.checks import both, differentiable, plain
from l2core.conformance.harness import Harness
from l2core.conformance.relations.semantics import semantics
from l2core.conformance.subjects import Claim, Subject
from l2core.conformance.trial import Trial, fail, shown
from l2core.dtypes import dtype_name

# The whole table, longhand, so that it does not follow the code that it judges.
FLOATS = {
    "float16": "float32",
    "bfloat16": "float32",
    "float32": "float32",
    "float64": "float64",
    "bool": "float32",
    "int8": "float32",
    "uint8": "float32",
    "int16": "float32",
    "uint16": "float32",
    "int32": "float64",
    "uint32": "float64",
    "int64": "float64",
    "uint64": "float64",
}
INEXACT = ("float16", "bfloat16", "float32", "float64")


def each_dtype(*names: str) -> Any:
    """A small case of each of these dtypes that the framework has."""

    def situations(subject: Subject, claim: Claim, harness: Harness) -> Sequence[Case]:
        found = []
        for dtype in names:
            if dtype in harness.dtypes:
                pred, target = cast([1, 0], dtype), cast([0, 1], dtype)
                found.append(fitted(Case(pred, target, dtype=dtype), subject, claim))
        return found

    return situations


@semantics(concerns=plain, situations=each_dtype(*FLOATS), choice=True)
def dtype_of_result(trial: Trial, case: Case) -> None:
    """Halves, bools and short integers give float32, wider ones the widest float there is."""
    widest = "float64" if "float64" in trial.harness.dtypes else "float32"
    expected = FLOATS[case.dtype] if widest == "float64" else widest
    seen = trial.raw(case)
    name = dtype_name(seen.dtype) if hasattr(seen, "dtype") else type(seen).__name__
    if name != expected:
        fail(f"for {case.dtype}, the dtype of the result", name, expected)


@semantics(concerns=both(plain, differentiable), situations=each_dtype(*INEXACT))
def dtype_of_gradient(trial: Trial, case: Case) -> None:
    """A gradient has the dtype of what it is the gradient to."""
    name = dtype_name(trial.raw_gradient(case).dtype)
    if name != case.dtype:
        fail("the dtype of the gradient", name, case.dtype)


PRECISE = Case(np.asarray([1.0 + 1e-9]), np.asarray([1.0]), dtype="float64")


@semantics(
    concerns=lambda s, c, h: plain(s, c, h) and "float64" in h.dtypes,
    situations=lambda s, c, h: [fitted(PRECISE, s, c)],
    choice=True,
)
def float64_is_kept(trial: Trial, case: Case) -> None:
    """float64 is computed in float64: a residual of 1e-9 beside 1 is not lost."""
    exact: Any = trial.exacts(case).value().item()
    seen = float(trial.value(case).item())
    if not within(seen, exact, float(abs(exact)) * 2.0**-20, "float64"):  # far beyond float64's
        fail("the value", seen, shown(exact))


INTEGERS = (
    make_case([0, 0], [20, 255], "uint8"),
    make_case([-100], [100], "int8"),
    make_case([2_000_000_000], [-2_000_000_000], "int32"),
    make_case([True], [False], "bool"),
)


def _refusing(trial: Trial, case: Case) -> bool:
    """Whether a framework's own loss refuses such arrays, which is its right."""
    f, arrays = trial.function(case)
    return trial.subject.builtin and trial.error(lambda: trial.harness.run(f, *arrays)) is not None


@semantics(
    concerns=plain,
    situations=lambda s, c, h: [fitted(x, s, c) for x in INTEGERS if x.dtype in h.dtypes],
)
def integers(trial: Trial, case: Case) -> None:
    """Integers are widened before they are subtracted: uint8 0 and 20 are 20 apart."""
    if not _refusing(trial, case):
        trial.value_is_right(case)


def _complex(subject: Subject, claim: Claim, harness: Harness) -> Sequence[Case]:
    found = Case(
        np.asarray([1 + 2j], "complex64"), np.asarray([0j], "complex64"), dtype="complex64"
    )
    return [fitted(found, subject, claim)] if "complex64" in harness.dtypes else []


@semantics(
    concerns=lambda s, c, h: plain(s, c, h) and c.criterion.loss.complex_valued,
    situations=_complex,
)
def complex_numbers(trial: Trial, case: Case) -> None:
    """Of complex residuals the size counts: 1+2j against 0 has the square 5."""
    if _refusing(trial, case):
        return
    expected = float(trial.exacts(case).value().item())
    seen = trial.value(case)
    # One rounding each for two squares, their sum and a root.
    if np.iscomplexobj(seen) or abs(seen.item() - expected) > 4 * 2.0**-24 * expected:
        fail("the value", seen.tolist(), expected)


@semantics(
    concerns=lambda s, c, h: s.ours and plain(s, c, h) and not c.criterion.loss.complex_valued,
    situations=_complex,
)
def complex_refused(trial: Trial, case: Case) -> None:
    """A loss without a complex meaning raises TypeError for complex arrays."""
    _raises(trial, case, lambda loss, array: _called(trial, case), (TypeError,))


def _called(trial: Trial, case: Case) -> Any:
    f, arrays = trial.function(case)
    return f(*arrays)


@semantics(
    concerns=lambda s, c, h: s.ours and plain(s, c, h),
    situations=lambda s, c, h: [fitted(make_case([1.0, 2.0], [0.0, 0.0]), s, c)],
)
def bad_arrays(trial: Trial, case: Case) -> None:
    """None, strings, lists and unequal shapes raise one sentence: what was expected, what came."""
    good = trial.harness.array(case.pred)
    longer = trial.harness.array(np.concatenate([case.pred, case.pred]))
    for wrong in (None, "1", [[1.0], [2.0, 3.0]], longer):
        for pair in ((wrong, good), (good, wrong)):
            if not (wrong is None and _may_be_left_out(trial)):
                _raises(trial, case, lambda loss, _, pair=pair: _with(trial, case, loss, *pair))


def _may_be_left_out(trial: Trial) -> bool:
    """Whether one of the two arrays has the default None, as the target has in some drop-ins."""
    arrays = [*signature(trial.claim.build()).parameters.values()][:2]
    return any(parameter.default is None for parameter in arrays)


def _with(trial: Trial, case: Case, loss: Any, pred: Any, target: Any) -> Any:
    given = {"pred": pred, "target": target}
    given |= {name: trial.harness.array(x) for name, x in case.parameters.items()}
    positional, named = trial.subject.arguments(given)
    return loss(*positional, **named)


def _raises(
    trial: Trial,
    case: Case,
    call: Any,
    kinds: tuple[type[Exception], ...] = (TypeError, ValueError),
) -> None:
    loss = trial.claim.build()
    error = trial.error(lambda: call(loss, None))
    kind = " or ".join(k.__name__ for k in kinds)
    if not isinstance(error, kinds):
        fail("bad arrays", repr(error) if error else "no error", kind)
    if "expected" not in str(error) or "got" not in str(error):
        fail("the error's message", str(error), "expected ..., got ...")
