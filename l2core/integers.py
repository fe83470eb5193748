"""What exact sums ask of a framework beside its namespace: 64-bit integers, and a branch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeAlias

import numpy as np

from l2core.arrays import Array

InNumpy: TypeAlias = Callable[..., np.ndarray[Any, Any]]
"""A function of NumPy's arrays."""
Made: TypeAlias = tuple[tuple[Any, ...], str]
"""The shape and dtype of what it gives."""


class Integers(Protocol):
    """Operations on int64 arrays. Nothing here rounds, and nothing has a derivative."""

    @property
    def flushes(self) -> bool:
        """Whether arithmetic takes subnormal numbers for 0."""
        ...

    @property
    def eager(self) -> bool:
        """Whether fast paths, which look at the data, serve there."""
        ...

    def reshaped(self, x: Array, like: Array, axes: tuple[int, ...]) -> Array:
        """x in the lengths of these axes of an array; a scalar of none."""
        ...

    def sums(self, *arrays: Array) -> Sequence[Array]:
        """The sum of each along its last axis, in one pass where they share what they come of."""
        ...

    def threads(self) -> int:
        """How many a pass over an array on the host may use."""
        ...

    def wide(self) -> AbstractContextManager[Any]:
        """A context with 64-bit types."""
        ...

    def bits(self, x: Array) -> Array:
        """The bits of float32 or float64 numbers as int64, of the same sign."""
        ...

    def floats(self, bits: Array, dtype: str) -> Array:
        """The float32 or float64 numbers of these bits (int64, >= 0)."""
        ...

    def left(self, x: Array, n: Any) -> Array:
        """x · 2^n."""
        ...

    def right(self, x: Array, n: Any) -> Array:
        """floor(x / 2^n)."""
        ...

    def binned(self, index: Array, values: Array, n: int) -> Array:
        """Σ of the values of each of n bins, along the last axis: (D, M) and (D, M) to (D, n)."""
        ...

    def along(self, x: Array, index: Array) -> Array:
        """x[..., index] along the last axis, of equal leading axes."""
        ...

    def blocked(self, x: Array, length: int) -> Array:
        """(D, M) as (D, k, length), with zeros at the end."""
        ...

    def broadcast(self, x: Array, like: Array) -> Array:
        """x in the shape of ``like``."""
        ...

    def known(self, x: Array) -> np.ndarray[Any, Any] | None:
        """x as NumPy's, where it lies on the host and is known already; else None."""
        ...

    def array(self, x: np.ndarray[Any, Any]) -> Array:
        """NumPy's array as the framework's, on the host."""
        ...

    def on_host(self, f: InNumpy, arrays: Sequence[Array | None], made: Made) -> Array | None:
        """f of the arrays, where what is compiled may call it while it runs; else None: then it is done in
        the framework's own integers."""
        ...

    def whole(self, criterion: Any, call: Any) -> Array | None:
        """The value with its derivatives by a criterion of the framework's own, which compiles it; None
        if this is one, or there is none."""
        ...

    def node(self, what: str, criterion: Any, call: Any) -> Array | None:
        """What :data:`l2core.exactly.calls.DIRECT` has under this name, as one operator, where a
        compiler or a transform is at work that cannot see through it; else None."""
        ...

    def mended(self, x: Array, wrong: Array, right: Callable[[Any], Array]) -> Array:
        """x (D,), with the elements of ``right(rows)`` where ``wrong``, which runs only if any are.

        ``rows`` are their numbers, or None for all: where the data are not known yet.
        """
        ...


class Usual:
    """What most frameworks share: 64-bit types, and no help of a host or a compiler."""

    eager = False

    def reshaped(self, x: Array, like: Array, axes: tuple[int, ...]) -> Array:
        return x.reshape(tuple(like.shape[a] for a in axes))

    def threads(self) -> int:
        return 1

    def wide(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def left(self, x: Array, n: Any) -> Array:
        return x << n

    def right(self, x: Array, n: Any) -> Array:
        return x >> n

    def on_host(self, f: InNumpy, arrays: Sequence[Array | None], made: Made) -> Array | None:
        return None

    def whole(self, criterion: Any, call: Any) -> Array | None:
        return None

    def node(self, what: str, criterion: Any, call: Any) -> Array | None:
        return None


class NumpyIntegers(Usual):
    """NumPy's. A bin's sum may be of up to 2^28 values below 2^24."""

    eager = True

    def sums(self, *arrays: Array) -> Sequence[Array]:
        return [np.sum(x, axis=-1) for x in arrays]

    @property
    def flushes(self) -> bool:
        """Whether this thread does: XLA's, and after torch.set_flush_denormal."""
        return not float(_SUBNORMAL.astype(np.float64)[0]) > 0

    def wide(self) -> AbstractContextManager[Any]:
        return np.errstate(all="ignore")

    def bits(self, x: Array) -> Array:
        x = np.asarray(x)
        x = x.astype(x.dtype.newbyteorder("="), copy=False)
        return x.view(np.int32 if x.dtype.itemsize == 4 else np.int64).astype(np.int64)

    def floats(self, bits: Array, dtype: str) -> Array:
        bits = np.asarray(bits)
        return bits.astype(np.int32 if dtype == "float32" else np.int64).view(dtype)

    def binned(self, index: Array, values: Array, n: int) -> Array:
        # In float64, which holds what so many add up to; one count per row.
        rows = len(index)
        flat = (index + n * np.arange(rows)[:, None]).ravel()
        total = np.zeros(rows * n, np.int64)
        for i in range(0, flat.size, _COUNTED):
            part = slice(i, i + _COUNTED)
            found = np.bincount(flat[part], values.ravel()[part], rows * n)
            total += found.astype(np.int64)
        return total.reshape(rows, n)

    def along(self, x: Array, index: Array) -> Array:
        return np.take_along_axis(x, index, -1)

    def blocked(self, x: Array, length: int) -> Array:
        padded = np.pad(x, ((0, 0), (0, -x.shape[1] % length)))
        return padded.reshape(len(x), -1, length)

    def broadcast(self, x: Array, like: Array) -> Array:
        return np.broadcast_to(x, like.shape)

    def reshaped(self, x: Array, like: Array, axes: tuple[int, ...]) -> Array:
        return super().reshaped(x, like, axes)[()]

    def known(self, x: Array) -> np.ndarray[Any, Any] | None:
        return np.asarray(x)

    def array(self, x: np.ndarray[Any, Any]) -> Array:
        return x

    def mended(self, x: Array, wrong: Array, right: Callable[[Any], Array]) -> Array:
        (rows,) = np.nonzero(wrong)
        if len(rows):
            x = x.copy()
            x[rows] = right(rows)
        return x


_COUNTED = 1 << 22
"""Values below 2^24 whose sums float64 holds with much to spare, and few enough to stay in cache."""
_SUBNORMAL = np.array([1e-40], np.float32)
INTEGERS = NumpyIntegers()
