"""What torch's one pass leaves to the plain path, and the settings of others under which both agree."""

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

import l2torch
from l2core import Criterion, HalfSquaredError, Huber, LogCosh, SquaredError
from l2core.call import Call
from l2core.fastpath import plain_only
from l2torch import fused as one_pass
from l2torch import native
from l2torch.backend import BACKEND
from paths import no_plain_path
from torch_passes import assert_same_bits, results, tensors

ONES = torch.ones(4, 6)
LEARNED = torch.ones(4, 6).index_fill_(0, torch.tensor([2]), 0.0).requires_grad_()


class Own(Tensor):
    """A subclass."""


UNUSUAL = {
    "none": (Criterion(LogCosh(), reduction="none"), ONES, ONES, {}),
    "none, weighted": (Criterion(reduction="none"), ONES, ONES, {"weight": ONES}),
    "axis": (Criterion(axis=0), ONES, ONES, {}),
    "NaN targets": (Criterion(nan_targets="ignore"), ONES, ONES, {}),
    "bool": (Criterion(), ONES, ONES.bool(), {}),
    "complex": (Criterion(), ONES.cfloat(), ONES.cfloat(), {}),
    "subclass as pred": (Criterion(), ONES.as_subclass(Own), ONES, {}),
    "subclass as target": (Criterion(), ONES, ONES.as_subclass(Own), {}),
    "both": (Criterion(), ONES, ONES, {"weight": ONES, "mask": ONES > 0}),
    "a number": (Criterion(denominator="count"), ONES, ONES, {"weight": 2.0}),
    "weight per output": (Criterion(), ONES, ONES, {"weight": ONES[:1]}),
    "weight with a gradient": (Criterion(), ONES, ONES, {"weight": LEARNED}),
    "weight not contiguous": (Criterion(), ONES, ONES, {"weight": torch.ones(6, 4).T}),
    "mask not contiguous": (Criterion(), ONES, ONES, {"mask": torch.ones(6, 4).T > 0}),
    "pred not contiguous": (Criterion(), torch.ones(6, 4).T, ONES, {}),
    "target not contiguous": (Criterion(), ONES, torch.ones(6, 4).T, {}),
    "empty": (Criterion(empty="zero"), ONES[:0], ONES[:0], {}),
}


def asked(criterion, pred, target, weight=None, mask=None):
    """What the fused paths answer."""
    value = one_pass.quick(BACKEND, criterion, pred, target, weight, mask)
    if value is not None:
        return value
    return one_pass.fused(BACKEND, criterion, Call(pred, target, weight, mask))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", UNUSUAL)
def test_the_plain_path_serves_the_unusual(name):
    criterion, pred, target, arguments = UNUSUAL[name]
    assert asked(criterion, pred, target, **arguments) is None


@pytest.mark.parametrize(
    ("criterion", "arguments"),
    [
        (Criterion(), {}),
        (Criterion(HalfSquaredError()), {}),
        (Criterion(Huber()), {}),
        (Criterion(LogCosh()), {}),
        (Criterion(reduction="root_mean"), {}),
        (Criterion(reduction="none"), {}),
        (Criterion(denominator="batch"), {}),
        (Criterion(denominator=3.0), {}),
        (Criterion(Huber()), {"weight": ONES}),
        (Criterion(), {"weight": LEARNED.detach()}),
        (Criterion(), {"weight": torch.arange(4.0)}),
        (Criterion(), {"weight": -ONES}),
        (Criterion(), {"mask": ONES > 0}),
    ],
)
def test_small_tensors_take_fast_paths_too(criterion, arguments):
    assert asked(criterion, ONES, 3 * ONES, **arguments) is not None


@pytest.mark.parametrize("factor", [ONES * 0, ONES * torch.nan, ONES < 0], ids=str)
def test_a_mean_over_nothing_is_left_to_the_plain_path(factor):
    arguments = {"weight" if factor.is_floating_point() else "mask": factor}
    assert one_pass.quick(BACKEND, Criterion(), ONES, ONES, *arguments.values()) is None
    pred = ONES.clone().requires_grad_()
    assert Criterion()(pred, 3 * ONES, **arguments).isnan()
    value = Criterion(empty="zero")(pred, 3 * ONES, **arguments)
    if not factor.isnan().any():
        (grad,) = torch.autograd.grad(value, pred)
        assert value == 0
        assert_same_bits(grad, torch.zeros(4, 6))


@pytest.mark.parametrize(
    ("pred", "target"),
    [
        (ONES, ONES[:1]),
        (ONES.to_sparse(), ONES),
        (ONES, ONES.to_sparse()),
        (ONES, ONES.numpy()),
        (ONES.numpy(), ONES.numpy()),
    ],
    ids=["shapes", "sparse pred", "sparse target", "NumPy target", "NumPy"],
)
def test_what_may_be_wrong_is_left_to_the_checks(pred, target):
    assert one_pass.quick(BACKEND, Criterion(), pred, target) is None


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_are_left_to_the_checks():
    nested = torch.nested.nested_tensor([ONES[0], ONES[1, :2]])
    assert one_pass.quick(BACKEND, Criterion(), nested, nested) is None


class Mode(torch.utils._python_dispatch.TorchDispatchMode):
    """One that changes nothing."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("large", [native.LARGE, 1])
def test_the_plain_path_serves_every_transform(large, monkeypatch):
    monkeypatch.setattr(native, "LARGE", large)
    answers = []

    def f(x):
        answers.append(asked(Criterion(), x, x))
        return x.sum()

    torch.func.grad(f)(ONES)
    torch.func.vmap(f)(ONES)
    with forward_ad.dual_level():
        f(forward_ad.make_dual(ONES, ONES))
    assert answers == [None] * 3
    assert asked(Criterion(), ONES, ONES) is not None


@pytest.mark.usefixtures("small_blocks")
def test_blocks_are_not_for_who_watches_operations():
    with Mode():
        assert asked(Criterion(Huber()), ONES, ONES) is None
    assert asked(Criterion(Huber()), ONES, ONES) is not None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("context", [lambda: torch.autocast("cpu"), Mode], ids=["autocast", "mode"])
def test_the_function_of_pytorch_is_itself_under_autocast_and_modes(context, dtype):
    pred, target, _ = tensors("nothing", (40, 31), dtype)
    expected = results(l2torch.MSELoss(), pred, target, {})
    with context(), no_plain_path():
        found = results(l2torch.MSELoss(), pred, target, {})
    for x, y in zip(found, expected, strict=True):
        assert_same_bits(x, y)


@pytest.mark.usefixtures("small_blocks")
def test_compiled_into_one_graph():
    """The plain expression, which fuses there: no call of ours is left in the graph."""
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    pred = ONES.clone().requires_grad_()
    compiled = torch.compile(l2torch.MSELoss(), fullgraph=True, backend=backend)
    compiled(pred, ONES * 3).backward()
    assert torch.equal(pred.grad, -2 * torch.tensor(2.0) / 24 * ONES)
    (graph,) = graphs
    assert not any("mse_loss" in str(node.target) for node in graph.graph.nodes)
    torch._dynamo.reset()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_the_plain_path_says_what_is_not_finite(value):
    pred, target = torch.full((9, 99), value), -torch.ones(9, 99)
    *values, grad, opposite = results(l2torch.Criterion(Huber(2.0)), pred, target, {})
    with plain_only():
        *expected, to_pred, to_target = results(l2torch.Criterion(Huber(2.0)), pred, target, {})
    torch.testing.assert_close(values, expected, rtol=0, atol=0, equal_nan=True)
    assert_same_bits(grad, to_pred)
    assert_same_bits(opposite, to_target)


@pytest.mark.parametrize("n", [10, 40_000, 4_200_000])
@pytest.mark.parametrize("fields", [{}, {"denominator": "size"}, {"reduction": "root_mean"}])
@pytest.mark.parametrize("loss", [SquaredError(), Huber(0.7)], ids=repr)
def test_a_default_device_is_not_that_of_the_call(loss, fields, n):
    """Under one without memory, below and above every threshold, on both ways of backward."""
    criterion = l2torch.Criterion(loss, **fields)
    x, y = torch.ones(n, requires_grad=True), torch.zeros(n)
    given = [{}, {"mask": torch.ones(n, dtype=torch.bool)}, {"weight": torch.ones(n)}]
    if "denominator" not in fields:
        given.append({"denominator": 4.0})
    for arguments in given:
        expected = torch.autograd.grad(criterion(x, y, **arguments), x)[0]
        with torch.device("meta"):
            value = criterion(x, y, **arguments)
            (graph,) = torch.autograd.grad(value, x, create_graph=True, retain_graph=True)
            (plain,) = torch.autograd.grad(value, x)
        assert value.device.type == "cpu"
        assert torch.equal(graph, expected)
        assert torch.equal(plain, expected)
