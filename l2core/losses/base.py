"""What a loss is: ``rho``, its derivative ``psi`` and its second derivative ``curvature``.

All are functions of the residual ``r = pred - target``, element by element, written over an array
namespace ``xp`` (:class:`l2core.arrays.Namespace`); the result has the shape and dtype of ``r``.
NaN in gives NaN out. The expressions avoid what compilers may rewrite into other bits (an array
divided by a constant) and branches that overflow where the true result does not.

A loss is a frozen dataclass, hence hashable and static under ``jit``. Defining a subclass registers
it under its class name, which is how :meth:`l2core.Criterion.from_config` and the tests find it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar

from l2core.arrays import Array, Namespace
from l2core.dtypes import dtype_name

LOSSES: dict[str, type[Loss]] = {}
"""Every known loss by class name, in order of definition."""

TINY = 2.0**-126
"""The least normal float32."""


class Loss(ABC):
    """A pointwise loss of the residual; subclass it, as a frozen dataclass, to add one.

    ``complex_valued`` says that rho has a meaning for complex residuals (real result);
    ``symmetric`` that rho(-r) = rho(r); ``likelihood`` that it is a negative log-likelihood, which
    is not 0 at r = 0 and may be negative. ``parameters`` may come with a call, as numbers or arrays,
    which rho, psi and curvature take by name; those in ``needs``, which are not fixed, have to, or
    one that ``instead`` names in their place.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]  # of each, though not of this base
    complex_valued: ClassVar[bool] = False
    symmetric: ClassVar[bool] = False
    likelihood: ClassVar[bool] = False
    parameters: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    instead: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        plain = (getattr(cls, name) for name in ("rho", "psi", "curvature"))
        if any(getattr(function, "__isabstractmethod__", False) for function in plain):
            return  # a base of losses
        known = LOSSES.get(cls.__name__)
        if known is not None and (known.__module__, known.__qualname__) != (
            cls.__module__,
            cls.__qualname__,
        ):
            raise ValueError(
                f"{cls.__name__}: expected a name that no other loss has, "
                f"got the name of {known.__module__}.{known.__qualname__}"
            )
        LOSSES[cls.__name__] = cls

    def fixes(self, name: str) -> bool:
        """Whether it was made with a value for this parameter other than its default."""
        field = self.__dataclass_fields__.get(name)
        return field is not None and getattr(self, name) != field.default

    def check_parameter(self, name: str, value: float) -> None:
        """TypeError or ValueError if a number given with a call is not one for this parameter."""
        replace(self, **{name: value})

    # Each names the parameters that it takes: hence the untyped rest.
    @abstractmethod
    def rho(self, r: Array, xp: Namespace, *args: Any, **parameters: Any) -> Array:
        """The loss of each residual."""

    @abstractmethod
    def psi(self, r: Array, xp: Namespace, *args: Any, **parameters: Any) -> Array:
        """The derivative of rho; at a kink the chosen subgradient, 0 at r = 0."""

    @abstractmethod
    def curvature(self, r: Array, xp: Namespace, *args: Any, **parameters: Any) -> Array:
        """The derivative of psi; at a jump of psi the value from inside."""

    def irls_weight(self, r: Array, xp: Namespace, *args: Any, **parameters: Any) -> Array:
        """psi(r)/r: the weight at which least squares has the slope of this loss.

        Below 2^-126 its limit, the curvature; where psi jumps at 0, and the limit is infinite, the
        slope of the jump between ±2^-126 (2^-14 in float16).
        """
        tiny = 2.0**-14 if dtype_name(r.dtype) == "float16" else TINY
        near = xp.abs(r) < tiny
        step = xp.full_like(r, tiny)
        rise = self.psi(step, xp, *args, **parameters) - self.psi(-step, xp, *args, **parameters)
        curvature = self.curvature(xp.full_like(r, 0.0), xp, *args, **parameters)
        inside = xp.where(curvature > 0, curvature, (0.5 / tiny) * rise)
        outer = self.psi(r, xp, *args, **parameters) / xp.where(near, 1.0, r)
        return xp.where(near, inside, outer)


def number(name: str, value: Any, low: float, high: float, expected: str) -> float:
    """``value`` as a float if it is a real number with low < value < high, else an error."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: expected {expected}, got {type(value).__name__} {value!r}")
    number = float(value)
    if not low < number < high:
        raise ValueError(f"{name}: expected {expected}, got {value!r}")
    return number


def given(parameter: Any, fixed: float) -> Any:
    """The parameter that came with the call, or the fixed one."""
    return fixed if parameter is None else parameter
