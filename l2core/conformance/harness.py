"""How a framework is driven by the conformance checks and the tests: one harness a backend.

A backend offers its harnesses by an entry point of the group ``l2core.conformance``, a function
that returns a list of them; NumPy's and that of any array-API namespace are here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from l2core.arrays import Array
from l2core.criterion import Criterion

GROUP = "l2core.conformance"
NUMPY = "numpy"
NumpyArray = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Writing:
    """How code of a framework reads, for the snippets of a report.

    ``array`` holds {data} and {dtype}; the others hold {call}, an expression of the arrays pred and
    target: ``gradient`` prints its gradient (to {wrt}), ``modes`` and ``features`` are expressions
    for it run in another mode, or for what a feature makes of it.
    """

    imports: str
    array: str
    gradient: str
    modes: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, str] = field(default_factory=dict)


class Harness(Protocol):
    """A framework, as the checks drive it.

    ``modes`` are the ways to run a function, "eager" first; ``dtypes`` the names of the dtypes that
    its arrays can have; ``autograd`` says whether :meth:`vjp` is there; ``flushes`` whether
    subnormals count as 0; ``thrift`` by how much fewer inputs a slow framework gets.

    ``features`` are what a framework may have beside, by name:
    ``second(f, x)``, the gradient of the sum of f's gradient; ``jvp(f, x, v)``, the tangent of f(x)
    along v in forward mode; ``vmap(f, *stacked)`` and ``vmap_grad(f, *stacked)``, f or its gradient
    to its first argument mapped over a leading axis; ``watched(f, z)``, the gradient to z of
    f(z + z, z), its graph kept, where a hook doubles the gradient to z + z; ``layouts(x)``, a NumPy array in other layouts
    of memory; ``threads(n)``, a context with n threads.
    """

    @property
    def name(self) -> str: ...
    @property
    def modes(self) -> tuple[str, ...]: ...
    @property
    def dtypes(self) -> tuple[str, ...]: ...
    @property
    def autograd(self) -> bool: ...
    @property
    def flushes(self) -> bool: ...
    @property
    def thrift(self) -> int: ...
    @property
    def features(self) -> Mapping[str, Callable[..., Any]]: ...
    @property
    def writing(self) -> Writing: ...

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
    flushes = False
    thrift = 1

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
    flushes: bool = False
    thrift: int = 1

    @property
    def features(self) -> dict[str, Callable[..., Any]]:
        """Layouts of memory, if the namespace is NumPy's."""
        return {"layouts": numpy_layouts} if self.xp is np else {}

    @property
    def writing(self) -> Writing:
        """See :class:`Writing`; the gradient is the closed form's."""
        alias = "np" if self.xp is np else "xp"
        return Writing(
            imports=f"import {self.xp.__name__} as {alias}",
            array=f"{alias}.asarray({{data}}, dtype={alias}.{{dtype}})",
            gradient="print(loss.value_and_grad({arguments})[1])",
        )

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


def numpy_layouts(x: NumpyArray) -> list[NumpyArray]:
    """x in column-major order, backwards in memory, and as every second element of another."""
    wide = np.zeros((*x.shape, 2), x.dtype)
    wide[..., 0] = x
    backwards = np.flip(np.flip(x).copy())
    return [np.asfortranarray(x), backwards, wide[..., 0]]


def harnesses(*providers: str) -> list[Harness]:
    """Those of all installed backends, NumPy's first; or of these entry points alone."""
    found: list[Harness] = []
    if not providers or NUMPY in providers:
        found.append(ArrayApiHarness(NUMPY, np, DTYPES))
        if find_spec("array_api_strict") is not None:
            import array_api_strict

            standard = tuple(name for name in DTYPES if name != "float16")
            found.append(ArrayApiHarness("array-api-strict", array_api_strict, standard))
    for point in installed(GROUP):
        if not providers or point.name in providers:
            found.extend(point.load()())
    return found


def harness(name: str) -> Harness:
    """The one of this name; ValueError if none has it. Imports no framework but its own."""
    known: list[str] = []
    for provider in [NUMPY, *(point.name for point in installed(GROUP))]:
        if name == provider or name.startswith(f"{provider}-") or provider == NUMPY:
            found = harnesses(provider)
            known += [each.name for each in found]
            for each in found:
                if each.name == name:
                    return each
    raise ValueError(f"harness: expected one of {', '.join(known)} or another's, got {name!r}")


def installed(group: str) -> list[EntryPoint]:
    """The entry points of a group whose framework, by which they are named, is installed."""
    points = sorted(entry_points(group=group), key=lambda point: point.name)
    return [point for point in points if find_spec(point.name.partition(".")[0]) is not None]
