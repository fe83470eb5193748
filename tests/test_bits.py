"""Gradients of a mean squared error have the same bits everywhere; values are within the bound."""

from functools import cache
from itertools import product
from math import isqrt

import numpy as np
import pytest

from l2core import Criterion, HalfSquaredError, SquaredError, reference_arrays
from l2core.exact import exact, ulps
from subjects import float_dtypes, harnesses

SIZES = [1, 2, 7, 1001, 10_007, 100_000]
EXACT = 10_007
"""Up to here values are held against the oracle, which takes 30 µs an element."""


@cache
def data(n, dtype):
    rng = np.random.default_rng(n)
    return rng.normal(size=(2, n)).astype(dtype)


@cache
def exact_value(n, dtype):
    return reference_arrays.value("SquaredError", {}, *data(n, dtype)).item()


def longhand(n, dtype):
    """(2/n) * (p - t): a constant formed on the host, one subtraction, one product."""
    pred, target = data(n, dtype)
    return np.dtype(dtype).type(2 / n) * (pred - target)


def height(n):
    """Additions on the way from a leaf of the tree to its root, at most.

    A tree in two levels of blocks of about √n has 2√n; those of the frameworks (pairwise, or lanes
    within blocks) are lower. The bound in ULP is height + 5: two roundings of a square, one of its
    residual twice, and the quotient.
    """
    return 2 * (isqrt(n) + 1)


def sizes(mode):
    """Each size is a program of its own: compiled ones get two."""
    return SIZES if mode == "eager" else [1001, 100_000]


def test_gradients_have_the_same_bits_and_values_are_close(harness, mode):
    for dtype, n in product(float_dtypes(harness), sizes(mode)):
        pred, target = (harness.array(x, dtype) for x in data(n, dtype))
        value, gradient = harness.value_and_grad(Criterion(), pred, target, mode=mode)
        assert harness.numpy(gradient).tobytes() == longhand(n, dtype).tobytes(), n
        if n <= EXACT:
            off = ulps(harness.numpy(value).item(), exact_value(n, dtype), dtype)
            assert off <= height(n) + 5, n


@pytest.mark.modes("compile")
def test_gradients_have_the_same_bits_compiled(harness, mode):
    pred, target = (harness.array(x, "float32") for x in data(1001, "float32"))
    value, gradient = harness.value_and_grad(Criterion(), pred, target, mode=mode)
    assert harness.numpy(gradient).tobytes() == longhand(1001, "float32").tobytes()
    off = ulps(harness.numpy(value).item(), exact_value(1001, "float32"), "float32")
    assert off <= height(1001) + 5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weighted_gradients_have_the_same_bits(dtype):
    """Of sums, where nothing is divided: ω * 2(p - t) on every backend, eager."""
    pred, target = data(1001, dtype)
    weight = np.abs(data(1002, dtype)[0][:1001])
    weight[::7] = 0
    expected = np.where(weight == 0, 0, weight * (2 * (pred - target)))
    for harness in harnesses():
        if dtype in harness.dtypes:
            with harness.context():
                given = [harness.array(x, dtype) for x in (pred, target, weight)]
                _, gradient = harness.value_and_grad(
                    Criterion(reduction="sum"), *given[:2], weight=given[2]
                )
                assert (harness.numpy(gradient) == expected).all(), harness.name


def test_the_gradient_of_a_half_is_half_the_gradient():
    for dtype in ("float32", "float64"):
        _, whole = Criterion(SquaredError()).value_and_grad(*data(1001, dtype))
        _, half = Criterion(HalfSquaredError()).value_and_grad(*data(1001, dtype))
        assert (whole == 2 * half).all()


def test_gradients_are_nearly_correctly_rounded():
    """Against the exact gradient: half a ULP each for the residual, 2/n and their product."""
    pred, target = data(1001, "float32")
    exact = reference_arrays.gradient("SquaredError", {}, pred, target)
    _, gradient = Criterion().value_and_grad(pred, target)
    off = [ulps(g.item(), e, "float32") for g, e in zip(gradient, exact, strict=True)]
    assert max(off) <= 3


@pytest.mark.parametrize("axis", [0, 1, (0, 1)], ids=str)
def test_sums_along_any_axis_are_pairwise(harness, axis):
    """Row after row, 1e6 float32 rows of 2 err by 1 %: here 1e5 equal ones, which drift the most."""
    if harness.name == "array-api-strict":
        return  # a namespace that we do not know adds in its own way
    shape = (100_000, 2) if axis == 0 else (2, 100_000)
    pred = np.full(shape, 0.1, np.float32)
    face = harness.face(Criterion(axis=axis))
    value = harness.numpy(face(harness.array(pred), harness.array(0 * pred)))
    square = exact(np.float32(0.1).item()) ** 2
    for seen in np.ravel(value).tolist():
        assert ulps(seen, square, "float32") <= height(200_000) + 5


APART = {"torch": 8, "keras-torch": 8, "function": 3, "xla": 12}
"""Units in the last place of means of equal elements, where float32 is added: by PyTorch's own kernels, of
eager means over everything, and in TensorFlow's graphs. All others are within 2."""


@pytest.mark.modes("eager", "jit", "function", "xla", "compile")
@pytest.mark.parametrize("axis", [None, 0, 1], ids=str)
def test_means_of_float32_are_within_2_units_in_the_last_place(harness, mode, axis):
    """At any length: of random elements, and of equal ones, whose roundings add up."""
    if harness.name == "array-api-strict":
        return  # a namespace that we do not know adds in its own way
    rng = np.random.default_rng(0)
    face = harness.face(Criterion(axis=axis))
    equal = APART.get(harness.name if mode == "eager" else mode, 2)
    for n in (60, 500, 4096, 50_001, 300_000) if mode == "eager" else (500, 40_000):
        shape = {None: (n,), 0: (n, 3), 1: (3, n)}[axis]
        zero = np.zeros(shape, np.float32)
        kinds = [(rng.normal(size=(2, *shape)).astype(np.float32), 2)]
        constants = (0.1, *(1 + 3 * rng.random(12)))
        kinds += [((np.full(shape, x, np.float32), zero), equal) for x in constants]
        for (pred, target), most in kinds:
            seen = harness.run(face, harness.array(pred), harness.array(target), mode=mode)
            exact = np.mean((pred.astype(float) - target) ** 2, axis=axis)  # errs by 2**-40
            off = np.abs(harness.numpy(seen) - exact) / np.spacing(np.float32(exact))
            assert off.max() <= most, (n, pred.flat[0])
