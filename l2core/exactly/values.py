"""The correctly rounded value: in float64 where that is sure, else from tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from l2core.arrays import Array
from l2core.call import Call
from l2core.exactly.digits import Layout
from l2core.exactly.near import near_of, rounded, rounded_weights
from l2core.exactly.rounding import quotient
from l2core.exactly.sums import (
    Rows,
    denominator,
    layout_of,
    number,
    numerator,
    on_host,
    rows_of,
)
from l2core.prepared import Prepared
from l2core.terms import EMPTY


def value(meaning: Any, inputs: Prepared, call: Call | None = None) -> Array:
    """The value, of the shape of the outputs; ``call`` is what the inputs come of, but in NumPy."""

    def near(rows: Rows) -> tuple[Array, Array]:
        # A product with 0 leaves out what a weight does, in half the time of a selection; if it is
        # not finite, the sum is not, nor is it sure.
        weighed = call is not None and call.weight is not None and call.mask is None
        weighed = weighed and meaning.nan_targets == "propagate"
        summed = near_of(rows_of(meaning, inputs, select=False) if weighed else rows)
        return rounded(meaning, inputs, rows, summed)

    def tables(rows: Rows, layout: Layout) -> tuple[Array, Array]:
        b = denominator(meaning, inputs, rows, layout)
        return numerator(rows, layout), b * rows.halves if rows.halves != 1 else b

    return _settled(value, meaning, inputs, call, near, tables)


def weights(meaning: Any, inputs: Prepared, call: Call | None = None) -> Array:
    """Σ ω, rounded once, of the shape of the outputs; ``call`` as above."""

    def tables(rows: Rows, layout: Layout) -> tuple[Array, Array]:
        return denominator(meaning, inputs, rows, layout), number(rows, 1, layout)

    return _settled(weights, meaning, inputs, call, rounded_weights, tables)


def _settled(
    which: Callable[..., Array],
    meaning: Any,
    inputs: Prepared,
    call: Call | None,
    near: Callable[[Rows], tuple[Array, Array]],
    tables: Callable[[Rows, Layout], tuple[Array, Array]],
) -> Array:
    """What ``near`` is sure of, and elsewhere the quotient of the tables; ``which`` is the function
    that gives both."""
    backend = inputs.backend
    with backend.integers.wide():
        rows = rows_of(meaning, inputs)
        layout = layout_of(meaning, inputs)
        root = which is value and meaning.reduction == "root_mean"

        def exact(some: Any) -> Array:
            if call is not None:
                made = rows.kept, rows.dtype
                hosted = on_host(partial(which, meaning), meaning, backend, call, made)
                if hosted is not None:
                    return backend.xp.reshape(hosted, (-1,))
            part = rows if some is None else rows.taken(some)
            a, b = tables(part, layout)
            if some is not None and b.shape[0] == rows.pred.shape[0]:
                b = b[some]  # a denominator that was given for each output
            b = backend.integers.broadcast(b, a)
            empty = 0.0 / EMPTY[meaning.empty]
            return quotient(rows.arithmetic, a, b, layout, rows.dtype, root, empty)

        if rows.dtype == "float32":
            found, sure = near(rows)
            found = backend.integers.mended(found, ~sure, exact)
        else:
            found = exact(None)
        return rows.shaped(found)
