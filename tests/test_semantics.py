"""Every line of the criterion's meaning, on every backend and in every mode, against the oracle."""

import random

import numpy as np
import pytest

from agreement import Call, differences, disagreements
from paths import every_size_is_large
from semantics import COMPLEX, GROUPS, PRED, WEIGHTINGS, case, rubbish
from subjects import DEFAULT_LOSSES, float_dtypes

SOME = WEIGHTINGS["weight (N, D)"] | WEIGHTINGS["mask (N,)"]
by_group = pytest.mark.parametrize("group", GROUPS)


def sample(cases, n, harness, mode):
    """At most n of the cases, others on every harness and in every mode."""
    return random.Random(f"{harness.name} {mode}").sample(cases, min(n, len(cases)))


@pytest.mark.modes("eager")
@by_group
def test_eager(harness, mode, group):
    # JAX compiles each operation for each shape: 20 times the time of the others.
    cases = sample(GROUPS[group], 2, harness, mode) if "jax" in harness.name else GROUPS[group]
    for dtype in float_dtypes(harness):
        assert disagreements(harness, cases, dtype) == []
    with every_size_is_large(block=8):  # the fast paths that are for large arrays, by blocks
        assert disagreements(harness, cases, float_dtypes(harness)[0]) == []


@pytest.mark.modes("jit", "function", "xla")
@by_group
def test_compiled(harness, mode, group):
    cases = sample(GROUPS[group], 2 if mode == "xla" else 4, harness, mode)
    assert disagreements(harness, cases, float_dtypes(harness)[0], mode) == []


@pytest.mark.modes("compile")
def test_compiled_by_torch(harness, mode):
    """Every loss in one program: the values one by one, the gradients added up."""
    calls = [
        Call(case(loss, {}, SOME, **rubbish(SOME), cotangent=1.0), harness, "float32")
        for loss in DEFAULT_LOSSES
    ]
    given = {name: x for call in calls for name, x in call.arrays().items()}
    faces = [harness.face(call.case.criterion) for call in calls]
    places = [harness.array(row, "float32") for row in np.eye(len(calls))]

    def program(pred, target, *arrays):
        named = dict(zip(list(given)[2:], arrays, strict=True))
        variance = named.pop("variance")
        total = 0.0
        for face, call, place in zip(faces, calls, places, strict=True):
            more = {"variance": variance} if call.case.criterion.loss.needs else {}
            total = total + face(pred, target, **named, **more) * place
        return total

    # Positive cotangents, and psi has the sign of r: nothing cancels in the sum.
    cotangents = 1.0 + np.arange(len(calls))
    upstream = harness.array(cotangents, "float32")
    values, gradients = harness.vjp(program, *given.values(), cotangent=upstream, mode=mode)
    exact = np.array([call.exact_value().item() for call in calls], object)
    slopes = sum(int(n) * call.exact_gradient() for n, call in zip(cotangents, calls, strict=True))
    n = PRED.size + len(calls)
    assert differences("values", harness.numpy(values), exact, "float32", n) == []
    assert differences("gradient", harness.numpy(gradients[0]), slopes, "float32", n) == []


@pytest.mark.modes("eager", "jit", "function")
def test_complex(harness, mode):
    cases = COMPLEX if mode == "eager" and "jax" not in harness.name else COMPLEX[::3]
    for dtype in float_dtypes(harness):
        dtype = {"float32": "complex64", "float64": "complex128"}[dtype]
        assert disagreements(harness, cases, dtype, mode) == []
