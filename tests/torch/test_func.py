"""torch.func: every transform, and transforms of transforms."""

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap

import l2torch
from subjects import DEFAULT_LOSSES

every_loss = pytest.mark.parametrize("loss", DEFAULT_LOSSES, ids=repr)


def value(loss, **fields):
    """f(input, target, weight, mask): the mean, at variance ½ for a loss that takes one."""
    criterion = l2torch.Criterion(loss, **fields)
    extra = {"variance": 0.5} if loss.needs else {}
    return lambda p, t, w=None, m=None: criterion(p, t, weight=w, mask=m, **extra)


def gradient(f, input, *rest):
    """By plain autograd."""
    input = input.clone().requires_grad_()
    return torch.autograd.grad(f(input, *rest), input)[0]


@every_loss
def test_grad_is_autograds(loss, pair, weight, mask):
    f = value(loss)
    assert torch.equal(grad(f)(*pair, weight, mask), gradient(f, *pair, weight, mask))


@every_loss
def test_vmap_is_a_loop(loss, pair, weight, mask):
    f = value(loss, denominator="count")
    rows = [f(p, t, w, m) for p, t, w, m in zip(*pair, weight, mask, strict=True)]
    assert torch.equal(vmap(f)(*pair, weight, mask), torch.stack(rows))


@every_loss
def test_per_example_gradients_are_a_loops(loss, pair, weight, mask):
    f = value(loss, denominator="count")
    rows = [gradient(f, p, t, w, m) for p, t, w, m in zip(*pair, weight, mask, strict=True)]
    assert torch.equal(vmap(grad(f))(*pair, weight, mask), torch.stack(rows))


@every_loss
def test_vmap_over_some_arguments_only(loss, pair, mask):
    """Two targets, one prediction and mask."""
    f = value(loss)
    input, target = pair
    targets = torch.stack([target, target + 0.125])
    expected = torch.stack([f(input, t, None, mask) for t in targets])
    found = vmap(f, in_dims=(None, 0, None, None))(input, targets, None, mask)
    # 8 terms in two orders, each with 5 roundings of its own.
    torch.testing.assert_close(found, expected, rtol=13 * torch.finfo(found.dtype).eps, atol=0)


# linearize's constant folding; the built-in meets it too.
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")
@every_loss
def test_forward_mode_is_reverse_mode(loss, pair, weight, mask):
    f = value(loss)
    input, target = pair
    tangent = torch.linspace(-1, 1, 8, dtype=input.dtype).reshape(2, 4)

    def of_input(p):
        return f(p, target, weight, mask)

    expected_value = of_input(input)
    expected = (gradient(of_input, input) * tangent).sum()
    at, along = jvp(of_input, (input,), (tangent,))
    _, pull = vjp(of_input, input)
    linear_at, push = linearize(of_input, input)
    assert torch.equal(at, expected_value)
    assert torch.equal(linear_at, expected_value)
    # Sums of 8 products in other orders: 8 half-ULPs of their absolute sum, which is below 4.
    close = {"rtol": 0, "atol": 8 * 4 * 1.2e-16}
    torch.testing.assert_close(along, expected, **close)
    torch.testing.assert_close(push(tangent), expected, **close)
    torch.testing.assert_close(
        (pull(torch.ones((), dtype=input.dtype))[0] * tangent).sum(), expected, **close
    )


@pytest.mark.parametrize(
    "second",
    [
        hessian,
        lambda f: jacfwd(jacrev(f)),
        lambda f: jacrev(jacfwd(f)),
        lambda f: jacfwd(jacfwd(f)),
    ],
    ids=["hessian", "forward-reverse", "reverse-forward", "forward-forward"],
)
@every_loss
def test_second_derivatives_are_the_curvature(loss, second, pair, weight, mask):
    """Diagonal, weighted, 0 where masked; what autodiff makes of log cosh at 0 is off by 1."""
    input, target = pair
    target = target.clone()
    target[0, 0] = input[0, 0]
    f = value(loss, denominator=1.0)
    matrix = second(lambda p: f(p, target, weight, mask))(input).reshape(8, 8)
    variance = (torch.tensor(0.5),) if loss.needs else ()
    curvature = loss.curvature(input - target, l2torch.backend.XP, *variance)
    expected = torch.where(mask, weight[:, None] * curvature, 0.0).flatten().diag()
    # Two products more or fewer: 2 ULP.
    torch.testing.assert_close(matrix, expected, rtol=4.5e-16, atol=0)


@every_loss
def test_per_example_gradients_of_a_model(loss, pair):
    """The usual recipe: functional_call inside vmap(grad)."""
    torch.manual_seed(0)
    model = nn.Linear(4, 4, dtype=torch.float64)
    f = value(loss)
    parameters = dict(model.named_parameters())

    def of_example(parameters, x, y):
        return f(functional_call(model, parameters, (x,)), y)

    x, y = pair
    each = vmap(grad(of_example), in_dims=(None, 0, 0))(parameters, x, y)
    for i in range(len(x)):
        model.zero_grad()
        f(model(x[i]), y[i]).backward()
        for name, parameter in model.named_parameters():
            # A batched product of matrices may add in another order: 4 terms.
            torch.testing.assert_close(each[name][i], parameter.grad, rtol=0, atol=4 * 4 * 1.2e-16)


def test_the_legacy_names_too(pair):
    """torch.autograd.functional and forward_ad, which many still use."""
    input, target = pair
    f = value(DEFAULT_LOSSES[0])
    matrix = torch.autograd.functional.hessian(lambda p: f(p, target), input)
    assert torch.equal(matrix.reshape(8, 8), torch.eye(8, dtype=input.dtype) * (2 / 8))
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(input, torch.ones_like(input))
        tangent = torch.autograd.forward_ad.unpack_dual(f(dual, target)).tangent
    torch.testing.assert_close(tangent, gradient(f, input, target).sum(), rtol=0, atol=4e-15)


@pytest.mark.parametrize("given", [7.0, torch.tensor(7.0), None], ids=["number", "tensor", "none"])
@pytest.mark.parametrize("reduction", ["mean", "root_mean"])
def test_a_tangent_has_the_dtype_of_the_value(reduction, given):
    """By torch.func, and by dual numbers."""
    criterion = l2torch.Criterion(reduction=reduction)
    x, y = torch.ones(3), torch.zeros(3)

    def f(x):
        return criterion(x, y, denominator=given)

    value, tangent = jvp(f, (x,), (x,))
    assert value.dtype == tangent.dtype == torch.float32
    with forward_ad.dual_level():
        dual = forward_ad.unpack_dual(f(forward_ad.make_dual(x, x)))
        assert dual.primal.dtype == dual.tangent.dtype == torch.float32
    torch.testing.assert_close(dual.tangent, tangent)


def test_a_number_as_denominator_compiles():
    compiled = torch.compile(l2torch.MSELoss(), fullgraph=True)
    for n in (7.0, 8.0):
        found = compiled(torch.ones(3), torch.zeros(3), denominator=n)
        # Divided by n, or times 1/n in one rounding more.
        torch.testing.assert_close(found, torch.tensor(3 / n), rtol=2 * 2**-24, atol=0)
