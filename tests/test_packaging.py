"""The wheel, and what type checkers see of an installed copy."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = [Path(p).name for p in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = out.glob("*.whl")
    return zipfile.ZipFile(path)


def test_wheel_has_our_packages_alone_each_typed(wheel):
    names = wheel.namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)


def test_wheel_requires_numpy_and_array_api_compat_alone(wheel):
    (metadata,) = (n for n in wheel.namelist() if n.endswith("METADATA"))
    lines = wheel.read(metadata).decode().splitlines()
    required = [x for x in lines if x.startswith("Requires-Dist") and "extra ==" not in x]
    assert [x.split()[1].split(">")[0] for x in required] == ["array-api-compat", "numpy"]


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_type_checkers_resolve_an_installed_wheel(checker, wheel, tmp_path):
    """In an environment whose own packages are the wheel's; it sees the frameworks of this one."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    wheel.extractall(site)
    (site / "frameworks.pth").write_text(sysconfig.get_path("purelib"))
    python = venv / "bin" / "python"
    script = tmp_path / "uses.py"
    packages = [p for p in PACKAGES if p != "l2keras"]  # Keras has no types to derive from
    script.write_text(
        "".join(f"import {p}\n" for p in packages)
        + "".join(f"{p}_criterion: int = {p}.Criterion()\n" for p in packages)
    )
    options = {
        # The project's own options and cache: what linting has read of frameworks is not read again.
        "mypy": [
            *("--config-file", ROOT / "pyproject.toml", "--cache-dir", ROOT / ".mypy_cache"),
            *("--python-executable", python),
        ],
        "pyright": ["--pythonpath", python],
    }
    run = subprocess.run(
        [sys.executable, "-m", checker, *options[checker], script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    # One error each, which knows the type: neither a missing import nor Any.
    assert f"{len(packages)} errors" in run.stdout, run.stdout + run.stderr
    assert run.stdout.count('"Criterion"') >= len(packages), run.stdout


def test_floors_are_rows_of_the_versions_that_are_run():
    """What pyproject promises at the least is what ``make versions`` runs."""
    sys.path.insert(0, str(ROOT / "tests" / "versions"))
    try:
        from rows import ROWS
    finally:
        sys.path.pop(0)
    project = PROJECT["project"]
    promised = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    floors = dict(text.split(">=") for text in promised if ">=" in text and "[" not in text)
    run = [{name: v for name, v in row.pins.items() if v} for row in ROWS]
    for name, floor in floors.items():
        if name == "array-api-strict":
            continue
        versions = [pins[name] for pins in run if name in pins]
        assert any((v + ".").startswith(floor + ".") for v in versions), (name, floor, versions)
