"""What the tests run on: the harnesses, and every loss with its defaults and other parameters."""

from dataclasses import fields
from functools import cache

from l2core import LOSSES, GaussianNLL, conformance


@cache
def harnesses():
    """Every harness; the frameworks are imported at the first call."""
    return conformance.harnesses()


def float_dtypes(harness):
    """The dtypes to try: JAX with 64-bit types is only there for float64."""
    if harness.name.endswith("-x64"):
        return ["float64"]
    return [name for name in ("float32", "float64") if name in harness.dtypes]


def _other(field):
    """A value that is no default, and no power of 2. A parameter that may come later stays open,
    and so does beta, whose power takes more roundings (it stands in FAMILIES)."""
    kept = isinstance(field.default, bool) or field.default is None or field.default == 0
    return field.default if kept else 0.7


def variants(kind):
    """The loss with its defaults, then with each float field at 0.7 and each bool the other way."""
    yield kind()
    for field in fields(kind):
        changed = not field.default if isinstance(field.default, bool) else _other(field)
        if changed != field.default:
            yield kind(**{field.name: changed})


# Those of the package: a test may define one more for itself.
OURS = [kind for kind in LOSSES.values() if kind.__module__ == "l2core.losses"]
ELEMENTARY = [kind for kind in OURS if kind.needs or kind.rho.__module__ == "l2core.losses.convex"]
"""Those that take a few roundings, and that the grids of tests run through."""
FAMILIES = [GaussianNLL(beta=0.7), GaussianNLL(variance=0.7)]
FAMILIES += [
    loss
    for kind in OURS
    if kind not in ELEMENTARY
    for loss in (kind(), kind(*map(_other, fields(kind))))
]
"""The others, whose bounds are those of the conformance suite (test_families.py)."""
EVERY_LOSS = [loss for kind in ELEMENTARY for loss in variants(kind)]
ONE_OF_EACH = [kind(**{f.name: _other(f) for f in fields(kind)}) for kind in ELEMENTARY]
"""Each loss once, with parameters that are no powers of two."""
DEFAULT_LOSSES = [loss for loss in EVERY_LOSS if loss == type(loss)()]
