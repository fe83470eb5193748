"""What an import loads: each in a process of its own."""

import json
import os
import subprocess
import sys

import pytest

FRAMEWORKS = {"torch", "jax", "tensorflow", "keras", "dask", "array_api_strict", "cupy"}


def loaded(*steps, **environment):
    """The tops of sys.modules after each step, in a fresh interpreter."""
    report = "print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    script = "\n".join(["import json, sys", *(f"{step}\n{report}" for step in steps)])
    run = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
    )
    return [set(json.loads(line)) for line in run.stdout.splitlines()]


def test_the_core_loads_numpy_alone():
    before, imported, used, conformance = loaded(
        "pass",
        "import l2core",
        """
import numpy as np
c = l2core.Criterion(l2core.Huber(0.5), axis=0)
c.value_and_grad(np.ones((2, 2)), np.zeros((2, 2)), weight=np.ones(2), mask=np.ones(2, bool))
c.terms(np.ones(2), np.zeros(2)).value()
l2core.Criterion.from_config(c.to_config())
try:
    c("no array", 1)
except TypeError:
    pass
""",
        "import l2core.reference_arrays, l2core.conformance",
    )
    new = {top for top in used - before if top not in sys.stdlib_module_names}
    packages = {top for top in new if not top.startswith("_")}  # _distutils_hack and such
    assert packages == {"array_api_compat", "l2core", "numpy"}
    assert not FRAMEWORKS & (imported | used | conformance)


@pytest.mark.parametrize(
    ("use", "adapter", "framework"),
    [
        ("import torch; x = torch.ones(2)", "l2torch", "torch"),
        ("import jax.numpy as jnp; x = jnp.ones(2)", "l2jax", "jax"),
    ],
    ids=["torch", "jax"],
)
def test_an_adapter_loads_its_framework_alone(use, adapter, framework):
    """By its import, or by the first array that the core meets."""
    own, *after = loaded(
        use,
        "import l2core; c = l2core.Criterion()",
        f"assert '{adapter}' not in sys.modules; c(x, x); assert '{adapter}' in sys.modules",
        f"import {adapter}; {adapter}.Criterion()(x, x)",
    )
    assert framework in own
    for step in after:
        assert FRAMEWORKS & step == FRAMEWORKS & own


@pytest.mark.parametrize("backend", ["jax", "torch", "tensorflow"])
def test_l2keras_loads_what_keras_does(backend):
    """Keras and its backend: no other framework than Keras's own use loads."""
    own, ours = loaded(
        "import keras, numpy as np\nkeras.ops.convert_to_tensor(np.ones(3))",
        "import l2keras; l2keras.MeanSquaredError()(np.ones(3), np.zeros(3))",
        KERAS_BACKEND=backend,
    )
    assert backend in own
    assert FRAMEWORKS & ours == FRAMEWORKS & own


def without(name, code):
    """A fresh interpreter in which a library is not installed."""
    script = f"import sys; sys.modules[{name!r}] = None\n{code}"
    return subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("adapter", "name"), [("l2torch", "torch"), ("l2jax", "jax"), ("l2keras", "keras")]
)
def test_a_missing_framework_is_one_sentence(adapter, name):
    done = without(name, f"import {adapter}")
    last = done.stderr.splitlines()[-1]
    assert last == (
        f"ImportError: {name}: expected to be installed (pip install 'l2core[{name}]'), got no such module"
    )
    assert done.stderr.count("Traceback") == 1


@pytest.mark.parametrize("name", ["hypothesis", "rich"])
def test_a_missing_extra_of_the_command_is_one_line(name):
    for module, arguments in (("l2core", ["conformance"]), ("l2core.conformance", [])):
        run = f"import runpy; sys.argv = ['x', *{arguments!r}]; runpy.run_module({module!r}, run_name='__main__')"
        done = without(name, run)
        assert done.returncode == 2
        assert done.stderr.splitlines() == [
            f"{name}: expected to be installed (pip install 'l2core[conformance]'), got no such module"
        ]


def test_scorers_without_scikit_learn():
    done = without("sklearn", "import l2core; l2core.scorer()")
    assert done.stderr.splitlines()[-1].startswith("ImportError: scorer: expected scikit-learn")
