"""What is read and set on a module of PyTorch is read and set on ours, with effect, or raises."""

import copy
from dataclasses import fields

import pytest
import torch
from torch import nn

import l2core
import l2torch
from subjects import EVERY_LOSS

ATTRIBUTES = {  # of PyTorch's own
    "MSELoss": {"reduction": "sum"},
    "L1Loss": {"reduction": "none"},
    "HuberLoss": {"reduction": "sum", "delta": 0.1},
    "SmoothL1Loss": {"reduction": "none", "beta": 0.25},
    "GaussianNLLLoss": {"reduction": "sum", "full": True, "eps": 0.5},
}
X = torch.tensor([[0.5, -2.0], [1.5, 3.0]])
Y = torch.zeros(2, 2)


def value(module):
    var = (torch.full((2, 2), 0.25),) if "Gaussian" in type(module).__name__ else ()
    return module(X, Y, *var)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in ATTRIBUTES.items() for name in names]
)
def test_attributes_of_pytorchs_modules(kind, name):
    ours, theirs = getattr(l2torch, kind)(), getattr(nn, kind)()
    assert getattr(ours, name) == getattr(theirs, name)
    torch.testing.assert_close(value(ours), value(theirs))
    for module in (ours, theirs):
        setattr(module, name, ATTRIBUTES[kind][name])
    assert getattr(ours, name) == getattr(theirs, name)
    torch.testing.assert_close(value(ours), value(theirs))


@pytest.mark.parametrize("loss", EVERY_LOSS, ids=repr)
def test_fields_and_parameters_of_every_loss(loss):
    """As if they had been given to the constructor; copies are on their own."""
    module = l2torch.Criterion(loss)
    before = copy.deepcopy(module)
    for field in fields(loss):
        old = getattr(loss, field.name)
        assert getattr(module, field.name) == old
        new = not old if isinstance(old, bool) else 0.5 if old in (None, 0.0) else old / 2
        setattr(module, field.name, new)
        assert getattr(module.criterion.loss, field.name) == new
        setattr(module, field.name, old)
    wanted = {"reduction": "root_mean", "denominator": "count", "axis": 1, "empty": "zero"}
    wanted |= {"nan_targets": "ignore", "loss": l2core.LogCosh()}
    for name, x in wanted.items():
        setattr(module, name, x)
        assert getattr(module, name) == x
    assert module.criterion == l2torch.Criterion(**wanted).criterion
    assert before.criterion == l2torch.Criterion(loss).criterion


def test_what_is_set_is_checked():
    module = l2torch.HuberLoss()
    for name, x, expected in (
        ("reduction", "Mean", "reduction: expected one of"),
        ("delta", -1.0, "delta: expected a number > 0"),
        ("delta", torch.tensor(1.0), "delta: expected a number > 0"),
        ("criterion", nn.MSELoss(), "criterion: expected"),
    ):
        with pytest.raises((TypeError, ValueError), match=f"^{expected}"):
            setattr(module, name, x)
    assert module.criterion == l2torch.HuberLoss().criterion


@pytest.mark.parametrize("name", ["beta", "size_average", "weight", "Reduction", "loss"])
def test_what_would_have_no_effect_raises(name):
    module = l2torch.HuberLoss()
    with pytest.raises(AttributeError, match=f"^{name}: expected .* got 1.0"):
        setattr(module, name, 1.0)
    with pytest.raises(AttributeError):
        module.beta  # noqa: B018


def test_the_reduction_of_a_root_is_its_own():
    module = l2torch.RMSELoss()
    assert module.reduction == "root_mean"
    with pytest.raises(AttributeError, match=r"^reduction: expected 'root_mean' for good"):
        module.reduction = "none"
    module.axis = 0
    assert module(X, Y).shape == (2,)


def test_what_tools_and_users_set():
    module = l2torch.MSELoss()
    module._note = module.qconfig = None
    module.training = False
    module.forward = lambda *args: 7
    assert module(X, Y) == 7

    class Own(l2torch.HuberLoss):
        def __init__(self):
            super().__init__(delta=0.5)
            self.scale = nn.Parameter(torch.tensor(2.0))
            self.name = "own"

        def forward(self, input, target):
            return self.scale * super().forward(input, target)

    own = Own()
    assert own.name == "own"
    assert [name for name, _ in own.named_parameters()] == ["scale"]
    assert own(X, Y) == 2 * l2torch.HuberLoss(delta=0.5)(X, Y)


def test_a_compiled_module_notices():
    module = l2torch.HuberLoss()
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True)
    for name, x in (("reduction", "none"), ("delta", 0.1), ("reduction", "mean")):
        torch.testing.assert_close(compiled(X, Y), module(X, Y))
        setattr(module, name, x)
        torch.testing.assert_close(compiled(X, Y), module(X, Y))


def test_per_sample_for_a_moment():
    """What privacy engines do to have a loss for each sample."""
    for criterion in (l2torch.MSELoss(), nn.MSELoss()):
        before, criterion.reduction = criterion.reduction, "none"
        each = criterion(X, Y).mean(1)
        criterion.reduction = before
        torch.testing.assert_close(each.mean(), criterion(X, Y))
        assert each.shape == (2,)
