"""Arrays of other namespaces go through the plain path: Dask's stay lazy, memory maps on disk."""

from pathlib import Path

import dask.array
import numpy as np
import pytest

from l2core import Criterion, Huber, LogCosh
from l2core.backend import backend_of
from semantics import KEPT, PRED, TARGET
from subjects import ONE_OF_EACH

pytestmark = pytest.mark.once

CHUNKS = (2, 3)


def lazy(x):
    return dask.array.from_array(np.asarray(x), chunks=CHUNKS[: np.ndim(x)])


@pytest.mark.parametrize("loss", ONE_OF_EACH, ids=lambda loss: type(loss).__name__)
def test_dask_arrays_stay_lazy(loss):
    more = {"weight": np.array([1.0, 0.5, 0.0, 3.0]), "mask": KEPT}
    if loss.needs:
        more["variance"] = np.full(PRED.shape, 2.0)
    for options in ({}, {"reduction": "none"}, {"reduction": "root_mean", "axis": 1}):
        criterion = Criterion(loss, **options)
        expected, slope = criterion.value_and_grad(PRED, TARGET, **more)
        given = {name: lazy(x) for name, x in more.items()}
        found, gradient = criterion.value_and_grad(lazy(PRED), lazy(TARGET), **given)
        for got, wanted in ((found, expected), (gradient, slope)):
            assert isinstance(got, dask.array.Array)
            # Chunks of 6 are added apart: another order of 12 terms.
            np.testing.assert_allclose(got.compute(), wanted, rtol=32 * 2.0**-53, atol=0)
        assert isinstance(criterion(lazy(PRED), lazy(TARGET), **given), dask.array.Array)


def test_a_call_computes_nothing_of_a_dask_array():
    def fail(block):
        raise RuntimeError("computed")

    trap = dask.array.zeros((4, 3), chunks=CHUNKS).map_blocks(
        fail, dtype=float, meta=np.zeros((0, 0))
    )
    for reduction in ("none", "sum", "mean", "root_mean"):
        value = Criterion(LogCosh(), reduction)(trap, trap, weight=trap, mask=trap > 0)
        with pytest.raises(RuntimeError, match="computed"):
            value.compute()


def test_dask_terms_add_up():
    criterion = Criterion(Huber(0.7))
    parts = [
        criterion.terms(lazy(PRED[rows]), lazy(TARGET[rows])) for rows in (slice(1), slice(1, 4))
    ]
    value = sum(parts).value()
    assert isinstance(value, dask.array.Array)
    np.testing.assert_allclose(value.compute(), criterion(PRED, TARGET), rtol=32 * 2.0**-53)


def test_a_memory_map_is_a_numpy_array(tmp_path):
    maps = []
    for name, x in (("pred", PRED), ("target", TARGET)):
        maps.append(np.memmap(tmp_path / name, dtype=float, mode="w+", shape=x.shape))
        maps[-1][:] = x
    value, gradient = Criterion().value_and_grad(*maps)
    expected, slope = Criterion().value_and_grad(PRED, TARGET)
    np.testing.assert_allclose(value, expected, rtol=32 * 2.0**-53)  # two orders of one sum
    assert gradient.tolist() == slope.tolist()
    assert backend_of(maps[0], "pred") is backend_of(PRED, "pred")


def test_numpy_layouts_do_not_matter():
    strided = np.zeros((8, 6))[::2, ::-2]
    strided[:] = PRED
    expected = Criterion().value_and_grad(PRED, TARGET)
    for pred in (np.asfortranarray(PRED), strided, np.broadcast_to(PRED, PRED.shape)):
        value, gradient = Criterion().value_and_grad(pred, TARGET)
        np.testing.assert_allclose(value, expected[0], rtol=32 * 2.0**-53)
        assert gradient.tolist() == expected[1].tolist()


def test_numpy_scalars_are_arrays_of_rank_0():
    value = Criterion()(np.float32(3), np.float32(1))
    assert value == 4
    assert value.dtype == np.float32
    assert Criterion()(np.uint8(0), np.uint8(20)) == 400


def test_inputs_are_left_as_they_were(harness):
    given = [harness.array(x, "float32") for x in (PRED, TARGET, np.array([1.0, 0.0, 2.0, 3.0]))]
    before = [harness.numpy(x).copy() for x in given]
    for options in ({}, {"reduction": "none"}, {"nan_targets": "ignore"}):
        harness.value_and_grad(Criterion(**options), *given[:2], weight=given[2])
    for old, x in zip(before, given, strict=True):
        assert (harness.numpy(x) == old).all()


def test_unions_of_types_stay_out_of_isinstance():
    """Dynamo of PyTorch up to 2.9 knows none: a tuple of types in all code that a call may reach."""
    import ast
    from importlib.util import find_spec

    for package in ("l2core", "l2torch", "l2jax", "l2keras"):
        folder = Path(find_spec(package).submodule_search_locations[0])
        for path in [p for p in folder.rglob("*.py") if "conformance" not in p.parts]:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                called = isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance"
                assert not (called and "|" in ast.unparse(node.args[1])), (path, node.lineno)
