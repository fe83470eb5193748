"""What a user of JAX can rely on: each capability tried on l2jax and on optax or plain jax.numpy.

Where optax has no such loss or argument, its side is what people write instead.
"""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax

import l2jax
from capability import Capabilities, raises


def _weighted(p, t, w):
    return jnp.sum(w * (p - t) ** 2) / jnp.sum(w)


OURS = SimpleNamespace(
    squared=l2jax.squared_error,
    huber=l2jax.huber_loss,
    log_cosh=l2jax.log_cosh,
    mean=l2jax.Criterion(),
    weighted=lambda p, t, w: l2jax.Criterion()(p, t, weight=w),
    masked=lambda p, t, m: l2jax.mse_loss(p, t, mask=m),
    absolute=l2jax.l1_loss,
    root=l2jax.rmse_loss,
    quantile=lambda p, t, q: l2jax.quantile_loss(p, t, q=q),
    empty=l2jax.Criterion(empty="zero"),
    per_sample=lambda p, t, w: l2jax.Criterion()(p, t, weight=w),
    parts=lambda pairs: sum(l2jax.Criterion().terms(*pair) for pair in pairs).value(),
)
BUILT_IN = SimpleNamespace(
    squared=optax.squared_error,
    huber=optax.huber_loss,
    log_cosh=optax.log_cosh,
    mean=lambda p, t: jnp.mean(optax.squared_error(p, t)),
    weighted=_weighted,
    masked=lambda p, t, m: jnp.mean((p - t) ** 2, where=m),
    absolute=lambda p, t: jnp.mean(jnp.abs(p - t)),
    root=lambda p, t: jnp.sqrt(jnp.mean((p - t) ** 2)),
    quantile=lambda p, t, q: jnp.mean(jnp.maximum(q * (t - p), (q - 1) * (t - p))),
    empty=lambda p, t: jnp.mean((p - t) ** 2),
    per_sample=lambda p, t, w: _weighted(p, t, w[:, None]) / p.shape[1],
    parts=lambda pairs: jnp.mean(jnp.stack([jnp.mean((p - t) ** 2) for p, t in pairs])),
)
capability = Capabilities()
P, T, W = jnp.array([2.0, 3.0, 0.1]), jnp.array([0.0, 1.0, 0.0]), jnp.array([1.0, 0.0, 3.0])


# --- transforms -------------------------------------------------------------------------------


@capability("`jit`, `grad`, `vmap`, `jvp`, `vjp`, `linearize`, `hessian`, `checkpoint`, `scan`")
def _(side):
    def f(p):
        return side.mean(p, T)

    jax.linearize(f, P)[1](P)
    jax.vjp(f, P)[1](jnp.ones(()))
    jax.jit(jax.vmap(jax.grad(lambda p, t: side.mean(p, t))))(P[:, None], T[:, None])
    jax.lax.scan(lambda c, p: (c + f(p), None), 0.0, jnp.stack([P, T]))
    along = jax.jvp(f, (P,), (P,))[1]
    gradient = jax.grad(jax.checkpoint(f))(P)
    close = jnp.allclose(along, gradient @ P)
    return close and jnp.allclose(jax.hessian(f)(P), 2 / 3 * jnp.eye(3))


@capability("a traced Huber delta, with its gradient")
def _(side):
    def f(delta):
        return side.huber(P, T, delta=delta).sum()

    return jnp.allclose(jax.jit(jax.grad(f))(0.5), 3.0)


@capability("curvature 1 of log cosh at 0")
def _(side):
    return jax.grad(jax.grad(side.log_cosh))(0.0, 0.0) == 1


@capability("gradient 0 of the absolute error at 0")
def _(side):
    return jax.grad(side.absolute)(jnp.zeros(1), jnp.zeros(1)) == 0


@capability("gradient 0 of the quantile loss at 0")
def _(side):
    return jax.grad(side.quantile)(jnp.zeros(1), jnp.zeros(1), 0.9) == 0


@capability("a finite gradient of the RMSE at a perfect fit")
def _(side):
    return jnp.isfinite(jax.grad(side.root)(P, P)).all()


# --- strictness -------------------------------------------------------------------------------


@capability('`numpy_dtype_promotion("strict")` with bfloat16 predictions and float32 weights')
def _(side):
    with jax.numpy_dtype_promotion("strict"):
        return jax.jit(side.weighted)(P.astype("bfloat16"), T.astype("bfloat16"), W) > 0


@capability('`numpy_rank_promotion("raise")` with weights per sample')
def _(side):
    p, t = (jnp.stack([x, x], axis=1) for x in (P, T))
    with jax.numpy_rank_promotion("raise"):
        return jnp.allclose(side.per_sample(p, t, W), side.weighted(P, T, W))


@capability("`jax_debug_nans`: NaN under a mask is not met")
def _(side):
    bad = P.at[1].set(jnp.nan)
    with jax.debug_nans(True):
        return jnp.isfinite(jax.grad(side.masked)(bad, T, W > 0)).all()


@capability('`transfer_guard("disallow")`, without `jit`')
def _(side):
    with jax.transfer_guard("disallow"):
        return jax.block_until_ready(side.squared(P, T)).shape == (3,)


@capability("`checking_leaks`, and no second trace for new values")
def _(side):
    traces = []

    @jax.jit
    def f(p, t, w):
        traces.append(1)
        return jax.grad(side.weighted)(p, t, w)

    with jax.checking_leaks():
        f(P, T, W)
    f(P, T, W)
    traces.clear()
    f(2 * P, T, W + 1)
    return not traces


# --- numbers ----------------------------------------------------------------------------------


@capability("a float16 residual of 300")
def _(side):
    return side.mean(jnp.array([300.0], "float16"), jnp.zeros(1, "float16")) == 90_000


@capability("70,000 float16 weights of 1")
def _(side):
    ones = jnp.ones(70_000, "float16")
    return side.weighted(ones, 0 * ones, ones) == 1


@capability("uint8 pixels, 0 against 20")
def _(side):
    return side.mean(jnp.array([0], "uint8"), jnp.array([20], "uint8")) == 400


@capability("64-bit integers of NumPy, where JAX has none")
def _(side):
    return side.absolute(np.array([2**40]), np.array([0])) == 2.0**40


@capability("complex numbers, 1+2j against 0")
def _(side):
    return side.mean(jnp.array([1 + 2j]), jnp.array([0j])) == 5


@capability("log cosh of 1e-4 and of 100 in float32")
def _(side):
    small, large = side.log_cosh(jnp.array([1e-4, 100.0]), jnp.zeros(2))
    return abs(small / 5e-9 - 1) < 1e-5 and abs(large / (100 - 0.6931472) - 1) < 1e-6


# --- meaning ----------------------------------------------------------------------------------


@capability("unequal shapes, (3,) and (3, 1), raise")
def _(side):
    return all(
        raises(f, jnp.zeros(3), jnp.zeros((3, 1)))
        for f in (side.squared, side.huber, side.log_cosh)
    )


@capability("Huber with delta <= 0 raises")
def _(side):
    return raises(side.huber, P, T, delta=-1.0)


@capability("what has weight 0 has no part, be it NaN")
def _(side):
    value, gradient = jax.value_and_grad(side.weighted)(P.at[1].set(jnp.nan), T, W)
    return jnp.isfinite(value) and jnp.isfinite(gradient).all() and gradient[1] == 0


@capability("what is masked has no part, be it NaN")
def _(side):
    value, gradient = jax.value_and_grad(side.masked)(P.at[1].set(jnp.nan), T, W > 0)
    return jnp.isfinite(value) and jnp.isfinite(gradient).all() and gradient[1] == 0


@capability("a mean over nothing is 0, if asked for")
def _(side):
    value, gradient = jax.value_and_grad(side.empty)(jnp.zeros((0, 2)), jnp.zeros((0, 2)))
    return value == 0 and gradient.shape == (0, 2)


@capability("the mean over unequal micro-batches is the mean over all")
def _(side):
    return jnp.allclose(side.parts([(P[:2], T[:2]), (P[2:], T[2:])]), jnp.mean((P - T) ** 2))


def rows() -> list[tuple[str, bool, bool]]:
    return capability.rows(OURS, BUILT_IN)


if __name__ == "__main__":
    for name, ours, theirs in rows():
        print(f"{'yes' if ours else 'NO':5}{'yes' if theirs else 'no':5}{name}")
