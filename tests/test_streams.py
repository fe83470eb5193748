"""Evaluations of streams: in constant memory, with a bar, killed and resumed."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from l2core import ErrorStatistics, evaluate

SCRIPT = Path(__file__).parent / "support" / "evaluation.py"


def run(notes, last=0):
    return subprocess.run(
        [sys.executable, SCRIPT, notes, str(last)], capture_output=True, text=True, check=False
    )


def test_killed_and_resumed(tmp_path):
    """Killed twice, in the middle of a note too: bit for bit what was never stopped."""
    once = run(tmp_path / "once.json")
    assert once.returncode == 0, once.stderr
    for last in (7, 23):
        assert run(tmp_path / "several.json", last).returncode < 0
    several = run(tmp_path / "several.json")
    assert several.stdout == once.stdout
    # Half a note is an error, not another number.
    half = tmp_path / "half.json"
    half.write_text((tmp_path / "several.json").read_text()[:2000])
    assert run(half).returncode == 1


def test_what_batches_may_be(capsys):
    rng = np.random.default_rng(0)
    pred, target = rng.normal(size=(2, 90, 2))
    weight, mask = rng.integers(0, 2, 90), rng.random((90, 2)) < 0.5
    parts = [slice(0, 20), slice(20, 90)]
    pairs = ((pred[i], target[i]) for i in parts)
    triples = [(pred[i], target[i], weight[i]) for i in parts]
    named = [{"pred": pred[i], "target": target[i], "mask": mask[i]} for i in parts]
    for batches, given, more in (
        (pairs, {}, {"total": 2}),
        (triples, {"weight": weight}, {}),
        (named, {"mask": mask}, {"quantiles": False}),
    ):
        found = evaluate(batches, axis=0, progress=True, **more)
        whole = ErrorStatistics.of(pred, target, axis=0, **given)
        np.testing.assert_allclose(found.mse, whole.mse, rtol=1e-14)
        assert "evaluating" in capsys.readouterr().out
    again = evaluate(triples[1:], evaluate(triples[:1]))
    np.testing.assert_allclose(again.pooled().mse, evaluate(triples).mse, rtol=1e-14)
    with pytest.raises(ValueError, match=r"^batches: expected at least one"):
        evaluate([])
    with pytest.raises(TypeError, match=r"^batches: expected \(pred, target\)"):
        evaluate([pred])


def test_memory_stays(tmp_path):
    """A file of 16 MB, and a stream of three times that: a few blocks at a time."""
    shape = 2_000_000
    files = [np.memmap(tmp_path / name, "f4", "w+", shape=shape) for name in "pt"]
    files[0][:] = 1
    tracemalloc.start()
    try:
        found = ErrorStatistics.of(*files)
        one = tracemalloc.get_traced_memory()[1]
        small = files[0][:100_000], files[1][:100_000]
        evaluate(small for _ in range(60))
        both = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.mse, found.count.total) == (1, shape)
    assert one < 4e6  # 13 arrays of a block of 32,768 elements, and three sketches of 2^15 numbers
    assert both < 4e6
