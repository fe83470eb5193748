"""What tools do with a module beside calling it: safe loads, scripts, traces, graphs, pytrees."""

import copy
import io

import pytest
import torch
from torch import fx, nn

import l2core
import l2torch
from l2core import Huber, Quantile, Terms
from subjects import DEFAULT_LOSSES

MODULES = [
    *(l2torch.Criterion(loss, axis=0, empty="zero") for loss in DEFAULT_LOSSES),
    l2torch.MSELoss(),
    l2torch.L1Loss(reduction="none"),
    l2torch.HuberLoss(delta=0.5),
    l2torch.SmoothL1Loss(beta=0.5),
    l2torch.GaussianNLLLoss(full=True),
    l2torch.LogCoshLoss(),
    l2torch.QuantileLoss(0.9),
    l2torch.RMSELoss(),
]
by_module = pytest.mark.parametrize("module", MODULES, ids=repr)
CALLED = [m for m in MODULES if not m.criterion.loss.needs]
SCRIPTS = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


class Model(nn.Module):
    def __init__(self, loss):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        nn.init.ones_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)
        self.loss = loss

    def forward(self, x):
        return self.layer(x)


class Trained(Model):
    def forward(self, x, y, weight):
        return self.loss(self.layer(x), y, weight=weight)


def data(n):
    torch.manual_seed(n)
    weight = torch.rand(n)
    weight[0] = 0.0
    return torch.randn(n, 3), torch.randn(n, 2), weight


def saved(x, save=torch.save, **how):
    buffer = io.BytesIO()
    save(x, buffer)
    buffer.seek(0)
    return torch.load(buffer, **how) if save is torch.save else torch.jit.load(buffer)


@by_module
def test_a_safe_load_builds_ours(module):
    again = saved({"epoch": 3, "loss": module}, weights_only=True)["loss"]
    assert type(again) is type(module)
    assert again.criterion == module.criterion
    assert copy.deepcopy(again).criterion == module.criterion


@SCRIPTS
@by_module
def test_a_model_that_holds_one_is_scripted(module):
    model = Model(module)
    x = data(4)[0]
    script = torch.jit.script(model)
    assert torch.equal(script(x), model(x))
    assert torch.equal(saved(script, torch.jit.save)(x), model(x))


@SCRIPTS
@pytest.mark.parametrize("module", CALLED, ids=repr)
def test_a_model_that_calls_one_is_traced_and_saved(module):
    """For batches of any size, with gradients twice, at residuals of 0 and under weights of 0."""
    model = Trained(module)
    traced = saved(torch.jit.trace(model, data(4), check_trace=False), torch.jit.save)
    for n in (4, 7):
        x, y, weight = data(n)
        with torch.no_grad():
            y[1] = model.layer(x)[1]
        results = []
        for f in (traced, model):
            z = x.clone().requires_grad_()
            value = f(z, y, weight)
            (slope,) = torch.autograd.grad(value.sum(), z, create_graph=True)
            bend = torch.zeros(())
            if slope.requires_grad:
                (bend,) = torch.autograd.grad((slope * slope).sum(), z, allow_unused=True)
            results.append((value, slope, torch.zeros(()) if bend is None else bend))
        for seen, expected in zip(*results, strict=True):
            torch.testing.assert_close(seen, expected, rtol=1e-5, atol=1e-6)


@SCRIPTS
def test_a_trace_keeps_nothing_that_its_data_decided():
    """Large tensors without a weight of 0, then with one that hides NaN."""
    f = l2torch.Criterion()
    n = 40_000
    pred, target, weight = torch.randn(n), torch.randn(n), torch.rand(n) + 0.1
    traced = torch.jit.trace(lambda p, t, w: f(p, t, weight=w), (pred, target, weight))
    pred[0], weight[0] = torch.nan, 0.0
    torch.testing.assert_close(traced(pred, target, weight), f(pred, target, weight=weight))


@pytest.mark.parametrize("module", CALLED, ids=repr)
def test_a_graph_of_fx_has_one_node_for_it(module):
    graph = fx.symbolic_trace(Trained(module))
    (node,) = [n for n in graph.graph.nodes if n.target == "loss"]
    assert node.op == "call_module"
    assert graph.loss is module
    assert torch.equal(graph(*data(5)), Trained(module)(*data(5)))


def test_a_graph_of_fx_keeps_parameters():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.nll, self.quantile = l2torch.GaussianNLLLoss(), l2torch.Criterion("quantile")

        def forward(self, pred, target, variance, mask):
            nll = self.nll(pred, target, variance, mask=mask)
            return nll + self.quantile(pred, target, q=variance / 2)

    arrays = torch.rand(4), torch.rand(4), torch.rand(4), torch.rand(4) > 0.5
    assert torch.equal(fx.symbolic_trace(Two())(*arrays), Two()(*arrays))


def test_a_criterion_alone_is_a_graph_of_fx():
    module = l2torch.Criterion(Huber(0.5), denominator="count")
    graph = fx.symbolic_trace(module)
    pred, target, weight = torch.rand(4), torch.rand(4), torch.rand(4)
    assert torch.equal(graph(pred, target, weight=weight), module(pred, target, weight=weight))
    assert torch.equal(graph(pred, target), module(pred, target))


# --- terms ----------------------------------------------------------------------------------------


def test_terms_are_a_pytree():
    f = l2torch.Criterion("huber")
    pred, target = torch.randn(3, 5), torch.randn(3, 5)
    each = torch.vmap(f.terms)(pred, target)
    assert isinstance(each, Terms)
    assert each.numerator.shape == each.denominator.shape == (3,)
    for i in range(3):
        torch.testing.assert_close(each.value()[i], f(pred[i], target[i]))
    total = f.terms(pred[:1], target[:1]) + f.terms(pred[1:], target[1:])
    doubled = torch.utils._pytree.tree_map(lambda x: 2 * x, total)
    torch.testing.assert_close(doubled.value(), total.value())


def test_a_program_that_returns_terms_is_exported():
    class Step(nn.Module):
        def __init__(self):
            super().__init__()
            self.loss = l2torch.Criterion(Quantile(0.9), "mean")

        def forward(self, pred, target):
            return self.loss.terms(pred, target)

    arrays = torch.randn(4), torch.randn(4)
    program = torch.export.export(Step(), arrays)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    found = torch.export.load(buffer).module()(*arrays)
    assert isinstance(found, Terms)
    assert torch.equal(found.value(), Step()(*arrays).value())


def test_terms_move_and_leave_the_graph():
    pred = torch.randn(4, requires_grad=True)
    terms = l2core.Criterion().terms(pred, torch.zeros(4))
    assert terms.numerator.requires_grad
    apart = terms.detach()
    assert not apart.numerator.requires_grad
    assert not apart.denominator.requires_grad
    assert terms.to(torch.float64).numerator.dtype is torch.float64
    assert terms.to("meta").denominator.device.type == "meta"
    assert (apart + apart).to(torch.float64).compensation[0].dtype is torch.float64


# --- weights that are learned ------------------------------------------------------------------------


class Weighted(nn.Module):
    def __init__(self, criterion):
        super().__init__()
        self.criterion = criterion

    def forward(self, pred, target, weight):
        return self.criterion(pred, target, weight=weight)


def recorders():
    """Ways to write a module down for other inputs, of plain tensors."""

    def traced(module, arrays):
        return torch.jit.trace(module, arrays)

    def exported(module, arrays):
        return torch.export.export(module, arrays).module()

    def made(module, arrays):
        return torch.fx.experimental.proxy_tensor.make_fx(module)(*arrays)

    return [traced, exported, made]


@SCRIPTS
@pytest.mark.parametrize("record", recorders(), ids=lambda f: f.__name__)
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_what_is_written_down_has_the_gradient_to_a_weight_of_0(record, reduction):
    """Though the weights that it was written down with had no gradient."""
    module = Weighted(l2torch.Criterion(reduction=reduction))
    example = torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3), torch.ones(3)
    written = record(module, example)
    weight = torch.tensor([1.0, 0.0, 2.0], requires_grad=True)
    found, expected = (
        torch.autograd.grad(f(*example[:2], weight), weight)[0] for f in (written, module)
    )
    torch.testing.assert_close(found, expected)
    if reduction == "sum":
        assert expected.tolist() == [1.0, 4.0, 9.0]


@SCRIPTS
def test_a_model_with_weights_of_its_own_is_traced():
    class Model(Weighted):
        def __init__(self):
            super().__init__(l2torch.Criterion())
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, pred, target):
            return self.criterion(pred, target, weight=self.weight)

    model, pair = Model(), (torch.rand(3), torch.rand(3))
    torch.testing.assert_close(torch.jit.trace(model, pair)(*pair), model(*pair))


def test_gradients_to_parameters_under_hooks_of_saved_tensors():
    r, delta = torch.tensor([0.25, 2.0]), torch.tensor([0.5, 0.5], requires_grad=True)
    with torch.autograd.graph.save_on_cpu():
        value = l2torch.Criterion("huber", "sum")(r, torch.zeros(2), delta=delta)
        value.backward()
    assert delta.grad.tolist() == [0.0, 1.5]
