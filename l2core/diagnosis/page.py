"""A diagnosis as one page of HTML that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from string import Template

from l2core import plot
from l2core.diagnosis.advice import Suggestion
from l2core.diagnosis.measures import Cleaned, Measures
from l2core.diagnosis.pictures import pictures

PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Diagnosis of $n residuals</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff;
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #ddd;
  vertical-align: top; }
th { font-weight: 600; white-space: nowrap; } td.number { text-align: right; }
.card { border: 1px solid #ccc; border-left: 4px solid #4477aa; padding: .2rem 1rem .8rem;
  margin: 1rem 0; }
.card h3 { font-size: 1.05rem; margin: .5rem 0; } .card p { margin: .4rem 0; }
code { font: .85rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
figure { margin: 0; } p.note { color: #555; font-size: .92rem; } .scroll { overflow-x: auto; }
</style></head><body>
<h1>$headline</h1>
$cards
<h2>Figures</h2>
<div class="scroll"><table>$rows</table></div>
$pictures
<h2>The largest residuals</h2>
<div class="scroll"><table><tr><th>index</th><th>prediction</th><th>target</th><th>residual</th>
<th>share of the squared error</th></tr>$largest</table></div>
</body></html>
""")


def page(
    c: Cleaned, m: Measures, suggestions: Sequence[Suggestion], figures: Sequence[tuple[str, str]]
) -> str:
    """The page."""
    cards = []
    for s in suggestions:
        code = "".join(
            f"<tr><th>{k}</th><td><code>{escape(x)}</code></td></tr>" for k, x in s.code.items()
        )
        cards.append(
            f'<div class="card"><h3>{escape(s.title)}</h3><p><b>Why.</b> {escape(s.reason)}</p>'
            f"<p><b>What it changes.</b> {escape(s.effect)}</p><table>{code}</table></div>"
        )
    rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(x)}</td></tr>" for k, x in figures)
    drawn = "".join(
        f'<h2>{escape(title)}</h2><p class="note">{escape(text)}</p><figure>{plot.svg(figure)}</figure>'
        for title, text, figure in pictures(c, m)
    )
    largest = "".join(
        f"<tr><td>{', '.join(map(str, x.index))}</td><td>{x.pred:.6g}</td><td>{x.target:.6g}</td>"
        f"<td>{x.residual:+.6g}</td><td>{100 * x.share:.2f} %</td></tr>"
        for x in m.largest
    )
    n = f"{len(c.r):,}"
    headline = f"{n} residuals: {suggestions[0].title[0].lower()}{suggestions[0].title[1:]}"
    return PAGE.substitute(
        n=n,
        headline=escape(headline),
        cards="".join(cards),
        rows=rows,
        pictures=drawn,
        largest=largest,
    )
