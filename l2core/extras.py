"""Libraries that are optional: imported, or one sentence that says what installs them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def require(module: str, extra: str) -> ModuleType:
    """The module; ImportError that names what is missing and the extra that installs it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        lacking = (error.name or module).partition(".")[0]
        text = f"{lacking}: expected to be installed (pip install 'l2core[{extra}]'), got no such module"
    raise ImportError(text, name=lacking)
