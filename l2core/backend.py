"""What the core asks of a framework, the plain backend for arrays without autograd, the registry."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, cast

import numpy as np

from l2core.arrays import Array, Namespace, kind_of, type_name
from l2core.call import Call
from l2core.dtypes import WIDE_INTEGERS
from l2core.losses import Loss

GROUP = "l2core.backends"
"""Entry points of this group map the root module of an array's type to a Backend."""


class Backend(Protocol):
    """A framework as the core sees it."""

    @property
    def xp(self) -> Namespace:
        """Its functions; its dtypes too, as attributes named as in the standard."""
        ...

    @property
    def arrays(self) -> tuple[type, ...]:
        """The types whose instances are its arrays."""
        ...

    @property
    def widest(self) -> str:
        """The widest float dtype that it has now: "float64", or "float32"."""
        ...

    def widest_of(self, x: Array) -> str:
        """The same on the device of x."""
        ...

    @property
    def writes(self) -> bool:
        """Whether a gradient may be written into an array of the caller's."""
        ...

    def check(self, x: Array, name: str) -> None:
        """TypeError, naming the argument, for an x of its types that it cannot take: sparse, say."""

    def rho(self, loss: Loss, r: Array, given: Mapping[str, Array]) -> Array:
        """rho of real residuals, with psi registered as its derivative and curvature as psi's.

        ``given`` are parameters of the loss, of the dtype and rank of r; the derivatives to them are
        autograd's own, of the plain expressions.
        """
        ...

    def total(self, x: Array, axes: tuple[int, ...] | None) -> Array:
        """The sum over these axes (None: all): of float32 in float64, where the device adds that as
        fast, and rounded once; its derivative is a sum of float32."""
        ...

    def halves(self, x: Array) -> tuple[Array, Array]:
        """Integers (high, low), 0 <= low < 2^32, of which 64-bit integers are 2^32 high + low."""
        ...

    def number(self, x: float, like: Array) -> Any:
        """A number by which ``like`` is about to be divided: x, or an array where x would widen."""
        ...

    def with_slope(
        self,
        total: Array,
        weight: Array,
        slope: Callable[..., tuple[Array, Array]],
        arguments: tuple[Any, ...],
        axes: tuple[int, ...] | None,
    ) -> Array:
        """``total``, with a further derivative to ``weight``; any without autograd.

        ``slope(weight, *arguments)`` is where it has one and what it is there, else 0, element by
        element of what is summed up over ``axes`` (None: all). It runs only if the derivative may be
        wanted, and may be differentiated itself.
        """
        ...

    def length(self, x: Array, axis: int) -> Any:
        """x.shape[axis], or a 0-d array where the length is not known while tracing.

        Of a type, or dtype, in which products of lengths do not wrap around.
        """
        ...

    def scalar(self, value: float, dtype: str, like: Array) -> Array:
        """A 0-d array on the device of ``like``."""
        ...

    def detached(self, x: Array) -> Array:
        """x as a constant to any gradient."""
        ...

    def moved(self, x: Array, where: Any) -> Array:
        """x on this device, or in this dtype."""
        ...

    def matched(self, x: Array, pred: Array) -> Array:
        """x, checked when it runs to have pred's leading lengths where tracing leaves them open."""
        ...

    def constant(self, x: np.ndarray[Any, Any], like: Array) -> Array:
        """A NumPy array on the device of ``like``, of its own dtype."""
        ...

    def numpy(self, x: Array) -> np.ndarray[Any, Any]:
        """x on the host, of its own dtype; it waits for the device."""
        ...

    def host(self, x: Array) -> np.ndarray[Any, Any] | None:
        """x as NumPy's array in the same memory; None where it lies elsewhere, or while tracing."""
        ...

    def binned(self, size: Array, weight: Array | None, n: int) -> Array:
        """Σ weight, along the last axis, of the sizes in each of n bins; without weights their number.

        ``size`` is float32 of shape (D, M), and not negative; ``weight`` of its shape, in the widest
        float or in integers, of which the sums are integers. A bin is what the upper 16 bits of a
        float32 say.
        """
        ...

    @property
    def integers(self) -> Any:
        """The :class:`l2core.integers.Integers` that exact sums ask for; None: it has no exact values."""
        ...

    def kept(self, value: Array, total: Callable[[], Array], of: tuple[Any, ...]) -> Array:
        """The value, which has no derivative, with those of ``total()``, which it may not run: where
        none of the arrays that it is ``of`` wants any."""
        ...

    # The criterion is an l2core.Criterion, which stands on a floor above.

    def quick(
        self, criterion: Any, pred: Any, target: Any, weight: Any = None, mask: Any = None, /
    ) -> Array | None:
        """The value of a call of which nothing has been checked yet: if its arguments are seen to be
        right in a glance. None: then the checks and the other paths serve."""
        ...

    def quick_value_and_grad(
        self, criterion: Any, pred: Any, target: Any, weight: Any = None, mask: Any = None, /
    ) -> tuple[Array, Array] | None:
        """The same with the gradient to pred."""
        ...

    def fused(self, criterion: Any, call: Call, /) -> Array | None:
        """The whole value in one pass, or None: then the plain path serves."""
        ...

    def fused_sum(self, criterion: Any, call: Call, /) -> Array | None:
        """The numerator alone in one pass, or None."""
        ...

    def fused_value_and_grad(
        self, criterion: Any, call: Call, out: Array | None, /
    ) -> tuple[Array, Array] | None:
        """The value and its gradient (in ``out``, if given) in one pass, or None."""
        ...


CARRIED = {
    "mask": "numbers alone, with their mask as the argument mask",
    **dict.fromkeys(("unit", "units"), "numbers alone, without a unit"),
}
"""What some arrays carry beside their numbers, which sums and selections lose or use wrongly."""


class PlainPathOnly:
    """What most backends share. No fast paths, until :func:`l2core.fastpath.install` puts them in
    their place."""

    xp: Any
    integers: Any = None

    @property
    def widest(self) -> str:
        """See :class:`Backend`."""
        return "float64"

    @property
    def writes(self) -> bool:
        """See :class:`Backend`."""
        return False

    def with_slope(
        self,
        total: Array,
        weight: Array,
        slope: Callable[..., tuple[Array, Array]],
        arguments: tuple[Any, ...],
        axes: tuple[int, ...] | None,
    ) -> Array:
        return total

    def number(self, x: float, like: Array) -> Any:
        return x

    def kept(self, value: Array, total: Callable[[], Array], of: tuple[Any, ...]) -> Array:
        return value

    def detached(self, x: Array) -> Array:
        return x

    def host(self, x: Array) -> np.ndarray[Any, Any] | None:
        return None

    def moved(self, x: Array, where: Any) -> Array:
        import array_api_compat  # not above: most of the time that importing l2core would take

        try:
            dtype = np.dtype(where)
        except TypeError:
            pass
        else:
            xp: Any = array_api_compat.array_namespace(x)
            return xp.astype(x, getattr(xp, dtype.name))
        try:
            return array_api_compat.to_device(x, where)
        except ValueError:
            raise ValueError(f"where: expected a device or a dtype, got {where!r}") from None

    def widest_of(self, x: Array) -> str:
        return self.widest

    def total(self, x: Array, axes: tuple[int, ...] | None) -> Array:
        return self.xp.sum(x, axis=axes)

    def halves(self, x: Array) -> tuple[Array, Array]:
        high = x // (1 << 32)
        return high, x - high * (1 << 32)

    def quick(
        self, criterion: Any, pred: Any, target: Any, weight: Any = None, mask: Any = None, /
    ) -> Array | None:
        return None

    def quick_value_and_grad(
        self, criterion: Any, pred: Any, target: Any, weight: Any = None, mask: Any = None, /
    ) -> tuple[Array, Array] | None:
        return None

    def fused(self, criterion: Any, call: Call, /) -> Array | None:
        return None

    def fused_sum(self, criterion: Any, call: Call, /) -> Array | None:
        summed = criterion._summed
        value = self.quick(summed, call.pred, call.target, call.weight, call.mask)
        return self.fused(summed, call._replace(denominator=None)) if value is None else value

    def fused_value_and_grad(
        self, criterion: Any, call: Call, out: Array | None, /
    ) -> tuple[Array, Array] | None:
        return None


@dataclass(frozen=True)
class PlainBackend(PlainPathOnly):
    """Any namespace of the array standard, without autograd: NumPy, CuPy, Dask, ..."""

    xp: Namespace
    arrays: tuple[type, ...]

    def check(self, x: Array, name: str) -> None:
        if type(x) is np.ndarray:
            return
        block = getattr(x, "_meta", x)  # what a Dask array has in its blocks
        if isinstance(block, np.matrix):
            raise TypeError(f"{name}: expected a plain numpy.ndarray, got {kind_of(x)}")
        for carried, instead in CARRIED.items():
            if hasattr(block, carried):
                of = "" if block is x else f" of {kind_of(block)}"
                raise TypeError(f"{name}: expected {instead}, got {kind_of(x)}{of}")
        if any(n is None or math.isnan(n) for n in x.shape):
            raise ValueError(
                f"{name}: expected known lengths (compute_chunk_sizes() finds them), "
                f"got shape {tuple(x.shape)}"
            )

    def rho(self, loss: Loss, r: Array, given: Mapping[str, Array]) -> Array:
        return loss.rho(r, self.xp, **given)

    def length(self, x: Array, axis: int) -> Any:
        return x.shape[axis]

    def scalar(self, value: float, dtype: str, like: Array) -> Array:
        import array_api_compat  # not above: most of the time that importing l2core would take

        xp: Any = self.xp
        return xp.asarray(value, dtype=getattr(xp, dtype), device=array_api_compat.device(like))

    def matched(self, x: Array, pred: Array) -> Array:
        return x

    def constant(self, x: np.ndarray[Any, Any], like: Array) -> Array:
        import array_api_compat

        xp: Any = self.xp
        return xp.asarray(x, device=array_api_compat.device(like))

    def numpy(self, x: Array) -> np.ndarray[Any, Any]:
        return np.asarray(x)

    def binned(self, size: Array, weight: Array | None, n: int) -> Array:
        index = np.ascontiguousarray(self.numpy(size)).view(np.int32) >> 16
        rows = [None] * len(index) if weight is None else self.numpy(weight)
        found = [np.bincount(i, w, minlength=n) for i, w in zip(index, rows, strict=True)]
        each = np.array(found).reshape(-1, n)
        whole = weight is None or self.numpy(weight).dtype.kind == "i"
        return self.constant(each.astype(np.int64) if whole else each, size)


by_type: dict[type, Backend] = {}
"""The backends of the types of arrays that have been seen; a call looks here by itself."""


def register(backend: Backend, *types: type) -> None:
    """Make ``backend`` the one of these types, without a search for it at the first call."""
    for kind in types:
        by_type[kind] = backend


def backend_of(x: Any, name: str) -> Backend:
    """The backend of an array; TypeError, naming the argument, if x is not one."""
    backend = by_type.get(type(x))
    if backend is None:
        backend = by_type[type(x)] = _find(x, name)
    return backend


def check_array(x: Any, name: str, backend: Backend) -> None:
    """TypeError, naming the argument, unless x is an array of this backend."""
    if not isinstance(x, backend.arrays):
        kinds = " or ".join(map(type_name, backend.arrays))
        raise TypeError(f"{name}: expected {kinds}, got {kind_of(x)}")
    backend.check(x, name)


def narrowed(x: np.ndarray[Any, Any] | np.generic, widest: str) -> Any:
    """A NumPy array on its way into a framework: wide integers become its widest float.

    A framework without 64-bit types would wrap them around. None has the other byte order.
    """
    if x.dtype.name in WIDE_INTEGERS:
        return x.astype(widest)
    return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))


def _find(x: Any, name: str) -> Backend:
    for known in by_type.values():  # a further type of a known framework, met while tracing, say
        if isinstance(x, known.arrays):
            known.check(x, name)
            return known

    for backend in _announced(cast(Hashable, type(x))):
        if isinstance(x, backend.arrays):
            return backend
    import array_api_compat

    try:
        xp = array_api_compat.array_namespace(x)
    except TypeError:
        raise TypeError(
            f"{name}: expected an array (NumPy, PyTorch, JAX, TensorFlow or the array standard's), "
            f"got {kind_of(x)}"
        ) from None
    backend = PlainBackend(cast(Namespace, xp), (type(x),))
    check_array(x, name, backend)
    return backend


@cache  # whose C code also keeps tracers that rewrite Python (AutoGraph) out of the search
def _announced(kind: type) -> tuple[Backend, ...]:
    """The backends that entry points announce for the root modules of a type."""
    from importlib.metadata import entry_points

    roots = {base.__module__.partition(".")[0] for base in kind.__mro__}
    return tuple(
        cast(Backend, point.load()) for point in entry_points(group=GROUP) if point.name in roots
    )
