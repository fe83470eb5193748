"""Sums of losses, and their gradients, in one pass over NumPy's memory: what fast paths share.

A large array costs what it moves through memory: ``np.mean((p - t) ** 2)`` writes and reads back
two arrays of its size. Here a block of it stays in the processor's cache from the residual to the
gradient, which is written over the residual. Sums are dot products over rows, added in float64, in
an order that depends on the array alone, not on threads. Gradients have the bits of the plain path:
they are 1/denominator, times ω, times psi.

No function of NumPy that is used here has threads of its own, so that no thread waits for another.
"""

from __future__ import annotations

import contextvars
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, cast

import numpy as np

from l2core.arrays import Array
from l2core.fastpath import BY_PSI, SQUARES, blocks, part
from l2core.losses import HalfSquaredError, Loss, SquaredError
from l2core.numpy_namespace import XP
from l2core.sums import FLOAT32, FLOAT64, SHORT, dots
from l2core.workers import Blocks, share

BLOCK = 1 << 18
"""Elements of a block of squares: 1 MB of float32."""
SMALL = BLOCK
"""Elements up to which a whole residual costs less than blocks."""
EACH = 4
"""Blocks for a thread of its own: with fewer it takes as long to wake it."""
_BITS = {FLOAT32: np.dtype("int32"), FLOAT64: np.dtype("int64")}


# Entered, a copy, in a third of the time of np.errstate.
_QUIET = contextvars.Context()
_QUIET.run(np.seterr, invalid="ignore", over="ignore")


def quietly(f: Callable[..., Any], *arguments: Any) -> Any:
    """f of the arguments, without NumPy's warnings: what is absent may be infinite."""
    return _QUIET.copy().run(f, *arguments)


class Rule(NamedTuple):
    """A loss on NumPy's arrays."""

    k: float
    """rho is ½·k·r² and psi k·r; 0 for any other."""
    psi: Callable[[Array], Array]
    by_psi: tuple[float, float] | None
    """a and b, where rho is a·psi·r - b·psi², which is 0 at r = 0, where absent elements are put."""
    rho: Callable[[Array], Array] | None = None
    """Given where that is None."""
    held: int = 1
    """How many times as much as a square it holds at a time: its blocks are so many times shorter."""


def rule(loss: Loss) -> Rule:
    """That of a loss in NumPy's own functions."""
    return _SQUARES.get(type(loss)) or _made(loss)


@lru_cache(maxsize=256)
def _made(loss: Loss) -> Rule:
    def psi(r: Array) -> Array:
        return loss.psi(r, XP)

    def rho(r: Array) -> Array:
        return loss.rho(r, XP)

    by_psi = BY_PSI.get(type(loss))
    if by_psi is None:
        return Rule(0.0, psi, None, rho, 4)
    return Rule(SQUARES.get(type(loss), 0.0), psi, by_psi(loss))


_SQUARES: dict[Any, Rule] = {
    type(loss): _made(loss) for loss in (SquaredError(), HalfSquaredError())
}


def added(
    rule: Rule,
    r: Array,
    weight: Array | None,
    mask: Array | None,
    scale: Any,
    scratch: Any = None,
    short: int = SHORT,
) -> Any:
    """Σ ω·rho of the residuals r: a number for up to ``short`` of them, else one for each row.

    With a scale (of their dtype) they become scale·ω·psi, and 0 where absent. ``scratch`` is a
    vector of at least their length and of their dtype, or None.
    """
    present = None
    if mask is not None and not mask.all():
        present = mask
        select(r, present)
    total, psi = _total(rule, r, weight, present, scratch, short)
    if weight is not None and not _finite(total):
        # Perhaps an absent one's. Else a product with 0 has left it out, as it should.
        present = weight != 0
        if not present.all():
            select(r, present)
            total, psi = _total(rule, r, weight, present, scratch, short)
    if scale is None:
        return total
    if psi is None:
        psi = rule.psi(r)
    if rule.k == 2:
        scale = scale + scale  # exact, as every product with 2 is
    by = scale if weight is None else np.multiply(weight, scale, out=_like(scratch, weight))
    np.multiply(psi, by, out=r)
    if weight is not None:
        if not weight.min() > 0:  # -0 is to be 0
            select(r, weight != 0)
    elif present is not None and (rule.rho is not None or not 0 <= scale < math.inf):
        select(r, present)
    return total


def _total(
    rule: Rule, r: Array, weight: Array | None, present: Array | None, scratch: Any, short: int
) -> tuple[Any, Array | None]:
    """Σ ω·rho, and psi if it was made; k·r is not."""
    if rule.by_psi is not None:
        psi = r if rule.k else rule.psi(r)
        x = psi if weight is None else np.multiply(weight, psi, out=_like(scratch, r))
        total = dots(x, r, short)
        a, b = rule.by_psi
        if rule.k != 2:
            total = a * total
        if b:
            total = total - b * dots(x, psi, short)
        return total, psi
    rho = cast(Callable[[Array], Array], rule.rho)(r)
    if weight is not None:
        rho = weight * rho
    if present is not None:
        rho = rho.copy() if rho is r else rho
        select(rho, present)
    return dots(rho, None, short), None


def _finite(total: Any) -> bool:
    return math.isfinite(total) if isinstance(total, float) else bool(np.isfinite(total).all())


def _like(buffer: Any, x: Array) -> Any:
    """The front of a buffer, in the shape of x."""
    return None if buffer is None else buffer[: x.size].reshape(x.shape)


def select(x: Array, present: Array) -> None:
    """Make x 0 where absent, whatever it is: its bits times 0, since 0·NaN is not 0."""
    inside = x.view(_BITS[x.dtype])
    np.multiply(inside, present, out=inside)


class Operands:
    """The arrays of one pass as matrices, whose rows are those of a weight or mask if that has fewer
    elements than pred. A block is read in any dtype that NumPy has, and computed in ``dtype``."""

    def __init__(
        self,
        pred: Array,
        target: Array,
        weight: Array | None,
        mask: Array | None,
        grad: Array | None,
        dtype: np.dtype[Any],
    ) -> None:
        factor, size = mask if weight is None else weight, pred.size
        rows = 1 if factor is None or factor.size == size else factor.size
        given = {"pred": pred, "target": target, "weight": weight, "mask": mask, "grad": grad}
        self.arrays = {k: x.reshape(rows, -1) for k, x in given.items() if x is not None}
        self.shape, self.dtype = (rows, size // rows), dtype
        self.inside = grad is not None and grad.dtype == dtype

    def read(self, name: str, block: tuple[slice, slice]) -> Array:
        """A block of one of the arrays; None if it was not given."""
        x = self.arrays.get(name)
        return None if x is None else part(x, block)

    def write(self, block: tuple[slice, slice], grad: Array) -> None:
        """Put the gradient where it is to be."""
        self.arrays["grad"][block] = grad

    def residual(self, block: tuple[slice, slice], scratch: Array) -> Array:
        """pred - target in ``dtype``: where the gradient is to be, if that has it."""
        p, t = self.read("pred", block), self.read("target", block)
        r = self.arrays["grad"][block] if self.inside else _like(scratch, p)
        return np.subtract(p, t, out=r, dtype=self.dtype, casting="unsafe")


def one_pass(rule: Rule, operands: Operands, scale: Any = None, threads: int = 1) -> float:
    """Σ ω·rho over the present elements; with a scale the gradient becomes scale·ω·psi.

    The sum may not be finite: what the gradient holds then is worth nothing.
    """
    rows, columns = operands.shape
    wide = BLOCK // rule.held
    cut = list(blocks(rows, columns, wide))
    found: list[tuple[int, Array]] = []

    def work(todo: Blocks) -> None:
        scratch = np.empty((2, min(wide, rows * columns)), operands.dtype)
        with np.errstate(invalid="ignore", over="ignore"):  # the absent may; or the total tells
            for run in todo:
                block = _union(cut[run.start : run.stop])
                size = _extent(block, rows, columns)
                if size > scratch.shape[1]:
                    scratch = np.empty((2, size), operands.dtype)
                r = operands.residual(block, scratch[0])
                weight, mask = operands.read("weight", block), operands.read("mask", block)
                if weight is not None:
                    weight = weight.astype(operands.dtype, copy=False)
                sums = added(rule, r, weight, mask, scale, scratch[1], short=0)
                found.append((run.start, sums))
                if scale is not None and not operands.inside:
                    operands.write(block, r)

    # Several blocks of one row are as well taken as one: its rows of ROW elements are the same.
    share(work, len(cut), min(threads, len(cut) // EACH), widen=rows == 1)
    parts = [sums for _, sums in sorted(found, key=lambda pair: pair[0])]
    return float(np.concatenate(parts).sum())


def _union(cut: list[tuple[slice, slice]]) -> tuple[slice, slice]:
    """One block of several in a row."""
    (high, wide), (_, last) = cut[0], cut[-1]
    return high, slice(wide.start, last.stop)


def _extent(block: tuple[slice, slice], rows: int, columns: int) -> int:
    high, wide = (len(range(n)[s]) for s, n in zip(block, (rows, columns), strict=True))
    return high * wide
