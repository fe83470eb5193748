"""Memory that is kept for the next gradient: how much, and that nobody's is taken."""

import gc

import numpy as np
import pytest

import l2core
from l2core import Criterion, memory

N = 3 * memory.LEAST // 4
"""Elements of float32, in more than the least that is kept."""


@pytest.fixture(autouse=True)
def kept():
    before = memory._limit
    l2core.free_memory()
    yield
    l2core.keep_memory(before)
    l2core.free_memory()


def gradient(value=3.0):
    pred = np.full(N, value, np.float32)
    return Criterion().value_and_grad(pred, np.zeros(N, np.float32))[1]


def address(x):
    return x.__array_interface__["data"][0]


def test_a_place_serves_again_once_nobody_holds_it():
    grad = gradient()
    place, row = address(grad), grad[5:9]
    assert l2core.kept_memory() == 0
    view = row.view(np.int32).reshape(2, 2).T
    expected = view.copy()
    del grad, row
    gc.collect()
    assert l2core.kept_memory() == 0  # a view of a view still holds it
    other = gradient(4.0)
    assert address(other) != place
    assert np.array_equal(view, expected)
    del view
    gc.collect()
    assert l2core.kept_memory() == 4 * N
    assert address(gradient()) == place


def test_the_limit_holds_and_can_be_lowered():
    l2core.keep_memory(4 * N - 1)
    gradient()
    assert l2core.kept_memory() == 0
    l2core.keep_memory(4 * N)
    gradient()
    assert l2core.kept_memory() == 4 * N
    l2core.keep_memory(0)
    assert l2core.kept_memory() == 0
    gradient()
    assert l2core.kept_memory() == 0


def test_it_is_given_back_on_request():
    gradient()
    assert l2core.kept_memory() == 4 * N
    l2core.free_memory()
    assert l2core.kept_memory() == 0


def test_small_gradients_are_not_worth_it():
    Criterion().value_and_grad(
        np.ones(memory.LEAST // 8, np.float32), np.zeros(memory.LEAST // 8, np.float32)
    )
    assert l2core.kept_memory() == 0


@pytest.mark.parametrize(
    ("limit", "error", "message"),
    [
        (1.5, TypeError, "limit: expected an int, in bytes, got 1.5"),
        (True, TypeError, "limit: expected an int, in bytes, got True"),
        (-1, ValueError, "limit: expected at least 0 bytes, got -1"),
    ],
)
def test_the_limit_is_checked(limit, error, message):
    with pytest.raises(error, match=message):
        l2core.keep_memory(limit)


def test_pytorch_holds_a_place_as_long_as_any_part_of_it():
    torch = pytest.importorskip("torch")
    import l2torch

    def grad():
        pred = torch.full((9_000_000,), 3.0, requires_grad=True)
        return torch.autograd.grad(l2torch.MSELoss()(pred, torch.zeros_like(pred)), pred)[0]

    first = grad()
    place, storage = first.data_ptr(), first.untyped_storage()
    del first
    assert grad().data_ptr() != place
    del storage
    gc.collect()
    assert l2core.kept_memory() == 36_000_000
