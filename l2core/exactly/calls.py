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
        found = values.value(criterion, _constants(inputs))
    return backend.kept(found, lambda: criterion._plain_value(inputs))


def terms_of(criterion: Any, backend: Backend, call: Call) -> ExactTerms:
    """The two sums as integers."""
    check_exact_call(call, criterion._names, backend)
    return terms(criterion, _constants(prepared(criterion, backend, call)))


def weight_of(criterion: Any, inputs: Prepared, total: Callable[[], Array]) -> Array:
    """Σ ω rounded once, with the derivatives of ``total()``."""
    return inputs.backend.kept(values.weights(criterion, _constants(inputs)), total)


def _constants(inputs: Prepared) -> Prepared:
    """The same out of the graph of any gradient."""
    detached = inputs.backend.detached
    given = inputs.denominator
    return inputs._replace(
        pred=detached(inputs.pred),
        target=detached(inputs.target),
        weight=None if inputs.weight is None else detached(inputs.weight),
        denominator=detached(given) if isinstance(given, inputs.backend.arrays) else given,
    )
