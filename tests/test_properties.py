"""Random calls, all options at once, against the oracle: the whole product that cases only sample."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agreement import Case, disagreements
from l2core import Criterion
from subjects import EVERY_LOSS, harnesses

FAST = ("numpy", "torch")  # eager, and quick at any shape

shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
reals = st.sampled_from([0.0, 1.0, -1.0, 0.7, -0.7, 2.5, -3.25, 1e-3, 30.0])
rubbish = st.sampled_from([np.nan, np.inf, -np.inf])
weights = st.sampled_from([0.0, 0.5, 1.0, 3.0])


def filled(draw, shape, elements):
    n = int(np.prod(shape))
    return np.array(draw(st.lists(elements, min_size=n, max_size=n)), float).reshape(shape)


@st.composite
def aligned_shapes(draw, shape):
    """A shape that weights and masks may have: leading axes, or full rank with axes of length 1."""
    if draw(st.booleans()):
        return shape[: draw(st.integers(0, len(shape)))]
    return tuple(draw(st.sampled_from([1, n])) for n in shape)


@st.composite
def criteria(draw, ndim):
    loss = draw(st.sampled_from(EVERY_LOSS))
    reduction = draw(st.sampled_from(["none", "sum", "mean", "mean", "root_mean"]))
    if loss.needs and reduction == "root_mean":
        reduction = "mean"  # a log-likelihood may be negative
    options = {"nan_targets": draw(st.sampled_from(["propagate", "ignore"]))}
    if reduction != "none" and ndim and draw(st.booleans()):
        axes = draw(st.lists(st.integers(0, ndim - 1), min_size=1, unique=True))
        options["axis"] = tuple(a - draw(st.sampled_from([0, ndim])) for a in axes)
    if reduction in ("mean", "root_mean"):
        batch = ["batch"] if ndim else []
        options["denominator"] = draw(st.sampled_from(["weight", "count", "size", 2.5, *batch]))
        options["empty"] = draw(st.sampled_from(["nan", "zero"]))
    return Criterion(loss, reduction, **options)


@st.composite
def cases(draw):
    shape = draw(shapes)
    criterion = draw(criteria(len(shape)))
    arguments = {}
    if draw(st.booleans()):
        weight = arguments["weight"] = filled(draw, draw(aligned_shapes(shape)), weights)
        by_weight = criterion.denominator == "weight" and criterion.reduction.endswith("mean")
        assume(not (by_weight and weight.ndim == 0 < len(shape)))  # in which it would cancel
    if draw(st.booleans()):
        arguments["mask"] = filled(draw, draw(aligned_shapes(shape)), st.booleans()).astype(bool)
    if criterion.loss.needs:
        variances = st.sampled_from([1.0, 2.0, 8.0])
        arguments["variance"] = filled(draw, draw(aligned_shapes(shape)), variances)
    pred, target = (filled(draw, shape, st.one_of(reals, reals, reals, rubbish)) for _ in range(2))
    return Case(criterion, pred, target, arguments, draw(st.sampled_from([1.0, -2.0, 0.5])))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=150)
@given(case=cases())
def test_any_call_agrees_with_the_oracle(dtype, case):
    for harness in harnesses():
        if harness.name in FAST:
            assert disagreements(harness, [case], dtype) == [], harness.name
