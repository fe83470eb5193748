"""Optional libraries of the conformance suite, or one clear sentence about what is missing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def require(module: str) -> ModuleType:
    """The module; ImportError that says what installs it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{error.name}: expected to be installed for the conformance suite, "
            "got no such module; pip install 'l2core[conformance]'"
        ) from error
