"""Whether an implementation and the exact oracle agree, on one call with all its arguments."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from l2core import Criterion, reference_arrays
from l2core.exact import ExactArray, ulps

ROUNDINGS = 16
"""Units in the last place that one element may lose, whatever the loss.

Counted in relative roundings u = ½ ULP or less each, with the residual's own rounding: SquaredError
3; Huber 6 (residual and delta 1 each, their difference amplifies 3 times, plus itself and two
products); SmoothL1 8 (1/beta and its product more); Expectile 5; LogCosh 2 for the residual, 7 for
its own expression and the library's functions (test_losses.py holds it to that); then weight and
its product, denominator and its quotient, cast, cotangent: 6. In ULP at most 16 of u = 2**-24."""


def bound(n: int) -> float:
    """ULP that a reduction of n elements may err: n - 1 additions in any order, and ROUNDINGS.

    The gradient of a root errs like its value and like the mean itself: hence twice.
    """
    return 2 * n + ROUNDINGS


@dataclass(frozen=True)
class Case:
    """One call: a criterion, NumPy arguments, and the cotangent of its value."""

    criterion: Criterion
    pred: np.ndarray
    target: np.ndarray
    arguments: Mapping[str, Any] = field(default_factory=dict)
    cotangent: float = 1.0

    def __str__(self) -> str:
        given = [f"{f.name}={getattr(self.criterion, f.name)!r}" for f in fields(Criterion)]
        shapes = {name: np.shape(x) for name, x in self.arguments.items()}
        return f"{', '.join(given)}; {self.pred.shape}, {shapes}"

    def options(self) -> dict[str, Any]:
        """What the oracle's functions take: fields and arguments in one."""
        own = {f.name: getattr(self.criterion, f.name) for f in fields(Criterion)}
        del own["loss"]
        return {**own, **self.arguments}


@dataclass(frozen=True)
class Call:
    """A case in the arrays of a harness and in one dtype, with what the oracle says of it."""

    case: Case
    harness: Any
    dtype: str

    @property
    def result(self) -> str:
        """The dtype of the value."""
        return "float64" if self.dtype in ("float64", "complex128") else "float32"

    def arrays(self) -> dict[str, Any]:
        """The arguments that are arrays, pred and target first."""
        case, real = self.case, self.result
        found = {"pred": self.harness.array(case.pred, self.dtype)}
        found["target"] = self.harness.array(case.target, self.dtype)
        for name, x in case.arguments.items():
            if isinstance(x, np.ndarray):
                found[name] = self.harness.array(x, None if x.dtype == bool else real)
        return found

    def numbers(self) -> dict[str, Any]:
        """The arguments that are none."""
        return {k: x for k, x in self.case.arguments.items() if not isinstance(x, np.ndarray)}

    def inputs(self) -> dict[str, Any]:
        """What the oracle sees: the values that the framework's arrays hold."""
        return {k: self.harness.numpy(x) for k, x in self.arrays().items()} | self.numbers()

    def exact_value(self) -> ExactArray:
        loss = self.case.criterion.loss
        options = self.case.options() | self.inputs()
        return reference_arrays.value(type(loss).__name__, asdict(loss), **options)

    def exact_gradient(self) -> ExactArray:
        loss = self.case.criterion.loss
        options = self.case.options() | self.inputs()
        cotangent = self.cotangents()
        return reference_arrays.gradient(
            type(loss).__name__, asdict(loss), cotangent=cotangent, **options
        )

    def evaluate(self, arrays: Mapping[str, Any]) -> tuple[Any, Any]:
        """The face's value, and its gradient to pred of the sum of cotangent times value."""
        cotangent = self.harness.array(self.cotangents(), self.result)
        return self.harness.value_and_grad(
            self.case.criterion, **arrays, **self.numbers(), cotangent=cotangent
        )

    def cotangents(self) -> np.ndarray:
        """The case's cotangent times 1, 2, 3, ... in the shape of the value.

        Without autograd it is a number: the closed form has the gradient of the sum alone.
        """
        shape = self.value_shape()
        if not self.harness.autograd:
            return np.array(self.case.cotangent)
        return self.case.cotangent * (1.0 + np.arange(math.prod(shape)).reshape(shape))

    def value_shape(self) -> tuple[int, ...]:
        """The shape of the value, by the oracle's words."""
        criterion, shape = self.case.criterion, self.case.pred.shape
        if criterion.reduction == "none":
            return shape
        if criterion.axis is None:
            return ()
        axes = criterion.axis if isinstance(criterion.axis, tuple) else (criterion.axis,)
        reduced = {a % len(shape) for a in axes}
        return tuple(n for a, n in enumerate(shape) if a not in reduced)

    def complaints(self, value: Any, gradient: Any) -> list[str]:
        """How the value and the gradient differ from the oracle's; empty if they do not."""
        value, gradient = self.harness.numpy(value), self.harness.numpy(gradient)
        if "jax" in self.harness.name:
            gradient = np.conj(
                gradient
            )  # JAX's convention: d/dRe - i d/dIm, others d/dRe + i d/dIm
        found = differences("value", value, self.exact_value(), self.result, self.case.pred.size)
        if not found:
            exact = self.exact_gradient()
            found = differences("gradient", gradient, exact, self.dtype, self.case.pred.size)
        return [f"{self.case} in {self.dtype}: {line}" for line in found]


def differences(
    name: str, observed: np.ndarray, exact: ExactArray, dtype: str, n: int
) -> list[str]:
    """Where an array is further from the exact one than it may be, in shape, dtype or ULP."""
    if observed.shape != exact.shape:
        return [f"{name} has shape {observed.shape}, expected {exact.shape}"]
    held = "float32" if dtype == "bfloat16" else dtype  # as the harness hands it over
    if observed.dtype.name != held:
        return [f"{name} has dtype {observed.dtype}, expected {held}"]
    found = []
    for index in np.ndindex(exact.shape):
        seen, wanted = observed[index].item(), exact[index]
        pairs = [(seen, wanted)]
        if isinstance(wanted, tuple):
            pairs = list(zip((seen.real, seen.imag), wanted, strict=True))
        for got, expected in pairs:
            if expected == 0:
                right = got == 0
            else:
                off = ulps(got, expected, REAL.get(dtype, dtype))
                # A half is rounded once from float32, to which the bound belongs.
                right = off <= (0.51 if dtype in HALVES else bound(n))
            if not right:
                wanted_ = expected if isinstance(expected, float) else float(expected)
                found.append(f"{name}{list(index)} is {got!r}, expected {wanted_!r}")
    return found


REAL = {"complex64": "float32", "complex128": "float64"}
HALVES = ("float16", "bfloat16")


def disagreements(harness: Any, cases: list[Case], dtype: str, mode: str = "eager") -> list[str]:
    """All complaints about the cases, which in other modes than eager are compiled as one program."""
    calls = [Call(case, harness, dtype) for case in cases]
    given = [call.arrays() for call in calls]
    if mode == "eager":
        with np.errstate(all="ignore"):  # NumPy warns of inf - inf
            results = [call.evaluate(arrays) for call, arrays in zip(calls, given, strict=True)]
    else:
        flat = [x for arrays in given for x in arrays.values()]

        def program(*flat: Any) -> list[tuple[Any, Any]]:
            rest = iter(flat)
            named = [{name: next(rest) for name in arrays} for arrays in given]
            return [call.evaluate(arrays) for call, arrays in zip(calls, named, strict=True)]

        results = harness.run(program, *flat, mode=mode)
    return [
        line
        for call, (value, gradient) in zip(calls, results, strict=True)
        for line in call.complaints(value, gradient)
    ]
