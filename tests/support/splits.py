"""How far a split mean is from that of the whole: one row for each engine, for the table in docs."""

import json

import numpy as np


class Rows:
    """The worst of what was tried, by engine and by how the data was split."""

    def __init__(self):
        self.rows = {}

    def add(self, engine, splits, value, gradient, alone=None):
        """``value``, ``gradient`` and ``alone``: pairs of what was found and that of the whole; arrays.

        ``alone`` is the gradient of what the client does by itself. Returns the ULP of the value and
        the largest difference of a gradient beside its largest element.
        """
        ulp = max(
            abs(np.float64(a) - np.float64(b)) / np.spacing(np.abs(np.asarray(b)))
            for a, b in zip(*map(np.atleast_1d, value), strict=True)
        )
        found = {"value": float(ulp), "gradient": apart(*gradient)}
        if alone is not None:
            found["alone"] = apart(*alone)
        row = self.rows.setdefault((engine, splits), {})
        for name, x in found.items():
            row[name] = max(x, row.get(name, 0.0))
        return found["value"], found["gradient"]

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
