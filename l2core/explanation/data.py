"""The arrays of a question, in blocks of rows, and a first look at them. Memory does not grow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from l2core.checks import check_aligned
from l2core.hosted import hosted

BLOCK = 1 << 18
"""Elements at a time."""


class Block(NamedTuple):
    """Rows: prediction and target in their own dtype, weight and mask of their shape (or None)."""

    pred: Any
    target: Any
    weight: Any
    mask: Any


@dataclass(frozen=True)
class Data:
    """NumPy arrays of (N, D) that belong together; ``weight`` and ``mask`` have 1 for D where they
    are per row."""

    pred: Any
    target: Any
    weight: Any = None
    mask: Any = None
    lift: tuple[int, int] = (0, 0)  # axes that weight and mask lack, as they were given
    unequal: str = ""  # "target" or "pred", which was given in another shape
    finite: bool = True
    several: int = 1  # predictions of each target, which lie along the last axis
    bare: bool = False  # whether the target has no such axis

    @classmethod
    def of(cls, pred: Any, target: Any, weight: Any = None, mask: Any = None) -> Data:
        """From arrays of any framework; TypeError or ValueError names the argument."""
        p, t = hosted(pred, "pred"), hosted(target, "target")
        several, bare = _several(p, t), False
        if several > 1:
            bare = t.ndim < p.ndim
            t = np.broadcast_to(t.reshape((*p.shape[:-1], 1)), p.shape)
        if p.shape != t.shape and _squeezed(p) != _squeezed(t):
            raise ValueError(
                "pred and target: expected shapes that are equal but for axes of length 1, or several "
                f"predictions of each target along the last axis, got {p.shape} and {t.shape}"
            )
        unequal = "" if p.shape == t.shape else "pred" if p.ndim < t.ndim else "target"
        if unequal == "pred":
            p = p.reshape(t.shape)
        if not p.size:
            raise ValueError(f"pred: expected at least one element, got shape {p.shape}")
        t = t.reshape(p.shape)
        others: list[Any] = []
        lift = [0, 0]
        for k, (name, x) in enumerate((("weight", weight), ("mask", mask))):
            if x is not None:
                x = hosted(x, name)
                check_aligned(x, name, p, "pred")
                if name == "mask" and x.dtype != bool:
                    raise TypeError(f"mask: expected a bool array, got {x.dtype}")
                if name == "weight":
                    _check(x)
                lift[k] = p.ndim - x.ndim
                x = _rows(np.broadcast_to(_lifted(x, p.ndim), _flat(x, p)), p)
            others.append(x)
        with np.errstate(invalid="ignore"):
            ends = [float(f(x)) for x in (p, t) for f in (np.min, np.max)]
        finite = all(map(math.isfinite, ends))
        rows = _rows(p, p), _rows(t, p)
        return cls(*rows, others[0], others[1], (lift[0], lift[1]), unequal, finite, several, bare)

    @property
    def rows(self) -> int:
        """N, the length of axis 0."""
        return int(self.pred.shape[0])

    @property
    def outputs(self) -> int:
        """D, the elements of a row."""
        return int(self.pred.shape[1])

    def blocks(self) -> Iterator[Block]:
        """All rows, some at a time."""
        step = max(1, BLOCK // self.outputs)
        for i in range(0, self.rows, step):
            rows = slice(i, i + step)
            p, t = self.pred[rows], self.target[rows]
            w, m = (
                None if x is None else np.broadcast_to(x[rows], p.shape)
                for x in (self.weight, self.mask)
            )
            yield Block(np.asarray(p), np.asarray(t), w, m)

    def first(self, rows: int) -> Data:
        """The first rows."""
        p, t, w, m = (
            None if x is None else x[:rows]
            for x in (self.pred, self.target, self.weight, self.mask)
        )
        return replace(self, pred=p, target=t, weight=w, mask=m)


@dataclass
class Look:
    """What the first look at all elements finds."""

    n: int = 0
    low: float = math.inf
    high: float = -math.inf
    least_pred: float = math.inf
    most_pred: float = -math.inf
    least: float = math.inf  # |target|
    integer: bool = False
    lost: int = 0  # residuals that are not finite
    center: float = 0.0
    squares: float = 0.0
    weights: dict[str, float] = field(default_factory=dict)

    def deviation(self, ddof: int) -> float:
        """The standard deviation of the targets."""
        return math.sqrt(self.squares / (self.n - ddof)) if self.n > ddof else 0.0


def look(data: Data) -> Look:
    """One pass."""
    found = Look()
    kinds = data.pred.dtype, data.target.dtype
    found.integer = kinds[0] == kinds[1] and kinds[0].kind in "iu" and kinds[0].itemsize <= 2
    sums: dict[str, float] = {}

    def add(name: str, x: Any) -> None:
        sums[name] = sums.get(name, 0.0) + float(np.sum(x, dtype=np.float64))

    for p, t, w, m in data.blocks():
        t = t.astype(np.float64)
        if not data.finite:
            found.lost += int(np.count_nonzero(~np.isfinite(p.astype(np.float64) - t)))
        size, mean = t.size, float(t.mean())
        shift = mean - found.center
        total = found.n + size
        found.squares += float(np.sum((t - mean) ** 2)) + shift**2 * found.n * size / total
        found.center += shift * size / total
        found.n = total
        found.low, found.high = min(found.low, float(t.min())), max(found.high, float(t.max()))
        found.least = min(found.least, float(np.abs(t).min()))
        found.least_pred = min(found.least_pred, float(p.min()))
        found.most_pred = max(found.most_pred, float(p.max()))
        if w is not None:
            add("weights", w)
            add("present", w != 0)
            add("squares", np.square(w.astype(np.float64)))
        if m is not None:
            add("mask", m)
        if w is not None and m is not None:
            add("both", np.where(m, w, 0))
            add("present both", (w != 0) & m)
    found.weights = sums
    return found


def _check(weight: Any) -> None:
    """ValueError unless weights are finite and >= 0, and some are > 0; nothing is copied."""
    low, high = float(np.min(weight)), float(np.max(weight))
    if not (low >= 0 and 0 < high < math.inf):
        raise ValueError(
            f"weight: expected finite numbers >= 0, some of them > 0, got {low:g} to {high:g}"
        )


def _several(p: Any, t: Any) -> int:
    """How many predictions lie along the last axis of p for each of t, as of quantiles."""
    if _squeezed(p) == _squeezed(t) or not p.ndim:
        return 1
    lead = p.shape[:-1]
    return int(p.shape[-1]) if t.shape in (lead, (*lead, 1)) else 1


def _squeezed(x: Any) -> tuple[int, ...]:
    return tuple(n for n in x.shape if n != 1)


def _lifted(x: Any, ndim: int) -> Any:
    return x.reshape(x.shape + (1,) * (ndim - x.ndim))


def _flat(x: Any, p: Any) -> tuple[int, ...]:
    """The shape in which x fits rows: (N, 1, ...) where it does not vary within them."""
    lifted = _lifted(x, p.ndim).shape
    per_row = all(n == 1 for n in lifted[1:])
    return (p.shape[0], *(1 for _ in p.shape[1:])) if per_row and p.ndim else tuple(p.shape)


def _rows(x: Any, p: Any) -> Any:
    rows = p.shape[0] if p.ndim else 1
    return x.reshape(rows, -1)
