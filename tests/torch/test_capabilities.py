"""What the table of capabilities says of l2torch and of the built-in losses is so."""

import pytest

import torch_rows
from capability import holds
from capability_table import cells, says

TABLE = cells("PyTorch")


@pytest.mark.parametrize("name", torch_rows.capability)
def test_ours_has_it(name):
    """Called directly, so that a failure shows its traceback."""
    assert torch_rows.capability[name](torch_rows.OURS)


def test_the_readme_has_every_row():
    assert list(TABLE) == list(torch_rows.capability)
    assert {ours for ours, _ in TABLE.values()} == {"yes"}


@pytest.mark.parametrize("name", torch_rows.capability)
def test_the_built_in_losses_are_as_the_readme_says(name):
    assert holds(torch_rows.capability[name], torch_rows.BUILT_IN) == says(TABLE[name][1])


def test_the_built_in_losses_lack_some_and_have_some():
    """Else a check would be one that everything or nothing passes."""
    unequal = torch_rows.capability["unequal shapes, (3,) and (3, 1), raise"]
    once = torch_rows.capability["forward mode (`jvp`), once"]
    assert not holds(unequal, torch_rows.BUILT_IN)
    assert holds(once, torch_rows.BUILT_IN)
    assert not holds(lambda side: side.nothing, torch_rows.OURS)
