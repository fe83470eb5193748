"""What a mean divides by, ahead of any prediction: the terms' denominator, from the targets alone."""

import numpy as np
import pytest

from l2core import Criterion, GaussianNLL
from semantics import MEANS, TARGET, WEIGHTINGS
from subjects import harnesses

pytestmark = pytest.mark.once

CASES = [
    (options, name)
    for i, options in enumerate(MEANS)
    for j, name in enumerate(WEIGHTINGS)
    if (i + j) % 3 == 0
]


def arrays(harness, arguments):
    return {
        name: harness.array(x, None if x.dtype == bool else "float32")
        if isinstance(x, np.ndarray)
        else x
        for name, x in arguments.items()
    }


# Keras has no criterion of the core's own: its arrays are those of the others.
WAYS = [
    pytest.param(h, mode, id=f"{h.name}-{mode}")
    for h in harnesses()
    if not h.name.startswith("keras") and not h.name.endswith("-x64")
    for mode in h.modes
    if mode in ("eager", "jit", "xla") and not (h.name == "jax" and mode == "eager")
]


@pytest.mark.parametrize(("harness", "mode"), WAYS, indirect=["harness"])
def test_it_is_that_of_the_terms(harness, mode):
    target = TARGET.copy()
    target[2, 0] = np.nan  # missing, and to be left out
    for options, name in CASES:
        arguments = arrays(harness, WEIGHTINGS[name])
        scalar = "weight" in arguments and np.ndim(WEIGHTINGS[name]["weight"]) == 0
        if scalar and options.get("denominator", "weight") == "weight":
            continue  # in which it would cancel
        criterion = Criterion(GaussianNLL(), nan_targets="ignore", **options)
        t = harness.array(target, "float32")
        terms = criterion.terms(t, t, variance=1.0, **arguments)
        ahead = harness.run(
            lambda t, c=criterion, a=arguments: c.denominator_of(t, **a), t, mode=mode
        )
        assert (
            isinstance(ahead, type(harness.run(lambda t: t, t, mode=mode))) or np.ndim(ahead) == 0
        )
        ahead, expected = harness.numpy(ahead), harness.numpy(terms.denominator)
        assert ahead.dtype == expected.dtype == np.float32
        np.testing.assert_array_equal(np.broadcast_to(ahead, expected.shape), expected)
        if criterion.axis is None:
            assert ahead.shape == ()


def test_it_adds_up_to_the_mean_of_the_whole(harness):
    """The recipe of a window: each part's mean by the denominators of all parts."""
    criterion = Criterion("gaussian_nll")
    weight = np.array([1.0, 0.5, 0.0, 3.0])
    pred, t, w = (harness.array(x, "float32") for x in (TARGET / 2, TARGET, weight))
    splits = [slice(0, 1), slice(1, 1), slice(1, 4)]
    total = sum(criterion.denominator_of(t[rows, ...], weight=w[rows]) for rows in splits)
    parts = [
        criterion(pred[rows, ...], t[rows, ...], weight=w[rows], denominator=total, variance=2.0)
        for rows in splits
    ]
    whole = criterion(pred, t, weight=w, variance=2.0)
    # 12 float32 terms below 4, summed in another order and divided: 16 roundings of 2^-24.
    np.testing.assert_allclose(
        sum(harness.numpy(x) for x in parts), harness.numpy(whole), rtol=16 * 2.0**-24
    )


@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_what_divides_by_nothing_has_none(harness, reduction):
    with pytest.raises(ValueError, match=r"reduction: expected .* for denominator_of"):
        Criterion(reduction=reduction).denominator_of(harness.array(TARGET, "float32"))


def test_errors_name_the_argument(harness):
    t = harness.array(TARGET, "float32")
    for arguments, error, text in (
        ({"weight": harness.array(np.ones(3), "float32")}, ValueError, "^weight: .*target"),
        ({"mask": t}, TypeError, "^mask: expected a bool array"),
        ({"weight": 2.0}, ValueError, "^weight: .*cancels"),
    ):
        with pytest.raises(error, match=text):
            Criterion().denominator_of(t, **arguments)
    with pytest.raises(TypeError, match=r"^target: "):
        Criterion().denominator_of(None)
