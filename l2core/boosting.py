"""A loss as the objective of a booster: derivatives, initial score and metric together.

A booster fits each leaf by one Newton step, -Σgrad/Σhess. Where the curvature of a loss vanishes it
learns nothing, in silence: there a majorant takes its place. How it was chosen stands in
:meth:`Objective.derivatives`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from l2core.arrays import Array
from l2core.checks import one_of
from l2core.config import LossLike, loss_of, snake_case
from l2core.constant import best_constant
from l2core.criterion import Criterion
from l2core.hosted import hosted, hosted_weight
from l2core.losses import Loss
from l2core.numpy_namespace import XP

__all__ = [
    "CatBoostMetric",
    "CatBoostObjective",
    "LightGBMMetric",
    "LightGBMObjective",
    "Metric",
    "Objective",
    "objective",
]

APIS = ("xgboost", "lightgbm", "catboost")
HESSIANS = ("auto", "curvature", "majorant")
FLOOR = 0.3
r"""Of the median \|r\|: no majorant is narrower."""


def objective(
    loss: LossLike,
    api: str = "xgboost",
    hessian: str = "auto",
    *,
    target: Array | None = None,
    weight: Array | None = None,
) -> Any:
    """What a booster of this ``api`` takes as its objective: :class:`Objective` says how.

    api: "xgboost", "lightgbm" or "catboost"; hessian: "auto", "curvature" or "majorant".
    target, weight: those of the whole training data, from which all that is found in the data is fixed
    once. Boosters that hand over the data in parts need them: CatBoost (where the Hessian is a
    majorant), and any that trains on several workers.
    ValueError for a loss that needs a parameter with each call.
    """
    one_of("api", api, APIS)
    made: Objective = _KINDS[api](loss_of(loss), hessian)
    if target is None:
        if weight is not None:
            raise ValueError("weight: expected None without target, got weights")
        if api == "catboost" and made.majorant:
            raise ValueError(
                "target: expected the targets of the training data, of which CatBoost gives an "
                "objective no more than a part at a time, got None"
            )
        return made
    y = hosted(target, "target").astype(np.float64)
    w = None if weight is None else hosted_weight(weight, y.shape)
    r = made.initial_score(y, w) - y
    present = np.ones(y.shape, bool) if w is None else w != 0
    r = np.where(present, r, 0.0)
    fixed = replace(made, floor=made._floor_of(r, present, w) if made.majorant else 0.0)
    return replace(fixed, scale=fixed._scale_of(fixed._curvature(r, present, w), present, w))


@dataclass(frozen=True)
class Objective:
    """An objective for XGBoost: ``train(obj=o)``, or ``XGBRegressor(objective=o)``.

    Give ``o.initial_score(y, weight)`` as ``base_score``, and ``o.metric`` as ``custom_metric``
    (``eval_metric`` of a Regressor). Sample weights are those of the DMatrix or of ``fit``.
    ``floor`` and ``scale`` are found in the data of each call where they are None.
    """

    loss: Loss
    hessian: str = "auto"
    floor: float | None = None
    scale: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "loss", loss_of(self.loss))
        one_of("hessian", self.hessian, HESSIANS)
        if self.loss.needs:
            raise ValueError(f"loss: expected one with all of its parameters, got {self.loss!r}")
        if self.hessian == "curvature" and not np.all(self.loss.curvature(_PROBES, XP) >= 0):
            raise ValueError(
                f'hessian: expected "auto" or "majorant" for {self.loss!r}, whose curvature is '
                'negative in places, got "curvature"'
            )

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Any, Any]:
        """(grad, hess) from (y_true, y_pred, sample_weight), or from (predictions, data)."""
        pred, target, weight = _given(y_true, y_pred, sample_weight)
        return self.derivatives(pred, target, weight)

    @property
    def majorant(self) -> bool:
        """Whether the Hessian is a majorant in place of the curvature."""
        return self.hessian == "majorant" or (self.hessian == "auto" and not steep(self.loss))

    def initial_score(self, target: Array, weight: Array | None = None) -> float:
        """The best constant prediction, :func:`l2core.best_constant`, at which boosting starts."""
        return best_constant(self.loss, target, weight)

    def derivatives(
        self, pred: Array, target: Array, weight: Array | None = None
    ) -> tuple[Any, Any]:
        r"""ω·psi and ω·h of each residual, both times the number that makes the mean of h 1.

        So regularisation (lambda, min_child_weight, ...) weighs as beside squared error, whatever
        the loss's factor and the unit of y. h is the curvature where that is positive everywhere and
        nowhere small, else ("majorant") that of the parabola which touches the loss at r and -r and
        lies above it: (psi(a) - psi(-a)) / 2a for a = \|r\|; but a is at least 0.3 of the median
        \|r\|, or those that fit hold all others back. Hunter and Lange (2000), "Quantile regression
        via an MM algorithm". In pred's dtype if that is a float, else float64; times the weight in its.
        ValueError unless all residuals are finite.
        """
        p, y = hosted(pred, "pred"), hosted(target, "target")
        if y.shape != p.shape:
            raise ValueError(f"pred and target: expected equal shapes, got {p.shape} and {y.shape}")
        w = None if weight is None else hosted(weight, "weight")
        if w is not None:
            if w.shape != p.shape[: w.ndim]:
                raise ValueError(f"weight: expected shape {p.shape}, got {w.shape}")
            w = w if w.dtype.kind == "f" else w.astype(np.float64)
            w = np.broadcast_to(w.reshape(w.shape + (1,) * (p.ndim - w.ndim)), p.shape)
        dtype = p.dtype if p.dtype.kind == "f" else np.dtype(np.float64)
        present = np.ones(p.shape, bool) if w is None else w != 0
        r = (np.where(present, p, 0) - np.where(present, y, 0)).astype(dtype)
        if not np.all(np.isfinite(r)):
            lost = np.count_nonzero(~np.isfinite(r))
            raise ValueError(f"pred - target: expected finite numbers, got {lost} that are not")
        h = self._curvature(r, present, w)
        scale = dtype.type(self._scale_of(h, present, w) if self.scale is None else self.scale)
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
        if not self.majorant:
            return self.loss.curvature(r, XP)
        floor = self._floor_of(r, present, weight) if self.floor is None else self.floor
        a = np.maximum(np.abs(r), max(floor, float(np.finfo(r.dtype).tiny))).astype(r.dtype)
        return (self.loss.psi(a, XP) - self.loss.psi(-a, XP)) / (2 * a)

    def _floor_of(self, r: Any, present: Any, weight: Any) -> float:
        """The part of the median |r| (of the mean, where that is 0) that no majorant is narrower than.

        Of the median, since one outlier would move the mean, and with it every step.
        """
        size = np.abs(r[present]).astype(np.float64)
        w = np.ones(size.shape) if weight is None else weight[present].astype(np.float64)
        if not size.size:
            return 0.0
        order = np.argsort(size, kind="stable")
        below = np.cumsum(w[order])
        median = float(size[order][np.searchsorted(below, 0.5 * below[-1])])
        return FLOOR * (median or float(np.average(size, weights=w)))

    def _scale_of(self, h: Any, present: Any, weight: Any) -> float:
        """1 over the mean of h; 1 where that is 0."""
        found = h[present]
        if not found.size or found.min() == found.max():
            return 1 / float(found[0]) if found.size and found[0] > 0 else 1.0
        w = np.ones(found.shape) if weight is None else weight[present].astype(np.float64)
        total = float(np.sum(w * found.astype(np.float64)))
        return float(np.sum(w)) / total if total > 0 else 1.0


class LightGBMObjective(Objective):
    """An objective for LightGBM: ``params={"objective": o}``, or ``LGBMRegressor(objective=o)``.

    LightGBM ignores ``boost_from_average`` beside it: give ``init_score=np.full(n,
    o.initial_score(y, weight))`` to the Dataset or to ``fit``, and add that number to predictions,
    which come without it. A validation set needs it too (``eval_init_score`` of a Regressor), or its
    metric is that of predictions without. ``o.metric`` is its ``feval`` (``eval_metric`` of a Regressor). Built-in
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
        weight = None if weight is None else hosted(weight, "weight")
        pred, target = hosted(pred, "pred"), hosted(target, "target")
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
        return error / weight if weight else np.nan


_KINDS: dict[str, type[Objective]] = {
    "xgboost": Objective,
    "lightgbm": LightGBMObjective,
    "catboost": CatBoostObjective,
}


_PROBES = np.ldexp(1.0, np.arange(-120, 121, 2))
_PROBES = np.concatenate([-_PROBES, _PROBES])
"""Residuals of either sign and any unit."""


def steep(loss: Loss) -> bool:
    """Whether the curvature is positive, and at least half of psi/r, wherever that is probed."""
    with np.errstate(over="ignore", invalid="ignore"):
        curvature, slope = loss.curvature(_PROBES, XP), loss.irls_weight(_PROBES, XP)
    return bool(np.all(curvature > 0) and np.all(curvature >= 0.5 * slope))


def _given(first: Any, second: Any, weight: Any) -> tuple[Any, Any, Any]:
    """(pred, target, weight) of a call as scikit-learn's, or as (predictions, data)."""
    if not hasattr(second, "get_label"):
        return second, first, weight
    given = second.get_weight()
    return first, second.get_label(), None if given is None or len(given) == 0 else given
