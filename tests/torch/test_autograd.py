"""Autograd in full, eager: first and second derivatives, forward mode, graphs kept and changed."""

import pytest
import torch
from torch.autograd import grad, gradcheck, gradgradcheck

import l2torch
from l2core.criterion import REDUCTIONS
from subjects import DEFAULT_LOSSES, EVERY_LOSS

# gradcheck moves an input by 1e-6; float64 rounding of losses below 10 over 2e-6 is 1e-9. Its own
# tolerances (1e-5, 1e-3 relative) stand.


def named(losses):
    return pytest.mark.parametrize("loss", losses, ids=repr)


def inputs_of(loss, *tensors):
    """Leaves; and a variance last for a loss that takes one."""
    if loss.needs:
        tensors += (torch.linspace(0.3, 1.9, 8, dtype=torch.float64).reshape(2, 4),)
    return tuple(x.clone().requires_grad_() for x in tensors)


def call(loss, reduction, mask=None, **fields):
    criterion = l2torch.Criterion(loss, reduction, **fields)

    def f(input, target, weight, variance=None):
        return criterion(input, target, weight=weight, mask=mask, variance=variance)

    return f


@pytest.mark.parametrize("reduction", REDUCTIONS)
@named(DEFAULT_LOSSES)
def test_first_derivatives(loss, reduction, pair, weight, mask):
    inputs = inputs_of(loss, *pair, weight)
    f = call(loss, reduction, mask)
    assert gradcheck(f, inputs, check_forward_ad=True, check_batched_grad=True)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@named(DEFAULT_LOSSES)
def test_second_derivatives(loss, reduction, pair, weight, mask):
    inputs = inputs_of(loss, *pair, weight)
    assert gradgradcheck(call(loss, reduction, mask), inputs, check_fwd_over_rev=True)


@named(DEFAULT_LOSSES)
@pytest.mark.parametrize(
    "fields", [{"axis": 0}, {"denominator": "count"}, {"denominator": "batch"}]
)
def test_derivatives_of_other_means(loss, fields, pair, weight, mask):
    inputs = inputs_of(loss, *pair, weight)
    assert gradcheck(call(loss, "mean", mask, **fields), inputs, check_forward_ad=True)


@named(EVERY_LOSS)
def test_gradient_is_psi_and_curvature_at_the_kinks_too(loss):
    """Not what autodiff makes of rho: at 0 that is often another subgradient."""
    at = [-1.0, -0.7, -0.0, 0.0, 1e-30, 0.7, 1.0, 40.0, -1e5]
    input = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    extra = {"variance": 0.5} if loss.needs else {}
    value = l2torch.Criterion(loss, "sum")(input, torch.zeros(len(at)), **extra)
    (first,) = grad(value, input, create_graph=True)
    (second,) = grad(first.sum(), input)
    r, xp = input.detach(), l2torch.backend.XP
    variance = (torch.tensor(0.5, dtype=r.dtype),) if loss.needs else ()
    # The plain expression of the variance may round once more than psi: ½ · 2r / v against r / v.
    ulps = 4 * torch.finfo(r.dtype).eps if loss.needs else 0
    torch.testing.assert_close(first.detach(), loss.psi(r, xp, *variance), rtol=ulps, atol=0)
    torch.testing.assert_close(second, loss.curvature(r, xp, *variance), rtol=ulps, atol=0)


@named(DEFAULT_LOSSES)
def test_the_target_gets_minus_the_gradient(loss, pair, weight, mask):
    input, target, weight, *variance = inputs_of(loss, *pair, weight)
    call(loss, "mean", mask)(input, target, weight, *variance).backward()
    assert torch.equal(target.grad, -input.grad)
    assert input.grad.count_nonzero() > 0


@named(DEFAULT_LOSSES)
def test_only_what_needs_a_gradient_gets_one(loss, pair, weight):
    input, target, weight, *variance = inputs_of(loss, *pair, weight)
    value = call(loss, "mean")(input.detach(), target, weight.detach(), *variance)
    value.backward()
    assert input.grad is None
    assert weight.grad is None
    assert target.grad is not None
    with torch.no_grad():
        assert not call(loss, "mean")(input, target, weight, *variance).requires_grad
    with torch.inference_mode():
        assert call(loss, "mean")(input, target, weight, *variance) == value


@pytest.mark.parametrize("weighted", [False, True])
@named(DEFAULT_LOSSES)
def test_a_retained_graph_gives_the_same_again(loss, weighted, pair, weight):
    input, target, weight, *variance = inputs_of(loss, *pair, weight)
    value = call(loss, "mean")(input, target, weight if weighted else None, *variance)
    first = grad(value, input, retain_graph=True)[0].clone()
    scaled = grad(value, input, torch.tensor(3.0), retain_graph=True)[0]
    again = grad(value, input)[0]
    assert torch.equal(first, again)
    # Scaled before or after three products (1/denominator, weight, psi), each of which rounds by at
    # most 2^-53 on either way.
    torch.testing.assert_close(scaled, 3 * first, rtol=6 * 2**-53, atol=0)
    with pytest.raises(RuntimeError, match="second time"):
        grad(value, input)


@pytest.mark.parametrize("weighted", [False, True])
@named(DEFAULT_LOSSES)
def test_create_graph_gives_the_second_derivative(loss, weighted, pair, weight):
    input, target, weight, *variance = inputs_of(loss, *pair, weight)
    weight = weight if weighted else None
    value = call(loss, "sum")(input, target, weight, *variance)
    (first,) = grad(value, input, create_graph=True)
    (second,) = grad(first.sum(), input)
    curvature = loss.curvature((input - target).detach(), l2torch.backend.XP, *variance)
    expected = curvature if weight is None else weight[:, None] * curvature
    # At most two products more or less: 2 ULP of float64.
    torch.testing.assert_close(second, expected, rtol=4.5e-16, atol=0, check_dtype=True)


@pytest.mark.parametrize("changed", ["input", "target", "weight"])
@pytest.mark.parametrize("n", [8, 600_000])  # the second large enough for any faster path
@named(DEFAULT_LOSSES)
def test_a_change_in_place_raises_or_does_no_harm(loss, n, changed):
    """What was saved has been changed: PyTorch says so, or the gradient is the one before."""

    def run(change):
        generator = torch.Generator().manual_seed(0)
        made = {k: torch.rand(n, generator=generator) for k in ("input", "target")}
        made["weight"] = torch.rand(n, generator=generator) + 0.5
        leaf = made["input"].requires_grad_()
        made["input"] = leaf.clone()
        extra = {"variance": 0.5} if loss.needs else {}
        value = l2torch.Criterion(loss)(**made, **extra)
        if change:
            made[changed].add_(1.0)
        (gradient,) = grad(value, leaf)
        return gradient

    expected = run(change=False)
    try:
        after = run(change=True)
    except RuntimeError as error:
        if "modified by an inplace operation" not in str(error):
            raise
    else:
        assert torch.equal(after, expected)


@named(DEFAULT_LOSSES)
def test_the_elementwise_loss_may_be_changed_in_place(loss, pair, weight):
    input, target, weight, *variance = inputs_of(loss, *pair, weight)
    f = call(loss, "none")
    expected = grad(f(input, target, None, *variance).sum() * 3.0, input)[0]
    value = f(input, target, None, *variance)
    value.mul_(3.0)
    assert torch.equal(grad(value.sum(), input)[0], expected)


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
@named(DEFAULT_LOSSES)
def test_anomaly_mode_finds_nothing_where_the_absent_are_nan(loss, pair, mask):
    """Zero cotangents times NaN somewhere inside would be found."""
    input, target = (x.masked_fill(~mask, torch.nan) for x in pair)
    input.requires_grad_()
    extra = {"variance": torch.full((2, 4), torch.nan).masked_fill(mask, 0.5)}
    with torch.autograd.detect_anomaly():
        value = l2torch.Criterion(loss, "root_mean")(
            input, target, mask=mask, **(extra if loss.needs else {})
        )
        value.backward()
    assert torch.equal(input.grad == 0, ~mask)


def test_saved_tensors_may_be_packed_and_recomputed(pair):
    """As under activation offloading and checkpointing."""
    from torch.utils.checkpoint import checkpoint

    criterion = l2torch.LogCoshLoss()
    input, target = pair
    input.requires_grad_()
    (expected,) = grad(criterion(input, target), input)
    assert torch.equal(grad(checkpoint(criterion, *pair, use_reentrant=False), input)[0], expected)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: x.numpy(), torch.from_numpy):
        value = criterion(input, target)
    assert torch.equal(grad(value, input)[0], expected)


PLAIN = {  # rho of the residual and the parameter, as autograd takes it
    "delta": lambda r, d: torch.where(r.abs() <= d, 0.5 * r * r, d * (r.abs() - 0.5 * d)),
    "beta": lambda r, b: torch.where(r.abs() < b, 0.5 * r * r / b, r.abs() - 0.5 * b),
    "q": lambda r, q: torch.where(r > 0, (1 - q) * r, -q * r),
    "tau": lambda r, q: torch.where(r > 0, (1 - q) * r * r, q * r * r),
    "variance": lambda r, v: 0.5 * (v.log() + r * r / v),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [8, 40_000, 600_000])
@pytest.mark.parametrize("loss", [x for x in DEFAULT_LOSSES if x.parameters], ids=repr)
def test_parameters_and_predictions_that_depend_on_each_other(loss, n, weighted):
    """With a hook that halves their gradient, which runs once, and with the graph kept or not."""
    name = loss.parameters[0]
    z = torch.linspace(-1, 1, n, dtype=torch.float64).requires_grad_()
    weight = torch.where(z.detach().abs() < 0.1 * weighted, 0.0, 1.0)
    more = {"weight": weight} if weighted else {}

    def gradient(kept, f):
        given, calls = 0.8 * torch.sigmoid(z * z + 0.1), []
        given.register_hook(lambda grad: calls.append(1) or 0.5 * grad)
        given.retain_grad()
        (found,) = torch.autograd.grad(f(2 * z + given, 0.3 * z, given), z, create_graph=kept)
        assert len(calls) == 1
        return found

    def ours(pred, target, given):
        return l2torch.Criterion(loss)(pred, target, **more, **{name: given})

    def plain(pred, target, given):
        return (weight * PLAIN[name](pred - target, given)).sum() / weight.sum()

    for kept in (False, True):
        found, expected = gradient(kept, ours), gradient(kept, plain)
        # A few products of either sign of at most 2 / n, each rounded once.
        torch.testing.assert_close(found, expected, rtol=0, atol=32 * 2**-53 * 2 / n)
        if kept and n == 8:
            bends = [torch.autograd.grad(x.square().sum(), z)[0] for x in (found, expected)]
            torch.testing.assert_close(*bends, rtol=1e-13, atol=1e-15)
