"""The meaning of a loss: selection, weights, denominators, reductions. Only here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cached_property
from typing import Any, ClassVar, Self

from l2core import fastpath
from l2core.arrays import Array
from l2core.backend import Backend, PlainBackend, backend_of, by_type
from l2core.call import CONFIG_VERSION, Call, Meaning, told_by
from l2core.checks import (
    check_axis,
    check_call,
    check_denominator,
    check_exact,
    check_out,
    one_of,
    true_first,
)
from l2core.config import config_of
from l2core.dtypes import COMPLEX_FLOATS, REAL_FLOATS, dtype_name
from l2core.exactly import calls
from l2core.losses import SquaredError
from l2core.prepared import (
    Prepared,
    cast_to,
    divisor_of,
    elements,
    lengths,
    prepared,
    selected,
    single_sum,
)
from l2core.terms import EMPTY, Terms

REDUCTIONS = ("none", "sum", "mean", "root_mean")
DENOMINATORS = ("weight", "count", "size", "batch")
NAN_TARGETS = ("propagate", "ignore")
_FACTORS = {"weight", "mask"}


class Criterion(Meaning):
    """The full meaning of a loss, as data: hashable, and it survives JSON.

    Parameters
    ----------
    loss: the pointwise loss: ``Huber(0.5)``, its name (``"Huber"``, ``"huber"``), or a mapping of
        its name and fields (``{"name": "Huber", "delta": 0.5}``).
    reduction: ``"none"`` (ω·rho), ``"sum"``, ``"mean"`` or ``"root_mean"``.
    denominator: what a mean divides by: ``"weight"`` (Σω, the default), ``"count"`` (selected
        elements), ``"size"`` (all elements, absent ones too), ``"batch"`` (the length of axis 0)
        or a number > 0.
    axis: reduce over this axis, or this sequence of axes, only; None: over all.
    empty: the mean over nothing: ``"nan"``, or ``"zero"`` with zero gradient.
    nan_targets: ``"propagate"``, or ``"ignore"``, which masks NaN targets (never NaN predictions).
    exact: whether the value is the correctly rounded one of the formula over real numbers, the same
        bits everywhere and in any order: for SquaredError, HalfSquaredError and AbsoluteError.

    Errors: TypeError or ValueError, naming the field, what was expected and what came. An option
    that would have no effect (a denominator for a sum, say) is an error.
    """

    # An adapter narrows these: its framework's backend, its argument names (pred, target, weight).
    _backend: ClassVar[Backend | None] = None
    _names: ClassVar[tuple[str, str, str]] = ("pred", "target", "weight")

    def _check(self) -> None:
        one_of("reduction", self.reduction, REDUCTIONS)
        one_of("empty", self.empty, tuple(EMPTY))
        one_of("nan_targets", self.nan_targets, NAN_TARGETS)
        check_denominator(self.denominator, DENOMINATORS)
        check_axis(self.axis)
        check_exact(self.exact, self.loss)
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
        denominator: Array | float | None = None,
        **parameters: Any,
    ) -> Array:
        """The loss of ``pred`` against ``target``, arrays of one framework and of equal shapes.

        ``weight`` (>= 0; 0 is absent) and ``mask`` (bool; False is absent) align with the leading
        axes: (N,) on (N, D) is per sample, (1, D) per output, the same rank broadcasts over axes of
        length 1, a scalar is a scalar (but an error where the denominator is the sum of weights, in
        which it cancels). So do the ``parameters`` of the loss: ``variance``, which GaussianNLL
        needs. ``denominator``, a number or 0-d array, takes the place of the field.

        Returns float32, or float64 if an input is float64 (or an integer of 32 bits or more, where
        the framework has float64). Absent elements have no part in it, whatever stands there, and a
        gradient of exactly 0. TypeError and ValueError name the argument.
        """
        if denominator is None and not parameters and fastpath.enabled:
            known = self._backend or by_type.get(type(pred))
            value = None if known is None else known.quick(self, pred, target, weight, mask)
            if value is not None:
                return value
        return self._value_of(Call(pred, target, weight, mask, denominator, parameters))

    def terms(self, pred: Array, target: Array, **others: Any) -> Terms:
        """The numerator and denominator of the mean; arguments as in a call. ``ExactTerms`` if exact."""
        self._check_terms("terms")
        return self._terms_of(Call.of(pred, target, **others))

    def denominator_of(
        self, target: Array, *, weight: Array | float | None = None, mask: Array | None = None
    ) -> Array:
        """What a mean over these targets divides by, ahead of any prediction: an array without axes.

        Along ``axis`` it is the terms' denominator, one for each mean where weights or a mask tell
        them apart. Add up those of all micro-batches or ranks, and give the sum as ``denominator``.
        """
        self._check_terms("denominator_of")
        return self._denominator_of(Call(target, target, weight, mask))

    def value_and_grad(
        self, pred: Array, target: Array, *, out: Array | None = None, **others: Any
    ) -> tuple[Array, Array]:
        """The value and its gradient to ``pred`` in closed form, for arrays without autograd.

        Other arguments as in a call. The gradient has pred's shape and dtype (float32 or wider if
        pred holds integers), and is written into ``out`` if that is given (NumPy only). Where the
        value is an array ("none", axis), it is the gradient of the sum of its elements. For complex
        pred it is d/dRe + i d/dIm, the direction of steepest ascent, as in PyTorch.
        """
        if out is None and fastpath.enabled and others.keys() <= _FACTORS:
            known = self._backend or by_type.get(type(pred))
            if known is not None:
                factors = others.get("weight"), others.get("mask")
                pair = known.quick_value_and_grad(self, pred, target, *factors)
                if pair is not None:
                    return pair
        return self._gradient_of(Call.of(pred, target, **others), out)

    def __getattr__(self, name: str) -> Any:
        """What is not there: Keras asks for a name, and would call (y_true, y_pred)."""
        wrong = true_first(1) if name in ("name", "__name__") else None
        if wrong and name == "name":
            raise TypeError(wrong)  # an AttributeError would be taken for an answer
        raise AttributeError(wrong or f"{type(self).__name__!r} object has no attribute {name!r}")

    def to_config(self) -> dict[str, Any]:
        """A plain dict that JSON can hold: version, loss with its parameters, fields."""
        config: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(Criterion)}
        config["loss"] = config_of(self.loss)
        if isinstance(self.axis, tuple):
            config["axis"] = list(self.axis)
        return {"version": CONFIG_VERSION, **config}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The criterion of a ``to_config`` mapping; what it leaves out has its default.

        ValueError for keys that are unknown, and for the version of a later format.
        """
        return cls(**told_by(config))

    def _check_terms(self, wanted: str) -> None:
        if self.reduction in ("none", "sum"):
            raise ValueError(
                f'reduction: expected "mean" or "root_mean" for {wanted}, got "{self.reduction}"'
            )

    # --- the path of a call, which an adapter may lead through a compiler ------------------------

    def _value_of(self, call: Call) -> Array:
        backend = check_call(self, call, self._names, self._backend)
        if isinstance(backend, PlainBackend) and not self._symmetric:
            wrong = true_first(2)
            if wrong:
                raise TypeError(wrong)
        if self.exact:
            return calls.value_of(self, backend, call)
        if fastpath.enabled and not call.parameters:
            fused = backend.fused(self, call)
            if fused is not None:
                return fused
        return self._plain_value(prepared(self, backend, call))

    def _plain_value(self, inputs: Prepared) -> Array:
        total = self._numerator(inputs)
        return total if self.reduction == "none" else self._reduced(total, inputs)

    def _terms_of(self, call: Call) -> Terms:
        backend = check_call(self, call, self._names, self._backend)
        if self.exact:
            exact: Any = calls.terms_of(self, backend, call)
            return exact  # type: ignore[no-any-return]
        total = None
        if fastpath.enabled and not call.parameters:
            total = backend.fused_sum(self, call)
        inputs = prepared(self, backend, call)
        if total is None:
            total = self._numerator(inputs)
        return self._terms(total, self._array(self._denominator(inputs, total), inputs))

    def _denominator_of(self, call: Call) -> Array:
        """The denominator of a call in whose prediction's place the target stands."""
        names, backend = (self._names[1], *self._names[1:]), self._backend
        inputs = prepared(self, check_call(self._pointless, call, names, backend), call)
        return self._array(self._denominator(inputs), inputs)

    @cached_property
    def _summed(self) -> Self:
        """The criterion of the numerator alone."""
        return replace(self, reduction="sum", denominator="weight", empty="nan")

    @cached_property
    def _pointless(self) -> Meaning:
        """The same with a loss that wants no parameters and takes any dtype."""
        return replace(self, loss=SquaredError())

    def _array(self, denominator: Any, inputs: Prepared) -> Array:
        """The denominator as an array of the framework, also where it is known as a number."""
        backend = inputs.backend
        if isinstance(denominator, backend.arrays):
            return denominator
        return backend.scalar(denominator, inputs.real, inputs.pred)

    def _gradient_of(self, call: Call, out: Array | None) -> tuple[Array, Array]:
        backend = check_call(self, call, self._names, self._backend)
        if out is not None:
            check_out(out, call, backend)
        if fastpath.enabled and not call.parameters and not self.exact:
            fused = backend.fused_value_and_grad(self, call, out)
            if fused is not None:
                return fused
        inputs = prepared(self, backend, call)
        xp = backend.xp
        p, t, given = elements(inputs)
        r = p - t
        psi = self.loss.psi(r, xp, **given)
        if self.exact:
            value = calls.value_of(self, backend, call)
            total = xp.where(xp.isnan(value), 0.0, value)  # 0 / 0 is a mean over nothing
        else:
            value = total = self._sum(self._weighted(self.loss.rho(r, xp, **given), inputs), inputs)
        scale: Any = None
        if self.reduction in ("mean", "root_mean"):
            terms = self._terms(total, self._denominator(inputs, total))
            scale = 1 / terms._divisor(backend)
            value = value if self.exact else terms._value(backend)
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
        name = dtype_name(call.pred.dtype)
        if name in REAL_FLOATS and dtype_name(grad.dtype) in COMPLEX_FLOATS:
            grad = xp.real(grad)
        if name in REAL_FLOATS + COMPLEX_FLOATS:
            grad = cast_to(grad, name, backend)
        if out is None:
            return value, grad
        out[...] = grad
        return value, out

    @cached_property
    def _symmetric(self) -> bool:
        """Whether prediction and target may change places without weights."""
        return self.loss.symmetric and self.nan_targets == "propagate"

    @cached_property
    def _usual(self) -> tuple[str, str] | None:
        """The reduction and the denominator, if the arguments of a call say all the rest."""
        return fastpath.usual(self)

    @cached_property
    def _simple(self) -> tuple[str, str] | None:
        """The same of a plain value."""
        return None if self.exact else self._usual

    def _single_sum(self, backend: Backend, call: Call, cast: bool = True) -> Prepared | None:
        """The call for a fused path to sum up, if it can: :func:`l2core.prepared.single_sum`."""
        return single_sum(self, backend, call, cast)

    def _reduced(self, total: Array, inputs: Prepared) -> Array:
        """The value, of the sum of ω·rho."""
        if self.reduction == "sum":
            return total
        return self._terms(total, self._denominator(inputs, total))._value(inputs.backend)

    def _numerator(self, inputs: Prepared) -> Array:
        """ω·rho, summed up."""
        p, t, given = elements(inputs)
        rho = self._rho(inputs.backend, p - t, given)
        total = self._sum(self._weighted(rho, inputs), inputs)
        return self._with_slope(total, self._hidden_rho, inputs)

    def _sum(self, x: Array, inputs: Prepared) -> Array:
        return x if self.reduction == "none" else inputs.backend.total(x, inputs.axes)

    def _rho(self, backend: Backend, r: Array, given: Mapping[str, Array]) -> Array:
        if dtype_name(r.dtype) in COMPLEX_FLOATS:
            # Each framework has its own convention for complex gradients: its autograd's.
            return self.loss.rho(r, backend.xp)
        return backend.rho(self.loss, r, given)

    def _weighted(self, rho: Array, inputs: Prepared) -> Array:
        if inputs.weight is not None:
            rho = inputs.weight * rho
        if inputs.present is not None:
            rho = inputs.backend.xp.where(inputs.present, rho, 0.0)
        return rho

    # A weight of 0 keeps its element out, yet has a derivative of its own: that of what it hides.

    def _with_slope(self, total: Array, slope: Any, inputs: Prepared) -> Array:
        """``total``, of ``inputs.axes``, with the further derivative to the weight of a slope."""
        if inputs.weight is None:
            return total
        given = [inputs.parameters.get(name) for name in self.loss.parameters]
        arguments = inputs.pred, inputs.target, *given
        axes = () if self.reduction == "none" else inputs.axes
        return inputs.backend.with_slope(total, inputs.weight, slope, arguments, axes)

    def _hidden_rho(
        self, weight: Array, pred: Array, target: Array, *given: Array | None
    ) -> tuple[Array, Array]:
        """Where a weight of 0 hides a finite rho, and that rho."""
        backend = self._backend or backend_of(pred, "pred")
        finite, rho = self._finite_rho(backend, pred, target, given)
        hidden = (weight == 0) & finite
        return hidden, backend.xp.where(hidden, rho, 0.0)

    def _hidden_weight(
        self, weight: Array, pred: Array, target: Array, *given: Array | None
    ) -> tuple[Array, Array]:
        """Where a weight of 0 hides what is not finite, and what its 1 in a sum of weights lacks."""
        backend = self._backend or backend_of(pred, "pred")
        hidden = (weight == 0) & ~self._finite_rho(backend, pred, target, given)[0]
        return hidden, backend.xp.where(hidden, backend.xp.full_like(weight, -1.0), 0.0)

    def _finite_rho(
        self, backend: Backend, pred: Array, target: Array, given: tuple[Array | None, ...]
    ) -> tuple[Array, Array]:
        """Where rho is finite, and rho; NaN and infinities are not subtracted."""
        xp = backend.xp
        named = zip(self.loss.parameters, given, strict=True)
        parameters = {name: x for name, x in named if x is not None}
        finite = (xp.abs(pred) < math.inf) & (xp.abs(target) < math.inf)
        for x in parameters.values():
            finite = finite & ~xp.isnan(x)  # infinite ones have a meaning: a Huber delta
        p, t, parameters = selected(backend, finite, pred, target, parameters)
        rho = self._rho(backend, p - t, parameters)
        return finite & (xp.abs(rho) < math.inf), rho

    def _denominator(self, inputs: Prepared, numerator: Array | None = None) -> Any:
        """What the mean of this numerator (None: of all) divides by: a number where it is known
        without looking at the data."""
        given, over, counted, weighted = divisor_of(self, inputs)
        if given is not None:
            return given
        backend, axes = inputs.backend, inputs.axes
        if over is not None:
            return lengths(inputs, over, inputs.real)
        # Along axes of length 1, counted stands for all of pred's elements.
        every = range(len(inputs.pred.shape)) if axes is None else axes
        times = lengths(inputs, [a for a in every if counted.shape[a] == 1], inputs.real)
        if weighted:

            def weights() -> Array:
                return backend.total(counted, axes) * times

            total = calls.weight_of(self, inputs, weights) if self.exact else weights()
            if numerator is not None and total.shape != numerator.shape:
                # One for several, which what is hidden may tell apart.
                total = total + backend.xp.full_like(numerator, 0.0)
            return self._with_slope(total, self._hidden_weight, inputs)
        return cast_to(backend.xp.count_nonzero(counted, axis=axes), inputs.real, backend) * times

    def _terms(self, total: Array, denominator: Any) -> Terms:
        return Terms(total, denominator, self.reduction == "root_mean", self.empty)
