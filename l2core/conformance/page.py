"""A run as one page of HTML that needs nothing else: figures, matrix, failures, plots."""

from __future__ import annotations

from html import escape
from string import Template

from l2core.conformance.checks import checks
from l2core.conformance.plots import plots
from l2core.conformance.report import Run, cell, worst
from l2core.conformance.runner import CONVENTION, FAILED, KNOWN, PASSED, STALE, WRONG, Outcome

CLASSES = {
    PASSED: "passed",
    CONVENTION: "convention",
    KNOWN: "known",
    WRONG: "wrong",
    FAILED: "failed",
    STALE: "stale",
}
MEANINGS = {
    PASSED: "the law holds for everything that was tried",
    CONVENTION: "another meaning, by its own documentation, or where the law is l2core's choice",
    WRONG: "a framework's own loss breaks a law that its formula or its documentation implies",
    FAILED: "a loss of l2core, or yours, breaks a law",
    KNOWN: "fails, as its ledger says, for a stated reason",
    STALE: "declared to fail or to differ, but it does not",
}
SHORT = {PASSED: "✓", CONVENTION: "~", KNOWN: "k", WRONG: "✗", FAILED: "✗", STALE: "?"}


def page(run: Run) -> str:
    """The page."""
    return PAGE.substitute(
        summary=_summary(run),
        where=_where(run),
        legend=_legend(run),
        matrix=_matrix(run),
        plots="".join(
            f"<figure><figcaption><b>{escape(title)}.</b> {escape(text)}</figcaption>{svg}</figure>"
            for title, text, svg in plots(run)
        ),
        failures=_failures(run, (FAILED, STALE, KNOWN)) or "<p>None.</p>",
        wrong=_failures(run, (WRONG,)) or "<p>None.</p>",
        conventions=_conventions(run) or "<p>None.</p>",
        checks=_laws(run),
    )


def _summary(run: Run) -> str:
    outcomes, guilty = run.found.outcomes, run.guilty()
    ours = [s for s in run.found.subjects if s["ours"]]
    wrong = sum(1 for o in outcomes if o.verdict == WRONG)
    tried = sum(o.tried for o in outcomes)
    verdict = "all pass" if not guilty else f"{len(guilty)} checks fail"
    return (
        f'<p class="{"good" if not guilty else "bad"}">Ours: {verdict}.</p>'
        f"<p>{len(outcomes)} checks of {len(run.found.subjects)} implementations ({len(ours)} of "
        f"them ours) on {tried:,} inputs in {run.seconds:.0f} s. The frameworks' own losses break "
        f"a law in {wrong} of theirs.</p>"
    )


def _where(run: Run) -> str:
    versions = ", ".join(f"{name} {v}" for name, v in run.found.versions.items())
    options = ", ".join(f"{name} {v}" for name, v in run.options.items())
    rows = {**run.machine, "versions": versions, "options": options}
    return "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in rows.items())


def _legend(run: Run) -> str:
    seen = {o.verdict for o in run.found.outcomes}
    return "".join(
        f'<li><span class="chip {CLASSES[v]}">{SHORT[v]} {v}</span> {escape(text)}</li>'
        for v, text in MEANINGS.items()
        if v in seen
    )


def _matrix(run: Run) -> str:
    relations = run.relations()
    head = "".join(f"<th>{escape(r.replace('_', ' '))}</th>" for r in relations)
    rows = []
    for title, wanted in (("Ours, or yours", True), ("The frameworks' own", False)):
        some = [s for s in run.rows() if (not s["builtin"]) == wanted]
        if some:
            rows.append(f'<tr class="group"><th colspan="{len(relations) + 2}">{title}</th></tr>')
        for subject in some:
            cells = "".join(_cell(run.of(subject["name"], r)) for r in relations)
            name = escape(subject["name"])
            ulps = worst(run.of(subject["name"]))
            rows.append(f'<tr><th scope="row">{name}</th>{cells}<td class="ulp">{ulps}</td></tr>')
    return f"<table><tr><th></th>{head}<th>worst ULP</th></tr>{''.join(rows)}</table>"


def _cell(outcomes: list[Outcome]) -> str:
    if not outcomes:
        return '<td class="none">·</td>'
    order = [FAILED, STALE, WRONG, KNOWN, CONVENTION, PASSED]
    verdict = next(v for v in order if any(o.verdict == v for o in outcomes))
    detail = "\n".join(f"{SHORT[o.verdict]} {o.check}" for o in outcomes if o.verdict != PASSED)
    detail = detail or "\n".join(f"✓ {o.check}" for o in outcomes)
    text = cell(outcomes) + (" ✓" if verdict == PASSED else "")
    return f'<td class="{CLASSES[verdict]}" title="{escape(detail)}">{escape(text)}</td>'


def _failures(run: Run, verdicts: tuple[str, ...]) -> str:
    found = [o for o in run.found.outcomes if o.verdict in verdicts]
    by_check: dict[str, list[Outcome]] = {}
    for o in found:
        by_check.setdefault(o.check, []).append(o)
    return "".join(_by_check(name, some) for name, some in by_check.items())


def _by_check(name: str, outcomes: list[Outcome]) -> str:
    law = escape(checks()[name].law)
    each = "".join(_failure(o) for o in outcomes)
    return f"<section><h3>{escape(name)}</h3><p class='law'>{law}</p>{each}</section>"


def _failure(o: Outcome) -> str:
    reason = f"<p>{escape(o.reason)}.</p>" if o.reason else ""
    if o.report is None:
        return f"<details><summary>{escape(o.subject)}</summary>{reason}</details>"
    r = o.report
    also = f"<p>Also: {escape(', '.join(r.also))}.</p>" if r.also else ""
    numbers = ""
    if r.observed:
        numbers = (
            f"<table class='numbers'><tr><th>observed</th><td>{escape(r.observed)}</td></tr>"
            f"<tr><th>expected</th><td>{escape(r.expected)}</td></tr></table>"
        )
    return (
        f"<details><summary><span class='chip {CLASSES[o.verdict]}'>{SHORT[o.verdict]}</span> "
        f"<b>{escape(o.subject)}</b>: {escape(r.message)}"
        f"<span class='brief'>{escape(_brief(r.observed, r.expected))}</span></summary>"
        f"{reason}{numbers}{also}<pre>{escape(r.snippet)}</pre></details>"
    )


def _brief(observed: str, expected: str) -> str:
    if not observed or len(observed) + len(expected) > 90:
        return ""
    return f" {observed}, not {expected}"


def _conventions(run: Run) -> str:
    found = [o for o in run.found.outcomes if o.verdict == CONVENTION]
    rows = []
    for name, check in checks().items():
        some = [o for o in found if o.check == name]
        reasons: dict[str, list[str]] = {}
        for o in some:
            reasons.setdefault(o.reason, []).append(o.subject)
        for reason, subjects in reasons.items():
            rows.append(
                f"<tr><th scope='row'>{escape(name)}</th><td>{escape(check.law)}</td>"
                f"<td>{escape(', '.join(subjects))}</td><td>{escape(reason)}</td></tr>"
            )
    if not rows:
        return ""
    head = "<tr><th>check</th><th>l2core's law</th><th>who differs</th><th>by what</th></tr>"
    return f"<table class='wide'>{head}{''.join(rows)}</table>"


def _laws(run: Run) -> str:
    ran = {o.check for o in run.found.outcomes}
    return "".join(
        f"<dt>{escape(c.name)}</dt><dd>{escape(c.law)}</dd>"
        for c in checks().values()
        if c.name in ran
    )


PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>l2core conformance</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 70rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ddd; }
h3 { margin: 1.4rem 0 0; font: 600 15px ui-monospace, monospace; }
.law { margin: .1rem 0 .4rem; color: #555; font-style: italic; }
.good { color: #17663a; font-size: 1.25rem; } .bad { color: #a40000; font-size: 1.25rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; }
dt { color: #666; } dd { margin: 0; } dl.laws dt { font: 13px ui-monospace, monospace; color: #222; }
ul { list-style: none; padding: 0; }
table { border-collapse: collapse; font-size: 13.5px; }
th, td { padding: .22rem .55rem; text-align: left; vertical-align: top; }
th[scope=row] { font-weight: 500; } .group th { padding-top: 1rem; }
.matrix td { text-align: center; border: 2px solid #fff; white-space: nowrap; }
.matrix .ulp { text-align: right; color: #555; }
.passed { background: #dcefe2; color: #145a32; } .convention { background: #dbe9f6; color: #1a4a78; }
.known { background: #fdf1cf; color: #6b5200; } .wrong { background: #f8d9d3; color: #8a1c0b; }
.failed { background: #b3261e; color: #fff; } .stale { background: #e7d6f2; color: #56207a; }
.none { color: #bbb; }
.chip { padding: .05rem .45rem; border-radius: .3rem; font-size: 13px; white-space: nowrap; }
details { margin: .25rem 0; } summary { cursor: pointer; }
.brief { color: #8a1c0b; font: 13px ui-monospace, monospace; }
pre { background: #f6f6f4; padding: .7rem 1rem; overflow-x: auto; font-size: 12.5px; line-height: 1.4; }
.numbers th { color: #666; font-weight: 500; } .numbers td { font: 13px ui-monospace, monospace;
  overflow-wrap: anywhere; }
.wide td, .wide th { border-top: 1px solid #e5e5e5; } .wide th { white-space: nowrap; }
figure { margin: 1.2rem 0 2.2rem; } figcaption { max-width: 46rem; margin-bottom: .3rem; }
</style></head><body>
<h1>Conformance of losses</h1>
$summary
<dl>$where</dl>
<h2>Who keeps which laws</h2>
<p>Each cell counts the checks of a relation that passed, then those that did not. Hover over a cell
for their names. An empty cell: none of them concerns this implementation.</p>
<ul>$legend</ul>
<div class="matrix">$matrix</div>
<h2>Figures</h2>
$plots
<h2>Failures of ours, or yours</h2>
$failures
<h2>Laws that the frameworks' own losses break</h2>
<p>Each opens into the least input that was found, as code to run, with what came and what should
have.</p>
$wrong
<h2>Differences by convention</h2>
$conventions
<h2>The checks</h2>
<dl class="laws">$checks</dl>
</body></html>
""")
