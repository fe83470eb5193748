"""The fast paths can be deleted, each file by itself, and nothing else changes."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from l2core import Huber, SmoothL1, fastpath
from l2core.backend import PlainPathOnly
from l2core.numpy_namespace import XP
from subjects import ONE_OF_EACH

ARRAYS = {
    "l2core": "import numpy; array = numpy.asarray",
    "l2torch": "import torch; array = torch.from_numpy",
    "l2jax": "import jax.numpy; array = jax.numpy.asarray",
    "l2keras": "import tensorflow; array = tensorflow.constant",
}
"""The packages that have fast paths, and how the arrays are made that they are for."""
CALLS = """
import sys
import numpy as np
from l2core import Criterion, Huber

pred, weight = np.arange(12, dtype="float32").reshape(4, 3), np.float32([1, 0, 2, 3])
pred, target, weight = array(pred), array(np.ones((4, 3), "float32")), array(weight)
for criterion in (Criterion(), Criterion(Huber(2.0))):
    print(float(criterion(pred, target)), float(criterion(pred, target, weight=weight)))
print(*[name for name in PACKAGES if f"{name}.fused" in sys.modules])
"""
EXACT = [386 / 12, 319 / 6, 91 / 12, 205 / 18]
"""Of the residuals -1, 0, ..., 10: sums of squares over n; Huber's are ½r² up to 2, then 2r - 2."""


@pytest.mark.parametrize("deleted", [*([name] for name in ARRAYS), list(ARRAYS)], ids="-".join)
def test_every_file_can_be_deleted(deleted, tmp_path):
    for name in ARRAYS:
        found = Path(importlib.util.find_spec(name).origin).parent
        shutil.copytree(found, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in deleted:
        (tmp_path / name / "fused.py").unlink()
    for name in deleted:
        script = CALLS.replace("PACKAGES", repr(list(ARRAYS)))
        done = subprocess.run(
            [sys.executable, "-c", f"{ARRAYS[name]}\n{script}"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "KERAS_BACKEND": "tensorflow"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        *lines, left = done.stdout.split("\n")[:-1]
        assert [float(x) for line in lines for x in line.split()] == pytest.approx(EXACT, rel=1e-6)
        # NumPy's own come with the core, a framework's with its adapter.
        assert set(left.split()) == {"l2core", name} - set(deleted)


@pytest.mark.parametrize("what", ["import no_such_dependency", "import os; os.no_such_name", "1/0"])
def test_whatever_a_fast_path_lacks_the_plain_path_serves(tmp_path, monkeypatch, what):
    """With a warning, once, since speed is what it costs."""
    (tmp_path / "half_installed.py").write_text(what)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "half_installed", raising=False)
    with pytest.warns(RuntimeWarning, match="half_installed: expected fast paths, got .*Error"):
        fastpath.install(PlainPathOnly, "half_installed")
    assert PlainPathOnly().quick(1, 2, 3) is None


def test_a_module_gives_the_functions_that_it_has(tmp_path, monkeypatch):
    class Own(PlainPathOnly):
        pass

    (tmp_path / "one_function.py").write_text("def quick(self, *arguments): return arguments")
    monkeypatch.syspath_prepend(tmp_path)
    fastpath.install(Own, "one_function")
    assert Own().quick(1, 2, 3) == (1, 2, 3)
    assert Own().fused(1, 2) is None


FURTHER = [SmoothL1(0.0), SmoothL1(3.0), Huber(np.inf)]
ARITHMETIC = [x for x in (*ONE_OF_EACH, *FURTHER) if type(x) in fastpath.BY_PSI]


@pytest.mark.parametrize("loss", ARITHMETIC, ids=repr)
def test_losses_by_their_derivative(loss):
    """rho = a·psi·r - b·psi², to 5 roundings of terms that are at most twice as large."""
    a, b = fastpath.BY_PSI[type(loss)](loss)
    r = np.concatenate([np.linspace(-5, 5, 1001), [0.0, -0.0, 1e-30, -1e30]])
    psi, rho = loss.psi(r, XP), loss.rho(r, XP)
    np.testing.assert_allclose(a * psi * r - b * psi * psi, rho, rtol=10 * 2.0**-52, atol=0)
    assert (b * psi * psi <= 0.5 * a * psi * r * (1 + 2.0**-50)).all()
    assert loss.rho(np.zeros(1), XP) == loss.psi(np.zeros(1), XP) == 0
