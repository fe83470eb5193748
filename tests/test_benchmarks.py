"""The benchmarks run and say what they should; no time is judged here."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.scripts


def run(*arguments):
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_gpu_benchmark_checks_and_times_on_a_cpu(tmp_path):
    path = tmp_path / "rows.json"
    printed = run(
        "benchmarks.gpu", "--device", "cpu", "--sizes", 100, "--rounds", 1, "--json", path
    )
    assert printed.count(": right") == 20
    rows = json.loads(path.read_text())["results"]
    assert {row["framework"] for row in rows} == {"torch", "jax"}
    assert all(min(row["seconds"].values()) > 0 < row["floor"] for row in rows)


def test_a_framework_is_timed_beside_the_others(tmp_path):
    path = tmp_path / "rows.json"
    run("benchmarks.bench_numpy", "--sizes", 32, "--seconds", 0.01, "--json", path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 6
    for row in rows:
        assert {"ours", "hand", "floor"} <= row["seconds"].keys()
        assert row["ratios"]["ours"] == 1


def test_small_calls_are_shown_by_layer():
    printed = run("benchmarks.small", "--seconds", 0.01)
    for name in ("l2torch.MSELoss", "nn.MSELoss", "l2core.Criterion", "jit of l2jax.Criterion"):
        assert name in printed


@pytest.fixture(scope="module")
def bars():
    """From a process of its own, since the checkout must not stand in the way of what is tested."""
    code = "from benchmarks.bars import *; print(json.dumps([vars(bar) for bar in BARS]))"
    done = subprocess.run(
        [sys.executable, "-c", f"import json; {code}"], cwd=ROOT, capture_output=True, check=True
    )
    return [SimpleNamespace(**bar) for bar in json.loads(done.stdout)]


def reached(bar):
    """Rows that reach the bar with nothing to spare."""
    row = {"framework": bar.framework, "variant": bar.variant, "dtype": bar.dtype}
    row |= {"setting": bar.setting, "seconds": {}, "ratios": {}}
    if bar.measure == "bytes":
        row |= {"extra_bytes": {bar.ours: bar.limit}}
    else:
        times = {bar.against: 0.0 if bar.measure == "difference" else 1.0, bar.ours: bar.limit}
        if bar.measure == "worst":
            row |= {"seconds": {bar.ours: 1.0}, "worst": times, "ratios": {bar.ours: 1.0}}
        else:
            row |= {"seconds": times, "ratios": {bar.ours: 1.0, bar.against: bar.limit}}
    return [row | {"n": n, "what": what} for n in bar.sizes for what in bar.modes]


def test_a_bar_that_is_missed_or_not_measured_fails_the_check(bars, tmp_path):
    rows = [row for bar in bars for row in reached(bar)]
    worse = json.loads(json.dumps(rows[0]))
    worse["seconds"] = {name: x + 1.0 for name, x in worse["seconds"].items()}
    worse["ratios"] = dict.fromkeys(worse["ratios"], 2.0)
    others = reached(bars[0])[1:]
    path = tmp_path / "rows.json"
    # Medians over runs: one bad run of three is none.
    for given, code in (
        (rows, 0),
        ([*rows, worse, *others, *reached(bars[0])], 0),
        ([*rows[1:], worse], 1),
        (rows[1:], 1),
    ):
        path.write_text(json.dumps({"machine": {}, "rows": given}))
        command = [sys.executable, "-m", "benchmarks", "--from", str(path), "--check"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        assert ("missed" in done.stdout) == (worse in given and code == 1)
        assert ("not measured" in done.stdout) == (given == rows[1:])


def test_the_tables_of_the_documentation_come_from_the_rows(bars, tmp_path):
    path = tmp_path / "rows.json"
    rows = [row for bar in bars for row in reached(bar)] * 3
    path.write_text(json.dumps({"machine": {}, "rows": rows}))
    printed = run("benchmarks", "--from", path, "--markdown")
    assert printed.count("| reached |") == len(bars)
    bar = "| torch f+g: ours / built-in | f+g, 10,000,000 | 0.30 | 0.30, 0.30, 0.30 | 0.30 | reached |"
    assert bar in printed
    assert "| torch, l1 f, 4 busy | 10,000,000 | " in printed
    assert "| training, torch MLP step, default | 256 | " in printed


@pytest.mark.parametrize("script", ["busy", "training"])
def test_other_scripts_run(script, tmp_path):
    path = tmp_path / "rows.json"
    run(f"benchmarks.bench_{script}", "--sizes", 1000, "--seconds", 0.01, "--json", path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == {"busy": 40, "training": 3}[script]
    assert all(row["seconds"]["ours"] > 0 for row in rows)
    if script == "busy":
        assert all(row["worst"]["ours"] >= row["seconds"]["ours"] for row in rows)
