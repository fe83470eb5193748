"""The benchmarks run and say what they should; no time is judged here."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


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
    assert printed.count(": right") == 12
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
