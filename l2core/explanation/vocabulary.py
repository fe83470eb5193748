"""The conventions that exist: what is lost, by what it is divided, in which batches.

Each has a cost, the less the more common; those of a convention add up. ``{xp}`` in an expression
stands for the framework's namespace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from l2core.losses import (
    AbsoluteError,
    HalfSquaredError,
    Huber,
    LogCosh,
    Loss,
    Quantile,
    SquaredError,
)
from l2core.numpy_namespace import XP

EPS = 1e-7
"""Keras's epsilon, below which relative errors are taken of it."""
SMALL = 1.17e-06
"""torchmetrics' own; scikit-learn's is the spacing of float64 at 1."""


@dataclass(frozen=True)
class Rho:
    """What is lost, element by element: of prediction and target, as words and as code.

    ``loss`` of (``pred``, ``target``) expressions is how l2core writes it; ``main`` ones are tried with
    batches too; ``directed`` ones change where prediction and target change places.
    """

    words: str
    cost: float
    of: Callable[[Any, Any], Any]
    code: str
    loss: Loss | None = None
    arguments: tuple[str, str] = ("pred", "target")
    main: bool = False
    directed: bool = False
    of_residual: bool = True
    options: str = ""  # of the call of l2core
    fits: Callable[[Any], bool] = lambda look: True


def _lossy(loss: Loss) -> Callable[[Any, Any], Any]:
    return lambda p, t: loss.rho(p - t, XP)


def _of(loss: Loss, words: str, cost: float, code: str, **more: Any) -> Rho:
    return Rho(words, cost, _lossy(loss), code, loss, **more)


R = "(pred - target)"


def _huber(delta: float) -> Rho:
    d, words = f"{delta:.6g}", f"Huber (delta {delta:.6g})"
    code = f"{{xp}}.where({{xp}}.abs{R} <= {d}, 0.5 * {R} ** 2, {d} * ({{xp}}.abs{R} - 0.5 * {d}))"
    if delta == 1:
        words = "Huber or smooth L1 (delta or beta 1)"
    return _of(Huber(delta), words, 1.0 if delta == 1 else 2.0, code, main=delta == 1)


def _smooth(beta: float) -> Rho:
    b = repr(beta)
    code = f"{{xp}}.where({{xp}}.abs{R} < {b}, 0.5 * {R} ** 2 / {b}, {{xp}}.abs{R} - 0.5 * {b})"
    return Rho(
        f"smooth L1 (beta {beta:.6g})",
        2.5,
        lambda p, t: Huber(beta).rho(p - t, XP) / beta,
        code,
    )


def _pseudo(delta: float) -> Rho:
    d = f"{delta:.6g}"
    code = f"{d} ** 2 * (({R} / {d}) ** 2 / ({{xp}}.sqrt(1 + ({R} / {d}) ** 2) + 1))"

    def of(p: Any, t: Any) -> Any:
        u = (p - t) / delta
        return delta**2 * (u * u / (np.sqrt(1 + u * u) + 1))

    return Rho(f"pseudo-Huber (delta {d})", 2.0 if delta == 1 else 3.0, of, code)


def _quantile(q: float) -> Rho:
    code = f"{{xp}}.where({R} > 0, (1 - {q}) * {R}, -{q} * {R})"
    cost = 2.0 if q in (0.1, 0.9) else 2.5
    return _of(Quantile(q), f"pinball (q {q})", cost, code, directed=True)


def _relative(eps: float, words: str, cost: float, **more: Any) -> Rho:
    def of(p: Any, t: Any) -> Any:
        return np.abs(p - t) / np.maximum(np.abs(t), eps)

    least = f"{{xp}}.maximum({{xp}}.abs(target), {eps} * {{xp}}.ones_like(target))"
    code = f"{{xp}}.abs{R} / {least}"
    return Rho(words, cost, of, code, directed=True, of_residual=False, **more)


def _small(look: Any) -> bool:
    return bool(look.least < SMALL)


def _symmetric(p: Any, t: Any) -> Any:
    return 2 * np.abs(p - t) / np.maximum(np.abs(p) + np.abs(t), EPS)


def _logged(p: Any, t: Any) -> Any:
    return np.square(np.log1p(np.maximum(p, EPS)) - np.log1p(np.maximum(t, EPS)))


def _poisson(p: Any, t: Any) -> Any:
    return p - t * np.log(p + EPS)


RHOS: tuple[Rho, ...] = (
    _of(SquaredError(), "squared error", 0.0, f"{R} ** 2", main=True),
    _of(AbsoluteError(), "absolute error", 0.5, f"{{xp}}.abs{R}", main=True),
    _of(HalfSquaredError(), "half squared error", 1.0, f"0.5 * {R} ** 2", main=True),
    _huber(1.0),
    _of(LogCosh(), "log cosh", 1.5, f"{{xp}}.log({{xp}}.cosh{R})"),
    *(_huber(delta) for delta in (0.1, 0.2, 0.25, 0.5, 1.345, 1.35, 1.5, 2.0, 5.0, 10.0)),
    *(_smooth(beta) for beta in (1 / 9, 0.01, 0.1, 0.2, 0.25, 0.5, 2.0, 5.0, 10.0)),
    *(_pseudo(delta) for delta in (1.0, 0.5, 0.1, 2.0)),
    *(_quantile(q) for q in (0.01, 0.05, 0.1, 0.2, 0.25, 0.75, 0.8, 0.9, 0.95, 0.99)),
    _relative(EPS, "absolute relative error", 1.5),
    *(
        _relative(eps, f"absolute relative error (of at least {eps:.3g})", 2.0, fits=_small)
        for eps in (2.0**-52, SMALL)
    ),
    Rho(
        "symmetric relative error, 2|r| / (|pred| + |target|)",
        2.0,
        _symmetric,
        f"2 * {{xp}}.abs{R} / {{xp}}.maximum({{xp}}.abs(pred) + {{xp}}.abs(target), "
        f"{EPS} * {{xp}}.ones_like(target))",
        of_residual=False,
    ),
    Rho(
        "squared logarithmic error",
        1.5,
        _logged,
        f"({{xp}}.log1p({{xp}}.maximum(pred, {EPS} * {{xp}}.ones_like(pred))) - "
        f"{{xp}}.log1p({{xp}}.maximum(target, {EPS} * {{xp}}.ones_like(target)))) ** 2",
        of_residual=False,
    ),
    Rho(
        "Poisson loss, pred - target log(pred)",
        3.0,
        _poisson,
        f"(pred - target * {{xp}}.log(pred + {EPS}))",
        directed=True,
        of_residual=False,
    ),
)


LEVELS: dict[int, tuple[tuple[float, ...], ...]] = {
    2: ((0.1, 0.9), (0.05, 0.95), (0.25, 0.75), (0.025, 0.975)),
    3: (
        (0.1, 0.5, 0.9),
        (0.05, 0.5, 0.95),
        (0.25, 0.5, 0.75),
        (0.025, 0.5, 0.975),
        (0.2, 0.5, 0.8),
    ),
    5: ((0.1, 0.25, 0.5, 0.75, 0.9), (0.05, 0.25, 0.5, 0.75, 0.95)),
    7: ((0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98),),
}
"""Quantiles that are predicted beside each other, by their number; also evenly spaced ones."""


def pinballs(several: int) -> tuple[Rho, ...]:
    """Of as many predicted quantiles of each target, which lie along the last axis."""
    even = tuple(round((k + 1) / (several + 1), 6) for k in range(several))
    return tuple(map(_pinballs, dict.fromkeys((*LEVELS.get(several, ()), even))))


def _pinballs(levels: tuple[float, ...]) -> Rho:
    def of(p: Any, t: Any) -> Any:
        q = np.tile(levels, p.shape[-1] // len(levels))
        r = p - t
        return np.where(r > 0, (1 - q) * r, -q * r)

    q = f"{{xp}}.array({list(levels)})"
    named = ", ".join(f"{x:g}" for x in levels[:3]) + (", ..." if len(levels) > 3 else "")
    return Rho(
        f"pinball (q {named})",
        0.5,
        of,
        f"{{xp}}.where({R} > 0, (1 - {q}) * {R}, -{q} * {R})",
        Quantile(),
        options=f", q=np.ones(pred.shape) * np.array({list(levels)})",
    )


WORLDS = (2, 3, 4, 8, 16)
"""Ranks, devices, and micro-batches of an accumulation, as a factor."""
BATCHES: tuple[int, ...] = (
    2,
    4,
    5,
    8,
    10,
    12,
    16,
    20,
    24,
    25,
    30,
    32,
    40,
    48,
    50,
    60,
    64,
    80,
    96,
    100,
    120,
    128,
)
BATCHES += (150, 192, 200, 250, 256, 300, 384, 400, 500, 512, 600, 768, 800, 1000, 1024, 1500)
BATCHES += (2000, 2048, 4096, 8192, 10_000, 16_384, 32_768, 65_536)
SMOOTHING = (0.9, 0.95, 0.98, 0.99)
"""Of running averages that progress bars print."""

FACTORS: tuple[tuple[str, float, float, str], ...] = (
    ("", 0.0, 1.0, "{value}"),
    ("times 2", 1.5, 2.0, "2 * {value}"),
    ("halved", 1.5, 0.5, "0.5 * {value}"),
    ("times 100", 2.0, 100.0, "100 * {value}"),
    *(
        (f"divided by {k} (ranks, devices or accumulation steps)", 2.5, 1 / k, f"{{value}} / {k}")
        for k in WORLDS
    ),
    *(
        (f"times {k} (ranks or accumulation steps)", 2.5, float(k), f"{k} * {{value}}")
        for k in WORLDS
    ),
    *(
        (f"times {b}, as if by a batch size", 3.5, float(b), f"{b} * {{value}}")
        for b in (8, 10, 20, 32, 50, 64, 100, 128, 256, 512, 1024)
    ),
    *(
        (f"divided by {b}, as if by a batch size", 3.0, 1 / b, f"{{value}} / {b}")
        for b in (8, 10, 20, 32, 50, 64, 100, 128, 256, 512, 1024)
    ),
)
