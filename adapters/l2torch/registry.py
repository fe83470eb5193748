"""What PyTorch is told of our classes: what a safe load may build, and that terms are a pytree."""

from __future__ import annotations

from typing import Any

import torch

import l2core
from l2core import LOSSES, ExactTerms, Terms
from l2torch import criterion, losses
from l2torch.distributed import Ranks
from l2torch.exact_node import node
from l2torch.integers import nodes
from l2torch.internals import register_pytree_node


def _flatten(terms: Terms) -> tuple[list[Any], tuple[bool, str, tuple[float | None, ...]]]:
    """Tensors are leaves; what was never lost in rounding is a number, and no leaf."""
    lost = terms.compensation
    leaves = [x for x in lost if isinstance(x, torch.Tensor)]
    fixed = tuple(None if isinstance(x, torch.Tensor) else x for x in lost)
    return [terms.numerator, terms.denominator, *leaves], (terms.root, terms.empty, fixed)


def _unflatten(leaves: Any, context: Any) -> Terms:
    root, empty, fixed = context
    numerator, denominator, *lost = leaves
    rest = iter(lost)
    first, second = (next(rest) if x is None else x for x in fixed)
    return Terms(numerator, denominator, root, empty, (first, second))


def _exact_leaves(terms: ExactTerms) -> tuple[list[Any], tuple[str, bool, str]]:
    return [terms.numerator, terms.denominator], (terms.dtype, terms.root, terms.empty)


def _exact_terms(leaves: Any, context: Any) -> ExactTerms:
    return ExactTerms(*leaves, *context)


def _loaded(context: Any) -> Any:
    root, empty, fixed = context  # lists, in JSON
    return root, empty, tuple(fixed)


def register() -> None:
    """At import, once. A user's own loss is for the user to declare safe."""
    nodes.append(node)
    named = [kind for kind in vars(losses).values() if isinstance(kind, type)]
    drop_ins = [kind for kind in named if issubclass(kind, criterion.Criterion)]
    torch.serialization.add_safe_globals(
        [
            *(criterion.CoreCriterion, l2core.Criterion, Terms, ExactTerms, Ranks),
            *drop_ins,
            *LOSSES.values(),
        ]
    )
    if register_pytree_node is None:
        return
    register_pytree_node(
        Terms,
        _flatten,
        _unflatten,
        serialized_type_name="l2core.Terms",
        to_dumpable_context=lambda context: context,
        from_dumpable_context=_loaded,
    )
    register_pytree_node(
        ExactTerms,
        _exact_leaves,
        _exact_terms,
        serialized_type_name="l2core.ExactTerms",
        to_dumpable_context=lambda context: context,
        from_dumpable_context=tuple,
    )
