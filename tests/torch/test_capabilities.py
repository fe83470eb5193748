"""Every row of the table of capabilities holds for l2torch."""

import pytest

import torch_rows
from capability import holds


@pytest.mark.parametrize("name", torch_rows.capability)
def test_ours_has_it(name):
    """Called directly, so that a failure shows its traceback."""
    assert torch_rows.capability[name](torch_rows.OURS)


def test_the_built_in_losses_lack_some_and_have_some():
    """Else a check would be one that everything or nothing passes."""
    unequal = torch_rows.capability["unequal shapes, (3,) and (3, 1), raise"]
    once = torch_rows.capability["forward mode (`jvp`), once"]
    assert not holds(unequal, torch_rows.BUILT_IN)
    assert holds(once, torch_rows.BUILT_IN)
    assert not holds(lambda side: side.nothing, torch_rows.OURS)
