"""What the table of capabilities says of l2keras and of Keras's losses is so, on each backend."""

import keras
import pytest

import keras_rows
from capability import holds
from capability_table import cells, says

TABLE = cells("Keras")


@pytest.mark.parametrize("name", keras_rows.capability)
@pytest.mark.filterwarnings("ignore")  # Keras saves a loss of dtype float16 with many words
def test_ours_has_it(name):
    """Called directly, so that a failure shows its traceback."""
    assert keras_rows.capability[name](keras_rows.OURS)


def test_the_readme_has_every_row():
    assert list(TABLE) == list(keras_rows.capability)
    assert {ours for ours, _ in TABLE.values()} == {"yes"}


@pytest.mark.parametrize("name", keras_rows.capability)
def test_the_built_in_losses_are_as_the_readme_says(name):
    tried = holds(keras_rows.capability[name], keras_rows.BUILT_IN)
    assert tried == says(TABLE[name][1], keras.backend.backend())


def test_the_built_in_losses_lack_some_and_have_some():
    """Else a check would be one that everything or nothing passes."""
    unequal = keras_rows.capability["unequal shapes, (3, 1) and (1, 3), raise"]
    far = keras_rows.capability["Huber's gradient stays finite far out (1e30)"]
    assert not holds(unequal, keras_rows.BUILT_IN)
    assert holds(far, keras_rows.BUILT_IN)
    assert not holds(lambda side: side.nothing, keras_rows.OURS)
