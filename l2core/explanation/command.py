"""``l2core explain``: which convention printed this number."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from l2core.explanation import Explanation, explain
from l2core.extras import require
from l2core.files import READERS, read

SIZES = 2_000_000
"""Elements from which on a bar of progress is shown."""


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser("l2core explain", description=__doc__)
    add = parser.add_argument
    endings = ", ".join(READERS)
    add("--value", required=True, help='the number, with the digits that were printed: "0.4711"')
    add("--other", help="a second number on the same data, to be explained against the first")
    add("--pred", required=True, help=f"predictions: a file ({endings}), or file:key")
    add("--target", required=True, help="targets, likewise")
    add("--weight", help="weights, likewise")
    add("--mask", help="a bool mask, likewise: true where an element takes part")
    add("--json", action="store_true", help="print JSON")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command: 0 if some convention fits each number, 1 if none does, 2 for bad arguments."""
    parser = arguments()
    given = parser.parse_args(_joined(sys.argv[2:] if argv is None else argv))
    try:
        arrays = {
            name: read(path, f"--{name}")
            for name in ("pred", "target", "weight", "mask")
            if (path := getattr(given, name)) is not None
        }
        found = _shown(given, arrays)
        if given.json:
            print(found.to_json())
        else:
            _report(found)
    except (TypeError, ValueError, ImportError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    numbers = [found, *([found.other] if found.other is not None else [])]
    return 0 if all(x.matches for x in numbers) else 1


def _joined(argv: Sequence[str]) -> list[str]:
    """With a number such as -1e-3, which argparse takes for an option, beside its own."""
    found: list[str] = []
    for text in argv:
        if found and found[-1] in ("--value", "--other"):
            found[-1] += f"={text}"
        else:
            found.append(text)
    return found


def _shown(given: argparse.Namespace, arrays: dict[str, Any]) -> Explanation:
    """The explanation, under a bar of progress where it takes long."""
    size = 1
    for n in arrays["pred"].shape:
        size *= n
    if size < SIZES or not sys.stderr.isatty():
        return explain(given.value, **arrays, other=given.other)
    console = require("rich.console", "commands").Console(stderr=True)
    with require("rich.progress", "commands").Progress(console=console, transient=True) as bars:
        bar = bars.add_task("trying conventions", total=None)

        def tell(done: int, total: int) -> None:
            bars.update(bar, completed=done, total=total)

        return explain(given.value, **arrays, other=given.other, progress=tell)


def _report(found: Explanation) -> None:
    console = require("rich.console", "commands").Console()
    if not console.is_terminal:
        console.width = 120
    for each in (found, found.other):
        if each is not None:
            _one(each, console)
    if found.change:
        console.print(found.change, highlight=False, markup=False)


def _one(found: Explanation, console: Any) -> None:
    console.print(found.verdict, style="bold", highlight=False, markup=False)
    if not found.matches:
        return
    table = require("rich.table", "commands").Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("convention")
    table.add_column("by accident", justify="right", no_wrap=True)
    for match in found.shown:
        same = f" [dim](the same here: {match.same[0]})[/]" if match.same else ""
        table.add_row(f"{match.value:.8g}", f"{match.words}{same}", f"{match.accidents:.2g}")
    console.print()
    console.print(table)
    rest = len(found.matches) - len(found.shown)
    if rest:
        console.print(f"... and {rest} less likely ones (--json has them)", style="dim")
    console.print()
    for name, code in found.matches[0].code.items():
        console.print(f"  {name:7} {code}", highlight=False, markup=False, soft_wrap=True)
    console.print()
    if found.separate:
        console.print(found.separate, highlight=False, markup=False)
        console.print()
