"""Exact values at a glance, and at the ends of the range: thresholds, subnormal numbers, large denominators."""

from fractions import Fraction

import numpy as np
import pytest

from exact_data import oracle, ordinary, same
from l2core import AbsoluteError, Criterion, HalfSquaredError, SquaredError, fastpath
from l2core.exact import rounded

pytestmark = pytest.mark.integers


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_few_elements_at_a_glance_as_by_the_whole_way(reduction):
    """Of any shape, order and size around the threshold; and what a glance leaves to the checks."""
    torch = pytest.importorskip("torch")
    for loss in (SquaredError(), HalfSquaredError(), AbsoluteError()):
        criterion = Criterion(loss, reduction, exact=True)
        for n in (1, 2, 60, 9_999, 10_000, 10_001):
            p, t = ordinary(2 * n, n, "float32")[::2], ordinary(n, n + 1, "float32")
            for shape in ((n,), (1, n)):
                x, y = p.reshape(shape), t.reshape(shape)
                found = criterion(x, y)
                with fastpath.plain_only():
                    same(found, criterion(x, y))
                leaf = torch.from_numpy(x).requires_grad_()
                value = l2torch_criterion(criterion)(leaf, torch.from_numpy(y))
                same(value.detach(), found)
                value.backward()
                plain = torch.from_numpy(x).clone().requires_grad_()
                l2torch_criterion(criterion, exact=False)(plain, torch.from_numpy(y)).backward()
                assert torch.equal(leaf.grad, plain.grad)
        with pytest.raises(ValueError, match="equal shapes"):
            criterion(np.ones(3, np.float32), np.ones(1, np.float32))
        for strange in (0.0, 1e-30, np.inf, np.nan, 3e38):
            x = np.full(5, strange, np.float32)
            with fastpath.plain_only():
                found = criterion(x, -x)
            same(criterion(x, -x), found)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "uint8", "int16", "bool"])
@pytest.mark.parametrize("n", [3, 20_000])
def test_few_and_many_of_every_dtype(harness, dtype, n):
    """At a glance or not: the small integers in a dtype that is no float32."""
    face = harness.face(Criterion(SquaredError(), exact=True))
    p, t = (np.arange(n) // k % 2 for k in (1, 2))
    p, t = (harness.array(x.astype(np.float32), dtype) for x in (p, t))
    wanted = rounded(Fraction(sum((i % 2) != (i // 2 % 2) for i in range(n)), n), "float32")
    assert harness.numpy(face(p, t)) == wanted


def test_sums_of_sizes_among_which_some_are_taken_for_0(harness):
    """2^-127 is, under XLA: it decides the last digit of this sum."""
    p = np.array([2.0**-58, 2.0**-82 - 2.0**-106, 2.0**-106 - 2.0**-130, 2.0**-127], np.float32)
    face = harness.face(Criterion(AbsoluteError(), "sum", exact=True))
    wanted = rounded(sum(map(Fraction, p.tolist())), "float32")
    assert harness.numpy(face(harness.array(p), harness.array(0 * p))) == wanted


TINY = np.array([1.0, 2.0**-53, 2.0**-90]) * 2.0**-840
SMALL = np.array([1.1, 1.7]) * 2.0**-400


@pytest.mark.parametrize(
    ("p", "loss", "reduction", "denominator"),
    [
        (TINY, AbsoluteError(), "mean", 2.0**150),
        (SMALL, SquaredError(), "root_mean", 2.0**273),
        (SMALL, SquaredError(), "root_mean", 2.0**400),
        (SMALL, AbsoluteError(), "mean", 1e180),
    ],
)
def test_float64_over_large_denominators(harness, p, loss, reduction, denominator):
    """Whose quotient is far below what the sum lost to rounding, or what its root would be of."""
    if "float64" not in harness.dtypes:
        return
    face = harness.face(Criterion(loss, reduction, denominator, exact=True))
    found = harness.numpy(face(harness.array(p), harness.array(0 * p)))
    options = {"reduction": reduction, "denominator": denominator}
    same(found, oracle(loss, p, 0 * p, "float64", **options))


def l2torch_criterion(criterion, **changes):
    import l2torch

    fields = criterion.to_config() | changes
    return l2torch.Criterion.from_config(fields)
