"""The meaning of a loss: shapes, selection, weights, dtypes, denominators, reductions. Only here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from numbers import Real
from typing import Any, ClassVar, NamedTuple

from l2core import fastpath
from l2core.backend import NUMPY, Array, Backend, backend_of, by_type
from l2core.checks import (
    axes_of,
    check_aligned,
    check_axis,
    check_denominator,
    check_factor,
    check_keys,
    check_out,
    checked_dtype,
    compatible,
    one_of,
    residual_dtypes,
    true_first,
)
from l2core.dtypes import COMPLEX_FLOATS, LONG_INTEGERS, REAL_FLOATS, dtype_name
from l2core.losses import LOSSES, Loss, SquaredError
from l2core.terms import EMPTY, Terms

REDUCTIONS = ("none", "sum", "mean", "root_mean")
DENOMINATORS = ("weight", "count", "size", "batch")
NAN_TARGETS = ("propagate", "ignore")
CONFIG_VERSION = 1


class _Inputs(NamedTuple):
    """The arguments of one call, checked, cast and aligned."""

    backend: Backend
    pred: Array
    target: Array
    weight: Array | None  # of pred's rank, with axes of length 1 where it does not vary
    present: Array | None  # likewise; None: every element
    variance: Array | None  # likewise
    axes: tuple[int, ...] | None
    denominator: Any  # given in the call
    real: str  # the dtype of the loss


@dataclass(frozen=True)
class Criterion:
    """The full meaning of a loss, as data: hashable, and it survives JSON.

    Parameters
    ----------
    loss: the pointwise loss, e.g. ``SquaredError()``.
    reduction: ``"none"`` (ω·rho), ``"sum"``, ``"mean"`` or ``"root_mean"``.
    denominator: what a mean divides by: ``"weight"`` (Σω, the default), ``"count"`` (selected
        elements), ``"size"`` (all elements, absent ones too), ``"batch"`` (the length of axis 0)
        or a number > 0.
    axis: reduce over these axes only; None: over all.
    empty: the mean over nothing: ``"nan"``, or ``"zero"`` with zero gradient.
    nan_targets: ``"propagate"``, or ``"ignore"``, which masks NaN targets (never NaN predictions).

    Errors: TypeError or ValueError, naming the field, what was expected and what came. An option
    that would have no effect (a denominator for a sum, say) is an error.
    """

    loss: Loss = SquaredError()  # noqa: RUF009 (frozen)
    reduction: str = "mean"
    denominator: str | float = "weight"
    axis: int | tuple[int, ...] | None = None
    empty: str = "nan"
    nan_targets: str = "propagate"

    # An adapter narrows these: its framework's backend, its argument names (pred, target, weight).
    _backend: ClassVar[Backend | None] = None
    _names: ClassVar[tuple[str, str, str]] = ("pred", "target", "weight")

    def __post_init__(self) -> None:
        if not isinstance(self.loss, Loss):
            raise TypeError(f"loss: expected a Loss such as SquaredError(), got {self.loss!r}")
        one_of("reduction", self.reduction, REDUCTIONS)
        one_of("empty", self.empty, tuple(EMPTY))
        one_of("nan_targets", self.nan_targets, NAN_TARGETS)
        check_denominator(self.denominator, DENOMINATORS)
        if not isinstance(self.denominator, str):  # a NumPy scalar would not survive JSON
            object.__setattr__(self, "denominator", float(self.denominator))
        check_axis(self.axis)
        if self.reduction == "none" and self.axis is not None:
            raise ValueError(f'axis: expected None with reduction "none", got {self.axis!r}')
        if self.reduction in ("none", "sum"):
            for name, default in (("denominator", "weight"), ("empty", "nan")):
                if getattr(self, name) != default:
                    raise ValueError(
                        f'{name}: expected {default!r} with reduction "{self.reduction}", which '
                        f"divides by nothing, got {getattr(self, name)!r}"
                    )

    def __call__(
        self,
        pred: Array,
        target: Array,
        *,
        weight: Array | float | None = None,
        mask: Array | None = None,
        variance: Array | float | None = None,
        denominator: Array | float | None = None,
    ) -> Array:
        """The loss of ``pred`` against ``target``, arrays of one framework and of equal shapes.

        ``weight`` (>= 0; 0 is absent) and ``mask`` (bool; False is absent) align with the leading
        axes: (N,) on (N, D) is per sample, (1, D) per output, the same rank broadcasts over axes of
        length 1, a scalar is a scalar (but an error where the denominator is the sum of weights, in
        which it cancels). So does ``variance``, which GaussianNLL needs and others refuse.
        ``denominator``, a number or 0-d array, takes the place of the field.

        Returns float32, or float64 if an input is float64 (or an integer of 32 bits or more, where
        the framework has float64). Absent elements have no part in it, whatever stands there, and a
        gradient of exactly 0. TypeError and ValueError name the argument.
        """
        fast = fastpath.enabled and variance is None
        if fast and weight is None and mask is None and denominator is None:
            known = self._backend or by_type.get(type(pred))
            value = None if known is None else known.quick(self, pred, target)
            if value is not None:
                return value
        backend = self._validated(pred, target, weight, mask, variance, denominator)
        if backend is NUMPY and not self._symmetric and (wrong := true_first(1)):
            raise TypeError(wrong)
        if fast:
            fused = backend.fused(self, pred, target, weight, mask, denominator)
            if fused is not None:
                return fused
        inputs = self._prepared(backend, pred, target, weight, mask, variance, denominator)
        return self._plain(inputs)

    def terms(
        self,
        pred: Array,
        target: Array,
        *,
        weight: Array | float | None = None,
        mask: Array | None = None,
        variance: Array | float | None = None,
        denominator: Array | float | None = None,
    ) -> Terms:
        """The numerator and denominator of the mean; arguments as in a call."""
        if self.reduction in ("none", "sum"):
            raise ValueError(
                f'reduction: expected "mean" or "root_mean" for terms, got "{self.reduction}"'
            )
        backend = self._validated(pred, target, weight, mask, variance, denominator)
        inputs = self._prepared(backend, pred, target, weight, mask, variance, denominator)
        total = self._numerator(inputs)
        return self._terms(total, self._denominator(inputs, total))

    def value_and_grad(
        self,
        pred: Array,
        target: Array,
        *,
        weight: Array | float | None = None,
        mask: Array | None = None,
        variance: Array | float | None = None,
        denominator: Array | float | None = None,
        out: Array | None = None,
    ) -> tuple[Array, Array]:
        """The value and its gradient to ``pred`` in closed form, for arrays without autograd.

        The gradient has pred's shape and dtype (float32 or wider if pred holds integers), and is
        written into ``out`` if that is given (NumPy only). Where the value is an array ("none",
        axis), it is the gradient of the sum of its elements. For complex pred it is d/dRe + i
        d/dIm, the direction of steepest ascent, as in PyTorch.
        """
        backend = self._validated(pred, target, weight, mask, variance, denominator)
        if out is not None:
            check_out(out, pred, target, (weight, variance), backend)
        if fastpath.enabled and variance is None:
            fused = backend.fused_value_and_grad(self, pred, target, weight, mask, denominator, out)
            if fused is not None:
                return fused
        inputs = self._prepared(backend, pred, target, weight, mask, variance, denominator)
        xp = backend.xp
        p, t, *extra = self._selected(inputs)
        r = p - t
        rho, psi = self.loss.rho(r, xp, *extra), self.loss.psi(r, xp, *extra)
        value = self._sum(self._weighted(rho, inputs), inputs)
        scale: Any = None
        if self.reduction in ("mean", "root_mean"):
            terms = self._terms(value, self._denominator(inputs, value))
            value, scale = terms._value(backend), 1 / terms._divisor(backend)
            if self.reduction == "root_mean":
                zero = value == 0
                scale = xp.where(zero, 0.0, scale * (0.5 / xp.where(zero, 1.0, value)))
            if inputs.axes is not None and isinstance(scale, backend.arrays):
                for axis in inputs.axes:
                    scale = xp.expand_dims(scale, axis=axis)
        # The order in which autograd multiplies: 1/denominator, then ω, then psi.
        if inputs.weight is not None:
            scale = inputs.weight if scale is None else scale * inputs.weight
        grad = psi if scale is None else scale * psi
        if inputs.present is not None:
            grad = xp.where(inputs.present, grad, 0.0)
        name = dtype_name(pred.dtype)
        if name in REAL_FLOATS and dtype_name(grad.dtype) in COMPLEX_FLOATS:
            grad = xp.real(grad)
        if name in REAL_FLOATS + COMPLEX_FLOATS:
            grad = _cast(grad, name, backend)
        if out is None:
            return value, grad
        out[...] = grad
        return value, out

    def __getattr__(self, name: str) -> Any:
        """What is not there: Keras asks for a name, and would call (y_true, y_pred)."""
        wrong = true_first(1) if name in ("name", "__name__") else None
        if wrong and name == "name":
            raise TypeError(wrong)  # an AttributeError would be taken for an answer
        raise AttributeError(wrong or f"{type(self).__name__!r} object has no attribute {name!r}")

    def to_config(self) -> dict[str, Any]:
        """A plain dict that JSON can hold: version, loss with its parameters, fields."""
        config: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(Criterion)}
        loss = {f.name: getattr(self.loss, f.name) for f in fields(self.loss)}
        config["loss"] = {"name": type(self.loss).__name__, **loss}
        if isinstance(self.axis, tuple):
            config["axis"] = list(self.axis)
        return {"version": CONFIG_VERSION, **config}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Criterion:
        """The criterion of a ``to_config`` dict; ValueError for unknown or missing keys."""
        check_keys("config", config, {"version", *(f.name for f in fields(Criterion))})
        if config["version"] != CONFIG_VERSION:
            raise ValueError(f"version: expected {CONFIG_VERSION}, got {config['version']!r}")
        loss = config["loss"]
        if not isinstance(loss, Mapping) or "name" not in loss:
            raise TypeError(f"loss: expected a dict with a name, got {loss!r}")
        one_of("loss name", loss["name"], tuple(LOSSES))
        kind = LOSSES[loss["name"]]
        check_keys("loss", loss, {"name", *(f.name for f in fields(kind))})
        arguments = {k: v for k, v in config.items() if k not in ("version", "loss")}
        if isinstance(arguments["axis"], list):
            arguments["axis"] = tuple(arguments["axis"])
        return cls(loss=kind(**{k: v for k, v in loss.items() if k != "name"}), **arguments)

    # --- the path of a call -------------------------------------------------------------------

    def _validated(
        self, pred: Any, target: Any, weight: Any, mask: Any, variance: Any, denominator: Any
    ) -> Backend:
        """Every check, none of which reads data or makes an array; returns the backend."""
        pred_name, target_name, weight_name = self._names
        backend = self._backend or backend_of(pred, pred_name)
        pred_dtype = target_dtype = checked_dtype(pred, pred_name, backend)
        if type(target) is type(pred) and target.dtype == pred.dtype:
            backend.check(target, target_name)
        else:
            target_dtype = checked_dtype(target, target_name, backend)
        if not (pred.shape == target.shape or compatible(pred.shape, target.shape)):
            raise ValueError(
                f"{pred_name} and {target_name}: expected equal shapes, "
                f"got {tuple(pred.shape)} and {tuple(target.shape)}"
            )
        if not self.loss.complex_valued and (
            pred_dtype in COMPLEX_FLOATS or target_dtype in COMPLEX_FLOATS
        ):
            raise TypeError(
                f"{pred_name} and {target_name}: expected real dtypes for "
                f"{type(self.loss).__name__}, got {pred_dtype} and {target_dtype}"
            )
        if weight is not None:
            check_factor(weight, weight_name, pred, pred_name, backend)
            rank = len(getattr(weight, "shape", ()))
            by_weights = self.denominator == "weight" and self.reduction in ("mean", "root_mean")
            if rank == 0 < len(pred.shape) and by_weights and denominator is None:
                raise ValueError(
                    f'{weight_name}: expected an array with axes, or denominator="count", since a '
                    f"scalar cancels in a mean over the sum of weights, got {weight!r}"
                )
        if mask is not None:
            if checked_dtype(mask, "mask", backend) != "bool":
                raise TypeError(f"mask: expected a bool array, got {dtype_name(mask.dtype)}")
            check_aligned(mask, "mask", pred, pred_name)
        if variance is not None:
            check_factor(variance, "variance", pred, pred_name, backend)
            if isinstance(variance, (int, float)) and variance < 0:  # an array is not read
                raise ValueError(f"variance: expected an array or a number >= 0, got {variance!r}")
        if (variance is not None) != self.loss.takes_variance:
            expected = "an array or a number" if self.loss.takes_variance else "None"
            raise TypeError(
                f"variance: expected {expected} for {type(self.loss).__name__}, "
                f"got {'None' if variance is None else type(variance).__name__}"
            )
        if denominator is not None:
            self._check_given_denominator(denominator, backend)
        elif self.denominator == "batch" and len(pred.shape) == 0:
            raise ValueError(
                f'denominator: expected {pred_name} with a batch axis for "batch", got shape ()'
            )
        if self.axis is not None:
            axes_of(self.axis, len(pred.shape))
        return backend

    def _check_given_denominator(self, denominator: Any, backend: Backend) -> None:
        if self.reduction in ("none", "sum"):
            raise ValueError(
                f'denominator: expected None with reduction "{self.reduction}", which divides by '
                f"nothing, got {denominator!r}"
            )
        if isinstance(denominator, Real):
            check_denominator(denominator, ())
            return
        if checked_dtype(denominator, "denominator", backend) in COMPLEX_FLOATS:
            raise TypeError(
                f"denominator: expected a real dtype, got {dtype_name(denominator.dtype)}"
            )
        if len(denominator.shape) != 0:
            raise ValueError(
                "denominator: expected a number or a 0-d array, "
                f"got shape {tuple(denominator.shape)}"
            )

    def _prepared(
        self,
        backend: Backend,
        pred: Array,
        target: Array,
        weight: Any,
        mask: Any,
        variance: Any,
        denominator: Any,
    ) -> _Inputs:
        """The arguments cast, aligned, and what is absent."""
        target = backend.matched(target, pred)
        residual, real = residual_dtypes(pred, target, (weight, variance), backend)
        present = None if mask is None else _aligned(backend.matched(mask, pred), pred, backend)
        if (
            self.nan_targets == "ignore"
            and dtype_name(target.dtype) in REAL_FLOATS + COMPLEX_FLOATS
        ):
            present = _both(present, ~backend.xp.isnan(target))
        if _subtract_first(pred, target):
            pred = _difference(pred, target, residual, backend)
            target = backend.xp.full_like(pred, 0.0)
        else:
            pred, target = _cast(pred, residual, backend), _cast(target, residual, backend)
        denominator = _given(denominator, real, backend)
        if variance is not None:
            variance = _factor(variance, pred, real, backend)
        if weight is not None:
            weight = _factor(weight, pred, real, backend)
            if present is not None:
                weight = backend.xp.where(present, weight, 0.0)
            present = _both(present, weight != 0)
        axes = None if self.axis is None else axes_of(self.axis, len(pred.shape))
        return _Inputs(backend, pred, target, weight, present, variance, axes, denominator, real)

    @cached_property
    def _symmetric(self) -> bool:
        """Whether prediction and target may change places without weights."""
        return self.loss.symmetric and self.nan_targets == "propagate"

    @cached_property
    def _unweighted(self) -> str | None:
        """ "mean" or "sum" if that is what it takes over all elements that have no weights."""
        usual = self.axis is None and self.nan_targets == "propagate"
        usual = usual and self.denominator in ("weight", "count", "size")
        return self.reduction if usual and self.reduction in ("mean", "sum") else None

    def _single_sum(
        self,
        backend: Backend,
        pred: Array,
        target: Array,
        weight: Any,
        mask: Any,
        denominator: Any,
    ) -> _Inputs | None:
        """What ``_prepared`` gives, with pred and target as they are, for a fused path to sum up.

        None unless the value comes of one sum over real arrays, with at most one array of weights,
        or one mask, along the leading axes. Weights of 0 are still present, unless present elements
        are the denominator.
        """
        factor = mask if weight is None else weight
        if self.reduction == "none" or self.axis is not None or self.nan_targets != "propagate":
            return None
        if factor is not None and (
            isinstance(factor, (int, float))
            or len(factor.shape) == 0
            or factor.shape != pred.shape[: len(factor.shape)]
            or (weight is not None and mask is not None)
        ):
            return None
        residual, real = residual_dtypes(pred, target, (weight,), backend)
        if residual != real or _subtract_first(pred, target):
            return None
        if factor is not None:
            factor = _aligned(factor, pred, backend)
        present = factor if weight is None else None
        if weight is not None:
            weight = _cast(factor, real, backend)
            present = weight != 0 if self.denominator == "count" else None
        given = _given(denominator, real, backend)
        return _Inputs(backend, pred, target, weight, present, None, None, given, real)

    def _selected(self, inputs: _Inputs) -> tuple[Array, ...]:
        """pred and target, 0 where absent, before subtracting, so that no NaN is ever met; and the
        variance, if the loss takes one, 1 there."""
        return _select(inputs.backend, inputs.present, inputs.pred, inputs.target, inputs.variance)

    def _plain(self, inputs: _Inputs) -> Array:
        total = self._numerator(inputs)
        return total if self.reduction == "none" else self._reduced(total, inputs)

    def _reduced(self, total: Array, inputs: _Inputs) -> Array:
        """The value, of the sum of ω·rho."""
        if self.reduction == "sum":
            return total
        return self._terms(total, self._denominator(inputs, total))._value(inputs.backend)

    def _numerator(self, inputs: _Inputs) -> Array:
        """ω·rho, summed up."""
        p, t, *variance = self._selected(inputs)
        total = self._sum(
            self._weighted(self._rho(inputs.backend, p - t, *variance), inputs), inputs
        )
        return self._with_slope(total, self._hidden_rho, inputs)

    def _sum(self, x: Array, inputs: _Inputs) -> Array:
        return x if self.reduction == "none" else inputs.backend.xp.sum(x, axis=inputs.axes)

    def _rho(self, backend: Backend, r: Array, *variance: Array) -> Array:
        if variance or dtype_name(r.dtype) in COMPLEX_FLOATS:
            # Each framework has its own convention for complex gradients: its autograd's.
            return self.loss.rho(r, backend.xp, *variance)
        return backend.rho(self.loss, r)

    def _weighted(self, rho: Array, inputs: _Inputs) -> Array:
        if inputs.weight is not None:
            rho = inputs.weight * rho
        if inputs.present is not None:
            rho = inputs.backend.xp.where(inputs.present, rho, 0.0)
        return rho

    # A weight of 0 keeps its element out, yet has a derivative of its own: that of what it hides.

    def _with_slope(self, total: Array, slope: Any, inputs: _Inputs) -> Array:
        """``total``, of ``inputs.axes``, with the further derivative to the weight of a slope."""
        if inputs.weight is None:
            return total
        arguments = inputs.pred, inputs.target, inputs.variance
        axes = () if self.reduction == "none" else inputs.axes
        return inputs.backend.with_slope(total, inputs.weight, slope, arguments, axes)

    def _hidden_rho(
        self, weight: Array, pred: Array, target: Array, variance: Array | None
    ) -> tuple[Array, Array]:
        """Where a weight of 0 hides a finite rho, and that rho."""
        backend = self._backend or backend_of(pred, "pred")
        finite, rho = self._finite_rho(backend, pred, target, variance)
        hidden = (weight == 0) & finite
        return hidden, backend.xp.where(hidden, rho, 0.0)

    def _hidden_weight(
        self, weight: Array, pred: Array, target: Array, variance: Array | None
    ) -> tuple[Array, Array]:
        """Where a weight of 0 hides what is not finite, and what its 1 in a sum of weights lacks."""
        backend = self._backend or backend_of(pred, "pred")
        hidden = (weight == 0) & ~self._finite_rho(backend, pred, target, variance)[0]
        return hidden, backend.xp.where(hidden, backend.xp.full_like(weight, -1.0), 0.0)

    def _finite_rho(
        self, backend: Backend, pred: Array, target: Array, variance: Array | None
    ) -> tuple[Array, Array]:
        """Where rho is finite, and rho; NaN and infinities are not subtracted."""
        xp = backend.xp
        finite = (xp.abs(pred) < math.inf) & (xp.abs(target) < math.inf)
        if variance is not None:
            finite = finite & (xp.abs(variance) < math.inf)
        p, t, *extra = _select(backend, finite, pred, target, variance)
        rho = self._rho(backend, p - t, *extra)
        return finite & (xp.abs(rho) < math.inf), rho

    def _denominator(self, inputs: _Inputs, numerator: Array | None = None) -> Any:
        """What the mean of this numerator (None: of all) divides by: a number where it is known
        without looking at the data."""
        if inputs.denominator is not None:
            return inputs.denominator
        if not isinstance(self.denominator, str):
            return self.denominator
        backend, pred, axes = inputs.backend, inputs.pred, inputs.axes

        def lengths(over: Iterable[int]) -> Any:
            n = math.prod([backend.length(pred, axis) for axis in over])
            return _cast(n, inputs.real, backend) if isinstance(n, backend.arrays) else n

        if self.denominator == "batch":
            return lengths([0])
        over = range(len(pred.shape)) if axes is None else axes
        if self.denominator == "size":
            return lengths(over)
        weighted = self.denominator == "weight" and inputs.weight is not None
        counted = inputs.weight if weighted else inputs.present
        if counted is None:
            return lengths(over)
        # Along axes of length 1, counted stands for all of pred's elements.
        times = lengths([a for a in over if counted.shape[a] == 1])
        if weighted:
            total = backend.xp.sum(counted, axis=axes) * times
            if numerator is not None and total.shape != numerator.shape:
                # One for several, which what is hidden may tell apart.
                total = total + backend.xp.full_like(numerator, 0.0)
            return self._with_slope(total, self._hidden_weight, inputs)
        return _cast(backend.xp.count_nonzero(counted, axis=axes), inputs.real, backend) * times

    def _terms(self, total: Array, denominator: Any) -> Terms:
        return Terms(total, denominator, self.reduction == "root_mean", self.empty)


# --- arrays -----------------------------------------------------------------------------------


def _given(denominator: Any, dtype: str, backend: Backend) -> Any:
    if denominator is None or isinstance(denominator, backend.arrays):
        return None if denominator is None else _cast(denominator, dtype, backend)
    return float(denominator)


def _cast(x: Array, dtype: str, backend: Backend) -> Array:
    return x if dtype_name(x.dtype) == dtype else backend.xp.astype(x, getattr(backend.xp, dtype))


def _subtract_first(pred: Array, target: Array) -> bool:
    """Whether these are 64-bit integers, whose difference a float of each would lose."""
    name = dtype_name(pred.dtype)
    return name in LONG_INTEGERS and dtype_name(target.dtype) == name


def _difference(pred: Array, target: Array, dtype: str, backend: Backend) -> Array:
    """pred - target of 64-bit integers, in halves that do not wrap around."""
    high, low = (
        _cast(_cast(p, "int64", backend) - _cast(t, "int64", backend), dtype, backend)
        for p, t in zip(backend.halves(pred), backend.halves(target), strict=True)
    )
    return high * 2.0**32 + low


def _select(
    backend: Backend, present: Array | None, pred: Array, target: Array, variance: Array | None
) -> tuple[Array, ...]:
    """Each where present, else 0, and 1 for a variance; without the variance if there is none."""
    pairs = [(pred, 0.0), (target, 0.0)]
    if variance is not None:
        pairs.append((variance, 1.0))
    if present is None:
        return tuple([x for x, _ in pairs])
    return tuple([backend.xp.where(present, x, other) for x, other in pairs])


def _both(mask: Array | None, other: Array) -> Array:
    return other if mask is None else mask & other


def _factor(x: Any, pred: Array, dtype: str, backend: Backend) -> Array:
    """A weight or variance as an array of this dtype and of pred's rank."""
    if isinstance(x, (int, float)):
        return _aligned(backend.scalar(x, dtype, pred), pred, backend)
    return _aligned(_cast(backend.matched(x, pred), dtype, backend), pred, backend)


def _aligned(x: Array, pred: Array, backend: Backend) -> Array:
    for _ in range(len(pred.shape) - len(x.shape)):
        x = backend.xp.expand_dims(x, axis=-1)
    return x
