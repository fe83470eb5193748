"""A criterion as a score of scikit-learn, for the selection of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from l2core.arrays import Array
from l2core.config import LossLike, loss_of, snake_case
from l2core.criterion import Criterion


@dataclass(frozen=True)
class Score:
    """A criterion that is called as scikit-learn calls a metric; a Python float."""

    criterion: Criterion

    @property
    def __name__(self) -> str:
        """Such as ``mean_squared_error`` or ``root_mean_huber``."""
        return f"{self.criterion.reduction}_{snake_case(type(self.criterion.loss).__name__)}"

    def __call__(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> float:
        """The loss of arrays, lists or data frames of equal shapes."""
        weight = None if sample_weight is None else np.asarray(sample_weight)
        return float(self.criterion(np.asarray(y_pred), np.asarray(y_true), weight=weight))


def scorer(criterion: Criterion | LossLike = "squared_error") -> Any:
    """The scorer of a criterion (or of the mean of a loss) for ``cross_val_score``, ``GridSearchCV``.

    As all scorers it is to be maximised: it gives minus the loss. ``sample_weight`` comes to it as
    scikit-learn routes it (``set_score_request``). ValueError for a criterion whose value is no one
    number of predictions and targets alone; ImportError without scikit-learn.
    """
    if not isinstance(criterion, Criterion):
        criterion = Criterion(loss_of(criterion))
    if criterion.reduction == "none" or criterion.axis is not None or criterion.loss.needs:
        raise ValueError(
            f"criterion: expected one of one number for predictions and targets, got {criterion!r}"
        )
    try:
        from sklearn.metrics import make_scorer
    except ImportError as error:
        raise ImportError("scorer: expected scikit-learn (pip install scikit-learn)") from error
    core = Criterion(**criterion.changed)  # of NumPy arrays, whatever its adapter
    return make_scorer(Score(core), greater_is_better=False)
