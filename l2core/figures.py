"""The figures of errors by name, for metrics that hold one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from l2core.arrays import Array

FIGURES = {
    "bias": None,
    "error_variance": "down",
    "explained_variance": "up",
    "mae": "down",
    "max_error": "down",
    "median_absolute_error": "down",
    "mse": "down",
    "quantile": "down",
    "r2": "up",
    "rmse": "down",
    "target_variance": None,
}
"""What follows from :class:`l2core.ErrorStatistics`, and where the better ones lie."""


@dataclass(frozen=True)
class Figure:
    """One of them; ``q`` is that of ``"quantile"``, and None for all others."""

    name: str
    q: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.name not in FIGURES:
            raise ValueError(f"figure: expected one of {', '.join(FIGURES)}, got {self.name!r}")
        if self.name != "quantile":
            if self.q is not None:
                raise ValueError(f"q: expected None with figure={self.name!r}, got {self.q!r}")
        elif (
            isinstance(self.q, bool) or not isinstance(self.q, (int, float)) or not 0 <= self.q <= 1
        ):
            raise ValueError(f"q: expected a number from 0 to 1 with 'quantile', got {self.q!r}")

    @property
    def sketched(self) -> bool:
        """Whether it needs the sketch of statistics."""
        return self.name in ("median_absolute_error", "quantile")

    @property
    def direction(self) -> str | None:
        """Where the better ones lie: "up" or "down"; None: nowhere."""
        return FIGURES[self.name]

    def of(self, statistics: Any) -> Array:
        """That of these statistics."""
        return statistics.quantile(self.q) if self.q is not None else getattr(statistics, self.name)
