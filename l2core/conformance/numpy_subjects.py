"""Losses of NumPy libraries that are no backend, as subjects; found by their entry points."""

from __future__ import annotations

from typing import Any

from l2core.conformance.subjects import Claim, Subject
from l2core.criterion import Criterion
from l2core.losses import AbsoluteError, Quantile, SquaredError


def sklearn_subjects() -> list[Subject]:
    """Regression metrics, which weigh samples and return Python floats."""
    own: dict[str, Any] = {
        "order": ("target", "pred"),
        "takes": {"weight": "sample_weight"},
        "weights": ("sample",),
        "ndims": (1, 2),
        "halves": "same",
        "finite": True,
        "squeezes": True,
        "differentiable": False,
        "builtin": True,
        "conventions": {
            "semantics/nan-propagates": "it refuses NaN and infinity, with an error",
            "semantics/zero-weight": "it refuses NaN and infinity, with an error",
            "semantics/empty": "it refuses empty arrays, with an error",
        },
    }

    def metric(name: str, *claims: Claim, **more: Any) -> Subject:
        return Subject(f"sklearn {name}", "numpy", claims, **own, **more)

    squared, pinball = "sklearn.metrics.mean_squared_error", "sklearn.metrics.mean_pinball_loss"
    return [
        metric(
            "mean_squared_error",
            Claim(Criterion(SquaredError()), squared),
            Claim(
                Criterion(SquaredError(), axis=0),
                f"functools.partial({squared}, multioutput='raw_values')",
            ),
        ),
        metric(
            "mean_absolute_error",
            Claim(Criterion(AbsoluteError()), "sklearn.metrics.mean_absolute_error"),
        ),
        metric(
            "mean_pinball_loss",
            Claim(Criterion(Quantile(0.9)), f"functools.partial({pinball}, alpha=0.9)"),
            refuses=(f"functools.partial({pinball}, alpha=2.0)",),
        ),
    ]
