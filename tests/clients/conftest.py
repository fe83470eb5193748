"""What clients do with our losses: quiet frameworks, the marker of each test, and the table of it.

Nothing here is skipped: a client that is missing is a failure. `--table PATH` writes what passed.
"""

import os

# Before any framework is imported: that is when they read these.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import sys
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.append(str(HERE.parents[1] / "docs" / "ext"))
from made import stamp

MAIN = ("torch", "jax", "keras", "tensorflow", "numpy")
MARKER = "client(name, distribution): the client that a test runs, and what pip calls it"


def pytest_addoption(parser):
    parser.addoption("--table", metavar="PATH", help="write the table of what passed here")
    parser.addoption("--splits", metavar="PATH", help="append what was split, as lines of JSON")


def pytest_configure(config):
    from splits import collect

    collect(config)
    config.addinivalue_line("markers", MARKER)
    path = config.getoption("table", None)
    if path is not None and not hasattr(config, "workerinput"):  # once, not in each process
        config.pluginmanager.register(Table(Path(path)), "clients-table")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Warnings of a client that is imported are not ours; the project makes them errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return (yield)


def pytest_collection_modifyitems(config, items):
    """The same while it runs, but for what our own modules warn of."""
    from splits import chosen

    chosen(config, items)
    for item in items:
        if HERE not in item.path.parents:
            continue
        if item.get_closest_marker("client") is None or not item.obj.__doc__:
            raise pytest.UsageError(f"{item.nodeid}: expected @pytest.mark.client and a docstring")
        item.add_marker(
            pytest.mark.filterwarnings("ignore", "error:::l2(core|torch|jax|keras)(?![a-z])")
        )


@pytest.fixture
def splits(record_property):
    """Notes a row of the table of splits; arguments as of `splits.row`."""
    from splits import row

    return lambda *found: record_property("splits", row(*found))


def pytest_runtest_setup(item):
    """The row of the table goes with the report, from another process too."""
    name, distribution = item.get_closest_marker("client").args
    try:
        found = version(distribution)
    except PackageNotFoundError:
        pytest.fail(f"{name}: expected {distribution} to be installed", pytrace=False)
    sentence = " ".join(item.obj.__doc__.split()).removesuffix(".")
    if hasattr(item, "callspec"):  # "with {kind}" is a sentence for each
        sentence = sentence.format_map(item.callspec.params)
    item.user_properties.append(("client", [name, found, sentence]))


class Table:
    """Rows by client, of the tests that passed; written if none failed.

    A sentence stands for all its cases: with one that is expected to fail, it is left out.
    """

    def __init__(self, path):
        self.path = path
        self.rows = {}
        self.untrue = set()

    def pytest_runtest_logreport(self, report):
        if report.when != "call":
            return
        for name, found, sentence in (x for key, x in report.user_properties if key == "client"):
            file, line, _ = report.location
            run = self.rows.setdefault((name, found), set())
            run.add((file, line or 0, sentence))
            if not report.passed:
                self.untrue.add((name, sentence))

    def pytest_sessionfinish(self, exitstatus):
        if exitstatus != 0:
            return
        lines = [
            stamp("make clients", MAIN),
            "",
            "| client | version | what was run |",
            "|---|---|---|",
        ]
        for (name, found), run in sorted(self.rows.items(), key=lambda row: row[0][0].lower()):
            told = dict.fromkeys(sentence for *_, sentence in sorted(run))
            sentences = [sentence for sentence in told if (name, sentence) not in self.untrue]
            cells = (name, found, "<br>".join(sentences))
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        self.path.write_text("\n".join(lines) + "\n", encoding="utf-8")
