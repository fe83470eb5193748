"""The command in a process of its own, as people type it."""

import json
import subprocess
import sys

import pytest

MINE = """
import numpy as np
from l2core import Criterion
from l2core.conformance import Claim, Subject

def mse(pred, target, weight=None):
    r = pred - target
    return np.mean(r * r if weight is None else weight * r * r)

mine = Subject("mine", "numpy", (Claim(Criterion(), mse),), takes={"weight": "weight"},
               weights=("element",), differentiable=False)
"""


def run(folder, *arguments):
    command = [sys.executable, "-m", "l2core", "conformance", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_ours_pass_and_the_run_is_written_down(tmp_path):
    files = [f"--{kind}={tmp_path / kind}" for kind in ("json", "html", "markdown")]
    done = run(tmp_path, "--backend=numpy", "--ours", "--quick", *files)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing of ours fails" in done.stdout
    found = json.loads((tmp_path / "json").read_text())
    assert {o["verdict"] for o in found["outcomes"]} == {"passed"}
    assert found["options"] == {"cases": 1, "seed": 0, "quick": True}
    assert found["versions"]["numpy"]
    page = (tmp_path / "html").read_text()
    assert page.count("<svg") == 3
    assert "src=" not in page  # one file, nothing to fetch
    assert "| l2core |" in (tmp_path / "markdown").read_text()


def test_a_strangers_mistake_is_told_with_code_to_run(tmp_path):
    (tmp_path / "my_losses.py").write_text(MINE)
    written = tmp_path / "found.json"
    done = run(tmp_path, "--subject=my_losses:mine", "--check=semantics/", f"--json={written}")
    assert done.returncode == 1
    assert "semantics/weighted-mean" in done.stdout
    failures = [o for o in json.loads(written.read_text())["outcomes"] if o["verdict"] == "failed"]
    code = next(o for o in failures if o["check"] == "semantics/weighted-mean")["report"]["snippet"]
    alone = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert float(alone.stdout) == 6.5  # losses 1 and 4, weights 1 and 3: 13 / 2, not 13 / 4


@pytest.mark.parametrize("arguments", [["--check=no-such"], ["--subject=nothing-of-this-name"]])
def test_a_run_of_nothing_is_no_success(tmp_path, arguments):
    done = run(tmp_path, "--backend=numpy", "--quick", *arguments)
    assert done.returncode == 1
    assert "Nothing to run" in done.stdout


def test_the_laws_are_listed(tmp_path):
    done = run(tmp_path, "--list")
    assert done.returncode == 0
    assert "semantics/weighted-mean" in done.stdout
    assert "A weighted mean divides by the sum of weights." in done.stdout
