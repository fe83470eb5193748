"""A number as it was printed: which real numbers round to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

FLOAT32 = 2.0**-21
"""What a mean in float32 may be off by, relative: a few units in its last place."""


@dataclass(frozen=True)
class Printed:
    """The text, its value, half of its last digit, and how many digits it has."""

    text: str
    value: float
    half: float
    digits: int

    @classmethod
    def of(cls, value: Any, name: str = "value") -> Printed:
        """From a string ("0.4711", "4.7e-3", "12 %"), or a number, whose shortest digits count."""
        if isinstance(value, bool) or value is None:
            raise TypeError(f"{name}: expected a number or its digits, got {value!r}")
        if getattr(value, "shape", ()) not in ((), (1,)):
            raise ValueError(f"{name}: expected one number, got shape {tuple(value.shape)}")
        if not isinstance(value, (str, Decimal)):
            value = str(value.item() if _wide(value) else value)
        text = str(value).strip()
        digits, percent = text.removesuffix("%").strip().replace("−", "-"), text.endswith("%")
        try:
            found = Decimal(digits)
        except InvalidOperation:
            raise ValueError(f"{name}: expected the digits of a number, got {text!r}") from None
        if not found.is_finite():
            raise ValueError(f"{name}: expected a finite number, got {text!r}")
        if abs(found.adjusted()) > 290 and found:
            raise ValueError(f"{name}: expected a number between 1e-290 and 1e290, got {text!r}")
        sign, figures, exponent = found.as_tuple()
        del sign
        scale = 0.01 if percent else 1.0
        half = scale * 0.5 * 10.0 ** int(exponent)
        return cls(text, scale * float(found), half, max(len(figures), 1))

    @property
    def slack(self) -> float:
        """How far the value of a convention may be off: half a digit, or roundings in float32."""
        return self.half * (1 + 1e-9) + FLOAT32 * abs(self.value)

    def fits(self, value: float) -> bool:
        """Whether this value may have been printed so."""
        return math.isfinite(value) and abs(value - self.value) <= self.slack

    def shows(self, value: float) -> str:
        """Another value with as many digits."""
        return f"{value:.{self.digits}g}"


def _wide(value: Any) -> bool:
    """An array of one float64, or a tensor, whose own text is no number."""
    return hasattr(value, "item") and type(value).__name__ not in ("float32", "float16")


def apart(a: float, b: float) -> int | None:
    """From how many significant digits on two values print differently; None if never."""
    if a == b or abs(a - b) <= 1e-12 * max(abs(a), abs(b)):
        return None
    digits = 17
    while digits > 1 and f"{a:.{digits - 1}g}" != f"{b:.{digits - 1}g}":
        digits -= 1
    return digits
