"""The two sums of a mean as tables, and its value: of the losses that are polynomials of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from l2core.arrays import Array
from l2core.backend import Backend, backend_of
from l2core.call import Call
from l2core.checks import EXACT
from l2core.exactly.digits import LAYOUTS, Arithmetic, Digits, Layout, decoded_number
from l2core.integers import Made
from l2core.prepared import Prepared, divisor_of, elements, lengths, prepared


class Rows(NamedTuple):
    """The arrays of a call as matrices (D, M), of D outputs over M elements each, and what is asked.

    ``weight`` and ``present`` may be None; so may ``given``, a denominator, (D,) or (1,). ``kept`` is the
    shape of the D outputs, and ``shaped`` gives it to them.
    """

    backend: Backend
    arithmetic: Arithmetic
    pred: Array
    target: Array
    weight: Array | None
    present: Array | None
    given: Array | None
    kept: tuple[Any, ...]
    shaped: Callable[[Array], Array]
    dtype: str
    power: int
    halves: int

    def taken(self, some: Any) -> Rows:
        """These outputs alone."""
        given = self.given
        if given is not None and given.shape[0] == self.pred.shape[0]:
            given = given[some]
        return self._each(lambda x: x[some])._replace(given=given)

    def columns(self, some: slice) -> Rows:
        """These elements of each output alone."""
        return self._each(lambda x: x[:, some])

    def _each(self, f: Callable[[Array], Array]) -> Rows:
        arrays = (self.pred, self.target, self.weight, self.present)
        p, t, w, m = (None if x is None else f(x) for x in arrays)
        return self._replace(pred=p, target=t, weight=w, present=m)


def rows_of(meaning: Any, inputs: Prepared, select: bool = True) -> Rows:
    """Absent elements are 0 in the weight; in pred and target too, unless they are not selected."""
    backend = inputs.backend
    arithmetic = Arithmetic(backend.xp, backend.integers)
    if inputs.weight is not None:
        # By their bits: a comparison may take subnormal weights for 0.
        inputs = inputs._replace(present=arithmetic.order(inputs.weight, inputs.real) != 0)
    pred, target, _ = elements(inputs) if select else (inputs.pred, inputs.target, None)
    rank = len(pred.shape)
    axes = tuple(range(rank)) if inputs.axes is None else inputs.axes
    if meaning.reduction == "none":
        axes = ()
    kept = [a for a in range(rank) if a not in axes]
    shape = [_static(pred.shape[a]) for a in kept]
    reduced = [_static(pred.shape[a]) for a in axes]

    def flat(x: Array | None) -> Array | None:
        if x is None:
            return None
        x = backend.integers.broadcast(x, pred)
        x = backend.xp.permute_dims(x, (*kept, *axes)) if rank else x
        return backend.xp.reshape(x, _two(shape, reduced))

    power, halves = EXACT[type(meaning.loss)]
    given = divisor_of(meaning, inputs).given
    return Rows(
        backend,
        arithmetic,
        flat(pred),
        flat(target),
        flat(inputs.weight),
        flat(inputs.present),
        backend.xp.reshape(given, (-1,)) if isinstance(given, backend.arrays) else None,
        tuple(shape),
        partial(backend.integers.reshaped, like=pred, axes=tuple(kept)),
        inputs.real,
        power,
        halves,
    )


def _static(n: Any) -> int | None:
    return n if isinstance(n, int) else None


def _two(kept: list[int | None], reduced: list[int | None]) -> tuple[int, int]:
    """The lengths of a matrix; one may be open while tracing."""
    found = [-1 if None in part else math.prod(part) for part in (kept, reduced)]  # type: ignore[arg-type]
    if found == [-1, -1]:
        raise ValueError(
            "exact: expected known lengths along the reduced axes, or along the others, got both open "
            "while tracing"
        )
    return found[0], found[1]


def numerator(rows: Rows, layout: Layout) -> Array:
    """The table (D, columns) of Σ ω·|r|^k."""
    arithmetic, dtype, xp = rows.arithmetic, rows.dtype, rows.backend.xp
    p, t = (arithmetic.decoded(x, dtype) for x in (rows.pred, rows.target))
    if rows.power == 2:
        cross = arithmetic.times(arithmetic.product(p, t), -2)
        parts = [arithmetic.product(p, p), cross, arithmetic.product(t, t)]
    else:
        order = arithmetic.order(rows.pred, dtype) < arithmetic.order(rows.target, dtype)
        one = 0 * p.place + 1
        sign = xp.where(order, -one, one)
        parts = [arithmetic.times(p, sign), arithmetic.times(t, -sign)]
    arrays = [rows.pred, rows.target]
    r = rows.pred - rows.target
    x = r * r if rows.power == 2 else xp.abs(r)
    if rows.weight is not None:
        w = arithmetic.decoded(rows.weight, dtype)
        parts = [arithmetic.product(part, w) for part in parts]
        arrays.append(rows.weight)
        x = rows.weight * x
    return _table(arithmetic, parts, arrays, x, dtype, layout)


def _table(
    arithmetic: Arithmetic,
    parts: list[Digits],
    arrays: list[Array],
    x: Array,
    dtype: str,
    layout: Layout,
) -> Array:
    """The table of these parts of x, with counts of what is not finite in the arrays."""
    xp = arithmetic.xp
    finite = arithmetic.finite(arrays[0], dtype)
    for each in arrays[1:]:
        finite = finite & arithmetic.finite(each, dtype)
    kept = [
        Digits(
            xp.where(finite, part.place, 0 * part.place),
            tuple(xp.where(finite, d, 0 * d) for d in part.digits),
        )
        for part in parts
    ]
    table = arithmetic.carried(arithmetic.summed(kept, layout), layout)
    counts = [xp.isnan(x), x > 0, x < 0]
    each = [
        xp.sum(xp.where(~finite & c, 0 * parts[0].place + 1, 0 * parts[0].place), axis=(1,))
        for c in counts
    ]
    return arithmetic.flagged(table, each, layout)


def denominator(meaning: Any, inputs: Prepared, rows: Rows, layout: Layout) -> Array:
    """The table (D, columns), or (1, columns), of what the sum is divided by."""
    arithmetic, backend = rows.arithmetic, rows.backend
    divisor = divisor_of(meaning, inputs)
    given: Any = divisor.given
    if rows.given is not None:
        given = rows.given[:, None]
        return _table(
            arithmetic, [arithmetic.decoded(given, rows.dtype)], [given], given, rows.dtype, layout
        )
    if divisor.weighs:
        w = rows.weight
        return _table(arithmetic, [arithmetic.decoded(w, rows.dtype)], [w], w, rows.dtype, layout)
    if divisor.counted is not None:
        one = arithmetic.integers.bits(rows.pred) * 0
        count = backend.xp.sum(backend.xp.where(rows.present, one + 1, one), axis=(1,))
    else:
        count = lengths(inputs, divisor.axes or (), "int64") if given is None else given
        if not isinstance(count, backend.arrays):
            return number(rows, count, layout)
        count = backend.xp.reshape(count, (1,))
    part = arithmetic.placed(count[:, None], 0 * count[:, None], 3)
    return arithmetic.summed([part], layout)


def number(rows: Rows, x: float, layout: Layout) -> Array:
    """The table (1, columns) of a Python number."""
    table = np.zeros((1, layout.columns), np.int64)
    for place, digit in decoded_number(float(x)):
        table[0, place - layout.low] = digit
    return rows.backend.constant(table, rows.pred)


def layout_of(meaning: Any, inputs: Prepared) -> Layout:
    """That of the loss's dtype, or the wider one where a number is given that float32 has not."""
    by = meaning.denominator if inputs.denominator is None else inputs.denominator
    with np.errstate(over="ignore", under="ignore"):
        odd = isinstance(by, float) and float(np.float32(by)) != by
    return LAYOUTS["float64" if odd else inputs.real]


def on_host(
    f: Callable[[Prepared], Any], meaning: Any, backend: Backend, call: Call, made: Made
) -> Array | None:
    """f of the same call in NumPy, of this shape and dtype, where the framework asks for it; see
    :class:`l2core.integers.Integers`. Of the arrays as they came, which need no copy."""
    given = call.denominator if isinstance(call.denominator, backend.arrays) else None
    weight = call.weight if isinstance(call.weight, backend.arrays) else None

    def called(*arrays: Any) -> Any:
        known: list[Any] = [None if x is None else np.asarray(x) for x in arrays]
        p, t, w, m, d = known
        w, d = (call.weight if w is None else w), (call.denominator if d is None else d)
        return np.asarray(f(prepared(meaning, backend_of(p, "pred"), Call(p, t, w, m, d))), made[1])

    arrays = call.pred, call.target, weight, call.mask, given
    return backend.integers.on_host(called, arrays, made)
