"""A diagnosis, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from l2core.diagnosis.advice import Suggestion
from l2core.diagnosis.measures import Cleaned, Measures
from l2core.hosted import standard

Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Diagnosis:
    """What :func:`l2core.diagnose` found. ``print`` shows it; ``to_html`` writes it with pictures."""

    cleaned: Cleaned
    measures: Measures
    suggestions: tuple[Suggestion, ...]

    @property
    def keep(self) -> bool:
        """Whether squared error is right for the noise."""
        return any(s.name == "keep" for s in self.suggestions)

    def to_json(self) -> str:
        """The measures and suggestions, as JSON; no residuals but the largest."""
        c = self.cleaned
        counts = {
            "elements": len(c.r),
            "missing": c.missing,
            "broken": c.broken,
            "absent": c.absent,
        }
        found = {
            "counts": counts,
            "measures": asdict(self.measures),
            "suggestions": [asdict(s) for s in self.suggestions],
        }
        return json.dumps(standard(found), indent=1, ensure_ascii=False, allow_nan=False)

    def to_html(self, path: str | Path | None = None) -> str:
        """One page, with its pictures in it; written to ``path`` if that is given."""
        from l2core.diagnosis.page import page

        text = page(self.cleaned, self.measures, self.suggestions, self.rows())
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self.rows())
        lines = [f"{name:{width}}  {text}" for name, text in self.rows()]
        for s in self.suggestions:
            lines += ["", s.title, f"    Why: {s.reason}", f"    Effect: {s.effect}"]
            lines += [f"    {name}: {code}" for name, code in s.code.items()]
        return "\n".join(lines)

    def rows(self) -> Rows:
        """The figures, with their names."""
        c, m, s = self.cleaned, self.measures, self.measures.scale
        lost = [
            f"{n:,} {what}"
            for n, what in (
                (c.missing, "missing targets"),
                (c.broken, "not finite"),
                (c.absent, "absent"),
                (m.duplicates, "repeats of a pair"),
            )
            if n
        ]
        share = "the target is constant"
        if s.deviation:
            share = f"{s.rmse / s.deviation:.3f} of the target's deviation, {s.deviation:.5g}"
        return [
            ("elements", ", ".join([f"{len(c.r):,}", *lost])),
            (
                "RMSE",
                f"{s.rmse:.5g} ({share}); R² {s.r2:.4f}",
            ),
            ("MAE", f"{s.mae:.5g}; scale by the median of |r| {s.robust:.5g}"),
            ("bias", f"{s.bias:+.4g} ± {s.bias_error:.2g}; median residual {s.median:+.4g}"),
            (
                "largest tenth of |r|",
                (
                    f"{100 * m.deciles[-1]:.0f} % of the squared error; the largest "
                    f"{100 * m.largest[0].share:.1f} %, at index {m.largest[0].index}"
                ),
            ),
            ("noise", "; ".join(_model(x, m.models) for x in m.models)),
            (
                "spread",
                (
                    f"rank correlation of |r| with the prediction {m.spread.correlation:+.3f} "
                    f"(spread by its tenths: p {m.spread.p:.2g})"
                ),
            ),
            (
                "skewness",
                (
                    f"{m.skew.value:+.3f} ± {m.skew.error:.2g}; {100 * m.skew.positive:.0f} % of "
                    "predictions are too high"
                ),
            ),
            *(
                (
                    f"by: {g.name}",
                    (
                        f"{g.count:,} elements, RMSE {g.rmse:.4g}, bias {g.bias:+.3g}, "
                        f"{100 * g.share:.0f} % of the squared error"
                    ),
                )
                for g in m.groups
            ),
        ]


def _model(x: Any, models: Any) -> str:
    best = min(m.bic for m in models)
    df = "" if x.df is None else f" (df {x.df:.1f})"
    more = "best" if x.bic == best else f"BIC +{x.bic - best:.1f}"
    return f"{x.name}{df} {more}"
