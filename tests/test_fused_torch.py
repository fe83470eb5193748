"""torch's one pass: the bits of the plain path under all that autograd does, and only on the CPU's
usual tensors."""

import gc
import subprocess
import sys
import threading

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import l2torch
from l2core import HalfSquaredError, Huber, SquaredError, memory, sums
from l2core.fastpath import plain_only
from l2torch import fused, native, summed
from paths import (
    ARGUMENTS,
    MEANS,
    SHAPES,
    no_plain_path,
    one_large_among_small,
)
from subjects import ONE_OF_EACH
from torch_passes import assert_same_bits, results, tensors

LOSSES = [HalfSquaredError(), *(loss for loss in ONE_OF_EACH if not loss.needs)]


def relative_bound(dtype):
    """Rows of at most so many elements in any order (PyTorch adds whole tensors up in trees, which are
    lower), and 5 roundings of an element and of the result, on both paths."""
    row = sums.LANES if dtype is torch.float32 else sums.SHORT
    return 2 * (row + 5) * torch.finfo(dtype).eps / 2


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("kind", ARGUMENTS)
@pytest.mark.parametrize("fields", MEANS, ids=str)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_both_paths_agree(loss, fields, kind):
    criterion = l2torch.Criterion(loss, **fields)
    runs = [(shape, "float32", 1.0) for shape in SHAPES]
    runs += [(SHAPES[0], "float64", 1.0), (SHAPES[0], "float32", 0.3), (SHAPES[0], "float32", -1.0)]
    for shape, dtype, upstream in runs:
        arguments = tensors(kind, shape, dtype)
        with no_plain_path():
            *values, to_pred, to_target = results(criterion, *arguments, upstream)
        with plain_only():
            *expected, grad, opposite = results(criterion, *arguments, upstream)
        bound = relative_bound(values[0].dtype)
        torch.testing.assert_close(values, expected, rtol=bound, atol=0)
        if fields.get("reduction") == "root_mean":  # whose upstream gradient has the value in it
            torch.testing.assert_close(to_pred, grad, rtol=2 * bound, atol=0)
            torch.testing.assert_close(to_target, opposite, rtol=2 * bound, atol=0)
        else:
            assert_same_bits(to_pred, grad)
            assert_same_bits(to_target, opposite)


PAIRS = [
    ("bfloat16", "bfloat16"),
    ("float16", "float32"),
    ("float32", "bfloat16"),
    ("float32", "float64"),
    ("float64", "float16"),
    ("float32", "uint8"),
    ("bfloat16", "int16"),
    ("float32", "int64"),
]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("weights", [None, "float16", "float64", "int32"])
@pytest.mark.parametrize(("first", "second"), PAIRS)
@pytest.mark.parametrize("loss", [SquaredError(), Huber(0.7)], ids=repr)
def test_dtypes_are_converted_in_cache(loss, first, second, weights):
    pred, target, _ = tensors("nothing", SHAPES[0], "float64")
    pred, target = (pred * 9).to(getattr(torch, first)), (target * 9).to(getattr(torch, second))
    arguments = {}
    if weights is not None:
        arguments["weight"] = (torch.arange(len(pred)) % 4).to(getattr(torch, weights))
    criterion = l2torch.Criterion(loss)

    def both(pred, target):
        pred.requires_grad_()
        target.requires_grad_(target.is_floating_point())
        value = criterion(pred, target, **arguments)
        value.backward()
        return value.detach(), pred.grad, target.grad

    with no_plain_path():
        value, *found = both(pred.clone(), target.clone())
    with plain_only():
        expected, *grads = both(pred.clone(), target.clone())
    assert value.dtype is expected.dtype
    bound = relative_bound(value.dtype)
    torch.testing.assert_close(value, expected, rtol=bound, atol=0)
    for x, y in zip(found, grads, strict=True):
        assert (x is None) == (y is None)
        if x is not None:
            assert x.dtype is y.dtype
            assert torch.equal(x, y)
    with torch.autocast("cpu"), no_plain_path():
        again, *grads = both(pred.clone(), target.clone())
    assert_same_bits(again, value)
    assert all(torch.equal(x, y) for x, y in zip(found, grads, strict=True) if x is not None)


@pytest.mark.parametrize(
    "n", [1, 33, 10_000, native.LARGE // 8 - 1, native.LARGE // 8, native.LARGE // 4]
)
def test_the_mean_of_squares_at_any_size(n):
    pred, target, total = one_large_among_small(n)
    pred, target = torch.from_numpy(pred).requires_grad_(), torch.from_numpy(target)
    with no_plain_path():
        value = l2torch.MSELoss()(pred, target)
        value.backward()
        with torch.no_grad():
            alone = l2torch.MSELoss()(pred, target)
    for x in (value, alone):
        assert abs(x.item() - total / n) <= relative_bound(torch.float32) / 2 * total / n
    assert_same_bits(pred.grad, (torch.tensor(2.0) / n) * (pred.detach() - target))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_small_tensors_take_the_function_of_pytorch(reduction):
    criterion = l2torch.MSELoss(reduction=reduction)
    pred, target, _ = tensors("nothing", (40, 31), "float32")
    for p, t in ((pred, target), (pred.T, target.T), (pred[0, 0], target[0, 0])):
        with no_plain_path():
            *values, to_pred, to_target = results(criterion, p, t, {})
        with plain_only():
            *expected, grad, opposite = results(criterion, p, t, {})
        torch.testing.assert_close(values, expected, rtol=relative_bound(p.dtype), atol=0)
        assert_same_bits(to_pred, grad)
        assert_same_bits(to_target, opposite)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("fields", MEANS, ids=str)
@pytest.mark.parametrize("loss", [SquaredError(), HalfSquaredError()], ids=repr)
def test_few_squares_that_all_count(loss, fields, rank):
    """Weighted by PyTorch's function; the derivatives to the weight too, and the second ones."""
    pred, target, _ = tensors("nothing", (40, 31), "float32")
    weight = torch.rand((40, 31)[:rank], generator=torch.Generator().manual_seed(3)) + 0.1
    criterion = l2torch.Criterion(loss, **fields)

    def derivatives():
        leaves = [x.clone().requires_grad_() for x in (pred, target, weight)]
        value = criterion(*leaves[:2], weight=leaves[2])
        first = torch.autograd.grad(value, leaves, create_graph=True)
        second = torch.autograd.grad(sum((x * x).sum() for x in first), leaves)
        return [x.detach() for x in (value, *first, *second)]

    with no_plain_path():
        value, *found = derivatives()
    with plain_only():
        plain, *expected = derivatives()
    bound = relative_bound(torch.float32)
    torch.testing.assert_close(value, plain, rtol=bound, atol=0)
    for i, (x, y) in enumerate(zip(found, expected, strict=True)):
        if i < 2 and fields.get("reduction") != "root_mean":
            assert_same_bits(x, y)
        else:  # the value is in these, and what is added up has both signs
            torch.testing.assert_close(x, y, rtol=8 * bound, atol=8 * bound * y.abs().max().item())


@pytest.fixture
def leaf():
    """(pred, target, value), by one pass of squares with a weight."""
    pred, target, arguments = tensors("zero weights", (40, 31), "float32")
    pred.requires_grad_()
    with no_plain_path():
        return pred, target, l2torch.Criterion()(pred, target, **arguments), arguments["weight"]


@pytest.mark.usefixtures("small_blocks")
class TestAutograd:
    """Of sums made by one pass."""

    def test_backward_hands_over_the_gradient_that_the_forward_made(self, monkeypatch):
        made = []
        buffer = summed.buffer
        for room in (summed, fused):
            monkeypatch.setattr(room, "buffer", lambda x: made.append(buffer(x)) or made[-1])
        pred, target, _ = tensors("nothing", (40, 31), "float32")
        pred.requires_grad_()
        value = l2torch.MSELoss()(pred, target)
        (place,) = (x.data_ptr() for x in made)
        made.clear()  # as in use, where autograd owns it alone
        value.backward()
        assert pred.grad.data_ptr() == place
        assert not made

    def test_the_memory_of_a_gradient_serves_the_next_one(self):
        pred, target, _ = tensors("nothing", (40, 31), "float32")
        pred.requires_grad_()

        def gradient():
            (found,) = torch.autograd.grad(l2torch.MSELoss()(pred, target), pred)
            return found

        first = gradient()
        row, place, kept = first[3], first.data_ptr(), first.clone()
        del first  # held by its row
        second = gradient()
        assert second.data_ptr() != place
        assert_same_bits(row, kept[3])
        second.fill_(torch.nan)
        del row
        assert gradient().data_ptr() == place
        assert_same_bits(gradient(), kept)

    def test_large_memory_goes_back_to_the_system(self, monkeypatch):
        pred, target, _ = tensors("nothing", (40, 31), "float32")
        size = pred.numel() * pred.element_size()
        for limit, kept in ((size, size), (size - 1, 0)):
            memory.free_memory()
            monkeypatch.setattr(memory, "_limit", limit)
            results(l2torch.MSELoss(), pred, target, {})
            gc.collect()
            assert memory.kept_memory() == kept

    def test_a_second_backward(self, leaf):
        pred, _, value, _ = leaf
        value.backward(retain_graph=True)
        first = pred.grad.clone()
        pred.grad.zero_()  # the buffer that was handed over
        value.backward(retain_graph=True)
        assert_same_bits(pred.grad, first)
        value.backward()
        assert torch.equal(pred.grad, first + first)
        with pytest.raises(RuntimeError, match="second time"):
            value.backward()

    def test_second_derivatives(self, leaf):
        pred, target, value, weight = leaf
        (first,) = torch.autograd.grad(value, pred, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), pred)
        with plain_only():
            value = l2torch.Criterion()(pred, target, weight=weight)
            (expected,) = torch.autograd.grad(value, pred, create_graph=True)
            (curvature,) = torch.autograd.grad(expected.sum(), pred)
        assert_same_bits(first.detach(), expected.detach())
        assert_same_bits(second, curvature)

    def test_batched_upstream_gradients(self, leaf):
        pred, _, value, _ = leaf
        upstream = torch.tensor([1.0, 0.5, -2.0])
        (rows,) = torch.autograd.grad(
            value, pred, upstream, is_grads_batched=True, retain_graph=True
        )
        (one,) = torch.autograd.grad(value, pred)
        assert torch.equal(rows, upstream[:, None, None] * one)

    @pytest.mark.parametrize("kind", ARGUMENTS)
    @pytest.mark.parametrize("loss", LOSSES, ids=repr)
    def test_inputs_that_depend_on_each_other(self, loss, kind):
        """With the graph kept or not, batched, behind a hook and a retained gradient."""
        x, _, arguments = tensors(kind, (40, 31), "float64")
        criterion = l2torch.Criterion(loss)

        def run(path, kept, batched):
            w = torch.tensor(0.8, dtype=x.dtype, requires_grad=True)
            target = w * torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view(x.shape)
            pred = torch.tanh(target)
            pred.register_hook(lambda g: g / 2)
            pred.retain_grad()
            with path():
                value = criterion(pred, target, **arguments)
            upstream = torch.ones(2, dtype=x.dtype) if batched else None
            (found,) = torch.autograd.grad(
                value, w, upstream, create_graph=kept, is_grads_batched=batched
            )
            return found.detach().flatten()[0]

        expected = run(plain_only, False, False)
        for kept, batched in ((False, False), (True, False), (False, True), (True, True)):
            # n terms of either sign, added up in another order.
            torch.testing.assert_close(
                run(no_plain_path, kept, batched), expected, rtol=1e-12, atol=1e-15
            )

    @pytest.mark.parametrize("position", [0, 1, 3])
    def test_a_change_in_place_is_noticed(self, leaf, position):
        with torch.no_grad():
            leaf[position].add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            leaf[2].backward()

    def test_into_a_model(self):
        """pred that is no leaf, used twice, behind a hook, and a target with a gradient alone."""
        pred, target, _ = tensors("nothing", (40, 31), "float32")
        seen = []
        for path in (no_plain_path, plain_only):
            w = torch.tensor(0.5, requires_grad=True)
            scaled = pred * w
            scaled.register_hook(lambda g: g * 2)
            with path():
                loss = l2torch.MSELoss()(scaled, target) + 3 * l2torch.MSELoss()(target, scaled)
            loss.backward()
            seen.append(w.grad)
        assert torch.equal(*seen)

    def test_checkpointed(self):
        pred, target, _ = tensors("nothing", (40, 31), "float32")
        expected = results(l2torch.MSELoss(), pred, target, {})

        def again(pred, target, **arguments):
            return checkpoint(l2torch.MSELoss(), pred, target, use_reentrant=False)

        found = results(again, pred, target, {})
        for x, y in zip(found, expected, strict=True):
            assert_same_bits(x, y)

    def test_without_a_graph_nothing_is_kept(self):
        pred, target, _ = tensors("nothing", (40, 31), "float32")
        assert l2torch.MSELoss()(pred, target).grad_fn is None
        with torch.inference_mode():
            x = pred + 0
            with no_plain_path():
                assert not l2torch.MSELoss()(x, target).requires_grad

    def test_threads(self):
        pred, target, _ = tensors("nothing", (40, 31), "float32")
        expected = results(l2torch.MSELoss(), pred, target, {})
        found = []

        def work():
            found.extend(results(l2torch.MSELoss(), pred, target, {}) for _ in range(5))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 20
        assert all(torch.equal(x, y) for run in found for x, y in zip(run, expected, strict=True))


FORKING = """
import multiprocessing, torch, l2torch

def gradient(value):
    pred = torch.full((SIZE,), value, requires_grad=True)
    l2torch.MSELoss()(pred, torch.zeros_like(pred)).backward()
    return pred.grad[0].item()

expected = gradient(3.0)
with multiprocessing.get_context("fork").Pool(1) as pool:
    assert pool.map(gradient, [3.0]) == [expected]
"""


def test_fork():
    # In a process of its own: JAX, which other tests import, warns of every fork.
    script = FORKING.replace("SIZE", str(native.LARGE // 4))
    subprocess.run([sys.executable, "-c", script], check=True)
