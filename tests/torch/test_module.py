"""The manners of an nn.Module: repr, copies, files, devices, and wrappers for training."""

import copy
import io
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

import l2torch
from l2core import Huber
from subjects import DEFAULT_LOSSES, EVERY_LOSS

MODULES = [l2torch.Criterion(loss, "root_mean", axis=0, empty="zero") for loss in EVERY_LOSS]
MODULES += [
    l2torch.MSELoss(),
    l2torch.L1Loss(reduction="sum"),
    l2torch.HuberLoss(delta=0.7),
    l2torch.SmoothL1Loss(beta=0.7, reduction="none"),
    l2torch.GaussianNLLLoss(full=True, eps=1e-3),
    l2torch.LogCoshLoss(),
    l2torch.QuantileLoss(0.7),
    l2torch.RMSELoss(axis=1),
]
every_module = pytest.mark.parametrize("module", MODULES, ids=repr)


def value(module):
    x = torch.tensor([[0.5, -2.0], [1.5, 3.0]])
    variance = (0.5,) if isinstance(module, l2torch.GaussianNLLLoss) else ()
    named = {"variance": 0.5} if module.criterion.loss.needs and not variance else {}
    return module(x, torch.zeros(2, 2), *variance, **named)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (l2torch.MSELoss(), "MSELoss(SquaredError())"),
        (
            l2torch.HuberLoss(delta=0.5, reduction="sum"),
            "HuberLoss(Huber(delta=0.5), reduction='sum')",
        ),
        (
            l2torch.Criterion(Huber(2), "root_mean", axis=(0, 1), empty="zero"),
            "Criterion(Huber(delta=2.0), reduction='root_mean', axis=(0, 1), empty='zero')",
        ),
    ],
)
def test_the_repr_tells_all_that_differs(module, expected):
    assert repr(module) == expected
    assert f"(0): {expected}" in repr(nn.Sequential(module))


@every_module
def test_copies_are_equal(module):
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    saved = torch.load(buffer, weights_only=False)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), saved):
        assert type(other) is type(module)
        assert other.criterion == module.criterion
        assert torch.equal(value(other), value(module))


@every_module
def test_no_state_and_nothing_to_train(module):
    assert module.state_dict() == {}
    assert list(module.parameters()) == []
    assert list(module.buffers()) == []
    assert module.load_state_dict({}, strict=True).missing_keys == []


@every_module
def test_moves_and_modes_change_nothing(module):
    before = value(module)
    for other in (
        module.to("meta").to("cpu"),
        module.double(),
        module.half(),
        module.eval(),
        module.train(),
        module.requires_grad_(False),
        module.share_memory(),
        module.to(memory_format=torch.channels_last),
    ):
        assert other is module
    assert torch.equal(value(module), before)
    assert value(module).dtype == torch.float32


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.criterion = l2torch.HuberLoss(delta=0.5)

    def forward(self, x, y):
        return self.criterion(self.linear(x), y)


def test_a_model_that_holds_one_saves_and_loads_weights_only(tmp_path):
    model, other = Model(), Model()
    assert set(model.state_dict()) == {"linear.weight", "linear.bias"}
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True), strict=True)
    x, y = torch.randn(4, 3), torch.randn(4, 2)
    assert torch.equal(model(x, y), other(x, y))


def test_hooks_run():
    module, seen = l2torch.MSELoss(), []
    module.register_forward_hook(lambda *args: seen.append(args))
    module.register_full_backward_hook(lambda *args: seen.append(args))
    x = torch.ones(2, requires_grad=True)
    module(x, torch.zeros(2)).backward()
    assert len(seen) == 2


PARAMETERS = [(type(loss), field) for loss in DEFAULT_LOSSES for field in vars(loss)]


@pytest.mark.parametrize(
    "tensor",
    [torch.tensor(1.0), nn.Parameter(torch.tensor(0.5)), torch.ones(2)],
    ids=["scalar", "parameter", "vector"],
)
@pytest.mark.parametrize(("kind", "field"), PARAMETERS)
def test_tensors_as_parameters_are_refused(kind, field, tensor):
    """A number is data of the loss: a tensor would be read on the host, or change unseen."""
    with pytest.raises(TypeError, match=f"^{field}: expected "):
        kind(**{field: tensor})


def test_tensors_as_fields_are_refused():
    one = torch.tensor(1.0)
    with pytest.raises(TypeError, match=r"^denominator: expected .* got Tensor"):
        l2torch.Criterion(denominator=one)
    with pytest.raises(TypeError, match=r"^axis: expected "):
        l2torch.Criterion(axis=torch.tensor(1))
    with pytest.raises(TypeError, match=r"^loss: expected a Loss such as SquaredError\(\)"):
        l2torch.Criterion(nn.MSELoss())


def test_a_denominator_of_the_call_may_be_a_tensor():
    """The count of all micro-batches, say, on the device; with a gradient if it has one."""
    total = torch.tensor(8.0, requires_grad=True)
    value = l2torch.MSELoss()(torch.ones(4), torch.zeros(4), denominator=total)
    value.backward()
    assert value == 0.5
    assert total.grad == -0.0625


@pytest.mark.parametrize("argument", ["size_average", "reduce"])
@pytest.mark.parametrize("kind", [l2torch.MSELoss, l2torch.L1Loss, l2torch.SmoothL1Loss])
def test_pytorchs_deprecated_arguments_are_refused(kind, argument):
    with pytest.raises(TypeError, match=f"^{argument}: expected None"):
        kind(**{argument: True})


def test_data_parallel_is_harmless():
    x, y = torch.randn(4, 3), torch.randn(4, 2)
    model = Model()
    assert torch.equal(nn.DataParallel(model)(x, y), model(x, y))
    assert torch.equal(nn.DataParallel(l2torch.MSELoss())(y, 0 * y), l2torch.MSELoss()(y, 0 * y))


@every_module
def test_replicas_are_as_the_module(module):
    """As DataParallel makes them for each device; without any it calls the module itself."""
    replica = module._replicate_for_data_parallel()
    assert repr(replica) == repr(module)
    assert torch.equal(value(replica), value(module))


@pytest.fixture
def process_group():
    """Of this process alone; the store in memory, so that no port is opened for it."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_distributed_data_parallel_is_harmless(process_group):
    """A model that holds its loss, in a wrapper that reduces gradients: the same step."""
    x, y = torch.randn(4, 3), torch.randn(4, 2)
    model = Model()
    plain = copy.deepcopy(model)
    wrapped = nn.parallel.DistributedDataParallel(model)
    for one in (wrapped, plain):
        sgd = torch.optim.SGD(one.parameters(), lr=0.1)
        one(x, y).backward()
        sgd.step()
    assert torch.equal(model.linear.weight, plain.linear.weight)
    assert set(wrapped.state_dict()) == {"module.linear.weight", "module.linear.bias"}
    assert wrapped.module.criterion.criterion == plain.criterion.criterion


def test_two_ranks_take_the_step_of_one_process():
    """The example asserts it, and that means of means would not have done."""
    example = Path(__file__).parents[2] / "examples" / "torch_two_ranks.py"
    subprocess.run([sys.executable, "-W", "error", example], check=True)
