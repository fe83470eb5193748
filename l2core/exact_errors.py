"""The exact sums that statistics may hold: of squared and of absolute errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from l2core.arrays import Array
from l2core.backend import Backend
from l2core.call import Call
from l2core.criterion import Criterion
from l2core.exactly.digits import LAYOUTS
from l2core.exactly.terms import ExactTerms


class ExactErrors(NamedTuple):
    """Σω·error² and Σω·|error| over Σω, as tables of one shape; their values are rounded once."""

    squares: ExactTerms
    sizes: ExactTerms

    @classmethod
    def of(cls, backend: Backend, call: Call, axis: Any) -> ExactErrors:
        """Those of a call that has been checked."""

        pred, target, weight = call.pred, call.target, call.weight
        if isinstance(weight, (int, float)):
            weight = backend.scalar(float(weight), backend.widest_of(pred), pred)
        if weight is not None and not weight.shape:  # which counts among other parts
            if not pred.shape:
                pred, target = (backend.xp.reshape(x, (1,)) for x in (pred, target))
            weight = backend.xp.reshape(weight, (1,) * len(pred.shape))

        def terms(loss: str) -> ExactTerms:
            meaning = Criterion(loss, axis=axis, exact=True)
            found: Any = meaning.terms(pred, target, weight=weight, mask=call.mask)
            wide: ExactTerms = found.widened(backend.widest_of(found.numerator))
            return wide

        return cls(terms("squared_error"), terms("absolute_error"))

    def plus(self, other: ExactErrors) -> ExactErrors:
        """The sums of both."""
        return ExactErrors(*(a + b for a, b in zip(self, other, strict=True)))

    def each(self, f: Callable[[Array, tuple[int, ...]], Array]) -> ExactErrors:
        """With f(table, its shape after that of the outputs) of each of the tables."""

        def moved(terms: ExactTerms) -> ExactTerms:
            return terms._each(lambda x: f(x, tuple(x.shape[-1:])))

        return ExactErrors(*map(moved, self))

    @property
    def mse(self) -> Array:
        """The mean square, rounded once."""
        return self.squares.value()

    @property
    def rmse(self) -> Array:
        """Its root, rounded once."""
        return replace(self.squares, root=True).value()

    @property
    def mae(self) -> Array:
        """The mean size, rounded once."""
        return self.sizes.value()

    def told(self, host: Callable[[Array], np.ndarray[Any, Any]]) -> dict[str, Any]:
        """As plain data: the digits that are not 0."""
        tables = [x for terms in self for x in (terms.numerator, terms.denominator)]
        return {"dtype": self.squares.dtype, "tables": [_held(np.asarray(host(x))) for x in tables]}

    @classmethod
    def from_told(
        cls, told: Mapping[str, Any], outputs: tuple[int, ...], placed: Callable[[Any], Array]
    ) -> ExactErrors:
        """What :meth:`told` gave, its tables put where ``placed`` puts them; ValueError if it did not."""
        dtype = told["dtype"]
        shape = (*outputs, LAYOUTS[dtype].columns)
        tables = [placed(_unfolded(x, shape)) for x in told["tables"]]
        first, second = (
            ExactTerms(a, b, dtype) for a, b in zip(tables[::2], tables[1::2], strict=True)
        )
        return cls(first, second)


def _held(x: np.ndarray[Any, Any]) -> dict[str, Any]:
    flat = x.reshape(-1)
    (index,) = flat.nonzero()
    return {"shape": list(x.shape), "index": index.tolist(), "value": flat[index].tolist()}


def _unfolded(told: Mapping[str, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    if tuple(told["shape"]) != shape:
        raise ValueError(f"expected tables of shape {shape}, got {told['shape']}")
    flat = np.zeros(shape, np.int64).reshape(-1)
    index, values = told["index"], told["value"]
    whole = all(isinstance(x, int) for x in (*index, *values))
    if not whole or len(index) != len(values) or any(not 0 <= i < flat.size for i in index):
        raise ValueError(
            f"expected {len(index)} values at places below {flat.size}, got {values!r}"
        )
    flat[np.asarray(index, int)] = values
    return flat.reshape(shape)
