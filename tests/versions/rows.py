"""What is promised of versions, a row each: what to install, and which tests then run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CORE = tuple(
    f"tests/test_{name}.py"
    for name in (
        *("bits", "boosting", "closed_form", "decomposition", "denominators", "dtypes", "families"),
        *("fused_numpy", "losses", "memory", "new_loss", "parameters", "properties"),
        *("quantiles", "reference", "robust", "semantics", "sketch", "statistics", "terms"),
        "workers",
    )
)
"""On every framework that is installed, NumPy at least."""

BOTH = (*CORE, "tests/test_penalties.py")
"""Where PyTorch and JAX are."""

TOOLS = ("hatchling", "hypothesis", "ml_dtypes", "mpmath", "pytest", "pytest-xdist", "rich")
TOOLS += ("editables", "scikit-learn")


@dataclass(frozen=True)
class Row:
    """One environment.

    ``pins`` are what the row is about, each by name; ``more`` comes with it, at the versions of
    constraints.txt where ``pinned``, else the newest. ``cheap`` rows run with every change.
    """

    name: str
    pins: Mapping[str, str]  # a version; "" for the newest
    tests: tuple[str, ...]
    python: str = "3.11"
    more: tuple[str, ...] = ()
    pinned: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    cheap: bool = False


KERAS = (
    "tests/keras",
    *(f"tests/test_{name}.py" for name in ("families", "quantiles", "robust")),
    "--ignore=tests/keras/test_keras_own.py",  # Keras's own tests, which not every version ships
    "--ignore=tests/keras/test_order.py",  # of the other frameworks' criteria too
)
ROWS = (
    Row(
        "core on the oldest NumPy",
        {"numpy": "2.0.0", "array-api-compat": "1.12.0"},
        CORE,
        cheap=True,
    ),
    Row(
        "JAX at its floor",
        {"jax": "0.8.2", "jaxlib": "0.8.2"},
        ("tests/jax", *CORE),
        more=("optax", "flax"),
        cheap=True,
    ),
    Row(
        "Keras and TensorFlow at their floors",
        {"keras": "3.10.0", "tensorflow": "2.18.0", "numpy": "2.0.2"},
        KERAS,
        environment={"KERAS_BACKEND": "tensorflow"},
        cheap=True,
    ),
    Row(
        "PyTorch at its floor",
        {"torch": "2.6.0"},
        ("tests/torch", *CORE),
        more=("expecttest", "torchmetrics"),
    ),
    Row("Python 3.12, pinned", {}, BOTH, python="3.12", more=("jax", "torch")),
    Row("Python 3.13, pinned", {}, BOTH, python="3.13", more=("jax", "torch")),
    Row("newest NumPy", {"numpy": "", "array-api-compat": ""}, CORE, python="3.13", pinned=False),
    Row(
        "newest JAX",
        {"jax": ""},
        ("tests/jax", *CORE),
        python="3.13",
        more=("optax", "flax"),
        pinned=False,
    ),
    Row(
        "newest PyTorch",
        {"torch": ""},
        ("tests/torch", *CORE),
        python="3.13",
        more=("expecttest", "torchmetrics"),
        pinned=False,
    ),
    Row(
        "newest Keras and TensorFlow",
        {"keras": "", "tensorflow": ""},
        KERAS,
        python="3.13",
        pinned=False,
        environment={"KERAS_BACKEND": "tensorflow"},
    ),
)
