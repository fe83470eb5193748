"""A capability is a function of a side, ours or the built-in; it holds if it returns true."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import SimpleNamespace

Check = Callable[[SimpleNamespace], bool]


class Capabilities(dict[str, Check]):
    """Capabilities by name; called with a name, it decorates the function that tries it."""

    def __call__(self, name: str) -> Callable[[Check], Check]:
        def add(check: Check) -> Check:
            self[name] = check
            return check

        return add

    def rows(
        self, ours: SimpleNamespace, built_in: SimpleNamespace
    ) -> list[tuple[str, bool, bool]]:
        """(capability, whether ours has it, whether the built-in losses have it)."""
        return [(name, holds(check, ours), holds(check, built_in)) for name, check in self.items()]


def holds(check: Check, side: SimpleNamespace) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bool(check(side))
        except Exception:  # noqa: BLE001 (in whatever way it fails, it does not hold)
            return False


def raises(f: Callable, *args, **kwargs) -> bool:
    try:
        f(*args, **kwargs)
    except (TypeError, ValueError):
        return True
    return False
