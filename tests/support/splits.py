"""How far a split mean is from that of the whole: one row for each engine, for the table in docs."""

import json
import sys
from pathlib import Path

import numpy as np


class Rows:
    """The worst of what was tried, by engine and by how the data was split."""

    def __init__(self):
        self.rows = {}

    def add(self, engine, splits, value, gradient=None, alone=None):
        """``value``, ``gradient`` and ``alone``: pairs of what was found and that of the whole, or None.

        ``alone`` is the gradient of what the client does by itself. Returns the ULP of the value and
        the largest difference of a gradient beside its largest element.
        """
        found = {} if gradient is None else {"gradient": apart(*gradient)}
        if value is not None:
            found["value"] = max(
                float(abs(np.float64(a) - np.float64(b)) / np.spacing(np.abs(b)))
                for a, b in zip(*map(np.atleast_1d, value), strict=True)
            )
        if alone is not None:
            found["alone"] = apart(*alone)
        row = self.rows.setdefault((engine, splits), {})
        for name, x in found.items():
            row[name] = max(x, row.get(name, 0.0))
        return found.get("value"), found.get("gradient")

    def told(self):
        """One line of JSON for each row."""
        return [
            json.dumps({"engine": engine, "splits": splits, **row})
            for (engine, splits), row in self.rows.items()
        ]


def row(engine, splits, *found):
    """The row of one trial; arguments as of :meth:`Rows.add`."""
    rows = Rows()
    rows.add(engine, splits, *found)
    return json.loads(rows.told()[0])


def apart(one, other):
    """The largest difference of two gradients, each an array or a list of them, beside the largest."""
    one, other = (
        np.concatenate(
            [np.ravel(np.asarray(x, np.float64)) for x in (g if isinstance(g, list) else [g])]
        )
        for g in (one, other)
    )
    return float(np.abs(one - other).max() / np.abs(other).max())


class Collector:
    """A plugin of pytest that writes what tests noted as the property "splits", a line of JSON each."""

    def __init__(self, path):
        self.path, self.rows = path, []

    def pytest_runtest_logreport(self, report):
        if report.when == "call" and report.passed:
            self.rows += [x for name, x in report.user_properties if name == "splits"]

    def pytest_sessionfinish(self):
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(x)}\n" for x in self.rows)


def chosen(config, items):
    """With `--splits PATH` those tests alone that note such rows."""
    if config.getoption("splits", None) is not None:
        noting = {"record_property", "splits"}
        items[:] = [item for item in items if noting.intersection(item.fixturenames)]


def collect(config):
    """Register it if `--splits PATH` was given; not in each of xdist's processes."""
    path = config.getoption("splits", None)
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collector(Path(path)), "splits")


HEAD = """\
| engine | splits tried | value, ULP | gradient | the engine by itself |
|---|---|--:|--:|--:|
"""


def main():
    """Print the table of the lines of JSON in these files."""
    rows = {}
    for path in sys.argv[1:]:
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            kept = rows.setdefault((told["engine"], told["splits"]), {})
            for name in ("value", "gradient", "alone"):
                if name in told:
                    kept[name] = max(told[name], kept.get(name, 0.0))
    sys.stdout.write(HEAD)
    for (engine, splits), row in sorted(rows.items()):
        alone = f"{100 * row['alone']:.0f} % off" if "alone" in row else ""
        value = f"{row['value']:.0f}" if "value" in row else ""
        gradient = f"{row['gradient']:.0e}".replace("0e+00", "0") if "gradient" in row else ""
        sys.stdout.write(f"| {engine} | {splits} | {value} | {gradient} | {alone} |\n")


if __name__ == "__main__":
    main()
