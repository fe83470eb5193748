"""torch.compile with fullgraph=True, under transforms and with free shapes.

One graph holds all losses, since each compilation costs seconds. All but two tests compile by
aot_eager, which traces forward and backward as inductor does and spares the C++ compiler.
"""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.func import grad, hessian, jvp, vmap

import l2core
import l2torch
from l2core import LOSSES, GaussianNLL, LogCosh, Loss
from l2core.criterion import REDUCTIONS
from subjects import DEFAULT_LOSSES

# What a compiler may do to values: multiply-adds contracted, sums in another order, exp and log
# of its own. Below 100 roundings of float64 in all, at values below 10.
CLOSE = {"rtol": 100 * 1.1e-16, "atol": 1000 * 1.1e-16}


def compiled(f, backend="aot_eager", **options):
    return torch.compile(f, fullgraph=True, backend=backend, **options)


def functions_of(losses, reduction="mean"):
    """{name: f(input, target, **rest)}, the variance ½ for a loss that takes one."""
    functions = {}
    for loss in losses:
        extra = {"variance": 0.5} if loss.needs else {}
        criterion = l2torch.Criterion(loss, reduction)
        functions[repr(loss)] = lambda p, t, c=criterion, e=extra, **rest: c(p, t, **e, **rest)
    return functions


def at_once(functions):
    """One function of the same arguments that returns all their values."""
    return lambda *args, **rest: {name: f(*args, **rest) for name, f in functions.items()}


def with_gradients(f, input, target, **rest):
    """{name: (value, gradient of its sum to input)}."""
    input = input.clone().requires_grad_()
    values = f(input, target, **rest)
    return {
        name: (value.detach(), torch.autograd.grad(value.sum(), input, retain_graph=True)[0])
        for name, value in values.items()
    }


def assert_close(got, expected):
    assert got.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(
            got[name], expected[name], **CLOSE, msg=lambda m, name=name: f"{name}: {m}"
        )


@pytest.fixture
def touching(pair):
    """A pair with residuals of 0, where autodiff of rho alone would go wrong."""
    input, target = pair
    target[:, 0] = input[:, 0]
    return input, target


def test_inductor_gives_the_eager_values_and_gradients(touching, weight, mask):
    f = at_once(functions_of(DEFAULT_LOSSES))
    got = with_gradients(compiled(f, "inductor"), *touching, weight=weight, mask=mask)
    assert_close(got, with_gradients(f, *touching, weight=weight, mask=mask))


def test_inductor_gives_the_eager_bits_of_a_squared_errors_gradient_at_any_length():
    torch.manual_seed(0)
    mse = l2torch.MSELoss()
    f = compiled(mse, "inductor", dynamic=True)
    for n in (1000, 77):
        input, target = torch.randn(n, requires_grad=True), torch.randn(n)
        (got,) = torch.autograd.grad(f(input, target), input)
        assert torch.equal(got, *torch.autograd.grad(mse(input, target), input))


@pytest.mark.parametrize("reduction", [r for r in REDUCTIONS if r != "mean"])
def test_every_other_reduction_in_one_graph(reduction, touching, weight, mask):
    f = at_once(functions_of(DEFAULT_LOSSES, reduction))
    got = with_gradients(compiled(f), *touching, weight=weight, mask=mask)
    assert_close(got, with_gradients(f, *touching, weight=weight, mask=mask))


@pytest.mark.parametrize(
    "transform",
    [
        vmap,
        lambda f: vmap(grad(f)),
        lambda f: lambda p, t: jvp(lambda q: f(q, t), (p,), (t,))[1],
        lambda f: grad(lambda p, t: grad(f)(p, t).square().sum()),
    ],
    ids=["vmap", "vmap-grad", "jvp", "grad-grad"],
)
def test_transforms_inside_one_graph(transform, touching):
    """Batching, forward mode and compilation at once, with the registered derivatives."""
    functions = functions_of(DEFAULT_LOSSES)
    f = at_once({name: transform(f) for name, f in functions.items()})
    assert_close(compiled(f)(*touching), f(*touching))


@pytest.mark.parametrize("name", ["AbsoluteError", "LogCosh", "GaussianNLL"])
def test_hessians_inside_one_graph(name, touching):
    """Three of them, for time: forward mode, batched, over reverse mode."""
    (f,) = functions_of([LOSSES[name]()]).values()
    torch.testing.assert_close(compiled(hessian(f))(*touching), hessian(f)(*touching), **CLOSE)


@pytest.mark.since("2.10")
def test_vmap_of_a_module_itself(pair):
    """vmap asks a module for its repr, which has to be traced too."""
    for delta in (1.0, 0.7):
        criterion = l2torch.HuberLoss(delta=delta)
        got = compiled(vmap(criterion))(*pair)
        torch.testing.assert_close(got, vmap(criterion)(*pair), **CLOSE)


def test_one_graph_for_all_lengths():
    counter = CompileCounterWithBackend("aot_eager")
    functions = functions_of([GaussianNLL()])  # no loss looks at lengths itself
    functions["batch"] = l2torch.Criterion(denominator="batch")
    f = at_once(functions)
    g = compiled(f, counter, dynamic=True)
    compilations = []
    for n in (2, 3, 7):
        x, y = torch.linspace(-3, 3, n * 4).double().reshape(n, 4), torch.zeros(n, 4).double()
        rest = {"weight": torch.linspace(0.5, 1, n).double(), "mask": x != 3}
        assert_close(g(x, y, **rest), f(x, y, **rest))
        compilations.append(counter.frame_count)
    assert len(set(compilations)) == 1


@pytest.mark.since("2.10")
def test_an_equal_criterion_is_not_compiled_again(pair):
    """Nor after calls elsewhere with other dtypes and frameworks."""
    counter = CompileCounterWithBackend("eager")
    f = compiled(lambda c, p, t: c(p, t), counter)
    for _ in range(3):
        f(l2torch.HuberLoss(delta=0.7), *pair)
        l2torch.MSELoss()(pair[0].half(), pair[1].bfloat16())
        l2core.Criterion()(np.ones(3, np.int8), np.ones(3))
    assert counter.frame_count == 1


@pytest.mark.parametrize("name", [name for name, kind in LOSSES.items() if vars(kind())])
def test_another_parameter_is_compiled_once_more(name, pair):
    """Not oftener than PyTorch's: it, too, finds the symbol in use and makes it a number again."""
    kind = LOSSES[name]
    *_, field = (k for k, v in vars(kind()).items() if isinstance(v, float))
    extra = {"variance": torch.ones(2, 4)} if kind.needs else {}
    counter = CompileCounterWithBackend("aot_eager")
    f = compiled(lambda c, p, t: c(p, t, **extra), counter)
    values = (0.5, 0.25, 0.75)
    for value in values:
        criterion = l2torch.Criterion(kind(**{field: value}))
        torch.testing.assert_close(f(criterion, *pair), criterion(*pair, **extra), **CLOSE)
    assert counter.frame_count <= len(values) + 1


@pytest.mark.since("2.13")
def test_made_called_and_added_up_inside_the_graph(pair):
    """A module constructed, a function, the core's own criterion, the terms of two batches."""
    huber = l2core.Criterion(l2core.Huber(0.7))
    mean = l2torch.Criterion()

    def f(p, t):
        parts = [mean.terms(p[:1], t[:1]), mean.terms(p[1:], t[1:])]
        made = l2torch.HuberLoss(delta=0.7)(p, t)
        function = l2torch.functional.smooth_l1_loss(p, t, beta=0.7)
        return {"huber": huber(p, t), "made": made, "f": function, "terms": sum(parts).value()}

    assert_close(compiled(f)(*pair), f(*pair))


def test_a_loss_of_the_users_own_compiles(pair):
    @dataclasses.dataclass(frozen=True)
    class Quartic(Loss):
        scale: float = 1.0

        def rho(self, r, xp):
            return self.scale * r * r * r * r

        def psi(self, r, xp):
            return 4 * self.scale * r * r * r

        def curvature(self, r, xp):
            return 12 * self.scale * r * r

    f = at_once({"quartic": l2torch.Criterion(Quartic(0.25))})
    try:
        assert_close(with_gradients(compiled(f), *pair), with_gradients(f, *pair))
    finally:
        del LOSSES["Quartic"]


WITHOUT_VARIANCE = [loss for loss in DEFAULT_LOSSES if not loss.needs]


class Model(nn.Module):
    """A model that returns its losses, as many do."""

    def __init__(self, *losses):
        super().__init__()
        self.linear = nn.Linear(4, 4, dtype=torch.float64)
        self.losses = nn.ModuleList([l2torch.Criterion(loss) for loss in losses])
        self.likelihood = l2torch.GaussianNLLLoss()

    def forward(self, x, y, weight, mask):
        z = self.linear(x)
        values = [loss(z, y, weight=weight, mask=mask) for loss in self.losses]
        return torch.stack([*values, self.likelihood(z, y, 0.5, mask=mask)])


def test_a_training_step_of_a_model_that_returns_its_loss(pair, weight, mask):
    torch.manual_seed(0)
    model = Model(LogCosh())
    model(*pair, weight, mask).sum().backward()
    expected = model.linear.weight.grad.clone()
    model.zero_grad()
    compiled(model)(*pair, weight, mask).sum().backward()
    torch.testing.assert_close(model.linear.weight.grad, expected, **CLOSE)


@pytest.mark.parametrize("strict", [False, True])
def test_export_with_a_free_batch_length(strict, pair, weight, mask):
    torch.manual_seed(0)
    # Strict export traces as torch.compile does, which other tests do for every loss.
    model = Model(*([LogCosh()] if strict else WITHOUT_VARIANCE))
    free = {0: torch.export.Dim("n", min=2)}
    program = torch.export.export(
        model, (*pair, weight, mask), dynamic_shapes=(free, free, free, free), strict=strict
    )
    longer = [torch.cat([x, x, x]) for x in (*pair, weight, mask)]
    torch.testing.assert_close(program.module()(*longer), model(*longer), **CLOSE)
    # Plain operators alone, so that the program can be saved, and loaded where we are not.
    targets = {str(n.target) for n in program.graph.nodes if n.op == "call_function"}
    assert all(t.startswith(("aten.", "<built-in function")) for t in targets), targets


def test_export_of_a_module_alone(pair):
    criterion = l2torch.HuberLoss()
    program = torch.export.export(criterion, pair)
    assert torch.equal(program.module()(*pair), criterion(*pair))


def test_what_is_exported_has_no_float64():
    """It may run where there is none, as sums on a CPU here have it."""
    arguments = torch.rand(30), torch.rand(30)
    for criterion in (l2torch.Criterion(), l2torch.Criterion("huber", axis=0)):
        assert "float64" not in str(torch.export.export(criterion, arguments).graph)
