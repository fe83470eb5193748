"""PyTorch's own functions and operators where they serve: what they would get wrong, they do not."""

import math

import numpy as np
import pytest
import torch

import l2torch
from l2core import AbsoluteError, Huber, SmoothL1, SquaredError
from l2core.fastpath import plain_only
from l2core.numpy_namespace import XP
from l2torch import native
from paths import no_plain_path
from torch_passes import assert_same_bits

AT_KINKS = torch.tensor([-2.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0], dtype=torch.float64)
LOSSES = [SquaredError(), AbsoluteError(), Huber(), Huber(0.5), SmoothL1(), SmoothL1(0.25)]
REDUCTIONS = ["mean", "sum", "none"]


def derivatives(criterion, pred, target, upstream=1.0):
    """Value, first derivatives, and those of their sums of squares."""
    leaves = [x.clone().requires_grad_() for x in (pred, target)]
    value = criterion(*leaves)
    given = torch.full_like(value, upstream).requires_grad_()
    first = torch.autograd.grad(value, leaves, given, create_graph=True)
    second = torch.autograd.grad(sum((x * x).sum() for x in first), [*leaves, given])
    alone = torch.autograd.grad(criterion(*leaves), leaves, given.detach())
    return [x.detach() for x in (*first, *alone, *second)]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("extra", [[], [math.inf, -math.inf]], ids=["finite", "infinite"])
def test_derivatives_at_kinks_are_those_of_the_plain_path(loss, reduction, extra):
    criterion = l2torch.Criterion(loss, reduction)
    pred = torch.cat([AT_KINKS, torch.tensor(extra, dtype=AT_KINKS.dtype)])
    with no_plain_path():
        found = derivatives(criterion, pred, 0 * AT_KINKS.new_zeros(len(pred)), 0.5)
    with plain_only():
        expected = derivatives(criterion, pred, AT_KINKS.new_zeros(len(pred)), 0.5)
    for x, y in zip(found, expected, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-15, atol=0, equal_nan=True)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_nan_has_a_gradient_of_nan(loss, reduction):
    pred = torch.tensor([1.0, torch.nan, -3.0, 0.0], requires_grad=True)
    value = l2torch.Criterion(loss, reduction)(pred, torch.zeros(4))
    (grad,) = torch.autograd.grad(value.sum(), pred)
    assert grad.isnan().tolist() == [False, True, False, False]
    assert value.isnan().any()


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_second_derivatives_have_memory(loss, reduction):
    """Zeros too: of PyTorch's own sign they have none, which NumPy refuses, or (2.6) reads as anything."""
    pred = AT_KINKS.clone().requires_grad_()
    value = l2torch.Criterion(loss, reduction)(pred, torch.zeros_like(AT_KINKS))
    (first,) = torch.autograd.grad(value.sum(), pred, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), pred)
    scale = len(pred) if reduction == "mean" else 1
    expected = loss.curvature(AT_KINKS.numpy(), XP) / scale
    np.testing.assert_allclose(second.numpy(), expected, rtol=1e-15)


@pytest.mark.parametrize("n", [5, 300_000])
@pytest.mark.parametrize("loss", [SmoothL1(0.3), SmoothL1(2.0**-20), Huber(1e-40)], ids=repr)
def test_parameters_for_which_pytorch_rounds_otherwise(loss, n):
    torch.manual_seed(0)
    pred, target = torch.randn(2, n)
    for dtype in (torch.float32, torch.float64):
        p, t = pred.to(dtype).requires_grad_(), target.to(dtype)
        found = torch.autograd.grad(l2torch.Criterion(loss)(p, t), p)[0]
        with plain_only():
            assert_same_bits(found, torch.autograd.grad(l2torch.Criterion(loss)(p, t), p)[0])


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("batched", [False, True])
def test_hooks_and_inputs_that_depend_on_each_other(loss, batched):
    def run(path, kept):
        w = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
        target = w * AT_KINKS
        pred = torch.tanh(target)
        pred.register_hook(lambda g: g / 2)
        with path():
            value = l2torch.Criterion(loss)(pred, target)
        upstream = torch.ones(2, dtype=w.dtype) if batched else None
        (found,) = torch.autograd.grad(
            value, w, upstream, create_graph=kept, is_grads_batched=batched
        )
        return found.detach().flatten()[0]

    expected = run(plain_only, False)
    for kept in (False, True):
        torch.testing.assert_close(run(no_plain_path, kept), expected, rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_loss_may_be_changed_in_place_afterwards(loss):
    pred = torch.randn(7, requires_grad=True)
    for arguments in ({}, {"weight": torch.tensor([1.0, 0, 2, 3, 1, 1, 1])}):
        value = l2torch.Criterion(loss)(pred, torch.zeros(7), **arguments)
        value += 1
        value *= 2
        value.backward()
        assert pred.grad.isfinite().all()


@pytest.mark.parametrize("upstream", [math.inf, -math.inf, math.nan, -1.0])
@pytest.mark.parametrize("n", [6, 600, 300_000])
@pytest.mark.parametrize("kind", ["weight", "mask"])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_absent_elements_have_a_gradient_of_0_whatever_comes_back(loss, kind, n, upstream):
    present = torch.arange(n) % 3 != 1
    pred, target = torch.linspace(-2, 2, n).requires_grad_(), torch.zeros(n, requires_grad=True)
    factor = present if kind == "mask" else present.float() * 1.5
    value = l2torch.Criterion(loss)(pred, target, **{kind: factor})
    for grad in torch.autograd.grad(value, (pred, target), torch.tensor(upstream)):
        assert grad[~present].tolist() == [0.0] * int((~present).sum())
        assert not grad[~present].signbit().any()


def test_the_hooks_that_are_remembered_do_not_grow():
    pred = torch.randn(3, requires_grad=True)
    for i in range(300):
        l2torch.HuberLoss(delta=1 + i / 7)(pred, torch.zeros(3))
    assert len(native._HOOKS) <= 257


def test_learned_weights_take_pytorchs_operators():
    torch.manual_seed(1)
    pred, target, weight = torch.randn(3, 50, dtype=torch.float64)
    weight = (weight.abs() + 0.1).requires_grad_()
    for zero in (False, True):
        if zero:
            weight.data[7] = 0.0
        found = torch.autograd.grad(l2torch.HuberLoss()(pred, target, weight=weight), weight)[0]
        with plain_only():
            value = l2torch.HuberLoss()(pred, target, weight=weight)
            expected = torch.autograd.grad(value, weight)[0]
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-16)
