"""Exact values, terms and denominators of a criterion's calls, with the plain path's derivatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from l2core import fastpath
from l2core.arrays import Array
from l2core.backend import Backend, PlainBackend, backend_of
from l2core.call import Call
from l2core.checks import check_exact_call
from l2core.exactly import host, values
from l2core.exactly.terms import ExactTerms, terms
from l2core.prepared import Prepared, prepared


def value_of(criterion: Any, backend: Backend, call: Call) -> Array:
    """The correctly rounded value."""
    check_exact_call(call, criterion._names, backend)
    if isinstance(backend, PlainBackend):
        return _value(criterion, backend, call)
    compiled = backend.integers.whole(criterion, call) if fastpath.enabled else None
    if compiled is not None:
        return compiled
    apart = _apart(call, backend)
    found = backend.integers.node("value", criterion, apart)
    quick = found is None and backend.integers.eager and criterion.axis is None
    if found is None:
        found = _value(criterion, backend, apart)

    def total() -> Array:
        if quick:
            return _plainly(criterion, backend, call)
        return criterion._plain_value(prepared(criterion, backend, call))

    return backend.kept(found, total, call[:5])


def _plainly(criterion: Any, backend: Backend, call: Call) -> Array:
    """The plain value by whatever path is fast, over the sum of weights rounded once."""
    means = criterion.reduction in ("mean", "root_mean") and criterion.denominator == "weight"
    if means and call.denominator is None and isinstance(call.weight, backend.arrays):
        inputs = prepared(criterion, backend, call)
        call = call._replace(denominator=criterion._denominator(inputs))
    return replace(criterion, exact=False)._value_of(call)


def terms_of(criterion: Any, backend: Backend, call: Call) -> ExactTerms:
    """The two sums as integers."""
    check_exact_call(call, criterion._names, backend)
    call = _apart(call, backend)
    return terms(criterion, prepared(criterion, backend, call), call)


def weight_of(criterion: Any, inputs: Prepared, total: Callable[[], Array]) -> Array:
    """Σ ω rounded once, with the derivatives of ``total()``."""
    pred, target, weight, present = inputs[1:5]
    backend = inputs.backend
    # Which means the same as that which they come of.
    call = _apart(Call(pred, target, weight, present), backend)
    found = backend.integers.node("weights", criterion, call)
    if found is None:
        found = _weights(criterion, backend, call)
    return backend.kept(found, total, (inputs.weight,))


def _value(criterion: Any, backend: Backend, call: Call) -> Array:
    found = host.sure(criterion, backend, call) if fastpath.enabled else None
    if found is None:
        found = values.value(criterion, prepared(criterion, backend, call), call)
    return found


def _weights(criterion: Any, backend: Backend, call: Call) -> Array:
    return values.weights(criterion, prepared(criterion, backend, call), call)


def _direct(f: Callable[[Any, Backend, Call], Array]) -> Callable[[Any, Call], Array]:
    def direct(criterion: Any, call: Call) -> Array:
        return f(criterion, backend_of(call.pred, "pred"), call)

    return direct


DIRECT = {"value": _direct(_value), "weights": _direct(_weights)}
"""What is in a node, by name, of a criterion and arrays without gradients."""


def _apart(call: Call, backend: Backend) -> Call:
    """The same out of the graph of any gradient."""
    arrays: list[Any] = [
        backend.detached(x) if isinstance(x, backend.arrays) else x for x in call[:5]
    ]
    pred, target, weight, mask, denominator = arrays
    return Call(pred, target, weight, mask, denominator)
