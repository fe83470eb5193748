"""Penalties on the weights of a model, with their convention written out, and what others call them.

Ours has no ½ and no n: l1·Σ|w| + l2·Σw², added to whatever loss there is. The same λ therefore means
another amount beside a sum than beside a mean: :meth:`Penalty.to` and :meth:`Penalty.of` translate.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from l2core.arrays import Array
from l2core.backend import backend_of, check_array
from l2core.checks import residual_dtypes
from l2core.config import LossLike, loss_of
from l2core.losses import AbsoluteError, HalfSquaredError, Loss, SquaredError
from l2core.losses.base import number
from l2core.prepared import cast_to

CONVENTIONS = {
    "sgd": "weight_decay of torch.optim.SGD and of optax.add_decayed_weights: the gradient 2·l2·w",
    "keras": "keras.regularizers.L1, L2 and L1L2: ours",
    "ridge": "alpha of scikit-learn's Ridge: Σω r² + alpha Σw²",
    "lasso": "alpha of scikit-learn's Lasso: Σω r² / (2Σω) + alpha Σ|w|",
    "elastic_net": "alpha and l1_ratio of scikit-learn's ElasticNet: Σω r² / (2Σω) + alpha l1_ratio Σ|w|"
    " + ½ alpha (1 - l1_ratio) Σw²",
    "sgd_regressor": "alpha of scikit-learn's SGDRegressor, penalty l2: mean of ½r² + ½ alpha Σw²",
}
"""What :meth:`Penalty.to` knows, by name; in each the loss is r or ½r of the residuals, squared."""
DECOUPLED = (
    "convention: expected one of {known}, got 'adamw': decoupled decay multiplies weights by "
    "1 - lr·weight_decay past the gradient, and is no penalty of any loss"
)


@dataclass(frozen=True)
class Penalty(ABC):
    """l1·Σ|w| + l2·Σw² over arrays of weights; a finite l1 and l2 >= 0. Made by its subclasses."""

    @property
    @abstractmethod
    def coefficients(self) -> tuple[float, float]:
        """l1 and l2."""

    def __call__(self, weights: Any) -> Array:
        """The penalty of an array, or of all arrays in (nested) lists, tuples and mappings.

        A 0-d array of the weights' framework, in the dtype of a loss of them (halves: float32);
        TypeError of none.
        """
        arrays = list(leaves(weights))
        if not arrays:
            raise TypeError(f"weights: expected at least one array, got {weights!r}")
        total: Any = 0.0
        for array in arrays:
            backend = backend_of(array, "weights")
            check_array(array, "weights", backend)
            w = cast_to(array, residual_dtypes(array, array, (), backend)[0], backend)
            for factor, loss in zip(
                self.coefficients, (AbsoluteError(), SquaredError()), strict=True
            ):
                if factor:  # by the loss's own rule, whose gradient at 0 is 0
                    total = total + factor * backend.xp.sum(backend.rho(loss, w, {}))
        return total if hasattr(total, "shape") else 0.0 * backend.xp.sum(w)

    def to(
        self,
        convention: str,
        *,
        loss: LossLike = "squared_error",
        reduction: str = "mean",
        total: float | None = None,
    ) -> dict[str, float]:
        """What others call this penalty beside this loss: keyword arguments for them.

        convention: one of ``CONVENTIONS``, whose values say what the arguments mean there.
        loss: ours, ``squared_error`` or ``half_squared_error``; reduction: its "mean" or "sum".
        total: the number of samples, or of Σω if they are weighted; needed where theirs adds up what
        ours averages, or ours what theirs does.
        """
        l1, l2 = self.coefficients
        if convention == "keras":
            return asdict(self)
        if convention == "sgd":
            _none("l1", l1, convention)
            return {"weight_decay": 2 * l2}
        # Of theirs times `scale`, whose data term is that of ours.
        scale = _scale(convention, loss, reduction, total)
        match convention:
            case "ridge" | "sgd_regressor":
                _none("l1", l1, convention)
                return {"alpha": l2 * scale * (2 if convention == "sgd_regressor" else 1)}
            case "lasso":
                _none("l2", l2, convention)
                return {"alpha": l1 * scale}
        alpha = (l1 + 2 * l2) * scale
        return {"alpha": alpha, "l1_ratio": l1 / (l1 + 2 * l2) if alpha else 0.0}

    def __str__(self) -> str:
        l1, l2 = self.coefficients
        terms = [f"{x:g}·{sum_}" for x, sum_ in ((l1, "Σ|w|"), (l2, "Σw²")) if x]
        return " + ".join(terms) or "0"


def _none(name: str, x: float, convention: str) -> None:
    if x:
        raise ValueError(f"{name}: expected 0 for {convention!r}, which has none, got {x!r}")


def _scale(convention: str, loss: LossLike, reduction: str, total: float | None) -> float:
    """By what ours is to be multiplied to have the data term of theirs."""
    if convention not in CONVENTIONS:
        known = ", ".join(map(repr, CONVENTIONS))
        if convention == "adamw":
            raise ValueError(DECOUPLED.format(known=known))
        raise ValueError(f"convention: expected one of {known}, got {convention!r}")
    kind: Loss = loss_of(loss)
    if kind not in (SquaredError(), HalfSquaredError()):
        raise ValueError(
            f"loss: expected 'squared_error' or 'half_squared_error' for {convention!r}, got {kind!r}"
        )
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction: expected 'mean' or 'sum', got {reduction!r}")
    adds = convention == "ridge"
    if total is None and adds != (reduction == "sum"):
        raise ValueError(
            f"total: expected the number of samples, or Σω, for {convention!r} beside a {reduction}, "
            "got None"
        )
    n = 1.0 if total is None else number("total", total, 0.0, math.inf, "a number > 0")
    scale = (1.0 if reduction == "sum" else n) if adds else (1.0 if reduction == "mean" else 1 / n)
    scale *= 1.0 if kind == SquaredError() else 2.0
    return scale if adds else scale / 2


def leaves(weights: Any) -> Iterable[Array]:
    """The arrays in nested lists, tuples and mappings, in order."""
    if isinstance(weights, Mapping):
        weights = list(weights.values())
    if isinstance(weights, (list, tuple)) or hasattr(weights, "__next__"):
        for each in weights:
            yield from leaves(each)
    else:
        yield weights


def _coefficient(name: str, x: Any) -> float:
    found = number(name, x, -1.0, math.inf, "a finite number >= 0")
    if found < 0:
        raise ValueError(f"{name}: expected a finite number >= 0, got {x!r}")
    return found


@dataclass(frozen=True)
class Ridge(Penalty):
    """l2·Σw². Its gradient is 2·l2·w."""

    l2: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "l2", _coefficient("l2", self.l2))

    @property
    def coefficients(self) -> tuple[float, float]:
        """l1 and l2."""
        return 0.0, self.l2

    @classmethod
    def of(cls, convention: str, value: float, **ours: Any) -> Self:
        """That of which :meth:`Penalty.to` gives this value."""
        if convention == "elastic_net":
            raise ValueError(
                f"convention: expected one of a single number, got {convention!r}: "
                "ElasticNet.of has two"
            )
        (unit,) = cls(1.0).to(convention, **ours).values()
        return cls(_coefficient("value", value) / unit)


@dataclass(frozen=True)
class Lasso(Penalty):
    """l1·Σ|w|. Its gradient is l1·sign(w), 0 at 0."""

    l1: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "l1", _coefficient("l1", self.l1))

    @property
    def coefficients(self) -> tuple[float, float]:
        """l1 and l2."""
        return self.l1, 0.0

    @classmethod
    def of(cls, convention: str, value: float, **ours: Any) -> Self:
        """That of which :meth:`Penalty.to` gives this value."""
        found = cls(1.0).to(convention, **ours)
        unit = found["l1"] if "l1" in found else found["alpha"]
        return cls(_coefficient("value", value) / unit)


@dataclass(frozen=True)
class ElasticNet(Penalty):
    """l1·Σ|w| + l2·Σw²."""

    l1: float = 0.01
    l2: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "l1", _coefficient("l1", self.l1))
        object.__setattr__(self, "l2", _coefficient("l2", self.l2))

    @property
    def coefficients(self) -> tuple[float, float]:
        """l1 and l2."""
        return self.l1, self.l2

    @classmethod
    def of(cls, convention: str, alpha: float, l1_ratio: float, **ours: Any) -> Self:
        """That of which :meth:`Penalty.to` gives these."""
        if convention != "elastic_net":
            raise ValueError(f"convention: expected 'elastic_net', got {convention!r}")
        scale = _scale(convention, ours.pop("loss", "squared_error"), **_told(ours))
        alpha = _coefficient("alpha", alpha)
        ratio = number("l1_ratio", l1_ratio, -1.0, 2.0, "a number from 0 to 1")
        if not 0 <= ratio <= 1:
            raise ValueError(f"l1_ratio: expected a number from 0 to 1, got {l1_ratio!r}")
        return cls(alpha * ratio / scale, alpha * (1 - ratio) / scale / 2)


def _told(ours: dict[str, Any]) -> dict[str, Any]:
    return {"reduction": ours.pop("reduction", "mean"), "total": ours.pop("total", None), **ours}
