"""The answer to "which convention is this number?", for people and for programs."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from l2core.explanation.code import code_of
from l2core.explanation.data import Data, look
from l2core.explanation.printed import Printed, apart
from l2core.explanation.search import Candidate, candidates, fitting
from l2core.hosted import standard

SHOWN, CODED = 8, 200
"""Matches in a table, and those that are written as code."""
MARGIN = 4.0
"""By how much more than the cheapest may cost what a table shows."""
ROLES = ("rho", "reduction", "data", "weights", "factor")


@dataclass(frozen=True)
class Match:
    """A convention that fits: its words, its value on the data, and itself as code by framework.

    ``same`` are others of exactly this value; ``accidents`` how many conventions as simple as this
    would fit by accident; ``digits`` from how many on it prints otherwise than the first match.
    """

    words: str
    value: float
    parts: dict[str, str]
    code: dict[str, str]
    same: tuple[str, ...]
    cost: float
    accidents: float
    digits: int | None


@dataclass(frozen=True)
class Explanation:
    """What :func:`l2core.explain` found, the likeliest first; ``print`` shows it.

    ``matches`` are all conventions that fit; the likeliest 200 have their code.
    """

    text: str
    digits: int
    matches: tuple[Match, ...]
    tried: int
    nearest: tuple[str, float] | None
    separate: str
    lost: str = ""
    other: Explanation | None = None
    change: str = ""

    @property
    def sure(self) -> bool:
        """Whether only the first match is likely: no other is as simple, nor an accident so likely."""
        if not self.matches:
            return False
        first = self.matches[0]
        if self.digits < 4 or first.accidents > 0.03 * 2.0**-first.cost:
            return False
        return len(self.matches) == 1 or self.matches[1].cost >= self.matches[0].cost + 1

    def to_json(self) -> str:
        """Everything, as JSON."""
        found = standard(asdict(self) | {"sure": self.sure})
        return json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)

    def __str__(self) -> str:
        lines = [self.verdict, ""]
        for k, match in enumerate(self.shown):
            lines += [f"{match.value:.10g}  {match.words}"]
            lines += [f"    {name}: {code}" for name, code in match.code.items() if k == 0]
        rest = len(self.matches) - len(self.shown)
        lines += [f"... and {rest} less likely ones"] * bool(rest)
        lines += [self.separate] * bool(self.separate)
        if self.other is not None:
            lines += ["", str(self.other), "", self.change]
        return "\n".join(lines)

    @property
    def shown(self) -> tuple[Match, ...]:
        """Those for a table."""
        if not self.matches:
            return ()
        best = self.matches[0].cost
        return tuple(m for m in self.matches[:SHOWN] if m.cost <= best + MARGIN)

    @property
    def verdict(self) -> str:
        """One or two sentences."""
        if not self.matches:
            near = ""
            if self.nearest is not None:
                words, value = self.nearest
                near = f" The nearest simple one is {words}, {value:.6g}."
            return (
                f"{self.text}: none of {self.tried:,} conventions gives this number on these data."
                f"{near}{self.lost} A loss that was printed before the model's last update, or with a penalty "
                "added to it, cannot be found from predictions alone."
            )
        first = self.matches[0]
        same = f" (on these data the same as {first.same[0]})" if first.same else ""
        if self.sure:
            return f"{self.text} is the {first.words}{same}.{self.lost}"
        likely = [m for m in self.matches if m.cost < first.cost + 1]
        needed = [m.digits for m in self.matches[1:] if m.digits is not None]
        more = max(needed, default=0)
        text = f"{self.text} may be the {first.words}{same}"
        if len(likely) > 1:
            text += f", or one of {len(likely) - 1} as simple"
        if more > self.digits:
            text += f"; {more} digits would tell it from the others, {self.digits} do not"
        return f"{text}.{self.lost}"


def explained(value: Any, data: Data, name: str = "value", tell: Any = None) -> Explanation:
    """The explanation of one number."""
    printed = Printed.of(value, name)
    found, tried, nearest = fitting(data, printed, tell)
    by_value: dict[str, list[Candidate]] = {}
    for c in found:  # the likeliest first
        by_value.setdefault(f"{c.value:.10e}", []).append(c)
    groups = list(by_value.values())
    matches = []
    for k, group in enumerate(groups):
        c = group[0]
        # Not what is the same on any data, such as half the squared error, times 2.
        others = (x.words for x in group[1:] if "factor" in c.parts or "factor" not in x.parts)
        same = tuple(dict.fromkeys(words for words in others if words != c.words))
        digits = apart(groups[0][0].value, c.value)
        code = code_of(c, data) if k < CODED else {}
        accidents = nearest.accidents(c.cost)
        matches.append(Match(c.words, c.value, c.parts, code, same, c.cost, accidents, digits))
    near = None if nearest.words is None else (nearest.words, nearest.value)
    separate = _separate(matches, data, printed)
    n = look(data).lost
    lost = f" {n:,} of the residuals are not finite." if n else ""
    if data.unequal:
        lost += f" The {data.unequal} was given in another shape."
    return Explanation(printed.text, printed.digits, tuple(matches), tried, near, separate, lost)


def _separate(matches: list[Match], data: Data, printed: Printed) -> str:
    """Data on which the likeliest conventions print different numbers."""
    if not matches:
        return ""
    names = [matches[0].words, *matches[0].same, *(m.words for m in matches[1:])][:4]
    if len(names) < 2:
        return ""
    for rows in (data.rows - 1, 1000, 100, 37, 10, 3):
        if not 0 < rows < data.rows or rows > 100_000:
            continue
        values = {c.words: c.value for c in candidates(data.first(rows)) if c.words in names}
        shown = {name: printed.shows(values[name]) for name in names if name in values}
        if len(set(shown.values())) == len(names):
            each = "; ".join(f"{text} if it is the {name}" for name, text in shown.items())
            return f"To tell them apart, print it for the first {rows:,} rows: {each}."
    return ""


def between(first: Explanation, second: Explanation) -> str:
    """What changed from one number to the other: the simplest pair of conventions."""
    pairs = [
        (a.cost + b.cost + 1.5 * len(_different(a, b)), a, b)
        for a in first.matches[:50]
        for b in second.matches[:50]
    ]
    if not pairs:
        lost = [x.text for x in (first, second) if not x.matches]
        return f"Nothing is known of what changed, since nothing fits {' and '.join(lost)}."
    _, a, b = min(pairs, key=lambda pair: pair[0])
    ratio = b.value / a.value if a.value else math.nan
    steps = [f"{before or 'nothing'} → {after or 'nothing'}" for before, after in _different(a, b)]
    if not steps:
        return f"Both may be the {a.words}, printed otherwise."
    return (
        f"From {first.text} to {second.text} (times {ratio:.6g}) the simplest change is: "
        f"{'; '.join(steps)}."
    )


def _different(a: Match, b: Match) -> list[tuple[str, str]]:
    pairs = [(a.parts.get(role, ""), b.parts.get(role, "")) for role in ROLES]
    return [(x.replace("{rho}", "…"), y.replace("{rho}", "…")) for x, y in pairs if x != y]
