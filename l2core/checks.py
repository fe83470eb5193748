"""Checks of a criterion's fields and of the arguments of a call: each raises one sentence.

It names the argument, what was expected and what came. None reads data or makes an array.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any, cast

from l2core.arrays import Array, kind_of
from l2core.backend import Backend, backend_of, check_array
from l2core.call import Call, Meaning
from l2core.dtypes import COMPLEX_FLOATS, KNOWN, REAL_FLOATS, compute_dtypes, dtype_name
from l2core.losses import LOSSES, AbsoluteError, HalfSquaredError, Loss, SquaredError

TRUE_FIRST = {
    "keras": "l2keras.Criterion(...) as loss and l2keras.CriterionMetric(...) as metric",
    "sklearn": "l2core.scorer(criterion)",
}
"""Who calls a loss as (y_true, y_pred), and what to give to them instead."""


def true_first(depth: int) -> str | None:
    """A sentence if the module so many frames above the caller's calls losses as (true, pred)."""
    frame = sys._getframe(depth + 1) if hasattr(sys, "_getframe") else None
    root = "" if frame is None else str(frame.f_globals.get("__name__")).partition(".")[0]
    if root not in TRUE_FIRST:
        return None
    return (
        f"Criterion: expected a call as (pred, target), got one from {root}, which calls "
        f"(y_true, y_pred): give it {TRUE_FIRST[root]}"
    )


def one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    """ValueError unless the value is one of these names."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, allowed))}, got {value!r}")


def check_denominator(value: Any, names: tuple[str, ...]) -> None:
    """A denominator: one of these names, or a finite number > 0."""
    if isinstance(value, str) and value in names:
        return
    expected = ", ".join([*map(repr, names), "a finite number > 0"])
    if isinstance(value, bool) or not isinstance(value, (Real, str)):
        raise TypeError(f"denominator: expected {expected}, got {type(value).__name__} {value!r}")
    if isinstance(value, str) or not 0 < float(value) < math.inf:
        raise ValueError(f"denominator: expected {expected}, got {value!r}")


EXACT: dict[type[Loss], tuple[int, int]] = {
    SquaredError: (2, 1),
    HalfSquaredError: (2, 2),
    AbsoluteError: (1, 1),
}
"""The losses |r|^k / d that have exact values, with k and d: no parameter, and no branch but a sign."""


def check_exact(exact: Any, loss: Any) -> None:
    """A bool, and True only with a loss that has an exact value."""
    if not isinstance(exact, bool):
        raise TypeError(f"exact: expected a bool, got {exact!r}")
    if exact and type(loss) not in EXACT:
        known = ", ".join(kind.__name__ for kind in EXACT)
        raise ValueError(
            f"exact: expected False, or one of {known}, whose rho is a sum of products that "
            f"can be added up without rounding, got {loss!r}"
        )


_SHORT = ("bool", "int8", "int16", "uint8", "uint16")


def check_exact_call(call: Call, names: tuple[str, str, str], backend: Backend) -> None:
    """TypeError unless the framework and the dtypes have exact values."""
    if backend.integers is None:
        raise TypeError(
            "exact: expected arrays of NumPy, PyTorch, JAX or TensorFlow for an exact value, got "
            f"{kind_of(call.pred)}"
        )
    given: list[Any] = [*call[:3], call.denominator]
    for name, x in zip((*names, "denominator"), given, strict=True):
        if hasattr(x, "dtype") and dtype_name(x.dtype) not in (*REAL_FLOATS, *_SHORT):
            raise TypeError(
                f"{name}: expected a real float, or an integer of at most 16 bits, for an exact value, "
                f"got {dtype_name(x.dtype)}"
            )


def check_axis(axis: Any) -> None:
    """An axis: None, an int or a tuple of ints, of at least one."""
    if axis == ():
        raise ValueError('axis: expected at least one (reduction="none" reduces over none), got ()')
    for a in axis if isinstance(axis, tuple) else () if axis is None else (axis,):
        if isinstance(a, bool) or not isinstance(a, int):
            raise TypeError(f"axis: expected None, an int or a sequence of ints, got {axis!r}")


def checked_dtype(x: Any, name: str, backend: Backend) -> str:
    """The dtype name of x, which must be an array of this backend with numbers in it."""
    check_array(x, name, backend)
    dtype = dtype_name(x.dtype)
    if dtype not in KNOWN:
        raise TypeError(f"{name}: expected a bool, integer, float or complex dtype, got {dtype}")
    return dtype


def check_factor(x: Any, name: str, pred: Array, pred_name: str, backend: Backend) -> None:
    """A weight or parameter: a number, or a real array that aligns with pred."""
    if isinstance(x, (int, float)):
        return
    if checked_dtype(x, name, backend) in COMPLEX_FLOATS:
        raise TypeError(f"{name}: expected a real dtype, got {dtype_name(x.dtype)}")
    check_aligned(x, name, pred, pred_name)


def check_out(out: Any, call: Call, backend: Backend) -> None:
    """Where to write the gradient: a NumPy array of its shape and dtype."""
    if not backend.writes:
        raise TypeError(f"out: expected None for arrays that are not NumPy's, got {out!r}")
    check_array(out, "out", backend)
    pred = call.pred
    dtype = dtype_name(pred.dtype)
    if dtype not in REAL_FLOATS + COMPLEX_FLOATS:
        dtype = residual_dtypes(pred, call.target, factors(call), backend)[0]
    found = dtype_name(out.dtype)
    writable = out.flags.writeable
    if (out.shape, found, writable) != (pred.shape, dtype, True):
        raise ValueError(
            f"out: expected a writable array of shape {pred.shape} and dtype {dtype}, "
            f"got a {'writable' if writable else 'read-only'} one of {out.shape} and {found}"
        )


def check_aligned(x: Array, name: str, pred: Array, pred_name: str) -> None:
    """ValueError unless x is a scalar, has pred's leading axes, or its rank with lengths 1."""
    shape, full = tuple(x.shape), tuple(pred.shape)
    if len(shape) == len(full):
        fits = all(n == 1 or compatible((n,), (m,)) for n, m in zip(shape, full, strict=True))
    else:
        fits = compatible(shape, full[: len(shape)])
    if not fits:
        raise ValueError(
            f"{name}: expected a scalar, the leading axes of {pred_name}, or its rank with axes of "
            f"length 1, so that it fits {full}; got {shape}"
        )


def compatible(shape: Any, other: Any) -> bool:
    """Whether two shapes are equal, as far as they are known (None: not while tracing)."""
    if shape == other:
        return True
    return len(shape) == len(other) and all(
        n is None or m is None or n == m for n, m in zip(shape, other, strict=True)
    )


def axes_of(axis: int | tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """The axes as non-negative numbers in order; ValueError unless distinct and in range."""
    axes = axis if isinstance(axis, tuple) else (axis,)
    positive = tuple(sorted(a + ndim if a < 0 else a for a in axes))
    if len(set(positive)) < len(axes) or not all(0 <= a < ndim for a in positive):
        raise ValueError(f"axis: expected distinct axes of an array of rank {ndim}, got {axis!r}")
    return positive


def residual_dtypes(
    pred: Array, target: Array, others: Iterable[Any], backend: Backend
) -> tuple[str, str]:
    """The dtypes of the residual and of the loss; ``others`` may widen it."""
    return compute_dtypes(
        dtype_name(pred.dtype),
        dtype_name(target.dtype),
        tuple([dtype_name(cast(Any, x).dtype) for x in others if isinstance(x, backend.arrays)]),
        backend.widest_of(pred),
    )


def factors(call: Call) -> tuple[Any, ...]:
    """What scales the loss: the weight and the parameters."""
    return (call.weight, *call.parameters.values())


def check_call(
    meaning: Meaning, call: Call, names: tuple[str, str, str], known: Backend | None
) -> Backend:
    """Everything that can be wrong with a call; its backend, which may be known.

    ``names`` are those of pred, target and weight.
    """
    pred, target, weight, mask, denominator, parameters = call
    pred_name, target_name, weight_name = names
    backend = known or backend_of(pred, pred_name)
    loss = type(meaning.loss).__name__
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
    if not meaning.loss.complex_valued and (
        pred_dtype in COMPLEX_FLOATS or target_dtype in COMPLEX_FLOATS
    ):
        raise TypeError(
            f"{pred_name} and {target_name}: expected real dtypes for {loss}, "
            f"got {pred_dtype} and {target_dtype}"
        )
    if weight is not None:
        check_factor(weight, weight_name, pred, pred_name, backend)
        rank = len(getattr(weight, "shape", ()))
        by_weights = meaning.denominator == "weight" and meaning.reduction in ("mean", "root_mean")
        if rank == 0 < len(pred.shape) and by_weights and denominator is None:
            raise ValueError(
                f'{weight_name}: expected an array with axes, or denominator="count", since a '
                f"scalar cancels in a mean over the sum of weights, got {weight!r}"
            )
    if mask is not None:
        if checked_dtype(mask, "mask", backend) != "bool":
            raise TypeError(f"mask: expected a bool array, got {dtype_name(mask.dtype)}")
        check_aligned(mask, "mask", pred, pred_name)
    check_parameters(meaning, parameters)
    for name, x in parameters.items():
        if x is not None:
            check_factor(x, name, pred, pred_name, backend)
    if denominator is not None:
        check_given_denominator(meaning, denominator, backend)
    elif meaning.denominator == "batch" and len(pred.shape) == 0:
        raise ValueError(
            f'denominator: expected {pred_name} with a batch axis for "batch", got shape ()'
        )
    if meaning.axis is not None:
        axes_of(meaning.axis, len(pred.shape))
    return backend


def check_parameters(meaning: Meaning, parameters: Mapping[str, Any]) -> None:
    """The parameters that come with a call are those of the loss, and it has what it needs."""
    loss, kind = meaning.loss, type(meaning.loss).__name__
    for name, x in parameters.items():
        if name not in loss.parameters:
            if not any(name in each.parameters for each in LOSSES.values()):
                known = ", ".join(("weight", "mask", "denominator", *loss.parameters))
                raise TypeError(f"{name}: expected one of the arguments {known}, got {name}={x!r}")
            if x is not None:
                raise TypeError(f"{name}: expected None for {kind}, got {type(x).__name__}")
        if x is not None and loss.fixes(name):
            raise ValueError(
                f"{name}: expected None with {loss!r}, in which it is fixed, got {type(x).__name__}"
            )
        if isinstance(x, Real):  # an array is not read
            loss.check_parameter(name, cast(float, x))
    for name in loss.needs:
        if parameters.get(name) is None and not any(
            parameters.get(other) is not None for other, x in loss.instead.items() if x == name
        ):
            raise TypeError(f"{name}: expected an array or a number for {kind}, got None")
    for other, name in loss.instead.items():
        if parameters.get(other) is not None and parameters.get(name) is not None:
            raise ValueError(f"{other}: expected None beside {name}, got {other} and {name}")


def check_given_denominator(meaning: Meaning, denominator: Any, backend: Backend) -> None:
    """A denominator that came with a call: a number > 0 or a real 0-d array."""
    if meaning.reduction in ("none", "sum"):
        raise ValueError(
            f'denominator: expected None with reduction "{meaning.reduction}", which divides by '
            f"nothing, got {denominator!r}"
        )
    if isinstance(denominator, Real):
        check_denominator(denominator, ())
        return
    if checked_dtype(denominator, "denominator", backend) in COMPLEX_FLOATS:
        raise TypeError(f"denominator: expected a real dtype, got {dtype_name(denominator.dtype)}")
    if len(denominator.shape) != 0:
        raise ValueError(
            f"denominator: expected a number or a 0-d array, got shape {tuple(denominator.shape)}"
        )
