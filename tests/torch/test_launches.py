"""The few operators of an accelerator: the bits of the plain path, and how many they are."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import l2torch
from l2core import Criterion, HalfSquaredError, SquaredError
from l2core.fastpath import plain_only
from l2torch.backend import BACKEND
from l2torch.launches import launched
from paths import ARGUMENTS, SHAPES, no_plain_path
from subjects import ONE_OF_EACH
from torch_passes import assert_same_bits, results, tensors

LOSSES = [HalfSquaredError(), *(loss for loss in ONE_OF_EACH if not loss.needs)]
FIELDS = [
    {"reduction": "sum"},
    {"denominator": "weight"},
    {"denominator": "weight", "empty": "zero"},
    {"denominator": "count"},
    {"denominator": "count", "empty": "zero"},
    {"denominator": "size"},
]


def on_an_accelerator(core):
    """The criterion as there; given a CPU's tensors."""

    def called(pred, target, weight=None, mask=None):
        weight, mask = (
            None if x is None else x.view(x.shape + (1,) * (pred.ndim - x.ndim))
            for x in (weight, mask)
        )
        return launched(BACKEND, core, core._simple, (pred, target, weight, mask))

    return called


def both(loss, fields):
    return on_an_accelerator(Criterion(loss, **fields)), l2torch.Criterion(loss, **fields)


@pytest.mark.parametrize("kind", ARGUMENTS)
@pytest.mark.parametrize("fields", FIELDS, ids=str)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_the_bits_of_the_plain_path(loss, fields, kind):
    few, plain = both(loss, fields)
    for shape in SHAPES[:2]:
        for dtype, upstream in (("float32", 1.0), ("float64", 0.3), ("float32", math.inf)):
            arguments = tensors(kind, shape, dtype)
            found = results(few, *arguments, upstream)
            with plain_only():
                expected = results(plain, *arguments, upstream)
            for x, y in zip(found, expected, strict=True):
                assert_same_bits(x, y)


EDGES = {
    "nothing present": ([math.nan, 2.0, math.inf], [0.0, 0.0, 0.0]),
    "weights cancel": ([1.0, 3.0, 0.5], [1.0, -1.0, 0.0]),
    "weights cancel over zeros": ([0.0, 0.0, math.nan], [1.0, -1.0, 0.0]),
    "negative zero": ([-0.0, math.nan, 1.0], [1.0, -0.0, 2.0]),
    "NaN present": ([math.nan, 1.0, -1.0], [1.0, 0.0, 2.0]),
    "NaN weight": ([1.0, 1.0, -1.0], [math.nan, 0.0, 2.0]),
    "infinite": ([math.inf, 1.0, -math.inf], [1.0, 0.0, 2.0]),
    "overflow": ([3e38, 1.0, -3e38], [1.0, 0.0, 2.0]),
}


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("fields", FIELDS, ids=str)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_edges(loss, fields, edge):
    few, plain = both(loss, fields)
    pred, weight = (torch.tensor(x) for x in EDGES[edge])
    for given in ({"weight": weight}, {"mask": weight != 0}, {}):
        found = results(few, pred, torch.zeros(3), given, 0.5)
        with plain_only():
            expected = results(plain, pred, torch.zeros(3), given, 0.5)
        torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("kind", ["nothing", "zero weights", "row mask"])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_derivatives_of_the_gradient(loss, kind):
    few, plain = both(loss, {})
    pred, target, given = tensors(kind, (4, 3), "float64")

    def derivatives(criterion):
        leaves = [pred.clone().requires_grad_(), target.clone().requires_grad_()]
        upstream = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
        value = criterion(*leaves, **given)
        first = torch.autograd.grad(value, leaves, upstream, create_graph=True)
        second = torch.autograd.grad(sum((x**3).sum() for x in first), [*leaves, upstream])
        value = criterion(*leaves, **given)
        many = torch.tensor([1.0, -2.0], dtype=torch.float64)
        batch = torch.autograd.grad(value, leaves, many, is_grads_batched=True)
        return [x.detach() for x in (*first, *second, *batch)]

    with plain_only():
        expected = derivatives(plain)
    torch.testing.assert_close(derivatives(few), expected, rtol=1e-15, atol=0)


def test_inputs_that_depend_on_each_other():
    """Each gets its own gradient, hooks run once."""
    few, plain = both(SquaredError(), {})
    seen = []

    def gradient(criterion):
        z = torch.linspace(-1, 1, 6, requires_grad=True)
        pred = 3 * z
        pred.register_hook(lambda g: seen.append(1) or 2 * g)
        criterion(pred, pred * z, weight=torch.arange(6.0)).backward()
        return z.grad

    with plain_only():
        expected = gradient(plain)
    torch.testing.assert_close(gradient(few), expected, rtol=1e-6, atol=0)
    assert len(seen) == 2


def test_an_input_changed_in_place_raises():
    few, _ = both(SquaredError(), {})
    pred, weight = torch.ones(4, requires_grad=True), torch.ones(4)
    value = few(pred, torch.zeros(4), weight=weight)
    weight.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_the_gradient_is_ones_own():
    few, _ = both(SquaredError(), {})
    pred = torch.ones(4, requires_grad=True)
    value = few(pred, torch.zeros(4), weight=torch.ones(4))
    (first,) = torch.autograd.grad(value, pred, retain_graph=True)
    first.zero_()
    assert torch.autograd.grad(value, pred)[0].tolist() == [0.5] * 4


class Launches(TorchDispatchMode):
    """Counts operators that compute, also those that only make a number for another."""

    NONE = tuple(getattr(torch.ops.aten, name).default for name in ("detach", "ones_like", "view"))

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, f, types, args=(), kwargs=None):
        if f not in self.NONE:
            self.seen.append(f)
        return f(*args, **(kwargs or {}))


def test_how_many_they_are():
    """A weighted mean by hand has 6 and 8 for its gradient, and is wrong where NaN is absent."""
    pred, target, weight = torch.rand(3, 8, device="meta")
    pred.requires_grad_()
    mask = torch.ones(8, dtype=torch.bool, device="meta")
    few = on_an_accelerator(Criterion())
    for given, forward, backward in (({"weight": weight}, 7, 10), ({"mask": mask}, 7, 7)):
        with Launches() as launches:
            value = few(pred, target, **given)
        assert len(launches.seen) == forward
        with Launches() as launches:
            value.backward()
        assert len(launches.seen) == backward


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_an_accelerator_is_served(loss):
    with no_plain_path():
        pred, target, weight = torch.rand(3, 8, device="meta")
        pred.requires_grad_()
        for given in ({}, {"weight": weight}, {"mask": weight > 0}):
            value = l2torch.Criterion(loss)(pred, target, **given)
            assert value.device.type == "meta"
            value.backward()
    assert pred.grad.shape == (8,)


def test_what_is_not_served_there():
    """A learned weight, and arguments of two devices."""
    pred, target, weight = torch.rand(3, 8, device="meta")
    weight.requires_grad_()
    l2torch.MSELoss()(pred, target, weight=weight).backward()
    assert weight.grad.shape == (8,)
    with pytest.raises(RuntimeError, match="device"):
        l2torch.MSELoss()(pred, target, weight=torch.rand(8))
