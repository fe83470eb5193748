"""JAX's own checks switched on: promotion, ranks, NaNs, transfers, leaks, retracing; and dtypes."""

import inspect
import pickle
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose

import l2core
import l2jax

ONE = pytest.mark.parametrize("loss", [l2core.SquaredError()], ids=["SquaredError"])
"""For what does not depend on the loss."""


@pytest.fixture
def single(data, arguments):
    """The data as float32 arrays on the device."""
    arrays = {"pred": data.pred, "target": data.target, **arguments}
    return {k: jnp.asarray(x, bool if k == "mask" else "float32") for k, x in arrays.items()}


def _check_no_implicit_promotion(loss, single, dtype):
    inputs = {k: single.pop(k).astype(dtype) for k in ("pred", "target")}

    @jax.jit
    def everything(pred, target, rest):
        terms = l2jax.Criterion(loss, "root_mean").terms(pred, target, **rest)
        f = jax.value_and_grad(l2jax.Criterion(loss))
        return *f(pred, target, **rest), terms.value()

    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        value, gradient, root = everything(**inputs, rest=single)
    assert value.dtype == root.dtype == "float32"
    assert gradient.dtype == dtype


def test_no_implicit_promotion_of_dtypes_or_ranks(loss, single):
    _check_no_implicit_promotion(loss, single, "bfloat16")


@ONE
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_no_implicit_promotion_from(loss, single, dtype):
    _check_no_implicit_promotion(loss, single, dtype)


@ONE
def test_no_function_promotes_implicitly(loss, single):
    """Every one of them, by its signature; and Huber's with a traced delta of another dtype."""
    p, t = (single[k].astype("bfloat16") for k in ("pred", "target"))
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        for name in sorted(set(l2jax.__all__) - {"Criterion"}):
            f = getattr(l2jax, name)
            takes = inspect.signature(f).parameters
            if not takes.keys() & {"weight", "delta"}:
                continue  # no loss
            rest = {k: single[k] for k in ("weight", "mask") if k in takes}
            rest |= {"delta": jnp.bfloat16(0.5)} if "delta" in takes else {}
            rest |= {"variance": 1 + single["weight"]} if "variance" in takes else {}
            assert jax.jit(f)(p, t, **rest).dtype == "float32"


@pytest.mark.parametrize("reduction", ["none", "root_mean"])
def test_nan_checks_meet_no_nan_where_nothing_is_selected(loss, single, reduction):
    mask = single["mask"]
    bad = jnp.where(mask, single["pred"], jnp.nan)
    f = l2jax.Criterion(loss, reduction)
    if reduction == "root_mean" and loss.needs:
        single["variance"] = jnp.full(4, 9.0)  # keeps the mean, whose root is taken, positive
    rest = {k: x for k, x in single.items() if k not in ("pred", "target")}
    with jax.debug_nans(True), jax.debug_infs(True):
        gradient = jax.jit(jax.grad(lambda p: jnp.sum(f(p, single["target"], **rest))))(bad)
    assert np.all(np.asarray(gradient)[~mask] == 0)


def test_nan_checks_meet_no_nan_in_an_empty_mean(loss, single):
    f = l2jax.Criterion(loss, empty="zero")
    rest = {k: x for k, x in single.items() if k not in ("pred", "weight")}
    with jax.debug_nans(True):
        value, gradient = jax.jit(jax.value_and_grad(f))(
            single["pred"], weight=jnp.zeros_like(single["weight"]), **rest
        )
        variance = {"variance": jnp.ones((0, 3))} if loss.needs else {}
        nothing = f(jnp.zeros((0, 3)), jnp.zeros((0, 3)), **variance)
    assert value == nothing == 0
    assert not np.any(gradient)


@ONE
def test_perfect_fit_has_a_finite_root(single):
    f = l2jax.Criterion(reduction="root_mean")
    with jax.debug_nans(True):
        value, gradient = jax.value_and_grad(f)(single["pred"], single["pred"])
    assert value == 0
    assert not np.any(gradient)


def test_no_transfers(loss, single):
    f = l2jax.Criterion(loss)
    step = jax.jit(jax.grad(lambda p, rest: f(p, **rest)))
    pred = single.pop("pred")
    with jax.transfer_guard("disallow"):
        jax.block_until_ready(f(pred, **single))
        jax.block_until_ready(step(pred, single))
        jax.block_until_ready(f.terms(pred, **single))
        jax.block_until_ready(l2jax.l2_loss(pred))


def test_no_leaks(loss, single):
    pred = single.pop("pred")
    with jax.checking_leaks():
        jax.jit(jax.grad(lambda p: l2jax.Criterion(loss)(p, **single)))(pred)


@ONE
def test_new_values_are_not_traced_again(single, caplog):
    f = l2jax.Criterion()
    p, t, w, m = (single[k] for k in ("pred", "target", "weight", "mask"))

    def calls(x):
        f(p * x, t, weight=w * x, mask=m)
        f(p, t, weight=x, denominator=x)
        f(p, t, weight=x, denominator=x.__class__(2))

    calls(1.5)
    with jax.log_compiles():
        calls(2.5)
        calls(7)  # an int is traced as the float is
        l2jax.Criterion()(p, t, weight=9.0, denominator=3)  # an equal criterion is the same one
    assert "Criterion" not in caplog.text
    assert "_value" not in caplog.text
    with jax.log_compiles():
        f(p[:2], t[:2])
    assert "_value" in caplog.text  # a new shape is, and the log would have said so


@ONE
def test_static_and_hashable(loss, single):
    a, b = l2jax.Criterion(loss, axis=0), l2jax.Criterion(type(loss)(), axis=0)
    assert a == b
    assert hash(a) == hash(b)
    assert a != l2jax.Criterion(loss)
    assert pickle.loads(pickle.dumps(a)) == a
    traces = 0

    @partial(jax.jit, static_argnames="criterion")
    def step(criterion, weight, pred, **rest):
        nonlocal traces
        traces += 1
        return criterion(pred, weight=weight, **rest)

    step(a, **single)
    step(b, **(single | {"weight": single["weight"] * 2}))
    assert traces == 1


@ONE
def test_numbers_do_not_widen_the_result(single):
    p, t = single["pred"], single["target"]
    with jax.enable_x64(True):
        for arguments in ({}, {"weight": 0.5}, {"weight": 2, "denominator": 3}):
            criterion = l2jax.Criterion(denominator="count")
            value, gradient = jax.value_and_grad(criterion)(p, t, **arguments)
            assert value.dtype == gradient.dtype == "float32"
        assert l2jax.gaussian_nll_loss(p, t, 0.5).dtype == "float32"
        assert criterion(p, t, weight=np.float64(0.5)).dtype == "float64"
        # 0.1 is not rounded to float32 on its way to a float64 loss
        p, t = jnp.asarray([3.0], "float64"), jnp.asarray([1.0], "float64")
        assert l2jax.Criterion(reduction="sum")(p, t, weight=0.1) == 0.1 * 4


@pytest.mark.parametrize(
    ("dtype", "off", "on"),
    [
        ("bool", "float32", "float32"),
        ("uint8", "float32", "float32"),
        ("int16", "float32", "float32"),
        ("int32", "float32", "float64"),
        ("int64", "float32", "float64"),
        ("float16", "float32", "float32"),
        ("float32", "float32", "float32"),
        ("float64", "float32", "float64"),
        ("complex64", "float32", "float32"),
        ("complex128", "float32", "float64"),
    ],
)
def test_dtypes_with_and_without_64_bits(dtype, off, on):
    pred, target = np.array([0, 1], dtype), np.array([1, 1], dtype)
    for x64, expected in ((False, off), (True, on)):
        with jax.enable_x64(x64):
            value = np.asarray(l2jax.Criterion()(pred, target))
        assert value.dtype == expected
        assert value == 0.5


def test_numbers_stand_for_scalars_where_optax_takes_them():
    assert l2jax.squared_error(3, 1.0) == 4
    assert jax.grad(l2jax.log_cosh)(0.0) == 0
    assert l2jax.huber_loss(3.0, 1, jnp.asarray(1.0)) == 1.5
    with pytest.raises(ValueError, match="predictions and targets: expected equal shapes"):
        l2jax.l2_loss(jnp.ones(3), 0.0)


def test_wide_integers_do_not_wrap_around():
    big = np.array([2**40, 0], "int64")
    assert l2jax.Criterion(l2core.AbsoluteError(), "sum")(big, np.zeros_like(big)) == 2.0**40


def test_half_precision_holds_large_residuals():
    for dtype in ("float16", "bfloat16"):
        p, t = jnp.asarray([300.0], dtype), jnp.zeros(1, dtype)
        value, gradient = jax.value_and_grad(l2jax.Criterion())(p, t)
        assert value == np.float32(p[0]) ** 2  # 90000 is no float16
        assert gradient.dtype == dtype
        assert gradient[0] == 2 * p[0]


def test_errors_are_raised_while_tracing():
    f = jax.jit(jax.grad(l2jax.Criterion()))
    with pytest.raises(ValueError, match=r"pred and target: expected equal shapes, got \(4,\)"):
        f(jnp.ones(4), jnp.ones((4, 1)))
    with pytest.raises(TypeError, match="mask: expected a bool array, got float32"):
        l2jax.Criterion()(jnp.ones(4), jnp.ones(4), mask=jnp.ones(4))


def test_what_jax_takes_as_an_array():
    """An object with __jax_array__, such as a parameter of Flax, in every place."""
    x = jnp.arange(3.0)
    param, total = nnx.Param(x), nnx.Param(jnp.asarray(6.0))
    for value, expected in (
        (l2jax.Criterion()(param, jnp.zeros(3)), 5 / 3),
        (l2jax.Criterion()(jnp.zeros(3), param, weight=param), 9 / 3),
        (l2jax.Criterion()(x, jnp.zeros(3), mask=nnx.Variable(x > 1), denominator=total), 4 / 6),
        (l2jax.squared_error(param).sum(), 5.0),
        (l2jax.huber_loss(param, x * 0, nnx.Param(jnp.asarray(1.0))).sum(), 2.0),
    ):
        assert_allclose(value, expected, 1e-6)


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i2", ">i8"])
def test_arrays_of_the_other_byte_order(dtype):
    x, y = np.array([1, 2, 5]), np.array([2, 2, 3])
    expected = l2jax.Criterion()(x.astype(dtype[1:]), y.astype(dtype[1:]))
    assert l2jax.Criterion()(x.astype(dtype), y.astype(dtype)) == expected
