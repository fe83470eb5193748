"""Small inputs off every kink, and a compiler without memory of the last test."""

import pytest
import torch


@pytest.fixture(autouse=True)
def fresh_dynamo(request):
    """No limit on recompilations from one test to the next."""
    yield
    torch._dynamo.reset()


def residuals():
    """(2, 4) in float64, off the kinks at 0, ±0.7 and ±1 and on both sides of each."""
    return torch.tensor([[-2.3, -0.85, -0.4, 0.15], [0.55, 0.9, 1.3, -1.7]], dtype=torch.float64)


@pytest.fixture
def pair():
    """(input, target) with these residuals; the target of no round numbers."""
    target = torch.linspace(-1.1, 1.7, 8, dtype=torch.float64).reshape(2, 4)
    return target + residuals(), target


@pytest.fixture
def weight():
    """Per row; one per element would hide a misalignment."""
    return torch.tensor([0.5, 2.5], dtype=torch.float64)


@pytest.fixture
def mask():
    return torch.tensor([[True, True, False, True], [False, True, True, True]])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What Dynamo of an older PyTorch cannot do yet (docs/tables/versions.md has the list) is left out."""
    have = tuple(int(part) for part in torch.__version__.split(".")[:2])

    def too_new(item: pytest.Item) -> bool:
        marker = item.get_closest_marker("since")
        return marker is not None and have < tuple(int(x) for x in marker.args[0].split("."))

    config.hook.pytest_deselected(items=[item for item in items if too_new(item)])
    items[:] = [item for item in items if not too_new(item)]
