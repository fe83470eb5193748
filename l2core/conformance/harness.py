"""How a framework is driven by the conformance checks and the tests: one harness a backend.

A backend offers its harnesses by an entry point of the group ``l2core.conformance``, a function
that returns a list of them; NumPy's and that of any array-API namespace are here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from l2core.backend import Array
from l2core.criterion import Criterion

GROUP = "l2core.conformance"
NumpyArray = np.ndarray[Any, Any]


class Harness(Protocol):
    """A framework, as the checks drive it.

    ``modes`` are the ways to run a function, "eager" first; ``dtypes`` the names of the dtypes that
    its arrays can have; ``autograd`` says whether :meth:`vjp` is there.
    """

    @property
    def name(self) -> str: ...
    @property
    def modes(self) -> tuple[str, ...]: ...
    @property
    def dtypes(self) -> tuple[str, ...]: ...
    @property
    def autograd(self) -> bool: ...

    def context(self) -> AbstractContextManager[Any]:
        """What must be entered around everything else, e.g. 64-bit types on."""
        ...

    def array(self, x: Any, dtype: str | None = None) -> Array:
        """A NumPy array as the framework's, cast to the dtype of this name if given."""
        ...

    def numpy(self, x: Array) -> NumpyArray:
        """An array of the framework as NumPy's, exactly (bfloat16 as float32)."""
        ...

    def face(self, criterion: Criterion) -> Callable[..., Array]:
        """The criterion as the adapter's users call it, with the core's argument names."""
        ...

    def run(self, f: Callable[..., Array], *args: Array, mode: str = "eager") -> Array:
        """f(*args) in this mode."""
        ...

    def vjp(
        self,
        f: Callable[..., Array],
        *args: Array,
        cotangent: Array | None = None,
        mode: str = "eager",
    ) -> tuple[Array, tuple[Array, ...]]:
        """f(*args), and the gradient of sum(f(*args) * cotangent) to each of args."""
        ...

    def value_and_grad(
        self,
        criterion: Criterion,
        pred: Array,
        target: Array,
        *,
        mode: str = "eager",
        cotangent: Array | None = None,
        **arguments: Any,
    ) -> tuple[Array, Array]:
        """The face's value and its gradient to pred: autograd's, or the closed form without it."""
        ...


@dataclass(frozen=True)
class AutogradHarness:
    """What harnesses with autograd share: a gradient by :meth:`vjp` of the face."""

    autograd = True

    def value_and_grad(
        self: Any,
        criterion: Criterion,
        pred: Array,
        target: Array,
        *,
        mode: str = "eager",
        cotangent: Array | None = None,
        **arguments: Any,
    ) -> tuple[Array, Array]:
        """See :class:`Harness`."""
        face = self.face(criterion)
        names = [name for name, x in arguments.items() if hasattr(x, "dtype")]
        fixed = {name: x for name, x in arguments.items() if name not in names}

        def f(pred: Array, target: Array, *arrays: Array) -> Array:
            return face(pred, target, **fixed, **dict(zip(names, arrays, strict=True)))

        others = [target, *(arguments[name] for name in names)]
        value, grads = self.vjp(f, pred, *others, cotangent=cotangent, mode=mode)
        return value, grads[0]


@dataclass(frozen=True)
class ArrayApiHarness:
    """A namespace of the array standard without autograd."""

    name: str
    xp: Any
    dtypes: tuple[str, ...]
    modes: tuple[str, ...] = ("eager",)
    autograd: bool = False

    def context(self) -> AbstractContextManager[Any]:
        """Nothing to enter."""
        return nullcontext()

    def array(self, x: Any, dtype: str | None = None) -> Array:
        """See :class:`Harness`."""
        x = np.asarray(x)
        return self.xp.asarray(x if dtype is None else x.astype(dtype))

    def numpy(self, x: Array) -> NumpyArray:
        """See :class:`Harness`."""
        return np.asarray(x)

    def face(self, criterion: Criterion) -> Callable[..., Array]:
        """The core's criterion itself."""
        return criterion

    def run(self, f: Callable[..., Array], *args: Array, mode: str = "eager") -> Array:
        """See :class:`Harness`."""
        return f(*args)

    def vjp(
        self,
        f: Callable[..., Array],
        *args: Array,
        cotangent: Array | None = None,
        mode: str = "eager",
    ) -> tuple[Array, tuple[Array, ...]]:
        """TypeError: there is no autograd."""
        raise TypeError(f"vjp: expected a framework with autograd, got {self.name}")

    def value_and_grad(
        self,
        criterion: Criterion,
        pred: Array,
        target: Array,
        *,
        mode: str = "eager",
        cotangent: Array | None = None,
        **arguments: Any,
    ) -> tuple[Array, Array]:
        """The closed form, times the cotangent."""
        value, grad = criterion.value_and_grad(pred, target, **arguments)
        return value, grad if cotangent is None else grad * cotangent


DTYPES = (
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)


def harnesses() -> list[Harness]:
    """Those of all installed backends, NumPy's first."""
    found: list[Harness] = [ArrayApiHarness("numpy", np, DTYPES)]
    if find_spec("array_api_strict") is not None:
        import array_api_strict

        standard = tuple(name for name in DTYPES if name != "float16")
        found.append(ArrayApiHarness("array-api-strict", array_api_strict, standard))
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        if find_spec(point.name) is not None:  # the framework that the harness drives
            found.extend(point.load()())
    return found
