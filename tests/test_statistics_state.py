"""The state of statistics: in JSON, of large arrays, by the fast look, and what it refuses."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from errors import NAMES, PRED, QUIET, TARGET, UNIT, WEIGHT
from l2core import ErrorStatistics, fastpath
from l2core.look import BLOCK

pytestmark = pytest.mark.once


def test_json(harness):
    """What was merged, stopped and resumed is bit for bit what was not stopped."""
    p, t, w = (harness.array(x, "float32") for x in (PRED, TARGET, WEIGHT))
    for arguments in ({}, {"weight": w}):
        first = ErrorStatistics.of(p, t, axis=0, **arguments)
        text = first.to_json()
        again = ErrorStatistics.from_json(text, like=p)
        assert type(again.least) is type(first.least)
        assert again.to_json() == text
        assert (again + first).to_json() == (first + first).to_json()
        assert json.loads(text)["version"] == 1
    nothing = ErrorStatistics.of(p[:0, ...], t[:0, ...], quantiles=False)
    assert ErrorStatistics.from_json(nothing.to_json()).bins is None


def held(told, **changed):
    first, second = told["bins"]["held"]
    return {**told, "bins": {**told["bins"], "held": [{**first, **changed}, second]}}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda told: json.dumps(told)[:-20], "text: expected JSON of ErrorStatistics"),
        (lambda told: "[1, 2]", "text: expected JSON"),
        (lambda told: json.dumps({**told, "version": 2}), "version: expected 1, got 2"),
        (lambda told: json.dumps({**told, "extra": 1}), "text: "),
        (lambda told: json.dumps({k: x for k, x in told.items() if k != "least"}), "least: "),
        (lambda told: json.dumps({**told, "least": [1, 2, 3]}), "text: expected a state"),
        (lambda told: json.dumps({**told, "shape": [5]}), "text: expected a state"),
        (lambda told: json.dumps({**told, "count": [72]}), "text: expected a state"),
        (lambda told: json.dumps({**told, "count": [72, 0]}), "text: expected a state"),
        (lambda told: json.dumps({k: x for k, x in told.items() if k != "bins"}), "bins: "),
        (lambda told: json.dumps(held(told, index=[-1])), "text: expected a state"),
        (lambda told: json.dumps(held(told, value=[7])), "text: expected a state"),
    ],
)
def test_json_that_is_broken(change, text):
    told = json.loads(ErrorStatistics.of(PRED, TARGET).to_json())
    with pytest.raises(ValueError, match=f"^{text}"):
        ErrorStatistics.from_json(change(told))


def test_errors():
    x = np.zeros((4, 2))
    one = ErrorStatistics.of(x, x)
    for call, error, text in (
        (lambda: ErrorStatistics.of(x, x[0]), ValueError, "^pred and target: expected equal"),
        (lambda: ErrorStatistics.of(x * 1j, x), TypeError, "^pred: expected a real dtype"),
        (lambda: ErrorStatistics.of(x, x, weight=np.ones(3)), ValueError, "^weight: "),
        (lambda: ErrorStatistics.of(x, x, axis=2), ValueError, "^axis: "),
        (lambda: one + ErrorStatistics.of(x, x, axis=0), ValueError, "outputs of equal shape"),
        (lambda: one + ErrorStatistics.of(x, x, quantiles=False), ValueError, "quantiles in both"),
        (
            lambda: ErrorStatistics.of(x, x, quantiles=False).quantile(0.5),
            ValueError,
            "quantiles=True",
        ),
        (lambda: one.quantile(1.5), ValueError, "^q: expected a number from 0 to 1"),
        (lambda: one + 1, TypeError, "unsupported operand"),
        (lambda: one.merged(), ValueError, "^merged: expected outputs along a first axis"),
        (
            lambda: ErrorStatistics.of(x[:, :0], x[:, :0], axis=0).pooled(),
            ValueError,
            "^pooled: expected at least one output",
        ),
    ):
        with pytest.raises(error, match=text):
            call()


def test_large_arrays_by_blocks():
    """More than one block: weights, masks and rows that are larger than a block."""
    rng = np.random.default_rng(4)
    pred, target = rng.normal(size=(2, 3, 40_000))
    mask = rng.random((3, 40_000)) < 0.5
    for arguments in ({}, {"mask": mask}, {"weight": np.array([1.0, 0.0, 2.0])}):
        found = ErrorStatistics.of(pred, target, **arguments)
        w = np.ones((3, 40_000))
        if "weight" in arguments:
            w *= arguments["weight"][:, None]
        w = np.where(arguments.get("mask", True), w, 0.0)
        e = pred - target
        # Sums of 120,000 products, in another order, of numbers below 30.
        for ours, theirs in (
            (found.mse, np.average(e**2, weights=w)),
            (
                found.target_variance,
                np.average(target**2, weights=w) - np.average(target, weights=w) ** 2,
            ),
            (found.mae, np.average(abs(e), weights=w)),
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)
        assert found.count.total == (w != 0).sum()
        assert found.bins.value.sum() == w.sum()


@pytest.mark.filterwarnings(QUIET)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_fast_look_is_the_plain_one(dtype):
    """Far from 0, constant, with what is not finite, strided, of another byte order: within the bound
    of sums by rows, and the sketch exactly."""
    rng = np.random.default_rng(3)
    n = 3 * BLOCK + 17
    noise = rng.normal(size=(2, n))
    cases = {
        "near": (noise[0], noise[1]),
        "far": (1e5 + noise[0], 1e5 + noise[1]),
        "one value": (np.full(n, 0.1) + noise[0], np.full(n, 0.1)),
        "two values": (noise[0], np.where(np.arange(n) % 2, 1.0, 1.0 + 2**-22)),
        "outlier first": (noise[0], np.where(np.arange(n) == 0, 1e6, noise[1])),
        "inf": (np.where(np.arange(n) == 5, np.inf, noise[0]), noise[1]),
        "nan": (np.where(np.arange(n) == n - 1, np.nan, noise[0]), noise[1]),
    }
    for name, pair in cases.items():
        p, t = (x.astype(dtype) for x in pair)
        with fastpath.plain_only():
            plain = ErrorStatistics.of(p, t)
        wide = np.zeros((n, 2), dtype)
        wide[:, 0] = p
        for pred, target in ((p, t), (wide[:, 0], t), (p.astype(p.dtype.newbyteorder(">")), t)):
            fast = ErrorStatistics.of(pred, target)
            assert np.array_equal(fast.bins.value, plain.bins.value), name
            for figure in (*NAMES, "least", "greatest"):
                a, b = getattr(fast, figure), getattr(plain, figure)
                # Rows of 1024 in lanes of at least 8, and numpy's pairwise sums: 128 + 32 units.
                close = 2 * 160 * UNIT[dtype] * max(1.0, abs(b))
                assert a == b or abs(a - b) <= close or np.isnan([a, b]).all(), (name, figure)


def test_tensors_on_the_host_are_looked_at_as_numpy_does():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    n = 2 * BLOCK
    pred, target, weight = rng.normal(size=(3, n)).astype("f4")
    mask = rng.random(n) < 0.5
    for arguments in ({}, {"weight": abs(weight)}, {"mask": mask}):
        tensors = {name: torch.tensor(x) for name, x in arguments.items()}
        found = ErrorStatistics.of(
            torch.tensor(pred).requires_grad_(), torch.tensor(target), **tensors
        )
        assert isinstance(found.mse, torch.Tensor)
        assert found.to_json() == ErrorStatistics.of(pred, target, **arguments).to_json()


def test_the_fast_look_can_be_deleted(tmp_path):
    found = Path(importlib.util.find_spec("l2core").origin).parent
    shutil.copytree(found, tmp_path / "l2core", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "l2core" / "fused_look.py").unlink()
    script = """
import numpy as np, l2core
x = np.arange(100_000) % 3.0
found = l2core.ErrorStatistics.of(x, x - 2)
print(found.mse, found.quantile(0.5) == 2, l2core.__file__)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["4.0", "True", str(tmp_path / "l2core" / "__init__.py")], (
        done.stderr
    )
