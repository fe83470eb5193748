"""What the table of capabilities says of l2jax and of optax is so."""

import pytest

import jax_rows
from capability import holds
from capability_table import cells, says

TABLE = cells("JAX")


@pytest.mark.parametrize("name", jax_rows.capability)
def test_ours_has_it(name):
    """Called directly, so that a failure shows its traceback."""
    assert jax_rows.capability[name](jax_rows.OURS)


def test_the_readme_has_every_row():
    assert list(TABLE) == list(jax_rows.capability)
    assert {ours for ours, _ in TABLE.values()} == {"yes"}


@pytest.mark.parametrize("name", jax_rows.capability)
def test_the_built_in_losses_are_as_the_readme_says(name):
    assert holds(jax_rows.capability[name], jax_rows.BUILT_IN) == says(TABLE[name][1])


def test_the_built_in_losses_lack_some_and_have_some():
    """Else a check would be one that everything or nothing passes."""
    unequal = jax_rows.capability["unequal shapes, (3,) and (3, 1), raise"]
    delta = jax_rows.capability["a traced Huber delta, with its gradient"]
    assert not holds(unequal, jax_rows.BUILT_IN)
    assert holds(delta, jax_rows.BUILT_IN)
    assert not holds(lambda side: side.nothing, jax_rows.OURS)
