"""Floats as integers, their sums as tables, and quotients of these: against fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2core.exact import root, rounded
from l2core.exactly.digits import LAYOUTS, Arithmetic, decoded_number
from l2core.exactly.rounding import quotient
from l2core.integers import INTEGERS
from l2core.numpy_namespace import XP

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
