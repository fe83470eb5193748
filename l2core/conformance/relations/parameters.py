"""Parameters of a loss that come with a call: their gradients."""

from __future__ import annotations

from functools import partial

import numpy as np

from l2core.conformance import sizes
from l2core.conformance.bounds import Arithmetic, Exacts, aligned, height, residuals, told
from l2core.conformance.case import Case
from l2core.conformance.cases import Inputs, given_to
from l2core.conformance.checks import autograd, both, check, reduces
from l2core.conformance.harness import Harness, NumpyArray
from l2core.conformance.subjects import Claim, Subject
from l2core.conformance.trial import Trial

calculus = partial(check, "calculus")


def _given(subject: Subject, claim: Claim, harness: Harness) -> bool:
    return bool(given_to(subject, claim))


@calculus(
    concerns=both(autograd, _given, reduces("none", "sum", "mean")),
    inputs=Inputs(parameters="always"),
)
def parameter(trial: Trial, case: Case) -> None:
    """The gradient to a parameter that came with the call is its true derivative."""
    trial.record(case, "gradient", note="here the gradients are to the parameters")
    f, arrays = trial.function(case)
    given = {"pred": case.pred, "target": case.target, **case.others}
    order = [name for name, x in given.items() if isinstance(x, np.ndarray)]
    found = trial.guarded(lambda: trial.harness.vjp(f, *arrays)[1])
    exacts = trial.exacts(case)
    for name in case.parameters:
        seen = trial.numpy(found[order.index(name)])
        allowed = _errors(exacts, name, trial.arithmetic(case))
        expected = exacts.gradient_to_parameter(name)
        trial.near(seen, expected, allowed, f"gradient to {name}", trial.arithmetic(case).dtype)


ROUNDINGS = 12
"""Of a derivative by a parameter: the residual's, which a slope of at most twice the terms' sizes
amplifies, 1/parameter and its square, four products and the sum of the terms."""


TABLES = {("BarronNLL", "alpha"): 1e-10}
"""How far the derivative of a tabulated function is off (:mod:`l2core.losses.normaliser`)."""


def _errors(exacts: Exacts, name: str, how: Arithmetic) -> NumpyArray:
    """How far the gradient to an array of parameters may be off: each element's terms, weighted,
    divided, and added up over what the parameter stands for."""
    case = exacts.case
    r, x = np.abs(residuals(case)), aligned(case.parameters[name], case.pred.shape)
    terms = sizes.by_parameter(exacts.name, name, r, told(exacts))
    least = how.tiny * (2 + 2 / np.where(x == 0, 1.0, np.minimum(x, 1.0)) ** 2)
    least = least + TABLES.get((exacts.name, name), 0.0)
    weight = np.ones(r.shape) if case.weight is None else aligned(case.weight, r.shape)
    scale = weight * _present(case)
    if exacts.options["reduction"] == "mean":
        axis = exacts.options["axis"]
        scale = scale / np.expand_dims(
            exacts.divisor(), tuple(range(r.ndim)) if axis is None else axis
        )
    n = r.size
    relative = how.u * (ROUNDINGS + 2 * height(n, how.pairwise) + 6)
    each = scale * (relative * terms + least) * (1 + 2**-5)
    return _onto(each, np.shape(case.parameters[name]))


def _present(case: Case) -> NumpyArray:
    mask = True if case.mask is None else aligned(case.mask, case.pred.shape) != 0
    return np.where(mask, 1.0, 0.0)


def _onto(x: NumpyArray, shape: tuple[int, ...]) -> NumpyArray:
    """x added up over what an array of this shape stands for."""
    x = x.sum(axis=tuple(range(len(shape), x.ndim)))
    alike = tuple(i for i, (n, m) in enumerate(zip(shape, x.shape, strict=True)) if n != m)
    found: NumpyArray = x.sum(axis=alike, keepdims=True)
    return found
