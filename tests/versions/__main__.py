"""``make versions``: the tests on the oldest and the newest versions, each in an environment of its
own, which is removed afterwards; a table at the end.

``--cheap``: the rows that run with every change; ``--row``: those whose names contain this;
``--table``: where to write the table, into which rows that did not run are taken over as they stand.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rows import ROWS, TOOLS, Row

ROOT = Path(__file__).parents[2]
HEAD = "| what | Python | versions | tests | last run |\n|---|---|---|---|---|"
NOTED = ("numpy", "array-api-compat", "torch", "jax", "keras", "tensorflow")


def constraints(row: Row, folder: Path) -> Path:
    """The project's pins, less what the row is about, and what those bring along."""
    path = folder / "constraints.txt"
    lines = [f"{name}=={version}" for name, version in row.pins.items() if version]
    if row.pinned:
        own = {*row.pins, *(FAMILIES[n] for n in row.pins if n in FAMILIES)}
        loose = {
            name for group in own for name in (group if isinstance(group, tuple) else (group,))
        }
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
            if "==" in line and line.partition("==")[0] not in loose:
                lines.append(line)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


FAMILIES = {
    "torch": (
        "triton",
        "sympy",
        "networkx",
        "filelock",
        "fsspec",
        "setuptools",
        "typing_extensions",
    ),
    "jax": (
        "jaxlib",
        "optax",
        "flax",
        "orbax-checkpoint",
        "etils",
        "chex",
        "ml_dtypes",
        "treescope",
    ),
    "tensorflow": (
        "tensorboard",
        "tensorboard-data-server",
        "ml_dtypes",
        "protobuf",
        "h5py",
        "keras",
        "wrapt",
        "flatbuffers",
        "grpcio",
    ),
    "numpy": ("scipy", "scikit-learn", "ml_dtypes", "contourpy"),
}
"""What has versions of its own that go with another's."""


def interpreter(version: str) -> str | None:
    """A Python of this version: this one, one on the path, or pyenv's."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = shutil.which(f"python{version}")
    own = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    known = sorted(own.glob(f"{version}.*/bin/python"))
    for candidate in [*([found] if found else []), *map(str, reversed(known))]:
        asked = subprocess.run(
            [candidate, "--version"], check=False, capture_output=True, text=True
        )
        if asked.stdout.startswith(f"Python {version}."):
            return candidate
    return None


def run(row: Row, console: Console) -> tuple[bool, str, str]:
    """Whether all of the row's tests pass, the versions that they ran on, and the last line."""
    python = interpreter(row.python)
    if python is None:
        return False, "", f"expected a Python {row.python}, got none"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pins = constraints(row, folder)
        subprocess.run([python, "-m", "venv", folder / "venv"], check=True)
        own = folder / "venv" / "bin" / "python"
        wanted = [f"{n}=={v}" if v else n for n, v in row.pins.items()]
        pip = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        environment = {**os.environ, "PIP_CONSTRAINT": str(pins)}
        installed = subprocess.run(
            [*pip, *wanted, *row.more, *TOOLS, "array-api-compat", "numpy"],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        if installed.returncode == 0:
            installed = subprocess.run(
                [*pip, "--no-deps", "--no-build-isolation", "--editable", ROOT],
                env=environment,
                check=False,
                capture_output=True,
                text=True,
            )
        if installed.returncode:
            return False, "", (installed.stderr.strip().splitlines() or ["pip failed"])[-1]
        frozen = subprocess.run(
            [own, "-m", "pip", "freeze"], check=True, capture_output=True, text=True
        )
        found = dict(line.split("==") for line in frozen.stdout.splitlines() if "==" in line)
        versions = ", ".join(f"{n} {found[n]}" for n in NOTED if n in found)
        command = [
            own,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-n",
            "2",
            "--dist",
            "worksteal",
        ]
        # Other versions warn of other things, which is no failure of ours.
        options = ["-c", ROOT / "pyproject.toml", "--rootdir", ROOT, "-o", "filterwarnings=default"]
        tested = subprocess.run(
            [*command, *options, *row.tests],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **row.environment},
            check=False,
            capture_output=True,
            text=True,
        )
        last = (tested.stdout.strip().splitlines() or ["nothing"])[-1]
        if tested.returncode:
            console.print(tested.stdout[-6000:], tested.stderr[-2000:], markup=False)
        return tested.returncode == 0, versions, re.sub(r"=+| in .*", "", last).strip()


def main() -> int:
    """0 if every row that ran passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cheap", action="store_true")
    parser.add_argument("--row", default="")
    parser.add_argument("--table", type=Path)
    given = parser.parse_args()
    console = Console()
    rows = [r for r in ROWS if given.row in r.name and (r.cheap or not given.cheap)]
    lines, passed = {}, True
    shown = Table("what", "Python", "versions", "tests", "minutes")
    for row in rows:
        begun = time.monotonic()
        right, versions, last = run(row, console)
        passed = passed and right
        minutes = f"{(time.monotonic() - begun) / 60:.1f}"
        shown.add_row(row.name, row.python, versions, last if right else f"[red]{last}", minutes)
        if right:
            lines[row.name] = (
                f"| {row.name} | {row.python} | {versions} | {last} | {date.today()} |"
            )
    console.print(shown)
    if given.table is not None:
        write(given.table, lines)
    return 0 if passed else 1


def write(path: Path, lines: dict[str, str]) -> None:
    """The table with these rows, and the others as they stand."""
    old = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = {line.split("|")[1].strip(): line for line in old if line.startswith("| ")}
    rows = [lines.get(r.name) or kept.get(r.name, "") for r in ROWS]
    before = (
        "\n".join(old[: old.index(HEAD.splitlines()[0])]) if HEAD.splitlines()[0] in old else ""
    )
    path.write_text(
        "\n".join([before, HEAD, *filter(None, rows)]).lstrip("\n") + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    sys.exit(main())
