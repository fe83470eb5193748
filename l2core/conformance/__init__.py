"""Checks that an implementation of a loss means what l2core says, for anyone to run.

``python -m l2core.conformance`` runs them on everything installed; :func:`parametrize_checks` in
one's own pytest file, on one's own :class:`Subject`. They need ``l2core[conformance]``.
"""

from l2core.conformance.harness import Harness, Writing, harness, harnesses
from l2core.conformance.strangers import parametrize_checks
from l2core.conformance.subjects import Claim, Subject

__all__ = [
    "Claim",
    "Harness",
    "Subject",
    "Writing",
    "harness",
    "harnesses",
    "parametrize_checks",
]
