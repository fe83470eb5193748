"""``python -m l2core.conformance``: the checks on everything installed, or on one's own loss."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from l2core.conformance.checks import checks
from l2core.conformance.extras import require
from l2core.conformance.processes import Selection, everything, units
from l2core.conformance.report import Run, finished, markdown, table
from l2core.conformance.runner import CONVENTION, FAILED, STALE, WRONG, Options

WIDE = 150
"""Columns from which on the names of relations are written out."""


def arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the options of the command to a parser."""
    add = parser.add_argument
    add("--subject", help="only subjects whose name contains this; or module:attribute, your own")
    add("--check", help="only checks whose name contains this, e.g. semantics/ or zero-weight")
    add("--backend", help="only this backend, e.g. torch, or keras-jax")
    add("--ours", action="store_true", help="leave out the frameworks' own losses")
    add("--seed", type=int, default=0, help="where the draw of inputs begins (0)")
    add("--cases", type=int, help="inputs drawn for each check and loss (6; with --quick 1)")
    add(
        "--quick",
        action="store_true",
        help="ours alone unless asked for by name, each library in one environment, one callable "
        "and few inputs a check, and no check that compiles",
    )
    add("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time (all cores)")
    add("--json", type=Path, help="write everything to this file")
    add("--html", type=Path, help="write a page for people to this file")
    add("--markdown", type=Path, help="write the table to this file")
    add("--list", action="store_true", help="list the checks and their laws, and run nothing")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 if nothing of ours (or yours) failed, else 1."""
    parser = argparse.ArgumentParser("l2core conformance", description=__doc__)
    return execute(arguments(parser).parse_args(argv))


def execute(given: argparse.Namespace) -> int:
    """The command, its options parsed."""
    require("hypothesis")
    console = require("rich.console").Console()
    if not console.is_terminal:
        console.width = WIDE
    if given.list:
        for check in checks().values():
            console.print(f"[bold]{check.name}[/]  {check.law}", highlight=False)
        return 0
    sys.path.insert(0, "")  # where module:attribute is looked for first
    unnamed = given.quick and given.subject is None and given.backend is None
    ours = given.ours or unnamed
    selection = Selection(given.subject, given.check, given.backend, ours, once=unnamed)
    options = Options(given.cases or (1 if given.quick else 6), given.seed, given.quick)
    start = time.monotonic()
    with _Progress(console, selection) as progress:
        jobs, measured = max(1, given.jobs), bool(given.html) or not (given.quick or given.check)
        found = everything(selection, options, jobs, progress.tell, measured)
    how = {"cases": options.cases, "seed": options.seed, "quick": given.quick}
    run = finished(found, how, time.monotonic() - start)
    _write(run, given)
    console.print(table(run, letters=5 if console.width < WIDE else None))
    _summary(run, console)
    if not found.outcomes and not found.error:
        console.print("Nothing to run: no subject and check fits what was asked for.")
    return 1 if run.guilty() or found.error or not found.outcomes else 0


def _write(run: Run, given: argparse.Namespace) -> None:
    if given.json:
        given.json.write_text(run.to_json())
    if given.markdown:
        given.markdown.write_text(markdown(run))
    if given.html:
        from l2core.conformance.page import page

        given.html.write_text(page(run))


def _summary(run: Run, console: Any) -> None:
    for o in run.guilty():
        console.rule(f"[red]{o.subject}: {o.check}")
        if o.verdict == STALE:
            console.print(f"declared ({o.reason}), but it does not show")
        if o.report is not None:
            console.print(o.report.law)
            console.print(o.report.snippet, markup=False, highlight=False)
    if run.found.error:
        console.print(run.found.error, style="red", markup=False)
    counts = {v: sum(1 for o in run.found.outcomes if o.verdict == v) for v in (WRONG, CONVENTION)}
    tried = sum(o.tried for o in run.found.outcomes)
    failed = sum(1 for o in run.guilty() if o.verdict == FAILED)
    ours = "nothing of ours fails" if not failed else f"{failed} failures of ours"
    console.print(
        f"{len(run.found.outcomes)} checks on {len(run.found.subjects)} subjects, {tried} inputs, "
        f"{run.seconds:.0f} s: {ours}; the frameworks' own fail {counts[WRONG]} "
        f"and differ by convention in {counts[CONVENTION]}."
    )


class _Progress:
    """A bar for every process."""

    def __init__(self, console: Any, selection: Selection) -> None:
        self.bars = require("rich.progress").Progress(console=console, transient=True)
        self.tasks = {u.name: self.bars.add_task(u.name, total=None) for u in units(selection)}

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bars.stop()

    def tell(self, unit: str, done: int, total: int) -> None:
        """Move a bar."""
        self.bars.update(self.tasks[unit], completed=done, total=total)
