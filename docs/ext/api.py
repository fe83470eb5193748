"""Docstrings as the reference shows them, and the check that it has every public name."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sphinx.builders.dummy import DummyBuilder
from sphinx.util import logging

if TYPE_CHECKING:
    from sphinx.application import Sphinx

MODULES = (
    "l2core",
    "l2core.boosting",
    "l2core.conformance",
    "l2core.plot",
    "l2core.robust",
    "l2core.solvers",
    "l2jax",
    "l2keras",
    "l2torch",
    "l2torch.functional",
)
LOG = logging.getLogger(__name__)
FIELD = re.compile(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*): +(.*)$")
LITERAL = re.compile(r"(``.*?``|:\w+:`.*?`)")


def plain(line: str) -> str:
    """Bars and stars of formulas as themselves, outside of literals."""
    parts = LITERAL.split(line)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"(?<!\\)\|", r"\|", parts[i])
        parts[i] = re.sub(r"(?<!\\)\*", r"\*", parts[i])
    return "".join(parts)


def parameters(obj: Any) -> set[str]:
    """The names that it takes; of a class whose metaclass hides them too."""
    found: set[str] = set()
    for taking in (obj, getattr(obj, "__init__", obj)):
        try:
            found.update(inspect.signature(taking).parameters)
        except (TypeError, ValueError):
            continue
    return found


def fields(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """``name: text`` of a parameter as a field of reST, under a heading "Parameters" or not."""
    taken = parameters(obj)
    found: list[str] = []
    paragraph = inside = False
    for line in lines:
        if found and found[-1] == "Parameters" and set(line) == {"-"}:
            found.pop()
            paragraph = False
            continue
        field = FIELD.match(line)
        names = set(field[1].replace("*", "").split(", ")) if field else set()
        if field and names <= taken and (inside or not paragraph):
            # A blank in a name would make a type of what stands before it.
            told = field[1].replace("*", "\\*").replace(", ", ",")
            found.append(f":param {told}: {plain(field[2])}")
            inside = True
        else:
            # What goes on in the same paragraph belongs to the field.
            found.append(("    " if inside and line else "") + plain(line).lstrip(" " * inside))
        paragraph = bool(line)
        inside = inside and paragraph
    lines[:] = found


def public(module: str) -> Iterator[tuple[str, Any]]:
    """The public names of a module, and those of its classes that it defines itself."""
    there = importlib.import_module(module)
    names = getattr(there, "__all__", None) or [
        name
        for name, value in vars(there).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module
    ]
    for name in [*names, *getattr(there, "METRICS", ())]:
        value = getattr(there, name)
        if inspect.ismodule(value):
            continue
        yield f"{module}.{name}", value
        if (
            inspect.isclass(value)
            and value.__module__.partition(".")[0] == module.partition(".")[0]
        ):
            bases = [base for base in value.__mro__[1:] if base is not object]
            for member, held in vars(value).items():
                if member.startswith("_") or not callable(getattr(value, member)):
                    continue
                if not any(member in vars(base) for base in bases):
                    yield f"{module}.{name}.{member}", held


class Coverage(DummyBuilder):
    """Fails on a public name that the reference does not have, or that has no docstring."""

    name = "coverage"

    def finish(self) -> None:
        written = self.env.domains.python_domain.objects
        for module in MODULES:
            for name, value in public(module):
                if name not in written:
                    LOG.warning("undocumented: %s", name)
                elif not inspect.getdoc(value) and not isinstance(value, (dict, tuple, frozenset)):
                    LOG.warning("no docstring: %s", name)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", fields)
    app.add_builder(Coverage)
    return {"parallel_read_safe": True}
