"""Statistics with exact sums: the bits of the correctly rounded figures, however the data are split."""

import json
from functools import reduce
from operator import add

import numpy as np
import pytest

from exact_data import mixed, oracle, same, wild
from l2core import AbsoluteError, ErrorStatistics, SquaredError, dask_statistics, evaluate

FIGURES = {
    "mse": (SquaredError(), "mean"),
    "rmse": (SquaredError(), "root_mean"),
    "mae": (AbsoluteError(), "mean"),
}
N, OUTPUTS = 60, 3


def data(dtype):
    p, t = (wild(N * OUTPUTS, k, dtype).reshape(N, OUTPUTS) for k in (1, 2))
    weight = np.abs(wild(N * OUTPUTS, 3, dtype)).reshape(N, OUTPUTS)
    return p, t, weight * (mixed(N * OUTPUTS, 4).reshape(N, OUTPUTS) % np.uint64(5) != 0)


def wanted(name, dtype, widest, weight, axis):
    loss, reduction = FIGURES[name]
    p, t, w = data(dtype)
    more = {"weight": w} if weight else {}
    return oracle(loss, p, t, widest, reduction=reduction, axis=axis, **more)


@pytest.mark.parametrize("axis", [None, 0])
@pytest.mark.parametrize("weighted", [False, True])
def test_figures_are_rounded_once_over_any_split(harness, weighted, axis):
    backend_has = harness.dtypes
    if harness.name == "array-api-strict":
        return  # a namespace without exact sums
    for dtype in ("float32", "float64"):
        if dtype not in backend_has:
            continue
        widest = "float64" if "float64" in backend_has else "float32"
        p, t, w = data(dtype)
        order = np.argsort(mixed(N, 9))
        parts = []
        for some in np.array_split(order, 4):
            arrays = [harness.array(x[some]) for x in ((p, t, w) if weighted else (p, t))]
            weight = arrays[2] if weighted else None
            parts.append(
                ErrorStatistics.of(
                    *arrays[:2], weight=weight, axis=axis, quantiles=False, exact=True
                )
            )
        states = sum(parts), reduce(add, parts[::-1]), parts[1] + (parts[3] + parts[0]) + parts[2]
        for state in states:
            for name in FIGURES:
                found = harness.numpy(getattr(state, name))
                same(found, wanted(name, dtype, widest, weighted, axis))
        if axis == 0:
            for name in FIGURES:
                found = harness.numpy(getattr(states[0].pooled(), name))
                same(found, wanted(name, dtype, widest, weighted, None))
        again = ErrorStatistics.from_json(states[0].to_json(), like=harness.array(p))
        for name in FIGURES:
            found = harness.numpy(getattr(again + parts[0], name))
            same(found, harness.numpy(getattr(states[0] + parts[0], name)))


def test_blocks_and_batches():
    dask = pytest.importorskip("dask.array")
    p, t, _ = data("float64")
    blocks = [dask.from_array(x, chunks=(7, 2)) for x in (p, t)]
    batches = [(p[i : i + 11], t[i : i + 11]) for i in range(0, N, 11)]
    states = dask_statistics(*blocks, exact=True).compute(), evaluate(batches, exact=True)
    for state in states:
        for name in FIGURES:
            same(getattr(state, name), wanted(name, "float64", "float64", False, None))


def test_what_does_not_go_together_says_so():
    p, t, _ = data("float32")
    exact, plain = (ErrorStatistics.of(p, t, exact=x) for x in (True, False))
    with pytest.raises(ValueError, match="exact sums in both or in none"):
        exact + plain
    with pytest.raises(ValueError, match="without exact sums"):
        exact.to_rows()
    whole = p.astype(np.int64)
    with pytest.raises(TypeError, match=r"^pred: expected"):
        ErrorStatistics.of(whole, whole, exact=True)
    told = json.loads(exact.to_json())
    assert "exact" not in json.loads(plain.to_json())
    first = told["exact"]["tables"][0]
    changes = [(first, "shape", [5]), (first["value"], 0, 0.5), (first["index"], 0, -1)]
    for where, name, wrong in [*changes, (told["exact"], "dtype", "int7")]:
        before, where[name] = where[name], wrong
        text = json.dumps(told)
        where[name] = before
        with pytest.raises(ValueError, match=r"^text: expected"):
            ErrorStatistics.from_json(text)


@pytest.mark.parametrize("weight", [2.0, 2, np.array(2.0)], ids=repr)
def test_a_number_as_weight_counts_among_other_parts(weight):
    p = np.array([1.0, 2.0, 4.0])
    first = ErrorStatistics.of(p, 0 * p, weight=weight, exact=True)
    assert first.mse == 7
    assert (first + ErrorStatistics.of(p[:1], 0 * p[:1], exact=True)).mse == 43 / 7
    assert ErrorStatistics.of(np.float64(3), np.float64(1), weight=weight, exact=True).mse == 4


def test_parts_of_a_mapped_axis():
    jax = pytest.importorskip("jax")
    from l2jax import all_reduced

    p, t, _ = data("float32")

    def part(p, t):
        return all_reduced(ErrorStatistics.of(p, t, quantiles=False, exact=True), "parts").mse

    each = jax.vmap(part, axis_name="parts")(*(x.reshape(4, -1) for x in (p, t)))
    whole = wanted("mse", "float32", "float32", False, None)
    assert np.asarray(each).tolist() == [whole.item()] * 4
