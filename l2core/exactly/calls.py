"""Exact values, terms and denominators of a criterion's calls, with the plain path's derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from l2core import fastpath
from l2core.arrays import Array
from l2core.backend import Backend, PlainBackend
from l2core.call import Call
from l2core.checks import check_exact_call
from l2core.exactly import values
from l2core.exactly.terms import ExactTerms, terms
from l2core.prepared import Prepared, prepared


def value_of(criterion: Any, backend: Backend, call: Call) -> Array:
    """The correctly rounded value."""
    check_exact_call(call, criterion._names, backend)
    found = values.sure(criterion, backend, call) if fastpath.enabled else None
    if found is not None and isinstance(backend, PlainBackend):
        return found
    inputs = prepared(criterion, backend, call)
    if found is None:
        found = values.value(criterion, *_constants(inputs, call))
    return backend.kept(found, lambda: criterion._plain_value(inputs))


def terms_of(criterion: Any, backend: Backend, call: Call) -> ExactTerms:
    """The two sums as integers."""
    check_exact_call(call, criterion._names, backend)
    return terms(criterion, *_constants(prepared(criterion, backend, call), call))


def weight_of(criterion: Any, inputs: Prepared, total: Callable[[], Array]) -> Array:
    """Σ ω rounded once, with the derivatives of ``total()``."""
    pred, target, weight, present = inputs[1:5]
    call = Call(pred, target, weight, present)  # which means the same as that which they come of
    return inputs.backend.kept(values.weights(criterion, *_constants(inputs, call)), total)


def _constants(inputs: Prepared, call: Call) -> tuple[Prepared, Call]:
    """The same out of the graph of any gradient."""
    backend = inputs.backend

    def constant(x: Any) -> Any:
        return backend.detached(x) if isinstance(x, backend.arrays) else x

    own = inputs._replace(
        pred=constant(inputs.pred),
        target=constant(inputs.target),
        weight=constant(inputs.weight),
        denominator=constant(inputs.denominator),
    )
    pred, target, weight, mask, denominator = map(constant, call[:5])
    return own, Call(pred, target, weight, mask, denominator)
