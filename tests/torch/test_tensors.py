"""Every kind of tensor: devices, layouts, sizes, dtypes; and the kinds that are refused."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import l2torch
from l2core.criterion import REDUCTIONS
from subjects import DEFAULT_LOSSES

every_loss = pytest.mark.parametrize("loss", DEFAULT_LOSSES, ids=repr)
every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)


def extra(loss):
    return {"variance": 0.5} if loss.needs else {}


def value_and_gradient(criterion, input, target, **rest):
    """The gradient of the sum of the value, as autograd leaves it in a leaf."""
    input = input.detach().requires_grad_()
    value = criterion(input, target, **rest)
    value.sum().backward()
    return value.detach(), input.grad


class Devices(TorchDispatchMode):
    """Notes the devices of all that goes into and comes out of every operator."""

    def __init__(self):
        super().__init__()
        self.seen = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        devices = {
            x.device.type
            for x in tree_leaves((args, kwargs, result))
            if isinstance(x, torch.Tensor)
        }
        self.seen.setdefault(str(function), set()).update(devices)
        return result


@every_reduction
@every_loss
def test_nothing_waits_for_the_device_or_leaves_it(loss, reduction):
    """What a CUDA graph needs. A meta tensor has no data: reading any of it on the host raises."""
    made = {"device": "meta", "requires_grad": True}
    input, target, weight = (
        torch.rand(3, 4, **made),
        torch.rand(3, 4, **made),
        torch.rand(3, **made),
    )
    mask = torch.ones(3, 4, dtype=torch.bool, device="meta")
    total = torch.rand((), **made)
    variance = torch.rand(3, 4, **made)
    variances = [{"variance": 0.5}, {"variance": variance}] if loss.needs else [{}]
    ways = [({}, {})]
    if reduction in ("mean", "root_mean"):
        ways += [
            ({"denominator": "count", "empty": "zero"}, {}),
            ({"axis": 0}, {}),
            ({}, {"denominator": total}),
        ]
    with Devices() as devices:
        for fields, given in ways:
            criterion = l2torch.Criterion(loss, reduction, nan_targets="ignore", **fields)
            # By the sum of weights a scalar would cancel.
            means = reduction in ("mean", "root_mean") and "denominator" not in {**fields, **given}
            scalar = [] if means else [2.0]
            for w in (weight, *scalar, None):
                for v in variances:
                    value = criterion(input, target, weight=w, mask=mask, **given, **v)
                    value.sum().backward()
    assert value.shape == ((3, 4) if reduction == "none" else ())
    assert input.grad.shape == target.grad.shape == (3, 4)
    assert weight.grad.shape == (3,)
    assert len(ways) == 1 or total.grad.shape == ()
    assert not loss.needs or variance.grad.shape == (3, 4)
    assert devices.seen
    assert all(d <= {"meta"} for d in devices.seen.values()), devices.seen


@every_loss
def test_fake_tensors(loss):
    with FakeTensorMode():
        input, target = torch.rand(3, 4).half(), torch.rand(3, 4).double()
        rest = {"weight": torch.rand(3), "mask": torch.ones(3, 4, dtype=torch.bool), **extra(loss)}
        value, gradient = value_and_gradient(l2torch.Criterion(loss), input, target, **rest)
    assert (value.shape, value.dtype) == ((), torch.float64)
    assert (gradient.shape, gradient.dtype) == ((3, 4), torch.float16)


LAYOUTS = {
    "transposed": lambda x: x.t(),
    "every other": lambda x: x[::2, 1::2],
    "offset": lambda x: x[1:, 1:],
    "expanded": lambda x: x[:1].expand(6, 8),
    "permuted": lambda x: x.reshape(6, 2, 4).permute(2, 0, 1),
    "one element": lambda x: x[0, 0],
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@every_loss
def test_the_layout_in_memory_does_not_matter(loss, layout):
    torch.manual_seed(0)
    input, target = (layout(torch.randn(6, 8)) for _ in range(2))
    weight = layout(torch.rand(6, 8))
    for rest in ({}, {"weight": weight}, {"mask": weight > 0.5}):
        criterion = l2torch.Criterion(loss)
        got = value_and_gradient(criterion, input, target, **rest, **extra(loss))
        plain = {k: v.contiguous() for k, v in rest.items()}
        expected = value_and_gradient(
            criterion, input.contiguous(), target.contiguous(), **plain, **extra(loss)
        )
        # Up to 48 terms in another order: 48 half-ULPs of their absolute sum, in each of two sums.
        order = 48 * 6e-8
        terms = l2torch.Criterion(loss, "none")(input, target, **rest, **extra(loss))
        cancelled = terms.abs().sum() / terms.sum().abs()
        torch.testing.assert_close(got[0], expected[0], rtol=2 * order * cancelled.item(), atol=0)
        # Only a sum of weights has an order; the rest of a gradient is elementwise.
        rtol = order if "weight" in rest else 0
        torch.testing.assert_close(got[1], expected[1], rtol=rtol, atol=0)


@every_loss
def test_an_expanded_leaf_gets_the_sum(loss):
    column = torch.tensor([[0.5], [-2.0]], requires_grad=True)
    l2torch.Criterion(loss, "sum")(column.expand(2, 3), torch.zeros(2, 3), **extra(loss)).backward()
    assert column.grad.shape == (2, 1)
    full = value_and_gradient(
        l2torch.Criterion(loss, "sum"), column.expand(2, 3), torch.zeros(2, 3), **extra(loss)
    )[1]
    assert torch.equal(column.grad, full.sum(1, keepdim=True))


@pytest.mark.parametrize("reduction", ["none", "mean"])
@every_loss
def test_channels_last_stays_channels_last(loss, reduction):
    torch.manual_seed(0)
    images = [torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last) for _ in range(2)]
    value, gradient = value_and_gradient(l2torch.Criterion(loss, reduction), *images, **extra(loss))
    assert gradient.is_contiguous(memory_format=torch.channels_last)
    if reduction == "none":
        assert value.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("rest", [(), ("weight",), ("mask",), ("weight", "mask")], ids=str)
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)], ids=str)
@every_loss
def test_of_no_elements(loss, shape, rest):
    made = {"weight": torch.empty(shape), "mask": torch.empty(shape, dtype=torch.bool)}
    given = {name: made[name] for name in rest} | extra(loss)

    def run(reduction, **fields):
        nothing = torch.empty(shape)
        criterion = l2torch.Criterion(loss, reduction, **fields)
        value, gradient = value_and_gradient(criterion, nothing, nothing, **given)
        assert gradient.shape == shape
        return value

    assert run("none").shape == shape
    assert run("sum") == 0
    assert run("mean").isnan()
    assert run("mean", empty="zero") == 0
    assert run("root_mean", empty="zero") == 0
    assert run("mean", axis=0).shape == shape[1:]


@every_loss
def test_a_zero_dimensional_pair(loss):
    pair = torch.tensor(1.5), torch.tensor(-1.0)
    value, gradient = value_and_gradient(l2torch.Criterion(loss), *pair, **extra(loss))
    assert value.shape == gradient.shape == ()
    assert torch.equal(value, l2torch.Criterion(loss, "sum")(*pair, **extra(loss)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@every_loss
def test_halves_are_computed_in_float32(loss, dtype):
    torch.manual_seed(0)
    input, target = torch.randn(2, 50).mul(30).to(dtype)
    value, gradient = value_and_gradient(l2torch.Criterion(loss), input, target, **extra(loss))
    wide = value_and_gradient(l2torch.Criterion(loss), input.float(), target.float(), **extra(loss))
    assert value.dtype == torch.float32
    # 50 terms in two orders, each with 5 roundings of its own.
    torch.testing.assert_close(value, wide[0], rtol=55 * torch.finfo(value.dtype).eps, atol=0)
    assert gradient.dtype == dtype
    assert torch.equal(gradient, wide[1].to(dtype))


def test_halves_where_the_built_in_ones_overflow():
    """A residual of 300 squared, and 70,000 ones added up, exceed float16."""
    value, gradient = value_and_gradient(
        l2torch.MSELoss(), torch.tensor([300.0]).half(), torch.zeros(1).half()
    )
    assert (value, gradient) == (90_000, 600)
    ones = torch.ones(70_000).half()
    assert l2torch.MSELoss()(ones, ones * 0) == 1
    assert l2torch.Criterion()(ones, ones * 0, weight=ones) == 1


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@every_loss
def test_under_autocast(loss, dtype, weighted):
    """The value is the one outside; the model's gradients reach its float32 parameters."""
    torch.manual_seed(0)
    x, y = torch.randn(2, 6, 4)
    weight = torch.rand(6).to(dtype) if weighted else None
    linear, criterion = torch.nn.Linear(4, 4), l2torch.Criterion(loss)
    with torch.autocast("cpu", dtype=dtype):
        out = linear(x)
        value = criterion(out, y, weight=weight, **extra(loss))
    assert out.dtype == dtype
    assert value.dtype == torch.float32
    assert torch.equal(value, criterion(out, y, weight=weight, **extra(loss)))
    value.backward()
    assert linear.weight.grad.dtype == torch.float32
    assert linear.weight.grad.isfinite().all()
    assert linear.weight.grad.any()


@every_loss
def test_a_gradient_scaler(loss):
    """Its factor of 2^16 goes through the backward pass and comes out exactly."""
    x = torch.tensor([0.5, -2.0])
    target = torch.zeros(2)
    expected = value_and_gradient(l2torch.Criterion(loss), x, target, **extra(loss))[1]
    leaf = torch.nn.Parameter(x)
    scaler, sgd = torch.amp.GradScaler("cpu"), torch.optim.SGD([leaf], lr=1.0)
    scaler.scale(l2torch.Criterion(loss)(leaf, target, **extra(loss))).backward()
    scaler.unscale_(sgd)
    assert torch.equal(leaf.grad, expected)


@pytest.mark.parametrize(
    ("input", "target", "expected"),
    [
        (torch.uint8, torch.uint8, torch.float32),
        (torch.float32, torch.int16, torch.float32),
        (torch.float32, torch.int64, torch.float64),
        (torch.float32, torch.bool, torch.float32),
        (torch.bfloat16, torch.float64, torch.float64),
        (torch.float16, torch.bfloat16, torch.float32),
    ],
    ids=str,
)
def test_mixed_dtypes(input, target, expected):
    x, y = torch.tensor([200, 3]).to(input), torch.tensor([0, 1]).to(target)
    value = l2torch.MSELoss()(x, y)
    assert value.dtype == expected
    assert value == (200**2 + 2**2) / 2


@pytest.mark.parametrize("loss", [x for x in DEFAULT_LOSSES if x.complex_valued], ids=repr)
def test_complex(loss):
    torch.manual_seed(0)
    pair = torch.randn(2, 5, dtype=torch.complex128)
    value = l2torch.Criterion(loss)(*pair)
    assert value.dtype == torch.float64
    input, target = (x.clone().requires_grad_() for x in pair)
    assert torch.autograd.gradcheck(l2torch.Criterion(loss), (input, target), check_forward_ad=True)
    one = l2torch.Criterion(loss)(torch.tensor([1 + 2j]), torch.tensor([0j]))
    r = torch.tensor(5.0).sqrt()  # |1 + 2j|
    torch.testing.assert_close(one, loss.rho(r, l2torch.backend.XP), rtol=2.4e-7, atol=0)


@pytest.mark.parametrize("loss", [x for x in DEFAULT_LOSSES if not x.complex_valued], ids=repr)
def test_complex_is_refused_where_it_has_no_meaning(loss):
    z = torch.zeros(2, dtype=torch.complex64)
    with pytest.raises(TypeError, match=r"^input and target: expected real dtypes .* complex64"):
        l2torch.Criterion(loss)(z, z, **extra(loss))


def nested():
    return torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)], layout=torch.jagged)


def old_nested():
    return torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])


@pytest.mark.filterwarnings(
    "ignore:The PyTorch API of nested tensors", "ignore:Sparse CSR", "ignore:.*is deprecated"
)
@pytest.mark.parametrize(
    "made",
    [
        lambda: torch.zeros(2, 3).to_sparse(),
        lambda: torch.zeros(2, 3).to_sparse_csr(),
        lambda: torch.zeros(2, 3).to_mkldnn(),
        nested,
        old_nested,
    ],
    ids=["coo", "csr", "mkldnn", "jagged", "nested"],
)
def test_other_layouts_are_refused(made):
    dense, other = torch.zeros(2, 3), made()
    mse = l2torch.Criterion()
    expected = r": expected a dense tensor \(torch.strided\), got (layout torch\.|a nested tensor)"
    with pytest.raises(TypeError, match="^input" + expected):
        mse(other, dense)
    with pytest.raises(TypeError, match="^target" + expected):
        mse(dense, other)
    with pytest.raises(TypeError, match="^weight" + expected):
        mse(dense, dense, weight=other)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
def test_dtypes_without_arithmetic_are_refused(dtype):
    x = torch.zeros(3).to(dtype)
    with pytest.raises(TypeError, match=r"^input: expected a bool, integer, .* got float8"):
        l2torch.MSELoss()(x, x)


@pytest.mark.parametrize("other", [None, 1.0, [1.0], torch.zeros(1).numpy(), "1"], ids=repr)
def test_what_is_no_tensor_is_refused(other):
    for arguments, name in (
        ((other, torch.zeros(1)), "input"),
        ((torch.zeros(1), other), "target"),
    ):
        with pytest.raises(TypeError, match=f"^{name}: expected torch.Tensor, got "):
            l2torch.MSELoss()(*arguments)


def test_shapes_that_pytorch_broadcasts_are_refused():
    with pytest.raises(ValueError, match=r"got \(3,\) and \(3, 1\)"):
        l2torch.MSELoss()(torch.zeros(3), torch.zeros(3, 1))


@every_loss
def test_global_defaults_do_not_leak_in(loss):
    x, y = torch.tensor([0.5, -2.0]), torch.zeros(2)
    rest = {"weight": 2.0, "mask": torch.tensor([True, False]), **extra(loss)}
    criterion = l2torch.Criterion(loss, denominator="count")
    expected = criterion(x, y, **rest)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            value = criterion(x, y, **rest)
    finally:
        torch.set_default_dtype(torch.float32)
    assert (value.dtype, value.device.type) == (torch.float32, "cpu")
    assert torch.equal(value, expected)


@every_loss
def test_deterministic_algorithms(loss):
    x, y = torch.tensor([0.5, -2.0]), torch.zeros(2)
    torch.use_deterministic_algorithms(True)
    try:
        value_and_gradient(l2torch.Criterion(loss), x, y, weight=torch.ones(2), **extra(loss))
    finally:
        torch.use_deterministic_algorithms(False)


class Logged(torch.Tensor):
    """A subclass, as research code and libraries define them."""


def test_subclasses_pass_through():
    x = torch.tensor([0.5, -2.0]).as_subclass(Logged)
    value = l2torch.MSELoss()(x, torch.zeros(2))
    assert isinstance(value, Logged)
    assert value == 2.125
    assert l2torch.MSELoss()(torch.nn.Parameter(torch.ones(2)), torch.zeros(2)) == 1


@pytest.mark.parametrize("n", [4, 40_000])
def test_a_device_without_float64(monkeypatch, n):
    """As MPS is: integers become the widest float that the device has, and nothing asks for more."""
    monkeypatch.setattr("l2torch.backend.WITHOUT_FLOAT64", ("cpu",))
    x = torch.zeros(n, dtype=torch.int64)
    for pair in ((x, x + 2), (torch.zeros(n), x + 2)):
        value = l2torch.MSELoss()(*pair)
        assert (value.dtype, value.item()) == (torch.float32, 4.0)
