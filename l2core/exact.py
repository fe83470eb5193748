"""Exact numbers: rational arithmetic with IEEE 754's infinities and NaN, and float formats."""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any, TypeAlias

import numpy as np

Exact: TypeAlias = Fraction | float
"""A rational number, or one of the floats inf, -inf and nan; never a finite float."""

ExactArray: TypeAlias = np.ndarray[Any, np.dtype[np.object_]]
"""An array of Exact; of shape () for a scalar, whose number is ``x.item()``."""

DIGITS = 60
FORMATS = {
    "float16": (11, 15),
    "bfloat16": (8, 127),
    "float32": (24, 127),
    "float64": (53, 1023),
}
"""Of each float format: the bits of its significand, and its largest exponent."""


def exact(x: complex) -> Exact:
    """A real number without rounding."""
    if isinstance(x, complex):
        raise TypeError(f"x: expected a real number, got {x!r}")
    return x if isinstance(x, float) and not math.isfinite(x) else Fraction(x)


# --- float formats ------------------------------------------------------------------------------


def _quantum(size: Fraction, dtype: str) -> Fraction:
    """The distance of neighbours in the binade of size > 0, as if exponents had no upper end."""
    bits, top = FORMATS[dtype]
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if size < Fraction(2) ** exponent:
        exponent -= 1
    return Fraction(2) ** (max(exponent, 1 - top) - (bits - 1))


def rounded(x: Exact, dtype: str) -> float:
    """x in this format: to nearest, ties to even, with subnormals, overflowing to inf."""
    if not isinstance(x, Fraction):
        return x
    if x == 0:
        return 0.0
    quantum = _quantum(abs(x), dtype)
    size = round(abs(x) / quantum) * quantum  # round() of a Fraction: ties to even
    _, top = FORMATS[dtype]
    found = math.inf if size >= 2 ** (top + 1) else float(size)
    return -found if x < 0 else found


def ulp(x: Exact, dtype: str) -> Fraction:
    """The distance of the neighbours around x in this format: at 0 and below, of subnormals."""
    bits, top = FORMATS[dtype]
    if not isinstance(x, Fraction):
        raise TypeError(f"x: expected a finite number, got {x!r}")
    if x == 0:
        return Fraction(2) ** (1 - top - (bits - 1))
    return min(_quantum(abs(x), dtype), Fraction(2) ** (top - (bits - 1)))


def ulps(observed: float, expected: Exact, dtype: str) -> float:
    """How far ``observed`` is from ``expected``, in units of the last place of the latter.

    0 for NaN against NaN, for the same infinity, and for an infinity to which ``expected`` rounds;
    inf for any other encounter with NaN or an infinity.
    """
    nearest = rounded(expected, dtype)
    seen = exact(observed)
    if isinstance(seen, Fraction) and isinstance(expected, Fraction):
        distance = abs(seen - expected) / ulp(expected, dtype)
        return float(distance) if distance < 2**1000 else math.inf
    same = seen == nearest or (math.isnan(seen) and math.isnan(nearest))
    return 0.0 if same else math.inf


# --- numbers that may be infinite ---------------------------------------------------------------


def is_nan(x: Exact) -> bool:
    """Whether it is NaN."""
    return isinstance(x, float) and math.isnan(x)


def _stand_in(x: Exact) -> float:
    """A float that meets infinities and NaN as x does."""
    return x if isinstance(x, float) else float((x > 0) - (x < 0))


def plus(a: Exact, b: Exact) -> Exact:
    """a + b."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a + b
    return _stand_in(a) + _stand_in(b)


def minus(a: Exact, b: Exact) -> Exact:
    """a - b."""
    return plus(a, -b)


def times(a: Exact, b: Exact) -> Exact:
    """a·b; 0·inf is NaN."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a * b
    return _stand_in(a) * _stand_in(b)


def over(a: Exact, b: Exact) -> Exact:
    """a / b; 0/0 is NaN."""
    if isinstance(b, Fraction) and b == 0:
        return _stand_in(a) * math.inf  # 0 * inf is NaN
    if isinstance(b, float):
        return math.nan if isinstance(a, float) or is_nan(b) else Fraction(0)
    return times(a, 1 / b)


# --- roots, logarithms and exponentials ---------------------------------------------------------


def _high_precision(digits: int) -> decimal.Context:
    return decimal.Context(prec=digits, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)


def _decimal(x: Fraction) -> Decimal:
    return Decimal(x.numerator) / Decimal(x.denominator)


def root(x: Exact) -> Exact:
    """The square root of x >= 0; exact where it is rational."""
    if isinstance(x, float):
        return x if x > 0 else math.nan
    square = x.numerator * x.denominator
    shift = max(0, 4 * DIGITS - square.bit_length() // 2)
    return Fraction(math.isqrt(square << (2 * shift)), x.denominator << shift)


def size(x: Exact) -> Exact:
    r"""\|x\|."""
    return -x if x < 0 else x


def logarithm(x: Fraction) -> Fraction:
    """log x, to DIGITS digits."""
    with decimal.localcontext(_high_precision(DIGITS + 30)):
        return Fraction(_decimal(x).ln())


SMALL = Fraction(1, 10**20)
"""Up to here five terms of a series leave out less than 10**-80 relative."""

BIG = 5000
"""exp of this is beyond every float, and of minus this below."""


def log_of_one_plus(x: Fraction) -> Fraction:
    """log(1 + x) for x >= 0."""
    if x < SMALL:
        return x * (1 - x * (Fraction(1, 2) - x * (Fraction(1, 3) - x / 4)))
    return logarithm(1 + x)


def exponential(x: Fraction) -> Exact:
    """exp(x), to DIGITS digits; inf and 0 where every float has them."""
    if abs(x) > BIG:
        return math.inf if x > 0 else Fraction(0)
    with decimal.localcontext(_high_precision(DIGITS + 30)):
        return Fraction(_decimal(x).exp())


def exponential_minus_one(x: Fraction) -> Exact:
    """exp(x) - 1."""
    if abs(x) < SMALL:
        return x * (1 + x * (Fraction(1, 2) + x * (Fraction(1, 6) + x / 24)))
    return minus(exponential(x), Fraction(1))


@cache
def bernoulli(n: int) -> Fraction:
    """The n-th Bernoulli number, by their recurrence."""
    return Fraction(int(n == 0)) - sum(
        (math.comb(n, k) * bernoulli(k) / (n - k + 1) for k in range(n)), Fraction(0)
    )


@cache
def log_gamma(x: Fraction) -> Fraction:
    """log Γ(x) for x > 0: Stirling's series of 40 terms at 50 and beyond, below 10**-60 there."""
    z, product = x, Fraction(1)
    while z < 50:
        product, z = product * z, z + 1
    total = (z - Fraction(1, 2)) * logarithm(z) - z + logarithm(2 * pi()) / 2
    for k in range(1, 41):
        total += bernoulli(2 * k) / (2 * k * (2 * k - 1) * z ** (2 * k - 1))
    return total - logarithm(product)


def slope(
    f: Callable[[Fraction], Fraction],
    x: Fraction,
    forward: bool = False,
    room: Fraction = Fraction(1),
) -> Fraction:
    """The derivative of an f of DIGITS digits, to a quarter of them; ``forward`` from x on only.

    f is smooth within ``room``; the step is 10**-15, or a millionth of that if it is less.
    """
    h = min(Fraction(1, 10 ** (DIGITS // 4)), room / 10**6)
    if forward:
        return (
            48 * f(x + h) - 25 * f(x) - 36 * f(x + 2 * h) + 16 * f(x + 3 * h) - 3 * f(x + 4 * h)
        ) / (12 * h)
    return (f(x + h) - f(x - h)) / (2 * h)


@cache
def pi() -> Fraction:
    """Machin's formula, pi = 16 arctan(1/5) - 4 arctan(1/239), in integers."""
    one = 10 ** (DIGITS + 10)

    def arctan_of_inverse(n: int) -> int:
        total, power, k = 0, one // n, 0
        while power:
            total += (-1) ** k * (power // (2 * k + 1))
            power, k = power // (n * n), k + 1
        return total

    return Fraction(16 * arctan_of_inverse(5) - 4 * arctan_of_inverse(239), one)


FAR = 1000
"""From here on exp(-2|r|) < 10**-868: nothing, beside |r|, at this precision."""


NEAR = Fraction(1, 2**40)
"""Up to here the Taylor series leaves out less than 10**-70 relative after three terms."""


def _exponentials(r: Fraction) -> tuple[Decimal, Decimal]:
    up = _decimal(r).exp()
    return up, 1 / up


def log_cosh(r: Fraction) -> Fraction:
    """log cosh r."""
    if abs(r) > FAR:
        return abs(r) - logarithm(Fraction(2))
    if abs(r) < NEAR:
        return r**2 / 2 - r**4 / 12 + r**6 / 45
    with decimal.localcontext(_high_precision(DIGITS + 25)):  # 1 + r² - 1 loses 25 of them at NEAR
        up, down = _exponentials(r)
        return Fraction(((up + down) / 2).ln())


def tanh(r: Fraction) -> Fraction:
    """tanh r."""
    if abs(r) > FAR:
        return Fraction(1 if r > 0 else -1)
    if abs(r) < NEAR:
        return r - r**3 / 3 + 2 * r**5 / 15
    with decimal.localcontext(_high_precision(DIGITS + 25)):
        up, down = _exponentials(r)
        return Fraction((up - down) / (up + down))


def sech_squared(r: Fraction) -> Fraction:
    """sech² r."""
    if abs(r) > FAR:
        return Fraction(0)
    with decimal.localcontext(_high_precision(DIGITS)):
        up, down = _exponentials(r)
        return Fraction((2 / (up + down)) ** 2)
