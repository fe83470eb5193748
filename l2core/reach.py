"""A mean beyond one call: over ranks, devices or replicas, whose sums some engine adds up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from l2core.arrays import Array
from l2core.backend import backend_of
from l2core.call import Call
from l2core.checks import axes_of, check_call
from l2core.criterion import Criterion
from l2core.exactly import calls
from l2core.terms import Terms


def value_over(
    criterion: Criterion,
    call: Call,
    add_up: Callable[..., Sequence[Array]],
    told: bool | None = None,
) -> Array:
    """The value of all parts together, of which this call is one.

    ``add_up`` gives the sums over all parts of arrays of equal shape and dtype. ``told``: whether the
    denominator is that of all parts, not one to add up; None: if it was given, in the call or as a
    number.
    """
    if criterion.reduction == "none":
        raise ValueError('reduction: expected one that reduces, over several parts, got "none"')
    rank = len(getattr(call.pred, "shape", ()))
    if criterion.axis is not None and 0 not in axes_of(criterion.axis, rank):
        raise ValueError(
            f"axis: expected 0 among them, along which the parts follow each other, "
            f"got {criterion.axis!r}"
        )
    if criterion.exact:
        return _exactly_over(criterion, call, add_up, told)
    if criterion.reduction == "sum":
        return add_up(criterion._value_of(call))[0]
    terms = criterion._terms_of(call)
    if _told(criterion, call, told):
        (numerator,), denominator = add_up(terms.numerator), terms.denominator
    else:
        like = backend_of(terms.numerator, "numerator").xp.full_like(terms.numerator, 0.0)
        numerator, denominator = add_up(terms.numerator, terms.denominator + like)
    # Written out: Dynamo of PyTorch 2.6 does not know dataclasses.replace.
    return Terms(numerator, denominator, terms.root, terms.empty).value()


def _told(criterion: Criterion, call: Call, told: bool | None) -> bool:
    if told is None:
        return call.denominator is not None or not isinstance(criterion.denominator, str)
    return told


def _exactly_over(
    criterion: Criterion, call: Call, add_up: Callable[..., Sequence[Array]], told: bool | None
) -> Array:
    """The same, rounded once: the tables of all parts are added up as integers. Its gradient is that of
    the plain value."""
    plain = value_over(replace(criterion, exact=False), call, add_up, told)
    backend = check_call(criterion, call, criterion._names, criterion._backend)
    terms = calls.terms_of(criterion, backend, call)
    with backend.integers.wide():
        a, b = terms.numerator, terms.denominator
        if criterion.reduction == "sum" or _told(criterion, call, told):
            (a,) = add_up(a)
        else:
            a, b = add_up(a, b + 0 * a)
    return backend.kept(replace(terms, numerator=a, denominator=b).value(), lambda: plain, (plain,))


def check_whole_mean(criterion: Any, *, counted: bool = False) -> None:
    """ValueError unless the criterion, or a module or loss of one, is a mean over all axes.

    ``counted``: and its denominator comes of the data, where a number would count for each part.
    """
    check_floats(criterion)
    if criterion.reduction in (None, "none", "sum") or criterion.axis is not None:
        raise ValueError(
            f"criterion: expected a mean or root_mean over all axes, got {criterion!r}"
        )
    if counted and not isinstance(criterion.denominator, str):
        raise ValueError(
            "criterion: expected a denominator that comes of the data, since one that is known ahead "
            f"is for the criterion itself, got {criterion!r}"
        )


def check_floats(criterion: Any) -> None:
    """ValueError for a criterion with exact values where sums are kept as floats."""
    core = getattr(criterion, "criterion", criterion)
    if getattr(core, "exact", False):
        raise ValueError(
            "criterion: expected one with exact=False where sums are kept as floats (those of its terms() "
            f"add up exactly), got {criterion!r}"
        )
