"""Inputs of PyTorch's one pass, and what comes of them."""

import torch

from paths import inputs


def tensors(kind, shape, dtype):
    pred, target, arguments = inputs(kind, shape, dtype)
    arguments = {name: torch.from_numpy(x) for name, x in arguments.items()}
    return torch.from_numpy(pred), torch.from_numpy(target), arguments


def results(criterion, pred, target, arguments, upstream=1.0):
    """Value, value without a graph, and the gradients to pred and target."""
    pred, target = pred.clone().requires_grad_(), target.clone().requires_grad_()
    value = criterion(pred, target, **arguments)
    value.backward(torch.tensor(upstream, dtype=value.dtype))
    with torch.no_grad():
        alone = criterion(pred, target, **arguments)
    return value.detach(), alone, pred.grad, target.grad


def assert_same_bits(x, y):
    assert x.dtype is y.dtype
    assert x.numpy().tobytes() == y.numpy().tobytes()
