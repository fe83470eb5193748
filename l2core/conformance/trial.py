"""One claim of one subject on trial: calls that are recorded, comparisons that say what failed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NoReturn

import numpy as np

from l2core.conformance.bounds import Arithmetic, Bounds, Exacts, bounds, within
from l2core.conformance.case import HALVES, Case
from l2core.conformance.harness import Harness, NumpyArray
from l2core.conformance.subjects import Claim, Subject
from l2core.exact import Exact, ExactArray, exact, rounded, ulp, ulps

WHOLE = 1000
"""Units up to which the bound of a result is that of a whole number, and not of a rest."""


class Failure(AssertionError):
    """A law that does not hold: what was observed, and what the law expects."""

    def __init__(self, message: str, observed: str = "", expected: str = "") -> None:
        super().__init__(message)
        self.message, self.observed, self.expected = message, observed, expected

    def __str__(self) -> str:
        if not self.observed:
            return self.message
        return f"{self.message}: observed {self.observed}, expected {self.expected}"


@dataclass(frozen=True)
class Call:
    """A call of the subject, as the snippet of a failure shows it."""

    claim: Claim
    case: Case
    kind: str  # "value", "gradient", or the name of a feature
    mode: str = "eager"
    wrt: str = "pred"
    factor: float | None = None  # times which the value stood before its gradient was taken
    note: str = ""  # what the code does not show


class Trial:
    """A claim of a subject, with the means to call it and to judge what comes back."""

    def __init__(self, subject: Subject, claim: Claim, harness: Harness) -> None:
        self.subject, self.claim, self.harness = subject, claim, harness
        self.criterion = claim.criterion
        self.loss = claim.criterion.loss
        self.calls: list[Call] = []
        self.ulps = 0.0

    # --- calls -----------------------------------------------------------------------------------

    def function(self, case: Case, claim: Claim | None = None) -> tuple[Callable[..., Any], Any]:
        """f and its array arguments, so that f(*arrays) is the call; numbers are held fixed."""
        loss = (claim or self.claim).build()
        given = {"pred": case.pred, "target": case.target, **case.others}
        names = [name for name, x in given.items() if isinstance(x, np.ndarray)]
        fixed = {name: x for name, x in given.items() if name not in names}

        def f(*arrays: Any) -> Any:
            call = {**dict(zip(names, arrays, strict=True)), **fixed}
            positional, named = self.subject.arguments(call)
            return loss(*positional, **named)

        return f, [self.array(case, name, given[name]) for name in names]

    def array(self, case: Case, name: str, x: NumpyArray) -> Any:
        """An argument of a case as an array of the framework."""
        return self.harness.array(x, case.dtype if name in ("pred", "target") else None)

    def record(self, case: Case, kind: str = "value", **how: Any) -> None:
        """Put a call into the snippet of a failure."""
        self.calls.append(Call(self.claim, case, kind, **how))

    def raw(self, case: Case, mode: str = "eager") -> Any:
        """The value as the framework returns it."""
        self.record(case, mode=mode)
        f, arrays = self.function(case)
        return self.guarded(lambda: self.harness.run(f, *arrays, mode=mode))

    def value(self, case: Case, mode: str = "eager") -> NumpyArray:
        """The value, exactly, as a NumPy array."""
        return self.numpy(self.raw(case, mode))

    def called(self, f: Callable[..., Any], *arrays: Any) -> NumpyArray:
        """f(*arrays) as a NumPy array."""
        return self.numpy(self.guarded(lambda: self.harness.run(f, *arrays)))

    def numpy(self, x: Any) -> NumpyArray:
        """An array of the framework, or a number, as NumPy's."""
        return np.asarray(x) if not hasattr(x, "dtype") else self.harness.numpy(x)

    def gradient(
        self, case: Case, wrt: str = "pred", factor: float | None = None, mode: str = "eager"
    ) -> NumpyArray:
        """The gradient of the sum of the value (times ``factor``), exactly, as a NumPy array."""
        return self.numpy(self.raw_gradient(case, wrt, factor, mode))

    def raw_gradient(
        self, case: Case, wrt: str = "pred", factor: float | None = None, mode: str = "eager"
    ) -> Any:
        """The same as the framework returns it."""
        self.record(case, "gradient", wrt=wrt, factor=factor, mode=mode)
        f, arrays = self.function(case)
        if not self.harness.autograd:
            return self.guarded(lambda: self._closed_form(case, factor))

        def run() -> Any:
            cotangent = None
            if factor is not None:
                value = self.harness.run(f, *arrays)
                cotangent = value * 0 + factor
            return self.harness.vjp(f, *arrays, cotangent=cotangent, mode=mode)[1]

        found = self.guarded(run)[("pred", "target").index(wrt)]
        if found is None:
            fail(f"the gradient to {wrt}", None, "an array")
        return found

    def _closed_form(self, case: Case, factor: float | None) -> Any:
        loss: Any = self.claim.build()
        given = {"pred": case.pred, "target": case.target, **case.others}
        arrays = {
            name: self.array(case, name, x) if isinstance(x, np.ndarray) else x
            for name, x in given.items()
        }
        positional, named = self.subject.arguments(arrays)
        gradient = loss.value_and_grad(*positional, **named)[1]
        return gradient if factor is None else gradient * factor

    def feature(self, name: str, *arguments: Any) -> NumpyArray:
        """What a feature of the harness makes of a function."""
        return self.numpy(self.guarded(lambda: self.harness.features[name](*arguments)))

    def guarded(self, run: Callable[[], Any]) -> Any:
        """What run() returns; if it raises, that is the failure."""
        try:
            return run()
        except Failure:
            raise
        except Exception as error:
            text = (str(error).strip().splitlines() or [""])[0][:200]
            raised = f"{type(error).__name__}: {text}"
            raise Failure("the call raised", raised, "a result") from error

    def error(self, run: Callable[[], Any]) -> Exception | None:
        """The exception that a call raises, or None."""
        try:
            run()
        except Exception as error:  # noqa: BLE001  (whatever a subject raises is its answer)
            return error
        return None

    # --- expectations ----------------------------------------------------------------------------

    def exacts(self, case: Case, **changes: Any) -> Exacts:
        """The oracle's numbers for a case under this claim, fields of the criterion changed."""
        c = self.criterion
        options: dict[str, Any] = {"reduction": c.reduction, "nan_targets": c.nan_targets}
        if c.reduction != "none":
            options["axis"] = c.axis
        if c.reduction in ("mean", "root_mean"):
            options["denominator"], options["empty"] = c.denominator, c.empty
            if case.denominator is not None:
                options["denominator"] = case.denominator
            elif self.claim.divisor is not None:
                options["denominator"] = self.claim.divisor(case)
        return Exacts(self.loss, {**options, **changes}, case)

    def arithmetic(self, case: Case) -> Arithmetic:
        """What the subject computes this case in."""
        dtype = case.dtype
        if dtype in HALVES and self.subject.halves == "float32":
            dtype = "float32"
        elif dtype not in (*self.subject.dtypes, *HALVES):  # integers too: the coarsest
            dtype = self.subject.dtypes[0]
        return Arithmetic(dtype, self.harness.flushes, self.subject.pairwise)

    def bounds(self, exacts: Exacts, scale: float = 1.0) -> Bounds:
        """The tolerances of a case."""
        return bounds(exacts, self.arithmetic(exacts.case), scale)

    # --- verdicts --------------------------------------------------------------------------------

    def near(
        self,
        observed: NumpyArray,
        expected: ExactArray,
        error: NumpyArray,
        what: str,
        dtype: str,
        overflows: NumpyArray | None = None,
    ) -> None:
        """Failure unless every element is within its error of the exact number; NaN meets NaN."""
        if observed.shape != expected.shape:
            fail(f"the shape of the {what}", observed.shape, expected.shape)
        error = np.broadcast_to(error, expected.shape)
        loose = np.broadcast_to(False if overflows is None else overflows, expected.shape)
        for index in np.ndindex(expected.shape):
            seen = observed[index].item()
            exact: Any = expected[index]
            right = within(seen, exact, float(error[index]), dtype, bool(loose[index]))
            distance = ulps(seen, exact, dtype)
            if not right:
                where = f" at {index}" if index else ""
                off = f", {distance:.4g} ULP off" if math.isfinite(distance) else ""
                fail(f"the {what}{where}", f"{seen!r}{off}", shown(exact))
            finite = isinstance(exact, Fraction) and math.isfinite(distance)
            # Of what is left after terms have cancelled a unit says nothing.
            if finite and abs(exact) > 2.0**-100 and error[index] < WHOLE * ulp(exact, dtype):
                self.ulps = max(self.ulps, distance)

    def value_is_right(self, case: Case, observed: NumpyArray | None = None) -> None:
        """Failure unless the value is what the oracle says, within the derived bound."""
        exacts = self.exacts(case)
        allowed = self.bounds(exacts)
        seen = self.value(case) if observed is None else observed
        dtype = self.result_dtype(case)
        self.near(seen, exacts.value(), allowed.value, "value", dtype, allowed.overflows)

    def value_is_nearest(self, case: Case) -> None:
        """Failure unless it is the float nearest to what the oracle says."""
        dtype = self.result_dtype(case)
        if isinstance(case.weight, float):  # which counts as a float of the value's dtype
            case = replace(case, weight=float(np.dtype(dtype).type(case.weight)))
        expected: Any = self.exacts(case).value()
        nearest = np.empty(expected.shape, object)
        for i in np.ndindex(expected.shape):
            nearest[i] = exact(rounded(expected[i], dtype))
        none = np.zeros(expected.shape)
        self.near(self.value(case), nearest, none, "value", dtype)

    def gradient_is_right(
        self, case: Case, observed: NumpyArray | None = None, factor: float | None = None
    ) -> None:
        """The same of the gradient to pred, where the value does not overflow."""
        exacts = self.exacts(case)
        allowed = self.bounds(exacts, 1.0 if factor is None else abs(factor))
        if self.criterion.reduction == "root_mean" and not _finite(exacts, allowed):
            return
        seen = self.gradient(case, factor=factor) if observed is None else observed
        expected = exacts.gradient(1.0 if factor is None else factor)
        self.near(seen, expected, allowed.gradient, "gradient", gradient_dtype(self, case))

    def result_dtype(self, case: Case) -> str:
        """The dtype that the value was rounded to last."""
        if case.dtype in HALVES and self.subject.halves == "same":
            return case.dtype
        return self.arithmetic(case).dtype


def _finite(exacts: Exacts, allowed: Bounds) -> bool:
    value = exacts.value()
    numbers = all(isinstance(value[i], Fraction) for i in np.ndindex(value.shape))
    return numbers and not bool(np.any(allowed.overflows))


def gradient_dtype(trial: Trial, case: Case) -> str:
    """A gradient has its argument's dtype."""
    return case.dtype if case.dtype in HALVES else trial.arithmetic(case).dtype


def fail(what: str, observed: Any, expected: Any) -> NoReturn:
    """Raise the failure of one thing that came out otherwise than expected."""
    raise Failure(what, str(observed), str(expected))


def shown(x: Exact) -> str:
    """An exact number, as a person reads it."""
    if not isinstance(x, Fraction):
        return repr(x)
    try:
        return repr(float(x))
    except OverflowError:
        return f"{x.numerator // x.denominator:.6e}"


def same_bits(a: NumpyArray, b: NumpyArray) -> bool:
    """Equal bit for bit, but for the payload of NaNs."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    nan = np.isnan(a)
    return bool(
        np.array_equal(nan, np.isnan(b))
        and np.array_equal(a[~nan], b[~nan])
        and np.array_equal(np.signbit(a[~nan]), np.signbit(b[~nan]))
    )
