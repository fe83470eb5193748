"""A run as a table for the terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from l2core.conformance.checks import RELATIONS, checks
from l2core.conformance.extras import require
from l2core.conformance.processes import Found, machine
from l2core.conformance.runner import CONVENTION, FAILED, KNOWN, PASSED, STALE, WRONG, Outcome

rich: Any = require("rich")
SIGNS = {PASSED: "", CONVENTION: "~", KNOWN: "k", WRONG: "✗", FAILED: "✗", STALE: "?"}
COLOURS = {FAILED: "bold red", STALE: "magenta", WRONG: "red", KNOWN: "yellow", CONVENTION: "cyan"}
LEGEND = "✗ fails a law   ~ differs by convention   k known failure   ? declared, but does not show"


@dataclass(frozen=True)
class Run:
    """All that a run found, and where and how it took place."""

    found: Found
    machine: dict[str, str]
    options: dict[str, Any]
    seconds: float

    def rows(self) -> list[dict[str, Any]]:
        """The subjects: ours first, by name."""
        return sorted(self.found.subjects, key=lambda s: (not s["ours"], s["name"].lower()))

    def of(self, subject: str, relation: str | None = None) -> list[Outcome]:
        """The outcomes of a subject, in one relation or all."""
        return [
            o
            for o in self.found.outcomes
            if o.subject == subject and relation in (None, o.check.partition("/")[0])
        ]

    def guilty(self) -> list[Outcome]:
        """What makes the exit status 1: failures of ours or of a stranger, and stale entries."""
        builtin = {s["name"] for s in self.found.subjects if s["builtin"]}
        verdicts = (FAILED, STALE)
        return [
            o for o in self.found.outcomes if o.verdict in verdicts and o.subject not in builtin
        ]

    def relations(self) -> list[str]:
        """Those of which a check ran."""
        ran = {o.check.partition("/")[0] for o in self.found.outcomes}
        return [r for r in RELATIONS if r in ran]

    def to_json(self) -> str:
        """Everything, as JSON."""
        plain = {
            "machine": self.machine,
            "versions": self.found.versions,
            "options": self.options,
            "seconds": round(self.seconds, 1),
            "subjects": self.found.subjects,
            "checks": {c.name: c.law for c in checks().values()},
            "outcomes": [o.to_dict() for o in self.found.outcomes],
            "measurements": [asdict(m) for m in self.found.measurements],
        }
        return json.dumps(plain, indent=1)


def finished(found: Found, options: dict[str, Any], seconds: float) -> Run:
    """A run that took place here and now."""
    return Run(found, machine(), options, seconds)


def cell(outcomes: list[Outcome]) -> str:
    """``12`` if all of 12 passed, ``10 ✗1 ~1`` if not, nothing if none ran."""
    if not outcomes:
        return ""
    count = Counter(SIGNS[o.verdict] for o in outcomes)
    rest = [f"{sign}{count[sign]}" for sign in ("✗", "~", "k", "?") if count[sign]]
    return " ".join([str(count[""]), *rest])


def colour(outcomes: list[Outcome]) -> str:
    """That of the worst verdict."""
    verdicts = {o.verdict for o in outcomes}
    return next((COLOURS[v] for v in COLOURS if v in verdicts), "green" if outcomes else "dim")


def worst(outcomes: list[Outcome]) -> str:
    """The largest error of what passed, in ULP, where its terms do not cancel."""
    passed = [o.ulps for o in outcomes if o.verdict == PASSED]
    return f"{max(passed):.1f}" if passed and max(passed) > 0 else ""


def table(run: Run, letters: int | None = None) -> Any:
    """For the terminal; the names of relations are cut to so many letters."""
    from rich.table import Table
    from rich.text import Text

    relations = run.relations()
    found = Table(title="Conformance", caption=LEGEND, title_justify="left", pad_edge=False)
    found.add_column("subject", overflow="fold")
    for relation in relations:
        found.add_column(relation.replace("_", " ")[:letters], justify="right", no_wrap=True)
    found.add_column("ULP", justify="right")
    previous = True
    for row in run.rows():
        if previous and not row["ours"]:
            found.add_section()
        previous = row["ours"]
        cells = [run.of(row["name"], relation) for relation in relations]
        texts = [Text(cell(x), style=colour(x)) for x in cells]
        found.add_row(row["name"], *texts, worst(run.of(row["name"])))
    return found


def markdown(run: Run) -> str:
    """The same for a page: two tables, ours and the frameworks' own."""
    relations = run.relations()
    head = ["subject", *(r.replace("_", " ") for r in relations), "worst ULP"]
    parts = []
    for ours, who in ((True, "Ours"), (False, "The frameworks' own")):
        rows = [row["name"] for row in run.rows() if row["ours"] == ours]
        outcomes = [o for name in rows for o in run.of(name)]
        if not outcomes:
            continue
        lines = [head, ["---", *("--:" for _ in head[1:])]]
        for name in rows:
            cells = [cell(run.of(name, relation)) for relation in relations]
            lines.append([name, *cells, worst(run.of(name))])
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        summary = (
            f"{who}: {len(rows)} implementations, {len(outcomes)} checks, {_counted(outcomes)}"
        )
        parts.append(f"### {summary}\n\n{table}\n")
    return "\n".join(parts)


def _counted(outcomes: list[Outcome]) -> str:
    """``all pass``, or how many did not."""
    count = Counter(o.verdict for o in outcomes)
    texts = {CONVENTION: "differ by convention", WRONG: "fail", FAILED: "fail", STALE: "are stale"}
    said = [f"{count[verdict]} {text}" for verdict, text in texts.items() if count[verdict]]
    return ", ".join(said) or "all pass"
