"""Every convention on the data, and those whose value prints as the number does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from l2core.explanation.aggregates import aggregates
from l2core.explanation.data import Data, Look, look
from l2core.explanation.printed import Printed
from l2core.explanation.sizes import ROWS, unusual
from l2core.explanation.tallies import ALL, PLAIN, M, Tally, W, tallied
from l2core.explanation.views import VIEWS, brain
from l2core.explanation.vocabulary import BATCHES, FACTORS

DEAREST = 7.0
"""The cost beyond which a combination is not tried: nobody means it."""


class Candidate(NamedTuple):
    """A convention and its value on the data.

    ``parts`` are what it consists of, by role; ``code`` an expression of {xp}, pred, target, weight
    and mask; ``criterion`` the same by l2core, "" if it has none.
    """

    value: float
    cost: float
    parts: dict[str, str]
    code: str
    criterion: str

    @property
    def words(self) -> str:
        """What it is, as a sentence without a stop."""
        p = self.parts
        head = p["reduction"].format(rho=p["rho"]) if "rho" in p else p["reduction"]
        tail = [p[role] for role in ("data", "weights", "factor") if p.get(role)]
        return "; ".join([head, *tail])


def candidates(data: Data, tell: Any = None) -> Iterator[Candidate]:
    """Every convention of a cost below ``DEAREST``; tell(done, total) while it goes on."""
    found = look(data)
    for tally in tallied(data, found, tell):
        for each in _of_tally(tally, data, found):
            yield from _with_factors(each)
    for value, words, cost, code, criterion in aggregates(data, found):
        yield Candidate(value, cost, {"reduction": words}, code, criterion)


def _with_factors(c: Candidate) -> Iterator[Candidate]:
    for words, cost, times, code in FACTORS:
        if c.cost + cost >= DEAREST:
            continue
        if not words:
            yield c
            continue
        parts = {**c.parts, "factor": words}
        criterion = code.format(value=c.criterion) if c.criterion else ""
        yield Candidate(
            c.value * times, c.cost + cost, parts, code.format(value=f"({c.code})"), criterion
        )


def _of_tally(tally: Tally, data: Data, look: Look) -> Iterator[Candidate]:
    base = tally.view.cost + tally.rho.cost + tally.kind.cost
    parts = {"rho": tally.rho.words}
    if tally.view.words:
        parts["data"] = tally.view.words
    if tally.kind.words:
        parts["weights"] = tally.kind.words
    rho = _code_of(tally)
    squared = "squared" in tally.rho.words
    for words, cost, divisor, code, reduction in _divisors(tally, data, look):
        if not divisor > 0 or base + cost >= DEAREST:
            continue
        if tally.view.words.startswith("in ") and code != ALL:
            continue  # a sum in halves is another thing in each framework
        value = _rounded(tally, tally.total / divisor)
        total = f"{{xp}}.sum({rho})"
        expression = f"{total} / {code}" if code != "1" else total
        if code == ALL:
            expression = f"{{xp}}.mean({rho})"
        criterion = _criterion(tally, reduction)
        yield Candidate(value, base + cost, {"reduction": words, **parts}, expression, criterion)
        if squared and value >= 0:
            root = "root " + words if words.startswith("mean") else f"root of the {words}"
            yield Candidate(
                math.sqrt(value),
                base + cost + 0.5,
                {"reduction": root, **parts},
                f"({expression}) ** 0.5",
                _criterion(tally, reduction, root=True),
            )
    yield from _of_rows(tally, base, parts, rho, squared, data)
    yield from _of_batches(tally, base, parts, rho)


def _divisors(
    tally: Tally, data: Data, look: Look
) -> Iterator[tuple[str, float, float, str, tuple[str, str] | None]]:
    """Words, cost, number, code, and l2core's reduction and denominator."""
    n, rows, sums = float(look.n), data.rows, look.weights
    plain = data.weight is None and data.mask is None
    weighted, kind = data.weight is not None, tally.kind
    per_row = data.weight is not None and data.weight.shape[1] == 1
    own = not plain and kind.cost == 0
    free = 0.0 if plain or kind.code == "{rho}" else 1.0
    yield (
        "mean {rho}" if plain else "{rho}, summed, over all elements",
        free,
        n,
        ALL,
        ("mean", "size"),
    )
    yield "sum of the {rho}", 1.0, 1.0, "1", ("sum", "")
    if data.several > 1:
        words, code = (
            "{rho}, summed over quantiles, mean over targets",
            "math.prod(pred.shape[:-1])",
        )
        own_axis = ("mean", "batch") if data.several == data.outputs else None
        yield words, 1.0, n / data.several, code, own_axis
    if data.outputs > data.several:
        words = "{rho}, summed over outputs, mean over axis 0"
        yield words, 1.0, float(rows), "pred.shape[0]", ("mean", "batch")
        size = "math.prod(pred.shape[1:])"
        yield "{rho}, summed over axis 0, mean over outputs", 2.5, n / rows, size, None
    if n > 1:
        yield "{rho}, summed, over n - 1", 2.5, n - 1, f"({ALL} - 1)", (str(n - 1), "")
    one = "{{xp}}.ones_like(pred)"
    if kind.code == "{rho}":
        return
    if kind.words.startswith("what is not finite"):
        yield "mean {rho} over the others", 0.0, n - look.lost, kind.count, None
        return
    if weighted and (own or kind.words == "the mask ignored"):
        both = data.mask is not None and own
        name = "both" if both else "weights"
        total = f"{W} * {one}" if not both else f"{{{{xp}}}}.where({M}, {W} * {one}, 0.0)"
        code = f"{{{{xp}}}}.sum({total})".replace("{{", "{").replace("}}", "}")
        yield "mean {rho} over the sum of weights", 0.0, sums[name], code, ("mean", "weight")
        if data.outputs > 1 and per_row and not both:
            words = "{rho}, summed over outputs, over the sum of the rows' weights"
            yield words, 1.5, sums["weights"] / data.outputs, "{xp}.sum(weight)", None
    if weighted and W in kind.code:
        name = "present both" if data.mask is not None and own else "present"
        words = "{rho}, summed, over the number of weights that are not 0"
        cost = 0.0 if kind.words else 1.0
        yield words, cost, sums[name], kind.count, ("mean", "count")
    if data.mask is not None and not kind.words.startswith("the mask"):
        code = f"{{xp}}.sum({{xp}}.where({M}, 1.0, 0.0) * {{xp}}.ones_like(pred))"
        cost = 0.0 if data.weight is None else 0.5
        same = None if weighted else ("mean", "count")
        yield "mean {rho} over the mask's elements", cost, sums["mask"], code, same


def _of_rows(
    tally: Tally, base: float, parts: dict[str, str], rho: str, squared: bool, data: Data
) -> Iterator[Candidate]:
    """Means of the roots of each row, and of each output."""
    if not squared or tally.kind is not PLAIN or data.outputs == 1:
        return
    axes = "tuple(range(1, len(pred.shape)))"
    code = f"{{xp}}.mean({{xp}}.sqrt({{xp}}.mean({rho}, axis={axes})))"
    words = "mean over axis 0 of the root mean {rho} of each row"
    yield Candidate(tally.roots / tally.rows, base + 1.5, {"reduction": words, **parts}, code, "")
    if tally.columns is not None:
        each = np.sqrt(tally.columns[0] / tally.columns[1])
        code = f"{{xp}}.mean({{xp}}.sqrt({{xp}}.mean({rho}, axis=0)))"
        words = "mean over outputs of the root mean {rho} of each"
        yield Candidate(float(each.mean()), base + 1.5, {"reduction": words, **parts}, code, "")


def _of_batches(tally: Tally, base: float, parts: dict[str, str], rho: str) -> Iterator[Candidate]:
    """What comes of batches, in the order of the rows."""
    weight = tally.kind.code.format(rho="{xp}.ones_like(pred)", xp="{xp}")
    for b, batched in tally.batches.items():
        cost = base + (2.0 if b & (b - 1) == 0 else 2.5)
        if b not in BATCHES:
            cost += 0.02 * b.bit_length()  # the smaller, the likelier
        left = batched.finish()
        top, under = batched.whole
        cut = f"math.prod(pred.shape[:1]) // {b} * {b}"
        split = f"range(0, pred.shape[0], {b})"
        of = f"{{xp}}.sum(({rho})[i:i + {b}]) / {{xp}}.sum(({weight})[i:i + {b}])"
        last = f"(pred.shape[0] - 1) // {b} * {b}"
        options = [
            (
                f"mean of the means of batches of {b}: {{rho}}",
                0.0,
                batched.total / batched.count,
                f"sum({of} for i in {split}) / len({split})",
            ),
            (
                f"mean {{rho}} of the last batch of {b}",
                0.5,
                batched.last,
                of.replace("[i:", f"[{last}:").replace(f"i + {b}]", "]"),
            ),
            (
                f"mean {{rho}} of the first batch of {b}",
                1.0,
                batched.first,
                of.replace("i:i +", ":"),
            ),
        ]
        if left:
            whole = f"{{xp}}.sum(({rho})[:{cut}]) / {{xp}}.sum(({weight})[:{cut}])"
            words = f"mean {{rho}} without the last, shorter batch of {b}"
            options.append((words, 0.0, top / under if under else math.nan, whole))
        for words, more, value, code in options:
            yield Candidate(value, cost + more, {"reduction": words, **parts}, code, "")
            if "squared" in tally.rho.words and value >= 0 and more < 0.5:
                yield Candidate(
                    math.sqrt(value),
                    cost + more + 0.5,
                    {"reduction": f"root of the {words}", **parts},
                    f"({code}) ** 0.5",
                    "",
                )
        for a, running in batched.running.items():
            code = f"sum({1 - a:.2g} * {a} ** k * {of} for k, i in enumerate(reversed({split})))"
            words = f"running average (smoothing {a}) over batches of {b}: {{rho}}"
            yield Candidate(running, cost + 1.5, {"reduction": words, **parts}, code, "")
            full = 1 - a**batched.count
            yield Candidate(
                running / full,
                cost + 1.5,
                {"reduction": f"{words}, its start corrected", **parts},
                f"({code}) / (1 - {a} ** len({split}))",
                "",
            )


def _rounded(tally: Tally, value: float) -> float:
    if tally.view.words == "in float16":
        with np.errstate(over="ignore"):
            return float(np.float16(value))
    if tally.view.words == "in bfloat16":
        return float(brain(np.array([value]))[0])
    return value


def _code_of(tally: Tally) -> str:
    """rho of the view, times what counts, as code."""
    rho = tally.rho.code
    if tally.view is not VIEWS[0]:
        rho = rho.replace("pred", "_p").replace("target", "_t")
        rho = rho.replace("_p", tally.view.pred).replace("_t", tally.view.target)
    return tally.kind.code.replace("{rho}", rho)


def _criterion(tally: Tally, reduction: tuple[str, str] | None, root: bool = False) -> str:
    """The call of l2core that gives the same."""
    loss, kind = tally.rho.loss, tally.kind
    if loss is None or reduction is None or (root and reduction[0] == "sum"):
        return ""
    if tally.view.words.startswith(("subtracted", "in ")):
        return ""
    name = "root_mean" if root else reduction[0]
    used = [x for x in (W, M) if x in kind.code]
    arguments = [repr(loss)]
    denominators = reduction[1]
    if reduction[0] not in ("mean", "sum"):
        arguments.append(f"denominator={float(reduction[0])!r}")
        name = "root_mean" if root else "mean"
    elif denominators and not (denominators == "weight" or (denominators == "size" and not used)):
        arguments.append(f'denominator="{denominators}"')
    if name != "mean":
        arguments.insert(1, f'"{name}"')
    call = [tally.view.pred, tally.view.target]
    if kind.words == "weights squared":
        return ""
    if kind.words.startswith("what is not finite"):
        return ""
    if kind.words == "weights taken as a mask":
        call.append(f"mask={W} != 0")
    elif W in used:
        call.append("weight=weight")
    if M in used:
        call.append("mask=mask")
    return f"Criterion({', '.join(arguments)})({', '.join(call)}{tally.rho.options})"


@dataclass(frozen=True)
class Nearest:
    """How crowded it is around the number, and the simplest convention near it."""

    costs: Any  # of the conventions whose value is within a factor of e, sorted
    width: float
    words: str | None
    value: float

    def accidents(self, cost: float) -> float:
        """How many conventions of at most this cost would fit by accident; of 0 nobody knows."""
        if self.width >= 1:
            return math.inf
        return float(np.searchsorted(self.costs, cost, side="right")) * self.width


def fitting(data: Data, printed: Printed, tell: Any = None) -> tuple[list[Candidate], int, Nearest]:
    """Those that fit, the cheapest first; how many were tried; and what lies near."""
    found: list[Candidate] = []
    costs, tried = [], 0
    near: tuple[float, str | None, float] = (math.inf, None, math.nan)
    for c in candidates(data, tell):
        if not math.isfinite(c.value):
            continue
        tried += 1
        if printed.fits(c.value):
            found.append(c)
        if c.value * printed.value > 0:
            off = abs(math.log(c.value / printed.value))
            if off < 1:
                costs.append(c.cost)
            if c.cost <= 2 and off < near[0]:
                near = (off, c.words, c.value)
    if not found and 3 <= data.rows <= ROWS:
        found = list(_of_unusual(data, printed))
        tried += data.rows
        # So many more sizes were tried as may fit by accident.
        costs += [min(c.cost for c in found)] * data.rows if found else []
    found.sort(key=lambda c: (c.cost, abs(c.value - printed.value)))
    # Values within a factor of e of the number lie in 2 units of its logarithm; it takes 2 · slack.
    width = printed.slack / max(abs(printed.value), printed.slack)
    return found, tried, Nearest(np.sort(costs), width, *near[1:])


def _of_unusual(data: Data, printed: Printed) -> Iterator[Candidate]:
    """Batches of the other sizes, where they fit."""
    for tally in unusual(data, look(data), printed):
        base = tally.view.cost + tally.rho.cost + tally.kind.cost
        parts = {"rho": tally.rho.words}
        if tally.kind.words:
            parts["weights"] = tally.kind.words
        for c in _of_batches(tally, base, parts, tally.kind.code.replace("{rho}", tally.rho.code)):
            if printed.fits(c.value):
                yield c
