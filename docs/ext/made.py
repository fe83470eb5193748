"""When a table or a figure was made, from which code, and whether the code has changed since.

What a command makes carries the line of :func:`stamp`. The build compares the code that it names with
the code that is there, and says so on the page if they differ.
"""

from __future__ import annotations

import ast
import hashlib
import platform
import re
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
CODE = ("l2core", "adapters")
PACKAGES = ("numpy", "torch", "jax", "tensorflow", "keras", "optax", "torchmetrics", "scikit-learn")
LINE = re.compile(r"^Made by (.*); code ([0-9a-f]{12})\.$", re.MULTILINE)


def bare(code: str) -> str:
    """A module without comments, docstrings and layout: what it does."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body[0] = ast.Pass()
    return ast.unparse(tree)


def digest(paths: tuple[str, ...] = CODE) -> str:
    """Of the code under these folders, the conformance suite apart, which measures nothing."""
    found = hashlib.sha256()
    for path in sorted(path for name in paths for path in (ROOT / name).rglob("*.py")):
        if "conformance" not in path.relative_to(ROOT).as_posix():
            found.update(bare(path.read_text(encoding="utf-8")).encode())
    return found.hexdigest()[:12]


def versions(packages: tuple[str, ...] = PACKAGES) -> str:
    """Python and those of these packages that are installed."""
    found = [f"Python {platform.python_version()}"]
    for name in packages:
        try:
            found.append(f"{name} {version(name).partition('+')[0]}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def stamp(command: str, packages: tuple[str, ...] = PACKAGES) -> str:
    """The line of what this command makes now."""
    today = datetime.now(UTC).date().isoformat()
    return f"Made by `{command}` on {today} with {versions(packages)}; code {digest()}."


def marked(text: str) -> str:
    """The text with each stamp as a line of its own class, and a word where the code has changed."""

    def line(found: re.Match[str]) -> str:
        said, code = found.groups()
        since = "" if code == digest() else "; the code has changed since"
        return f"{{.made}}\nMade by {said}{since}."

    return LINE.sub(line, text)


def of_page(app: Sphinx, docname: str, source: list[str]) -> None:
    if docname.startswith("gallery/") and docname != "gallery/index":
        today = datetime.now(UTC).date().isoformat()
        source[0] += f"\n\n.. rst-class:: made\n\nRun on {today} with {versions()}.\n"
    else:
        source[0] = marked(source[0])


def of_part(app: Sphinx, path: Path, parent: str, source: list[str]) -> None:
    source[0] = marked(source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", of_page)
    app.connect("include-read", of_part)
    return {"parallel_read_safe": True}


if __name__ == "__main__":  # python docs/ext/made.py "make something" < table > docs/tables/it.md
    print(stamp(sys.argv[1]), end="\n\n")
    sys.stdout.write(sys.stdin.read())
