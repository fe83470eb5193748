"""Floats as integers, their sums as tables, and quotients of these: against fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exact_data import cases, oracle, same
from l2core import AbsoluteError, Criterion, HalfSquaredError, SquaredError
from l2core.call import Call
from l2core.exact import root, rounded
from l2core.exactly import doubled, near, values
from l2core.exactly.digits import LAYOUTS, Arithmetic, decoded_number
from l2core.exactly.rounding import quotient
from l2core.exactly.sums import rows_of
from l2core.fastpath import plain_only
from l2core.integers import INTEGERS
from l2core.numpy_backend import NUMPY
from l2core.numpy_namespace import XP
from l2core.prepared import prepared

ARITHMETIC = Arithmetic(XP, INTEGERS)


def floats(dtype, **more):
    width = 32 if dtype == "float32" else 64
    return st.floats(width=width, allow_nan=False, allow_infinity=False, **more)


def exactly(table, layout):
    return sum(
        Fraction(int(d)) * Fraction(2) ** (24 * (k + layout.low))
        for k, d in enumerate(table[: layout.size])
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(data=st.data())
def test_tables_hold_products_of_three_floats(dtype, data):
    layout = LAYOUTS[dtype]
    rows = data.draw(st.lists(st.tuples(*[floats(dtype)] * 3), min_size=1, max_size=8))
    each = [ARITHMETIC.decoded(np.array([x], dtype), dtype) for x in zip(*rows, strict=True)]
    part = ARITHMETIC.product(ARITHMETIC.product(each[0], each[1]), each[2])
    table = ARITHMETIC.summed([part], layout)
    wanted = sum(math.prod(map(Fraction, row)) for row in rows)
    assert exactly(table[0], layout) == wanted
    carried = ARITHMETIC.carried(table, layout)[0]
    assert exactly(carried, layout) == wanted
    assert all(0 <= d < 1 << 24 for d in carried[: layout.size - 1])
    assert ARITHMETIC.sign(carried, layout) == (wanted > 0) - (wanted < 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("by_root", [False, True])
@given(data=st.data())
def test_quotients_are_rounded_once(dtype, by_root, data):
    layout = LAYOUTS[dtype]
    top = data.draw(st.lists(floats(dtype, min_value=0), min_size=1, max_size=5))
    under = data.draw(st.lists(floats(dtype, min_value=0), min_size=1, max_size=5))
    a, b = (
        ARITHMETIC.summed([ARITHMETIC.decoded(np.array([x], dtype), dtype)], layout)
        for x in (top, under)
    )
    over, by = sum(map(Fraction, top)), sum(map(Fraction, under))
    if not by:
        return
    found = quotient(ARITHMETIC, a, b, layout, dtype, by_root)[0]
    exact = over / by
    assert found == rounded(root(exact) if by_root else exact, dtype)


@given(st.floats(min_value=0, allow_infinity=False))
def test_numbers_are_decoded(x):
    assert sum(d * Fraction(2) ** (24 * place) for place, d in decoded_number(x)) == Fraction(x)


def unsure(rounded):
    """The same, which is never sure."""

    def never(*arguments):
        value, sure = rounded(*arguments)
        return value, sure & ~sure

    return never


@pytest.mark.parametrize("way", ["twice the digits", "tables"])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "root_mean"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_way_is_correctly_rounded_by_itself(harness, dtype, reduction, way, monkeypatch):
    """Of which the others hide the mistakes: tables are right for the rest, and seldom asked."""
    monkeypatch.setattr(near, "rounded", unsure(near.rounded))
    asked = []
    if way == "tables":
        monkeypatch.setattr(doubled, "known", lambda rows: False)
    else:
        monkeypatch.setattr(values, "quotient", lambda *a: asked.append(a) or quotient(*a))
    if harness.name not in ("numpy", "torch") or dtype not in harness.dtypes:
        return  # compiled ones would be compiled anew for each case
    for loss in (SquaredError(), HalfSquaredError(), AbsoluteError()):
        criterion = Criterion(loss, reduction, exact=True)
        tiny = np.full(3, np.finfo(dtype).smallest_subnormal), np.zeros(3, dtype), {}
        for i, (p, t, more) in enumerate([*cases(dtype), tiny]):
            asked.clear()
            with plain_only():
                given = {name: harness.array(x) for name, x in more.items()}
                found = criterion(harness.array(p), harness.array(t), **given)
            same(harness.numpy(found), oracle(loss, p, t, dtype, reduction=reduction, **more))
            tied = reduction == "none"  # of one term: p - t may have 25 bits, or 54
            if way != "tables" and i < 8 and not tied:  # ordinary and wild data
                assert not asked, (i, more)


@pytest.mark.parametrize("n", [1, 2, 3, 1000, (1 << 16) + 1, 200_001])
def test_twice_the_digits_of_many_terms(n):
    """Whose sums float64 would round away: one term, and what is 2^-70 of it, so many times."""
    p = np.full(n, 2.0**-35)
    p[n // 2] = 1.0
    found = Criterion(reduction="sum", exact=True)(p, 0 * p)
    assert found == rounded(1 + Fraction(n - 1, 2**70), "float64")
    p[0], t = 2.0**26 + 1, np.zeros(n)  # whose square has 53 bits, and 2^-54 of it beside
    found = Criterion(exact=True)(p, t)
    assert found == rounded(sum(Fraction(x) ** 2 for x in p.tolist()) / n, "float64")


@pytest.mark.parametrize("n", [1, 7, 300])
def test_sums_are_off_by_no_more_than_they_say(n):
    x, w = np.random.default_rng(n).lognormal(0, 3, (2, n))
    inputs = prepared(Criterion(exact=True), NUMPY, Call(x, -x, w))
    (total, weight), off = doubled._summed(rows_of(Criterion(), inputs), doubled._terms)
    exact = sum(4 * Fraction(a) ** 2 * Fraction(b) for a, b in zip(x, w, strict=True))
    for found, wanted in ((total, exact), (weight, sum(map(Fraction, w)))):
        seen = Fraction(found.value.item()) + Fraction(found.lost.item())
        assert abs(seen - wanted) <= Fraction(off) * wanted
        assert 2**-106 <= off <= 2**-90
