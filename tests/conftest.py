"""How every test runs: quiet frameworks, one thread, and the harnesses as fixtures."""

import os

# Before any framework is imported: that is when they read these.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import logging

import hypothesis
import numpy as np
import pytest

hypothesis.settings.register_profile(
    "l2core", deadline=None, derandomize=True, database=None, max_examples=60
)
hypothesis.settings.load_profile("l2core")
# Each check traces its own functions, which TensorFlow takes for a mistake in a loop.
logging.getLogger("tensorflow").setLevel(logging.ERROR)


def pytest_addoption(parser):
    parser.addoption("--splits", metavar="PATH", help="append what was split, as lines of JSON")


def pytest_configure(config):
    from splits import collect

    collect(config)
    config.addinivalue_line(
        "markers", "once(yes=True): JAX without 64-bit types alone, where those add nothing"
    )
    config.addinivalue_line("markers", "long: takes long; `make examples` has them")
    config.addinivalue_line("markers", "integers: where a framework has exact values alone")
    config.addinivalue_line("markers", "docs: runs what a page shows; `make docs` has them")
    config.addinivalue_line("markers", "scripts: runs one of ours; `make examples` has them")
    config.addinivalue_line(
        "markers", "since(version): PyTorch's, from which on its compiler can do this"
    )
    config.addinivalue_line(
        "markers", "modes(*names): run the test in these modes alone; without it in all but compile"
    )


def pytest_collection_modifyitems(config, items):
    from splits import chosen

    chosen(config, items)


def pytest_generate_tests(metafunc):
    """A test with ``harness`` runs on each of them; with ``mode`` too, in each of its modes."""
    if "harness" not in metafunc.fixturenames:
        return
    if any("harness" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")):
        return  # a test that chooses among them
    from subjects import harnesses

    once = metafunc.definition.get_closest_marker("once")
    chosen = harnesses()
    if once and once.args != (False,):
        chosen = [h for h in chosen if not h.name.endswith("-x64")]

    if metafunc.definition.get_closest_marker("integers"):
        from l2core.backend import backend_of

        one = np.zeros(1, np.float32)
        chosen = [h for h in chosen if backend_of(h.array(one), "x").integers is not None]

    if "mode" not in metafunc.fixturenames:
        metafunc.parametrize("harness", chosen, ids=lambda h: h.name, indirect=True)
        return
    marker = metafunc.definition.get_closest_marker("modes")
    # torch.compile takes seconds a function: only where a test asks for it.
    wanted = marker.args if marker else ("eager", "jit", "function", "xla")
    pairs = [(h, mode) for h in chosen for mode in h.modes if mode in wanted]
    metafunc.parametrize(
        ("harness", "mode"),
        pairs,
        ids=[f"{h.name}-{mode}" for h, mode in pairs],
        indirect=["harness"],
    )


@pytest.fixture
def harness(request):
    with request.param.context():
        yield request.param


@pytest.fixture
def small_blocks():
    """Everything is large, and takes several blocks."""
    from paths import every_size_is_large

    with every_size_is_large():
        yield
