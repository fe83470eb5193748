"""One loss, one small weighted and masked data set, and what NumPy's closed form makes of them."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import l2core
import l2jax

Factory = Callable[..., l2jax.Criterion]


@pytest.fixture(params=l2core.LOSSES.values(), ids=list(l2core.LOSSES))
def loss(request: pytest.FixtureRequest) -> Any:
    return request.param()


@pytest.fixture
def data() -> SimpleNamespace:
    """Float64 arrays: pred and target (4, 3), weight (4,) with a zero, mask (4, 3)."""
    rng = np.random.default_rng(0)
    return SimpleNamespace(
        pred=rng.normal(size=(4, 3)) * 2,
        target=rng.normal(size=(4, 3)),
        weight=np.array([0.5, 2.0, 0.0, 1.25]),
        mask=rng.random((4, 3)) > 0.2,
    )


@pytest.fixture
def arguments(loss: Any, data: SimpleNamespace) -> dict[str, Any]:
    """The keyword arguments of a weighted and masked call of this loss."""
    arguments = {"weight": data.weight, "mask": data.mask}
    return arguments | ({"variance": 1.0 + data.weight} if loss.needs else {})
