"""Every row of the table of capabilities holds for l2torch."""

import importlib.util
from pathlib import Path

import pytest

path = Path(__file__).parents[1] / "capabilities" / "torch_rows.py"
spec = importlib.util.spec_from_file_location("torch_rows", path)
torch_rows = importlib.util.module_from_spec(spec)
spec.loader.exec_module(torch_rows)


@pytest.mark.parametrize("name", torch_rows.CAPABILITIES)
def test_ours_has_it(name):
    """Called directly, so that a failure shows its traceback."""
    assert torch_rows.CAPABILITIES[name](torch_rows.OURS)


def test_the_built_in_losses_lack_some_and_have_some():
    """Else a check would be one that everything or nothing passes."""
    unequal = torch_rows.CAPABILITIES["unequal shapes, (3,) and (3, 1), raise"]
    once = torch_rows.CAPABILITIES["forward mode (`jvp`), once"]
    assert not torch_rows.holds(unequal, torch_rows.BUILT_IN)
    assert torch_rows.holds(once, torch_rows.BUILT_IN)
    assert not torch_rows.holds(lambda side: side.nothing, torch_rows.OURS)
