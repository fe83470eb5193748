"""What errors are like over any amount of data: one state that merges, however the data is split.

Means and centred second moments are merged as in T. F. Chan, G. H. Golub and R. J. LeVeque,
Updating formulae and a pairwise algorithm for computing sample variances, 1979.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from l2core import fastpath, sketch, state_json
from l2core.arrays import Array, Namespace, kind_of
from l2core.backend import Backend, backend_of
from l2core.call import Call
from l2core.checks import check_call
from l2core.compensated import Sum
from l2core.criterion import Criterion
from l2core.dtypes import COMPLEX_FLOATS, dtype_name
from l2core.exact_errors import ExactErrors
from l2core.look import BLOCK, TOGETHER, Look, batched, blocks, hosted, looked_at
from l2core.prepared import cast_to

try:
    from l2core.fused_look import Looker
except ModuleNotFoundError:
    Looker = None  # type: ignore[assignment,misc]


@dataclass(frozen=True, eq=False)
class ErrorStatistics:
    """Counts, moments, extremes and a sketch of the errors prediction - target: immutable.

    ``a + b`` and ``sum(parts)`` are the statistics of all the data together. Fields are arrays of
    one framework, of the shape of the outputs (() where all is pooled); sums are kept as value + lost,
    in twice the digits of the widest float of the device. NaN, where it is not masked, makes NaN.

    count, weight: the number of elements present, and Σω (without weights the same).
    target_mean, error_mean: Σω·x / Σω of x.
    target_square, error_square: Σω·(x - mean)².
    absolute: Σω·|error|.
    least, greatest: the extreme errors; inf and -inf of nothing.
    bins: Σω of |error| in the bins of ``l2core.sketch``, along a further axis; or None.
    exact: the exact sums, of which ``mse``, ``rmse`` and ``mae`` are then rounded once; or None.
    """

    count: Sum
    weight: Sum
    target_mean: Sum
    target_square: Sum
    error_mean: Sum
    error_square: Sum
    absolute: Sum
    least: Array
    greatest: Array
    bins: Sum | None = None
    exact: ExactErrors | None = None

    @classmethod
    def of(
        cls,
        pred: Array,
        target: Array,
        *,
        weight: Array | float | None = None,
        mask: Array | None = None,
        axis: int | Sequence[int] | None = None,
        quantiles: bool = True,
        exact: bool = False,
    ) -> ErrorStatistics:
        """Those of arrays of equal shapes; weights and masks as in a call of a criterion.

        ``axis``: what to pool (0: one of each output); None: everything. ``quantiles=False`` leaves
        out the sketch, which takes most of the time and 256 kB an output, and with it
        :meth:`quantile`. ``exact``: with exact sums, for which ``mse``, ``rmse`` and ``mae`` have the same
        bits however the data are split; they take some 1.5 µs an element. They are constants to any
        gradient.
        """
        meaning = Criterion(denominator="count", axis=axis)
        call = Call(pred, target, weight, mask)
        backend = check_call(meaning, call, ("pred", "target", "weight"), None)
        call = call.detached(backend.detached)
        for name, x in (("pred", pred), ("target", target)):
            if hasattr(x, "__dask_graph__"):
                raise TypeError(
                    f"{name}: expected an array in memory (l2core.dask_statistics takes Dask's), got "
                    f"{kind_of(x)}"
                )
            if dtype_name(x.dtype) in COMPLEX_FLOATS:
                raise TypeError(f"{name}: expected a real dtype, got {dtype_name(x.dtype)}")
        if exact:
            plain = cls.of(pred, target, weight=weight, mask=mask, axis=axis, quantiles=quantiles)
            return replace(plain, exact=ExactErrors.of(backend, call, axis))
        if axis is None and (views := hosted(call, backend)) is not None:
            found = cls.of(*views[:2], weight=views.weight, mask=views.mask, quantiles=quantiles)
            return found.stacked(lambda x: backend.constant(np.asarray(x), pred))
        if isinstance(pred, np.ndarray) and axis is None and pred.size > BLOCK:
            states = (
                cls._of_blocks(meaning, backend, some, quantiles)
                for some in batched(blocks(call), TOGETHER)
            )
            return sum(states, next(states))
        return cls._made(*looked_at(meaning, backend, call, quantiles), backend)

    @classmethod
    def _of_blocks(
        cls, meaning: Criterion, backend: Backend, calls: Sequence[Call], quantiles: bool
    ) -> ErrorStatistics:
        """Those of several calls, merged as a tree: one array at a time, not one number."""
        rows: list[Any] = []
        bins = sketch.empty() if quantiles else None
        more: Sum | None = None
        look_at = Looker(2 * BLOCK) if fastpath.enabled and Looker is not None else None
        for call in calls:
            numbers = None if look_at is None else look_at(call, bins)
            if numbers is None:
                look, part, _ = looked_at(meaning, backend, call, quantiles)
                numbers = tuple(float(x[0]) for x in look)
                more = part if more is None else sketch.merged(more, part, backend)
            rows.append(numbers)
        whole = cls._made(Look(*np.array(rows, np.float64).T), None, (len(rows),), backend).merged()
        if bins is None:
            return whole
        held = Sum(bins, bins[:1] * 0)
        return replace(whole, bins=held if more is None else sketch.merged(held, more, backend))

    @classmethod
    def _made(
        cls, look: Look, bins: Sum | None, outputs: tuple[int, ...], backend: Backend
    ) -> ErrorStatistics:
        xp, wide = backend.xp, backend.widest_of(look.least)

        def shaped(x: Array) -> Array:
            return xp.reshape(cast_to(x, wide, backend), outputs)

        def double(x: Array, lost: Array | None = None) -> Sum:
            value = shaped(x)
            zero = xp.full_like(value, 0.0)
            alone = Sum(value, zero)
            return alone if lost is None else alone.plus(Sum(shaped(lost), zero), xp)

        return cls(
            double(look.count, look.uncounted),
            double(look.weight, look.unweighted),
            double(look.target_near, look.target_rest),
            double(look.target_square),
            double(look.error_near, look.error_rest),
            double(look.error_square),
            double(look.absolute),
            shaped(look.least),
            shaped(look.greatest),
            bins,
        )

    def __add__(self, other: object) -> ErrorStatistics:
        if not isinstance(other, ErrorStatistics):
            return NotImplemented
        backend, theirs = self._backend, other.least
        if not isinstance(theirs, backend.arrays):
            kinds = (type(x).__name__ for x in (self.least, theirs))
            raise TypeError(f"ErrorStatistics: expected arrays of one framework, got {list(kinds)}")
        alike = {
            "outputs of equal shape": (tuple(self.least.shape), tuple(other.least.shape)),
            "quantiles in both or in none": (self.bins is not None, other.bins is not None),
            "exact sums in both or in none": (self.exact is not None, other.exact is not None),
        }
        for name, (mine, others) in alike.items():
            if mine != others:
                raise ValueError(f"ErrorStatistics: expected {name}, got {mine} and {others}")
        xp = backend.xp
        weight = self.weight.plus(other.weight, xp)
        first, second, total = self.weight.total, other.weight.total, weight.total
        both = (first != 0) & (second != 0)
        part = second / xp.where(total == 0, 1.0, total)

        def merged(mean: str, square: str) -> tuple[Sum, Sum]:
            one, two = getattr(self, mean), getattr(other, mean)
            known = xp.abs(one.value - two.value) < math.inf
            apart = two.minus(one, xp)
            # Means of nothing are 0, and no distance from them counts; nor one that is infinite.
            apart = Sum(*(xp.where((second != 0) & known, x, 0.0) for x in apart))
            moved = one.plus(apart.times(part), xp)
            either = xp.where(
                first == 0, two.value, xp.where(second == 0, one.value, one.value + two.value)
            )
            moved = Sum(xp.where(known, moved.value, either), xp.where(known, moved.lost, 0.0))
            between = xp.where(both, apart.total, 0.0)
            further = first * part * between * between
            squares = getattr(self, square).plus(getattr(other, square), xp)
            return moved, squares.plus(Sum(further, xp.full_like(further, 0.0)), xp)

        least, greatest = (
            xp.where(nearer | xp.isnan(a), a, b)
            for a, b, nearer in (
                (self.least, other.least, self.least < other.least),
                (self.greatest, other.greatest, self.greatest > other.greatest),
            )
        )
        return ErrorStatistics(
            self.count.plus(other.count, xp),
            weight,
            *merged("target_mean", "target_square"),
            *merged("error_mean", "error_square"),
            self.absolute.plus(other.absolute, xp),
            least,
            greatest,
            sketch.merged(self.bins, other.bins, backend),
            None if self.exact is None or other.exact is None else self.exact.plus(other.exact),
        )

    def __radd__(self, other: object) -> ErrorStatistics:
        if isinstance(other, int) and other == 0:  # where sum() starts
            return self
        return NotImplemented

    # --- what follows from them ---------------------------------------------------------------------

    @property
    def bias(self) -> Array:
        """The mean of prediction - target."""
        return self._mean(self.error_mean.total * self.weight.total)

    @property
    def error_variance(self) -> Array:
        """The mean square of error - bias (over Σω: no degree of freedom is taken off)."""
        return self._mean(self.error_square.total)

    @property
    def mse(self) -> Array:
        """The mean square of the error: bias² + error_variance."""
        return self._mean(self._squares) if self.exact is None else self.exact.mse

    @property
    def rmse(self) -> Array:
        """The root of :attr:`mse`, output by output: scikit-learn's is ``rmse.mean()``; the root of the
        mean over all outputs is ``pooled().rmse``."""
        return self._backend.xp.sqrt(self.mse) if self.exact is None else self.exact.rmse

    @property
    def mae(self) -> Array:
        """The mean of |error|."""
        return self._mean(self.absolute.total) if self.exact is None else self.exact.mae

    @property
    def target_variance(self) -> Array:
        """The mean square of target - its mean."""
        return self._mean(self.target_square.total)

    @property
    def r2(self) -> Array:
        """1 - Σω·error² / Σω·(target - mean)²; where the target does not vary -inf, or NaN for 0 / 0
        (scikit-learn: 0 and 1)."""
        return 1.0 - _ratio(self._squares, self.target_square.total, self._backend.xp)

    @property
    def explained_variance(self) -> Array:
        """1 - error_variance / target_variance, likewise."""
        return 1.0 - _ratio(self.error_square.total, self.target_square.total, self._backend.xp)

    @property
    def max_error(self) -> Array:
        """The greatest |error|; NaN of nothing."""
        xp = self._backend.xp
        low, high = xp.abs(self.least), xp.abs(self.greatest)
        found = xp.where((low > high) | xp.isnan(low), low, high)
        strange = (self.count.total == 0) | xp.isnan(self.error_square.value)
        return xp.where(strange, math.nan, found)

    @property
    def median_absolute_error(self) -> Array:
        """``quantile(0.5)``."""
        return self.quantile(0.5)

    def quantile(self, q: float) -> Array:
        """The q-quantile of |error| by weight, 0 <= q <= 1: within 1/256 of the least |error| up to
        which the weights are q of all.

        From 1.2e-38 to 3.4e38, the range of float32; below it is 0, above inf. NaN of nothing.
        """
        if isinstance(q, bool) or not isinstance(q, (int, float)) or not 0 <= q <= 1:
            raise ValueError(f"q: expected a number from 0 to 1, got {q!r}")
        if self.bins is None:
            raise ValueError(
                "quantile: expected statistics with quantiles=True, got none with a sketch"
            )
        found = sketch.quantile(self.bins, float(q), self._backend)
        xp = self._backend.xp
        found = cast_to(found, dtype_name(self.least.dtype), self._backend)
        largest = self.max_error
        beyond = (found > largest) & (found < math.inf)
        return xp.where(xp.isnan(largest) | beyond, largest, found)

    def pooled(self) -> ErrorStatistics:
        """Those of all outputs together; ValueError if there are none."""
        xp, n = self._backend.xp, math.prod(self.least.shape)
        if n == 0:
            raise ValueError(f"pooled: expected at least one output, got shape {self.least.shape}")
        return self._each(lambda x, more: xp.reshape(x, (n, *more))).merged()

    def merged(self) -> ErrorStatistics:
        """Those of all along the first axis of the outputs: of ranks, say, whose states were stacked."""
        n = self.least.shape[0] if len(self.least.shape) else 0
        if n == 0:
            raise ValueError(
                f"merged: expected outputs along a first axis, got shape {tuple(self.least.shape)}"
            )
        if n < 2:
            return self._each(lambda x, more: x[0])
        even, odd = (slice(i, n - n % 2, 2) for i in (0, 1))
        pairs = self._each(lambda x, more: x[even]) + self._each(lambda x, more: x[odd])
        half = pairs.merged()
        return half + self._each(lambda x, more: x[-1]) if n % 2 else half

    def alike(self) -> ErrorStatistics:
        """The same with a sketch in floats, as that of weighted data has it: to stack them."""
        bins = None if self.bins is None else sketch.alike(self.bins, self._backend)
        return replace(self, bins=bins)

    def stacked(self, gather: Callable[[Array], Array]) -> ErrorStatistics:
        """Those of several, along a new first axis: ``gather`` stacks an array with the others'."""
        return self._each(lambda x, more: gather(x))

    def to_rows(self) -> Array:
        """All but the sketch as one array, along a new first axis: for frameworks whose states are
        arrays of one shape; ValueError with exact sums, which are not of that shape."""
        if self.exact is not None:
            raise ValueError("to_rows: expected statistics without exact sums, got some with them")
        parts: list[Array] = []
        for name in _NAMES[:-1]:
            x = getattr(self, name)
            parts.extend(x if isinstance(x, Sum) else (x,))
        return self._backend.xp.stack(parts)

    @classmethod
    def from_rows(cls, rows: Array, bins: Sum | None = None) -> ErrorStatistics:
        """The state of ``to_rows`` and a sketch."""
        named: dict[str, Any] = {
            name: Sum(rows[2 * i], rows[2 * i + 1]) for i, name in enumerate(_NAMES[:-3])
        }
        return cls(**named, least=rows[-2], greatest=rows[-1], bins=bins)

    def to_json(self) -> str:
        """The state as JSON, exactly; the framework, its device and dtype are not kept."""
        return state_json.dumped({name: getattr(self, name) for name in _NAMES}, self.exact)

    @classmethod
    def from_json(cls, text: str, like: Array | None = None) -> ErrorStatistics:
        """The state of ``to_json``, in arrays of NumPy, or of the framework and device of ``like``.

        ValueError for a text that is cut off, changed, or of a later version.
        """
        return cls(**state_json.loaded(text, _NAMES, like))

    @property
    def _backend(self) -> Backend:
        return backend_of(self.least, "ErrorStatistics")

    @property
    def _squares(self) -> Array:
        """Σω·error²; infinite errors of both signs have no mean, but this."""
        around = self.error_square.total
        whole = around + self.weight.total * self.error_mean.total**2
        return self._backend.xp.where(around == math.inf, math.inf, whole)

    def _mean(self, total: Array) -> Array:
        xp, weight = self._backend.xp, self.weight.total
        return xp.where(weight == 0, math.nan, total / xp.where(weight == 0, 1.0, weight))

    def _each(self, f: Callable[[Array, tuple[int, ...]], Array]) -> ErrorStatistics:
        """With f(array, its shape after that of the outputs) of each of the arrays."""
        outputs = len(self.least.shape)
        made: dict[str, Any] = {}
        for field in fields(self):
            x = getattr(self, field.name)
            if isinstance(x, ExactErrors):
                made[field.name] = x.each(f)
            elif isinstance(x, Sum):
                made[field.name] = Sum(*(f(y, tuple(y.shape[outputs:])) for y in x))
            else:
                made[field.name] = None if x is None else f(x, ())
        return ErrorStatistics(**made)


_NAMES = tuple(field.name for field in fields(ErrorStatistics))[:-1]
NOTHING = (0.0,) * (2 * (len(_NAMES) - 3)) + (math.inf, -math.inf)
"""The rows of no data."""


def _ratio(a: Array, b: Array, xp: Namespace) -> Array:
    """a / b, where b is 0 too, without a warning."""
    nothing = b == 0
    beyond = xp.where((a == 0) | xp.isnan(a), math.nan, xp.full_like(a, math.inf))
    return xp.where(nothing, beyond, a / xp.where(nothing, 1.0, b))
