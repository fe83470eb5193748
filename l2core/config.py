"""A loss as plain data: by its name, or as a mapping of its name and fields; JSON, YAML, strings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeAlias

from l2core.losses import LOSSES, Loss

LossLike: TypeAlias = Loss | str | Mapping[str, Any]
"""What a criterion takes for a loss: ``Huber(0.5)``, ``"huber"``, ``{"name": "Huber", "delta": 0.5}``."""

Axis: TypeAlias = int | Sequence[int] | None
"""What it takes for the axes to reduce over: None is all of them."""


def loss_of(x: Any) -> Loss:
    """The loss that x is, names (its class's, or that in snake_case) or describes.

    A mapping has the key ``name``; fields that it leaves out have their defaults.
    """
    if isinstance(x, Loss):
        if not hasattr(x, "__dataclass_fields__") or type(x).__hash__ is None:
            raise TypeError(
                f"loss: expected one whose class is a dataclass(frozen=True), got {x!r}"
            )
        return x
    if isinstance(x, str):
        return _made(_kind(x), {}, x)
    if not isinstance(x, Mapping):
        raise TypeError(
            f"loss: expected a Loss such as SquaredError(), its name or a mapping of its name and "
            f"fields, got {x!r}"
        )
    if "name" not in x:
        raise TypeError(f"loss: expected a mapping with a name, got {x!r}")
    kind = _kind(x["name"])
    own = {key: value for key, value in x.items() if key != "name"}
    check_keys("loss", own, (field.name for field in fields(kind)))
    return _made(kind, own, x)


def _made(kind: type[Loss], own: dict[str, Any], x: Any) -> Loss:
    optional = [
        f.name for f in fields(kind) if (f.default, f.default_factory) != (MISSING, MISSING)
    ]
    if lacks := [f.name for f in fields(kind) if f.name not in (*optional, *own)]:
        raise TypeError(f"loss: expected a mapping with {', '.join(lacks)} too, got {x!r}")
    return kind(**own)


def config_of(loss: Loss) -> dict[str, Any]:
    """The mapping of a loss."""
    own = {field.name: getattr(loss, field.name) for field in fields(loss)}
    return {"name": type(loss).__name__, **own}


def axis_of(x: Any) -> Any:
    """A list of axes as a tuple; the rest as it is."""
    return tuple(x) if isinstance(x, Sequence) and not isinstance(x, str) else x


def check_keys(name: str, config: Any, known: Iterable[str]) -> None:
    """TypeError unless it is a mapping, ValueError if it has keys that are not known."""
    known = list(known)
    if not isinstance(config, Mapping):
        raise TypeError(f"{name}: expected a mapping, got {config!r}")
    if unknown := [key for key in config if key not in known]:
        raise ValueError(f"{name}: expected keys among {known}, got {unknown}")


def _kind(name: Any) -> type[Loss]:
    known = {**{snake_case(key): kind for key, kind in LOSSES.items()}, **LOSSES}
    if not isinstance(name, str) or name not in known:
        raise ValueError(
            f"loss: expected one of {', '.join(map(repr, LOSSES))}, or the same in snake_case, "
            f"got {name!r}"
        )
    return known[name]


def snake_case(name: str) -> str:
    """``SmoothL1`` as ``smooth_l1``, ``GaussianNLL`` as ``gaussian_nll``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
