"""JAX as the conformance checks drive it, with 64-bit types off and on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import l2core
from l2core.conformance.harness import DTYPES, AutogradHarness, NumpyArray, Writing
from l2jax.criterion import Criterion


@dataclass(frozen=True)
class JaxHarness(AutogradHarness):
    """Op by op (without jit), and jitted."""

    name: str
    x64: bool
    dtypes: tuple[str, ...]
    modes: tuple[str, ...] = ("eager", "jit")
    flushes = True
    thrift = 6

    def context(self) -> AbstractContextManager[Any]:
        """64-bit types on or off."""
        context: AbstractContextManager[Any] = jax.enable_x64(self.x64)
        return context

    def array(self, x: Any, dtype: str | None = None) -> Array:
        """See :class:`l2core.conformance.Harness`."""
        return jnp.asarray(x) if dtype is None else jnp.asarray(np.asarray(x), dtype=dtype)

    def numpy(self, x: Array) -> NumpyArray:
        """See :class:`l2core.conformance.Harness`."""
        return np.asarray(x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x)

    def face(self, criterion: l2core.Criterion) -> Callable[..., Array]:
        """The JAX criterion."""
        return Criterion(**criterion.arguments)

    def run(self, f: Callable[..., Array], *args: Array, mode: str = "eager") -> Array:
        """See :class:`l2core.conformance.Harness`."""
        if mode == "jit":
            jitted: Array = jax.jit(f)(*args)
            return jitted
        with jax.disable_jit():
            return f(*args)

    def vjp(
        self,
        f: Callable[..., Array],
        *args: Array,
        cotangent: Array | None = None,
        mode: str = "eager",
    ) -> tuple[Array, tuple[Any, ...]]:
        """See :class:`l2core.conformance.Harness`; None for arguments without a gradient."""
        smooth = [i for i, x in enumerate(args) if jnp.issubdtype(x.dtype, jnp.inexact)]

        def of_smooth(*leaves: Array) -> Array:
            full = list(args)
            for i, leaf in zip(smooth, leaves, strict=True):
                full[i] = leaf
            return f(*full)

        def both(*leaves: Array) -> Any:
            value, pullback = jax.vjp(of_smooth, *leaves)
            upstream = jnp.ones_like(value) if cotangent is None else cotangent
            return value, pullback(upstream)

        value, grads = self.run(both, *(args[i] for i in smooth), mode=mode)
        found: list[Any] = [None] * len(args)
        for i, grad in zip(smooth, grads, strict=True):
            found[i] = grad
        return value, tuple(found)

    @property
    def features(self) -> dict[str, Callable[..., Any]]:
        """See :class:`l2core.conformance.Harness`."""
        features: dict[str, Callable[..., Any]] = {
            "second": lambda f, x: jax.grad(lambda x: jax.grad(lambda x: f(x).sum())(x).sum())(x),
            "jvp": lambda f, x, v: jax.jvp(f, (x,), (v,))[1],
            "vmap": lambda f, *stacked: jax.vmap(f)(*stacked),
            "vmap_grad": lambda f, *stacked: jax.vmap(jax.grad(f))(*stacked),
        }
        return {name: _eagerly(feature) for name, feature in features.items()}

    @property
    def writing(self) -> Writing:
        """See :class:`l2core.conformance.Writing`."""
        f = "lambda pred, target: {call}"
        switch = 'import jax\n\njax.config.update("jax_enable_x64", True)\n' if self.x64 else ""
        return Writing(
            imports=f"{switch}import jax\nimport jax.numpy as jnp",
            array="jnp.asarray({data}, dtype=jnp.{dtype})",
            gradient="print(jax.grad(lambda {wrt}: {call}.sum())({wrt}))",
            modes={"jit": f"jax.jit({f})(pred, target)"},
            features={
                "second": "jax.grad(lambda pred: jax.grad(lambda pred: {call}.sum())(pred).sum())(pred)",
                "jvp": "jax.jvp(lambda pred: {call}, (pred,), (tangent,))[1]",
                "vmap": f"jax.vmap({f})(pred, target)",
                "vmap_grad": f"jax.vmap(jax.grad({f}))(pred, target)",
            },
        )


def _eagerly(f: Callable[..., Any]) -> Callable[..., Any]:
    """f, op by op."""

    def eager(*arguments: Any) -> Any:
        with jax.disable_jit():
            return f(*arguments)

    return eager


def harnesses() -> list[JaxHarness]:
    """One without 64-bit types, as JAX starts, and one with them."""
    wide = ("int64", "uint64", "float64", "complex128")
    narrow = (*(name for name in DTYPES if name not in wide), "bfloat16")
    return [
        JaxHarness("jax", False, narrow),
        JaxHarness("jax-x64", True, (*DTYPES, "bfloat16")),
    ]
