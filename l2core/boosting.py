"""A loss as the objective of a booster: derivatives, initial score and metric together.

A booster fits each leaf by one Newton step, -Σgrad/Σhess. Where the curvature of a loss vanishes it
learns nothing, in silence: there a majorant takes its place. How it was chosen stands in
:meth:`Objective.derivatives`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from l2core.arrays import Array
from l2core.checks import one_of
from l2core.config import LossLike, loss_of, snake_case
from l2core.constant import best_constant
from l2core.criterion import Criterion
from l2core.losses import Loss
from l2core.numpy_namespace import XP

APIS = ("xgboost", "lightgbm", "catboost")
HESSIANS = ("auto", "curvature", "majorant")
FLOOR = 0.25
"""Of the mean \\|r\\|: no majorant is narrower."""


def objective(loss: LossLike, api: str = "xgboost", hessian: str = "auto") -> Any:
    """What a booster of this ``api`` takes as its objective: :class:`Objective` says how.

    api: "xgboost", "lightgbm" or "catboost"; hessian: "auto", "curvature" or "majorant".
    ValueError for a loss that needs a parameter with each call.
    """
    one_of("api", api, APIS)
    return _KINDS[api](loss_of(loss), hessian)


@dataclass(frozen=True)
class Objective:
    """An objective for XGBoost: ``train(obj=o)``, or ``XGBRegressor(objective=o)``.

    Give ``o.initial_score(y, weight)`` as ``base_score``, and ``o.metric`` as ``custom_metric``
    (``eval_metric`` of a Regressor). Sample weights are those of the DMatrix or of ``fit``.
    """

    loss: Loss
    hessian: str = "auto"

    def __post_init__(self) -> None:
        one_of("hessian", self.hessian, HESSIANS)
        if self.loss.needs:
            raise ValueError(f"loss: expected one with all of its parameters, got {self.loss!r}")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Any, Any]:
        """(grad, hess) from (y_true, y_pred, sample_weight), or from (predictions, data)."""
        pred, target, weight = _given(y_true, y_pred, sample_weight)
        return self.derivatives(pred, target, weight)

    def initial_score(self, target: Array, weight: Array | None = None) -> float:
        """The best constant prediction, :func:`l2core.best_constant`, at which boosting starts."""
        return best_constant(self.loss, target, weight)

    def derivatives(
        self, pred: Array, target: Array, weight: Array | None = None
    ) -> tuple[Any, Any]:
        """ω·psi and ω·h of each residual, both times the number that makes the mean of h 1.

        So regularisation (lambda, min_child_weight, ...) weighs as beside squared error, whatever
        the loss's factor and the unit of y. h is the curvature where that is positive everywhere and
        nowhere small, else ("majorant") that of the parabola which touches the loss at r and -r and
        lies above it: (psi(a) - psi(-a)) / 2a for a = \\|r\\|; but a is at least 1/4 of the mean
        \\|r\\|, or those that fit hold all others back. Hunter and Lange (2000), "Quantile regression
        via an MM algorithm". In pred's dtype if that is a float, else float64; times the weight in its.
        """
        p = np.asarray(pred)
        p = p if p.dtype.kind == "f" else p.astype(np.float64)
        y = np.asarray(target).astype(p.dtype)
        if y.shape != p.shape:
            raise ValueError(f"pred and target: expected equal shapes, got {p.shape} and {y.shape}")
        w = None if weight is None else np.asarray(weight)
        w = w if w is None or w.dtype.kind == "f" else w.astype(p.dtype)
        if w is not None and w.shape != p.shape:
            raise ValueError(f"weight: expected shape {p.shape}, got {w.shape}")
        present = np.ones(p.shape, bool) if w is None else w != 0
        r = np.where(present, p, 0) - np.where(present, y, 0)
        h = self._curvature(r, present, w)
        scale = p.dtype.type(self._scale(h, present, w))
        grad, hess = scale * self.loss.psi(r, XP), scale * h
        if w is not None:
            # In the weight's dtype, as LightGBM does: float32 beside scores of float64.
            grad, hess = (w * x.astype(w.dtype) for x in (grad, hess))
        return np.where(present, grad, 0), np.where(present, hess, 0)

    @property
    def metric(self) -> Any:
        """The weighted mean of the loss, as this booster calls a metric."""
        return Metric(self.loss)

    def _curvature(self, r: Any, present: Any, weight: Any) -> Any:
        policy = self.hessian
        if policy == "auto":
            policy = "curvature" if steep(self.loss) else "majorant"
        if policy == "curvature":
            return self.loss.curvature(r, XP)
        size = np.abs(r)
        w = present if weight is None else weight
        total = np.sum(w)
        mean = np.sum(w * size) / total if total else total
        a = np.maximum(size, max(FLOOR * mean, np.finfo(r.dtype).tiny)).astype(r.dtype)
        return (self.loss.psi(a, XP) - self.loss.psi(-a, XP)) / (2 * a)

    def _scale(self, h: Any, present: Any, weight: Any) -> float:
        """1 over the mean of h."""
        found = h[present]
        if not found.size or found.min() == found.max():
            return 1 / float(found[0]) if found.size and found[0] > 0 else 1.0
        total = np.sum(h * present, dtype=np.float64)
        count: Any = np.count_nonzero(present)
        if weight is not None:
            total = np.sum(np.where(present, weight * h, 0), dtype=np.float64)
            count = np.sum(weight, dtype=np.float64)
        return float(count / total) if total > 0 else 1.0


class LightGBMObjective(Objective):
    """An objective for LightGBM: ``params={"objective": o}``, or ``LGBMRegressor(objective=o)``.

    LightGBM ignores ``boost_from_average`` beside it: give ``init_score=np.full(n,
    o.initial_score(y, weight))`` to the Dataset or to ``fit``, and add that number to predictions,
    which come without it. ``o.metric`` is its ``feval`` (``eval_metric`` of a Regressor). Built-in
    L1 and quantile set each leaf to a percentile afterwards, which no objective can.
    """

    @property
    def metric(self) -> Any:
        """See :class:`Objective`."""
        return LightGBMMetric(self.loss)


class CatBoostObjective(Objective):
    """An objective for CatBoost: ``CatBoostRegressor(loss_function=o, eval_metric=o.metric)``.

    With ``leaf_estimation_method="Newton"`` and ten ``leaf_estimation_iterations``, each of which
    lowers the loss of a leaf further (one for squared error). Give ``Pool(..., baseline=np.full(n,
    o.initial_score(y, weight)))``, also to predict.
    """

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> list[tuple[Any, Any]]:
        """What CatBoost asks for: both derivatives of minus the loss."""
        pred, target = np.asarray(approxes, np.float64), np.asarray(targets, np.float64)
        weight = None if weights is None else np.asarray(weights, np.float64)
        grad, hess = self.derivatives(pred, target, weight)
        return list(zip((-grad).tolist(), (-hess).tolist(), strict=True))

    @property
    def metric(self) -> Any:
        """See :class:`Objective`."""
        return CatBoostMetric(self.loss)


@dataclass(frozen=True)
class Metric:
    """The weighted mean of a loss for XGBoost: (name, value) of (predictions, data); for its
    Regressor the value alone."""

    loss: Loss

    @property
    def __name__(self) -> str:
        """Such as ``mean_huber``."""
        return f"mean_{snake_case(type(self.loss).__name__)}"

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The mean of ω·rho over Σω."""
        value = self._mean(*_given(y_true, y_pred, sample_weight))
        return (self.__name__, value) if hasattr(y_pred, "get_label") else value

    def _mean(self, pred: Any, target: Any, weight: Any) -> float:
        pred, target = np.asarray(pred), np.asarray(target)
        weight = None if weight is None else np.asarray(weight)
        return float(Criterion(self.loss)(pred, target, weight=weight))


class LightGBMMetric(Metric):
    """The same for LightGBM: (name, value, whether higher is better)."""

    def __call__(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> tuple[str, float, bool]:
        """The mean of ω·rho over Σω."""
        return self.__name__, self._mean(*_given(y_true, y_pred, sample_weight)), False


class CatBoostMetric(Metric):
    """The same for CatBoost, which adds up numerators and denominators itself."""

    def evaluate(self, approxes: Any, target: Any, weight: Any) -> tuple[float, float]:
        """(Σω·rho, Σω)."""
        (pred,) = approxes
        given = None if weight is None else np.asarray(weight, np.float64)
        terms = Criterion(self.loss).terms(
            np.asarray(pred, np.float64), np.asarray(target, np.float64), weight=given
        )
        return float(terms.numerator), float(terms.denominator)

    def is_max_optimal(self) -> bool:
        """Less is better."""
        return False

    def get_final_error(self, error: float, weight: float) -> float:
        """Their quotient."""
        return error / weight


_KINDS: dict[str, type[Objective]] = {
    "xgboost": Objective,
    "lightgbm": LightGBMObjective,
    "catboost": CatBoostObjective,
}


def steep(loss: Loss) -> bool:
    """Whether the curvature is at least half of psi/r wherever that is probed."""
    size = np.ldexp(1.0, np.arange(-30, 31))
    r = np.concatenate([-size, size])
    curvature, slope = loss.curvature(r, XP), loss.irls_weight(r, XP)
    return bool(np.all(curvature > 0) and np.all(curvature >= 0.5 * slope))


def _given(first: Any, second: Any, weight: Any) -> tuple[Any, Any, Any]:
    """(pred, target, weight) of a call as scikit-learn's, or as (predictions, data)."""
    if not hasattr(second, "get_label"):
        return second, first, weight
    given = second.get_weight()
    return first, second.get_label(), None if given is None or len(given) == 0 else given
