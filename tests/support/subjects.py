"""What the tests run on: the harnesses, and every loss with its defaults and other parameters."""

from dataclasses import fields
from functools import cache

from l2core import LOSSES, conformance


@cache
def harnesses():
    """Every harness; the frameworks are imported at the first call."""
    return conformance.harnesses()


def float_dtypes(harness):
    """The dtypes to try: JAX with 64-bit types is only there for float64."""
    if harness.name.endswith("-x64"):
        return ["float64"]
    return [name for name in ("float32", "float64") if name in harness.dtypes]


def variants(kind):
    """The loss with its defaults, then with each float field at 0.7 and each bool the other way."""
    yield kind()
    for field in fields(kind):
        yield kind(**{field.name: not field.default if isinstance(field.default, bool) else 0.7})


# Those of the package: a test may define one more for itself.
EVERY_LOSS = [
    loss
    for kind in LOSSES.values()
    if kind.__module__ == "l2core.losses"
    for loss in variants(kind)
]
ONE_OF_EACH = [
    kind(**{f.name: f.default if isinstance(f.default, bool) else 0.7 for f in fields(kind)})
    for kind in dict.fromkeys(type(loss) for loss in EVERY_LOSS)
]
"""Each loss once, with parameters that are no powers of two."""
DEFAULT_LOSSES = [loss for loss in EVERY_LOSS if loss == type(loss)()]
