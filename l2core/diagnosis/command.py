"""``l2core diagnose``: is squared error right for these data, and what would be."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from l2core.diagnosis import Diagnosis, diagnose
from l2core.extras import require
from l2core.files import READERS, read


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser("l2core diagnose", description=__doc__)
    add = parser.add_argument
    endings = ", ".join(READERS)
    add("--pred", required=True, help=f"predictions: a file ({endings}), or file:key")
    add("--target", required=True, help="targets, likewise")
    add("--weight", help="weights, likewise")
    add("--mask", help="a bool mask, likewise: true where an element takes part")
    add("--by", help="a label for each row, likewise: the figures of each group too")
    add("--html", type=Path, help="write a page with pictures to this file")
    add("--json", action="store_true", help="print JSON")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command: 0 if squared error is right for the noise, 1 if not, 2 for bad arguments."""
    parser = arguments()
    given = parser.parse_args(argv)
    try:
        arrays = {
            name: read(path, f"--{name}", labels=name == "by")
            for name in ("pred", "target", "weight", "mask", "by")
            if (path := getattr(given, name)) is not None
        }
        found = diagnose(**arrays)
        if given.html:
            found.to_html(given.html)
        if given.json:
            print(found.to_json())
        else:
            _report(found)
    except (TypeError, ValueError, ImportError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0 if found.keep else 1


def _report(found: Diagnosis) -> None:
    console = require("rich.console", "commands").Console()
    if not console.is_terminal:
        console.width = 120
    table = require("rich.table", "commands").Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    markup = require("rich.markup", "commands")
    for name, text in found.rows():
        table.add_row(markup.escape(name), markup.escape(text))
    console.print(table, highlight=False)
    for s in found.suggestions:
        console.print()
        console.print(s.title, style="bold", markup=False, highlight=False)
        console.print(f"  {s.reason}", markup=False, highlight=False)
        console.print(f"  {s.effect}", markup=False, highlight=False)
        for name, code in s.code.items():
            console.print(f"    {name:7} {code}", markup=False, highlight=False, soft_wrap=True)
