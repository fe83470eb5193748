"""The correctly rounded value: in float64 where that is sure, else from tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from l2core.arrays import Array
from l2core.call import Call
from l2core.exactly import doubled, near
from l2core.exactly.digits import Layout
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

    def once(rows: Rows) -> tuple[Array, Array]:
        # A product with 0 leaves out what a weight does, in half the time of a selection; if it is
        # not finite, the sum is not, nor is it sure.
        weighed = call is not None and call.weight is not None and call.mask is None
        weighed = weighed and meaning.nan_targets == "propagate"
        summed = near.near_of(rows_of(meaning, inputs, select=False) if weighed else rows)
        return near.rounded(meaning, inputs, rows, summed)

    def twice(rows: Rows) -> tuple[Array, Array]:
        return doubled.rounded(meaning, inputs, rows)

    def tables(rows: Rows, layout: Layout) -> tuple[Array, Array]:
        b = denominator(meaning, inputs, rows, layout)
        return numerator(rows, layout), b * rows.halves if rows.halves != 1 else b

    return _settled(value, meaning, inputs, call, (once, twice, tables))


def weights(meaning: Any, inputs: Prepared, call: Call | None = None) -> Array:
    """Σ ω, rounded once, of the shape of the outputs; ``call`` as above."""

    def tables(rows: Rows, layout: Layout) -> tuple[Array, Array]:
        return denominator(meaning, inputs, rows, layout), number(rows, 1, layout)

    return _settled(
        weights, meaning, inputs, call, (near.rounded_weights, doubled.rounded_weights, tables)
    )


def _settled(
    which: Callable[..., Array],
    meaning: Any,
    inputs: Prepared,
    call: Call | None,
    ways: tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]],
) -> Array:
    """What float64 is sure of, elsewhere what twice its digits are sure of, and elsewhere the quotient
    of tables; ``which`` is the function that gives all three ways."""
    backend = inputs.backend
    once, twice, tables = ways
    with backend.integers.wide():
        rows = rows_of(meaning, inputs)
        layout = layout_of(meaning, inputs)
        root = which is value and meaning.reduction == "root_mean"

        def hosted() -> Array | None:
            if call is None:
                return None
            made = rows.kept, rows.dtype
            found = on_host(partial(which, meaning), meaning, backend, call, made)
            return None if found is None else backend.xp.reshape(found, (-1,))

        def exact(part: Rows) -> Array:
            a, b = tables(part, layout)
            b = backend.integers.broadcast(b, a)
            empty = 0.0 / EMPTY[meaning.empty]
            return quotient(rows.arithmetic, a, b, layout, rows.dtype, root, empty)

        def further(some: Any) -> Array:
            found = hosted() if backend.integers.known(rows.pred) is not None else None
            if found is not None:
                return found if some is None else found[some]
            part = rows if some is None else rows.taken(some)

            def rest(some: Any) -> Array:
                found = hosted() if part is rows and some is None else None
                if found is not None:
                    return found
                return exact(part if some is None else part.taken(some))

            # In a graph its kernels would slow down those of float64 too, which tell nearly all.
            graph = rows.dtype == "float32" and not backend.integers.eager
            if graph or not doubled.known(rows):
                return rest(None)
            found, sure = twice(part)
            return backend.integers.mended(found, ~sure, rest)

        if rows.dtype == "float32":
            found, sure = once(rows)
            found = backend.integers.mended(found, ~sure, further)
        else:
            found = further(None)
        return rows.shaped(found)
