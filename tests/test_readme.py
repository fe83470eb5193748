"""What the README says is true: its code runs, its figures come from runs, its tables are whole, as the docs' are."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from capability_table import TABLES, cells
from l2core import LOSSES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def run(*arguments, cwd):
    """Standard output of Python in a process of its own, where Keras may choose its backend."""
    environment = {"KERAS_BACKEND": "tensorflow", **os.environ}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        env={**environment, "PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(page, heading):
    """The rows of the tables under this heading, their cells stripped."""
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_it_is_two_pages():
    assert len(README.splitlines()) <= 160


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_there_is_a_snippet_for_each_framework():
    first_lines = {code.splitlines()[0] for code in SNIPPETS}
    assert {"import torch", "import keras", "import jax", "import numpy as np"} <= first_lines


@pytest.mark.parametrize("code", SNIPPETS, ids=lambda code: code.split()[1])
def test_snippet_prints_what_its_comments_say(code, tmp_path):
    promised = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert run("-c", code, cwd=tmp_path).splitlines() == promised


@pytest.mark.scripts
def test_traps_are_those_of_the_script(tmp_path):
    printed = run(ROOT / "examples" / "builtin_traps.py", "--markdown", cwd=tmp_path).splitlines()
    traps = [line for line in README.splitlines() if line.startswith("| ") and line in printed]
    assert len(traps) >= 5
    assert len(traps) == len(rows(README, "What goes wrong with the built-in losses")) - 1


@pytest.mark.parametrize(
    "name", [name for name, kind in LOSSES.items() if kind.__module__ == "l2core.losses"]
)
def test_every_loss_has_a_whole_row(name):
    pattern = rf"^\| \[?`{name}\(.*\|$"
    page = (ROOT / "docs" / "losses" / "index.md").read_text(encoding="utf-8")
    for text, columns in ((README, 3), (page, 5)):
        (line,) = re.findall(pattern, text, re.MULTILINE)
        row = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        assert len(row) == columns
        assert all(row)


@pytest.mark.parametrize("framework", ["PyTorch", "JAX", "Keras"])
def test_capabilities_are_counted(framework):
    """Each cell is held by the framework's own tests of capabilities."""
    sides = zip(*cells(framework).values(), strict=True)
    summary = re.search(rf"^## {framework}: (.*)$", TABLES.read_text(), re.MULTILINE)[1]
    for ours_or_theirs, column in zip(summary.split(", "), sides, strict=True):
        assert ours_or_theirs.endswith(f" {column.count('yes')} of {len(column)}")


def test_every_example_is_linked():
    made = {path.name for path in (ROOT / "examples").glob("*.py")}
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    assert made == set(re.findall(r"\(\.\./examples/(\w+\.py)\)", page))


@pytest.mark.scripts
def test_the_demonstration_runs_with_another_loss(tmp_path):
    picture = tmp_path / "demo.png"
    printed = run(
        ROOT / "examples" / "one_loss_four_frameworks.py",
        *("--loss", "huber", "--delta", "0.5", "--epochs", "1", "--out", picture),
        cwd=tmp_path,
    )
    assert "mean Huber(delta=0.5)" in printed
    assert "442 gradients identical in every bit" in printed
    assert picture.stat().st_size > 10_000
