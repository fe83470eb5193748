"""PyTorch's own test inputs, references and errors for these losses, with ours in their place.

The inputs are those that PyTorch's module and operator tests use, which it ships: ``module_db`` and
``op_db``. What we answer otherwise is listed in EXCEPTIONS, and must occur.
"""

import copy
import warnings
from functools import cache

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

import l2torch

MODULES = {
    nn.GaussianNLLLoss: l2torch.GaussianNLLLoss,
    nn.HuberLoss: l2torch.HuberLoss,
    nn.L1Loss: l2torch.L1Loss,
    nn.MSELoss: l2torch.MSELoss,
    nn.SmoothL1Loss: l2torch.SmoothL1Loss,
}
FUNCTIONS = ("gaussian_nll_loss", "huber_loss", "l1_loss", "mse_loss", "smooth_l1_loss")

EXCEPTIONS = {
    "broadcast": "input and target of unequal shapes: PyTorch fits an (N, N) matrix then",
    "half": "float16 and bfloat16 give float32, computed there: PyTorch rounds, and overflows",
}

HALVES = (torch.float16, torch.bfloat16)
# Up to 120 terms, each of a dozen roundings, added up in any order, ours and theirs.
ROUNDINGS = 2 * (120 + 12)


@cache
def databases():
    """PyTorch's test inputs: {module class: ModuleInfo}, {function name: OpInfo}.

    Not at the top of the file, since their import takes seconds, which collecting tests need not.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own, as its test helpers are imported
        from torch.testing._internal.common_methods_invocations import op_db
        from torch.testing._internal.common_modules import module_db
    operators = {op.name.removeprefix("nn.functional."): op for op in op_db}
    return {info.module_cls: info for info in module_db}, operators


def close(got, expected, size):
    """Equal up to the roundings of terms of this size."""
    atol = ROUNDINGS * torch.finfo(expected.dtype).eps / 2 * size
    torch.testing.assert_close(got, expected, rtol=0, atol=atol)


def size_of(expected):
    return max(1.0, expected.detach().abs().max().item()) if expected.numel() else 1.0


def gradients(f, args):
    leaves = [x for x in args if isinstance(x, torch.Tensor) and x.requires_grad]
    return torch.autograd.grad(f(*args).sum(), leaves)


@pytest.fixture(params=MODULES, ids=lambda kind: kind.__name__)
def info(request):
    return databases()[0][request.param]


def module_inputs(info, dtype, requires_grad=False):
    torch.manual_seed(0)
    return info.module_inputs_func(info, "cpu", dtype, requires_grad, training=True)


def pairs(info, dtype=torch.float64, requires_grad=False):
    """(their module, ours, forward arguments, their reference) for each of their inputs."""
    for sample in module_inputs(info, dtype, requires_grad):
        made, called = sample.constructor_input, sample.forward_input
        theirs = info.module_cls(*made.args, **made.kwargs)
        ours = MODULES[info.module_cls](*made.args, **made.kwargs)
        assert not called.kwargs
        yield theirs, ours, called.args, sample.reference_fn


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_modules_forward(info, dtype):
    assert dtype in info.dtypes
    for theirs, ours, args, reference in pairs(info, dtype):
        got, expected = ours(*args), theirs(*args)
        assert got.dtype == expected.dtype
        close(got, expected, size_of(expected))
        if reference is not None:
            close(got, reference(theirs, *args).reshape(expected.shape), size_of(expected))


def test_modules_gradients(info):
    """To every tensor that has one; PyTorch's to the variance where it is not clamped."""
    for theirs, ours, args, _ in pairs(info, requires_grad=True):
        args = [
            x.detach().abs().add(0.5).requires_grad_() if i == 2 else x for i, x in enumerate(args)
        ]
        for got, expected in zip(gradients(ours, args), gradients(theirs, args), strict=True):
            close(got, expected, size_of(expected))
        assert gradcheck(ours, args, check_forward_ad=True, fast_mode=True)
        if info.supports_gradgrad:
            assert gradgradcheck(ours, args, fast_mode=True)


def test_modules_do_not_change_their_inputs(info):
    for _, ours, args, _ in pairs(info):
        before = copy.deepcopy(args)
        ours(*args)
        for x, y in zip(args, before, strict=True):
            assert torch.equal(x, y)


def test_modules_take_non_contiguous_tensors(info):
    for _, ours, args, _ in pairs(info):
        strided = [x.repeat_interleave(2, dim=-1)[..., ::2] if x.ndim else x for x in args]
        expected = ours(*args)
        close(ours(*strided), expected, size_of(expected))


@pytest.mark.since("2.10")
def test_modules_refuse_what_pytorchs_refuse(info):
    """The same type of error; the words are ours."""
    if info.module_error_inputs_func is None:
        assert info.module_cls is not nn.HuberLoss
        return
    for error in info.module_error_inputs_func(info, "cpu", torch.float32, False, True):
        made = error.module_error_input.constructor_input
        with pytest.raises(error.error_type):
            MODULES[info.module_cls](*made.args, **made.kwargs)


@pytest.fixture(params=FUNCTIONS)
def op(request):
    return databases()[1][request.param]


def ours_of(op):
    return getattr(l2torch.functional, op.name.removeprefix("nn.functional."))


def samples(op, dtype, requires_grad=False):
    torch.manual_seed(0)
    for sample in op.sample_inputs("cpu", dtype, requires_grad=requires_grad):
        yield (sample.input, *sample.args), sample.kwargs


@pytest.mark.parametrize(
    "dtype", [*HALVES, torch.float32, torch.float64, torch.complex128], ids=str
)
def test_functions_forward(op, dtype):
    if dtype not in op.supported_dtypes("cpu"):
        assert dtype.is_complex  # which only PyTorch's l1_loss takes
        return
    for args, kwargs in samples(op, dtype):
        if args[0].shape != args[1].shape:
            with pytest.raises(ValueError, match="expected equal shapes"):
                ours_of(op)(*args, **kwargs)
            continue
        got = ours_of(op)(*args, **kwargs)
        if dtype in HALVES:
            args = [x.float() for x in args]
        expected = op.op(*args, **kwargs)
        assert got.dtype == expected.dtype
        close(got, expected, size_of(expected))
        if op.ref is not None:
            theirs = op.ref(*(x.numpy() for x in args), **kwargs)
            close(
                got,
                torch.as_tensor(theirs).reshape(expected.shape).to(got.dtype),
                size_of(expected),
            )


def test_functions_gradients(op):
    for args, kwargs in samples(op, torch.float64, requires_grad=True):
        if args[0].shape != args[1].shape:
            continue
        args = [x.detach().add(0.5).requires_grad_() if i == 2 else x for i, x in enumerate(args)]
        got = gradients(lambda *a, k=kwargs: ours_of(op)(*a, **k), args)
        expected = gradients(lambda *a, k=kwargs: op.op(*a, **k), args)
        for x, y in zip(got, expected, strict=True):
            close(x, y, size_of(y))


def test_functions_refuse_what_pytorchs_refuse(op):
    if op.error_inputs_func is None:
        assert op.name in ("nn.functional.mse_loss", "nn.functional.smooth_l1_loss")
        return
    for error in op.error_inputs("cpu"):
        sample = error.sample_input
        # Ours are ValueErrors where PyTorch has RuntimeErrors from its kernels.
        with pytest.raises((error.error_type, ValueError)):
            ours_of(op)(sample.input, *sample.args, **sample.kwargs)


def test_every_exception_occurs():
    """In the samples themselves, so that none stays listed when PyTorch changes."""
    occurred = set()
    for op in map(databases()[1].get, FUNCTIONS):
        if any(a[0].shape != a[1].shape for a, _ in samples(op, torch.float32)):
            occurred.add("broadcast")
        args, kwargs = next(samples(op, torch.float16))
        if ours_of(op)(*args, **kwargs).dtype != op.op(*args, **kwargs).dtype:
            occurred.add("half")
    assert occurred == set(EXCEPTIONS)
