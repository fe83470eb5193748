"""What the conformance checks judge in JAX: ours, and optax's losses if it is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from l2core import Criterion, HalfSquaredError, Huber, LogCosh, Loss, SquaredError
from l2core.conformance.subjects import Claim, Subject, of_ours

ELEMENTWISE: dict[str, dict[str, Loss]] = {
    "squared_error": {"": SquaredError()},
    "l2_loss": {"": HalfSquaredError()},
    "huber_loss": {"": Huber(), "delta=0.5": Huber(0.5)},
    "log_cosh": {"": LogCosh()},
}
HALF = "its documentation says that it is half the squared error"
BROADCASTS = 'its documentation says "targets: a vector with shape broadcastable to" predictions'


def subjects() -> list[Subject]:
    """Ours, with and without 64-bit types; optax's."""
    found = [
        of_ours("l2jax", "jax", "l2jax.Criterion"),
        of_ours("l2jax, 64 bits", "jax-x64", "l2jax.Criterion"),
    ]
    found += [_elementwise("l2jax", name, ours=True, pairwise=True) for name in ELEMENTWISE]
    if find_spec("optax") is not None:
        found += [_elementwise("optax", name, builtin=True, halves="same") for name in ELEMENTWISE]
    return found


def _elementwise(package: str, name: str, **description: Any) -> Subject:
    def made(parameters: str) -> str:
        f = f"{package}.{name}"
        return f"functools.partial({f}, {parameters})" if parameters else f

    claims = tuple(Claim(Criterion(x, "none"), made(p)) for p, x in ELEMENTWISE[name].items())
    conventions = {}
    if name == "l2_loss":
        conventions["semantics/factor"] = HALF
    if package == "optax" and name in ("huber_loss", "log_cosh"):
        conventions["semantics/unequal-shapes"] = BROADCASTS
    refuses = (made("delta=-1.0"), made("delta=0.0")) if name == "huber_loss" else ()
    return Subject(
        f"{package}.{name}", "jax", claims, conventions=conventions, refuses=refuses, **description
    )
