"""What a value is made of: counts beyond integers, 64-bit integers, the types of numbers."""

import json
from unittest import mock

import numpy as np
import pytest

from l2core import AbsoluteError, Criterion, SquaredError
from l2core.criterion import REDUCTIONS
from subjects import ONE_OF_EACH

LARGE = np.array([1_700_000_000_000_000_050, -9_000_000_000_000_000_000, 7, 1 << 62])
OTHER = np.array([1_700_000_000_000_000_000, 9_000_000_000_000_000_000, 9, 1 << 62])


@pytest.mark.modes("eager", "jit", "function", "xla", "compile")
@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_integers_of_64_bits_are_subtracted_before_they_are_rounded(harness, mode, dtype):
    if dtype not in harness.dtypes:
        return  # JAX without 64-bit types
    pred, target = LARGE.astype(dtype), OTHER.astype(dtype)
    exact = [abs(int(p) - int(t)) for p, t in zip(pred, target, strict=True)]
    face = harness.face(Criterion(AbsoluteError(), "none"))
    seen = harness.run(face, *map(harness.array, (pred, target)), mode=mode)
    assert harness.numpy(seen).tolist() == [float(x) for x in exact]


@pytest.mark.parametrize("n", [4, 300_000])
def test_the_closed_form_of_64_bit_integers(n):
    target = np.full(n, 1 << 61)
    value, grad = Criterion().value_and_grad(target + 50, target)
    assert value == Criterion()(target + 50, target) == 2500
    assert np.all(grad == 2 / n * 50)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("loss", ONE_OF_EACH, ids=repr)
def test_a_value_of_numpy_is_a_scalar(loss, reduction, shape):
    pred, target = np.ones(shape, "f4"), np.zeros(shape, "f4")
    extra = {"variance": 0.5} if loss.needs else {}
    criterion = Criterion(loss, reduction)
    for more in ({}, {"mask": np.ones(shape, bool)}, {"weight": pred}):
        found = [criterion(pred, target, **more, **extra)]
        found.append(criterion.value_and_grad(pred, target, **more, **extra)[0])
        if reduction in ("mean", "root_mean"):
            found.append(criterion.terms(pred, target, **more, **extra).value())
        if reduction != "none" or shape == ():
            assert {type(x) for x in found} == {np.float32}
            assert all(hash(x) == hash(float(x)) for x in found)
            assert max(found) - min(found) <= 6 * np.spacing(max(found))  # two orders of 6 terms
            json.dumps(float(found[0]))


def test_numpys_scalars_survive_json_and_round():
    value = Criterion(reduction="root_mean")(np.ones(3), np.zeros(3))
    assert json.dumps(value) == "1.0"
    assert round(value, 2) == 1.0


@pytest.mark.parametrize("axis", [None, (0,), (1,), (0, 1)])
@pytest.mark.parametrize("shape", [(7, 9), (1, 63), (63, 1)])
def test_jax_counts_beyond_its_integers(shape, axis):
    from l2jax import backend

    x = np.arange(np.prod(shape)).reshape(shape) % 3 == 0
    for limit, row in ((5, 4), (20, 4), (40, 8)):
        with mock.patch.multiple(backend, _INTEGERS=limit, _ROW=row):
            seen = backend.XP.count_nonzero(x, axis=axis)
        assert np.array_equal(seen, np.count_nonzero(x, axis=axis))


@pytest.mark.parametrize("shape", [(65536, 32776), (2**31 + 5,)])
@pytest.mark.parametrize(
    "fields", [{}, {"reduction": "root_mean"}, {"denominator": "count"}, {"denominator": "batch"}]
)
def test_jax_takes_arrays_of_more_elements_than_its_integers_count(fields, shape):
    import jax
    import jax.numpy as jnp

    import l2jax

    criterion = l2jax.Criterion(SquaredError(), **fields)
    x, kept = (jax.ShapeDtypeStruct(shape, dtype) for dtype in (jnp.float32, bool))

    def gradient(pred, target, weight, mask):
        return jax.grad(lambda p: criterion(p, target, weight=weight, mask=mask))(pred)

    with jax.enable_x64(False):
        assert jax.eval_shape(criterion, x, x).dtype == jnp.float32
        assert jax.eval_shape(gradient, x, x, None, kept).shape == shape
        assert jax.eval_shape(gradient, x, x, x, None).shape == shape
        jax.eval_shape(criterion.value_and_grad, x, x)
        jax.eval_shape(criterion.terms, x, x)
