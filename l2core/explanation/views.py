"""What is done to prediction and target before anything is lost: scales, integers, halves.

Each has a cost, as in :mod:`l2core.explanation.vocabulary`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class View:
    """What is done to prediction and target first. ``of`` takes a block of them and the first look
    at the targets; code is that of pred and of target."""

    words: str
    cost: float
    of: Callable[[Any, Any, Any], tuple[Any, Any]]
    pred: str = "pred"
    target: str = "target"
    rhos: str = "all"  # or "residual", "directed", "main"
    fits: Callable[[Any], bool] = lambda look: True


def _wide(p: Any, t: Any) -> tuple[Any, Any]:
    return p.astype(np.float64), t.astype(np.float64)


def _scaled(by: Callable[[Any], float]) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    def of(p: Any, t: Any, look: Any) -> tuple[Any, Any]:
        p, t = _wide(p, t)
        return p / by(look), t / by(look)

    return of


def _wrapped(p: Any, t: Any, look: Any) -> tuple[Any, Any]:
    return (p - t).astype(np.float64), np.zeros(p.shape)


def _logs(p: Any, t: Any, look: Any) -> tuple[Any, Any]:
    p, t = _wide(p, t)
    return np.log1p(p), np.log1p(t)


def _exps(p: Any, t: Any, look: Any) -> tuple[Any, Any]:
    p, t = _wide(p, t)
    return np.expm1(p), np.expm1(t)


def _half(p: Any, t: Any, look: Any) -> tuple[Any, Any]:
    with np.errstate(over="ignore"):
        r = p.astype(np.float16) - t.astype(np.float16)
    return r.astype(np.float64), np.zeros(p.shape)


def brain(x: Any) -> Any:
    """float32 numbers rounded to bfloat16, to the nearest even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(
        0xFFFF0000
    )
    return np.where(np.isfinite(x), rounded.view(np.float32), x)


def _brain(p: Any, t: Any, look: Any) -> tuple[Any, Any]:
    r = brain(brain(p.astype(np.float32)) - brain(t.astype(np.float32)))
    return r.astype(np.float64), np.zeros(p.shape)


_SPREAD = {0: "the target's standard deviation", 1: "the target's standard deviation (n - 1)"}


def _deviation(ddof: int) -> View:
    size = "math.prod(target.shape)"
    mean = "{xp}.mean(target)"
    root = f"({{xp}}.sum((target - {mean}) ** 2) / ({size} - {ddof})) ** 0.5"
    return View(
        f"divided by {_SPREAD[ddof]}",
        2.0 + 0.5 * ddof,
        _scaled(lambda look: look.deviation(ddof)),
        f"(pred / {root})",
        f"(target / {root})",
        "residual",
        lambda look: look.deviation(ddof) > 0,
    )


VIEWS: tuple[View, ...] = (
    View("", 0.0, lambda p, t, look: _wide(p, t)),
    View(
        "prediction and target exchanged",
        2.0,
        lambda p, t, look: _wide(t, p),
        "target",
        "pred",
        "directed",
    ),
    _deviation(0),
    _deviation(1),
    View(
        "divided by the target's range",
        3.0,
        _scaled(lambda look: look.high - look.low),
        "(pred / ({xp}.max(target) - {xp}.min(target)))",
        "(target / ({xp}.max(target) - {xp}.min(target)))",
        "main",
        lambda look: 0 < look.high - look.low < math.inf,
    ),
    View(
        "divided by 255",
        2.5,
        _scaled(lambda look: 255.0),
        "(pred / 255)",
        "(target / 255)",
        "main",
    ),
    View(
        "times 255",
        2.5,
        _scaled(lambda look: 1 / 255),
        "(pred * 255)",
        "(target * 255)",
        "main",
    ),
    View(
        "of log(1 + x)",
        2.0,
        _logs,
        "{xp}.log1p(pred)",
        "{xp}.log1p(target)",
        "main",
        lambda look: look.low > -1 and look.least_pred > -1,
    ),
    View(
        "of exp(x) - 1",
        3.0,
        _exps,
        "{xp}.expm1(pred)",
        "{xp}.expm1(target)",
        "main",
        lambda look: max(abs(look.high), look.most_pred) < 300,
    ),
    View(
        "subtracted in their integers, which wrap around",
        1.0,
        _wrapped,
        "(1.0 * (pred - target))",
        "0.0",
        "main",
        fits=lambda look: look.integer,
    ),
    View(
        "in float16",
        2.5,
        _half,
        "float16(pred)",
        "float16(target)",
        "main",
    ),
    View("in bfloat16", 2.5, _brain, "bfloat16(pred)", "bfloat16(target)", "main"),
)
