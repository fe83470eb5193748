"""The losses that PyTorch gets wrong or lacks: Gaussian likelihood, RMSE, quantile, log cosh."""

import mpmath
import numpy as np
import pytest
import torch
from sklearn.metrics import mean_pinball_loss
from torch import nn
from torch.func import grad, vmap

import l2torch

F = nn.functional
U32, U64 = 2.0**-24, 2.0**-53


def gradients(f, *tensors):
    leaves = [x.clone().requires_grad_() for x in tensors]
    return torch.autograd.grad(f(*leaves).sum(), leaves)


# --- GaussianNLLLoss --------------------------------------------------------------------------


@pytest.fixture
def likelihood():
    """input, target, variance: (3, 4), well above the clamp."""
    torch.manual_seed(0)
    return torch.randn(3, 4).double(), torch.randn(3, 4).double(), torch.rand(3, 4).double() + 0.1


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("full", [False, True])
def test_the_likelihood_is_pytorchs(likelihood, full, reduction):
    ours = l2torch.GaussianNLLLoss(full=full, reduction=reduction)
    theirs = nn.GaussianNLLLoss(full=full, reduction=reduction)
    # A dozen roundings each of terms below 4 in size, 12 of them added up.
    close = {"rtol": 0, "atol": 2 * 12 * 12 * 4 * U64}
    torch.testing.assert_close(ours(*likelihood), theirs(*likelihood), **close)
    for x, y in zip(gradients(ours, *likelihood), gradients(theirs, *likelihood), strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=40 * close["atol"])  # 1/v² is up to 100


def test_the_likelihood_under_vmap_where_pytorchs_fails(likelihood):
    ours = l2torch.GaussianNLLLoss()
    rows = torch.stack([ours(*row) for row in zip(*likelihood, strict=True)])
    assert torch.equal(vmap(ours)(*likelihood), rows)
    each = vmap(grad(ours, argnums=(0, 1, 2)))(*likelihood)
    for i, row in enumerate(zip(*likelihood, strict=True)):
        for got, expected in zip(each, gradients(ours, *row), strict=True):
            assert torch.equal(got[i], expected)
    with pytest.raises(RuntimeError, match="data-dependent"):
        vmap(nn.GaussianNLLLoss())(*likelihood)


def test_the_likelihood_in_one_graph_where_pytorchs_breaks(likelihood):
    def compiled(f):
        return torch.compile(f, fullgraph=True, backend="eager")

    ours = l2torch.GaussianNLLLoss()
    assert torch.equal(compiled(ours)(*likelihood), ours(*likelihood))
    with pytest.raises(torch._dynamo.exc.TorchDynamoException):
        compiled(nn.GaussianNLLLoss())(*likelihood)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool], ids=str)
def test_the_likelihood_takes_an_integer_variance(likelihood, dtype):
    input, target, _ = likelihood
    variance = torch.ones(3, 4, dtype=dtype)
    ours = l2torch.GaussianNLLLoss()
    assert torch.equal(ours(input, target, variance), ours(input, target, variance.double()))
    assert torch.equal(ours(input, target, 1), ours(input, target, 1.0))


def test_the_likelihood_per_sample_and_per_output_variances(likelihood):
    input, target, variance = likelihood
    ours = l2torch.GaussianNLLLoss()
    row, column = variance[:, 0], variance[:1]
    assert torch.equal(
        ours(input, target, row), ours(input, target, row[:, None].expand(3, 4).contiguous())
    )
    assert torch.equal(
        ours(input, target, column), ours(input, target, column.expand(3, 4).contiguous())
    )
    with pytest.raises(
        ValueError, match=r"^variance: expected a scalar, the leading axes of input"
    ):
        ours(input, target, variance[0])  # (4,): PyTorch broadcasts it over the last axis


def test_the_likelihoods_gradient_at_its_clamp():
    """Below eps the value does not depend on the variance; PyTorch's gradient says it does."""
    eps = 0.25
    variance = torch.tensor([0.0, 0.1, 0.25, 0.5]).double()
    input, target = torch.full((4,), 2.0).double(), torch.zeros(4).double()

    def of(loss):
        return lambda v: loss(input, target, v)

    ours = of(l2torch.GaussianNLLLoss(eps=eps, reduction="none"))
    theirs = of(nn.GaussianNLLLoss(eps=eps, reduction="none"))
    assert torch.equal(ours(variance), theirs(variance))
    (got,) = gradients(ours, variance)
    v = torch.tensor([0.25, 0.5]).double()
    assert got[:2].tolist() == [0, 0]
    torch.testing.assert_close(got[2:], 0.5 * (1 / v - 4 / v**2), rtol=8 * U64, atol=0)
    assert (gradients(theirs, variance)[0][:2] != 0).all()
    inside = torch.tensor([0.1, 0.24, 0.26, 0.5]).double().requires_grad_()
    assert torch.autograd.gradcheck(ours, (inside,))


def test_the_likelihood_of_an_absent_element_may_have_any_variance(likelihood):
    input, target, variance = likelihood
    variance = variance.clone()
    variance[0] = torch.tensor([torch.nan, torch.inf, -1.0, 0.0])
    mask = torch.ones(3, 4, dtype=torch.bool)
    mask[0] = False
    ours = l2torch.GaussianNLLLoss()

    def masked(*tensors):
        return ours(*tensors, mask=mask)

    rest = [x[1:] for x in likelihood]
    torch.testing.assert_close(
        masked(input, target, variance), ours(*rest), rtol=0, atol=12 * 4 * U64
    )
    for got in gradients(masked, input, target, variance):
        assert got[0].tolist() == [0, 0, 0, 0]
        assert got[1:].isfinite().all()


def test_a_negative_variance_is_refused_where_no_data_is_read():
    x = torch.zeros(2)
    for loss in (nn.GaussianNLLLoss(), l2torch.GaussianNLLLoss()):
        with pytest.raises(ValueError, match=r"^var"):
            loss(x, x, -1.0)


# --- RMSELoss ---------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)], ids=str)
@pytest.mark.parametrize("residual", [0.0, 1e-30, 1e-23, 1e-10, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_rmse_has_a_finite_gradient(dtype, residual, axis):
    """Residuals that are 0 once squared too. At 0 it is 0; elsewhere ∂/∂r is r / (n · RMSE) < 1."""
    input = torch.full((3, 2), residual, dtype=dtype, requires_grad=True)
    value = l2torch.RMSELoss(axis=axis)(input, torch.zeros(3, 2, dtype=dtype))
    value.sum().backward()
    assert value.isfinite().all()
    assert input.grad.isfinite().all()
    if residual == 0:
        assert value.count_nonzero() == input.grad.count_nonzero() == 0
    if residual >= 1e-10:
        n = 6 // value.numel()
        # The square, the mean and the root: no more than a ULP each, six terms in any order.
        ulps = 12 * torch.finfo(dtype).eps
        torch.testing.assert_close(value, torch.full_like(value, residual), rtol=ulps, atol=0)
        torch.testing.assert_close(
            input.grad, torch.full_like(input, 1 / n).detach(), rtol=ulps, atol=0
        )


def test_the_usual_rmse_has_none():
    input = torch.ones(3, requires_grad=True)
    F.mse_loss(input, torch.ones(3)).sqrt().backward()
    assert input.grad.isnan().all()


def test_rmse_at_a_fit_that_becomes_perfect():
    """Training goes on: plain gradient descent reaches the target and stays there."""
    weight = torch.zeros(1, requires_grad=True)
    sgd = torch.optim.SGD([weight], lr=0.25)
    for _ in range(8):
        sgd.zero_grad()
        l2torch.RMSELoss()(weight, torch.ones(1)).backward()
        sgd.step()
    assert weight == 1


# --- QuantileLoss -----------------------------------------------------------------------------


@pytest.mark.parametrize("q", [0.05, 0.5, 0.9])
def test_the_quantile_loss_is_scikit_learns(q):
    torch.manual_seed(0)
    input, target = torch.randn(2, 50).double()
    got = l2torch.QuantileLoss(q)(input, target)
    expected = mean_pinball_loss(target.numpy(), input.numpy(), alpha=q)
    np.testing.assert_allclose(got.item(), expected, rtol=2 * 52 * U64)
    assert torch.equal(got, l2torch.functional.quantile_loss(input, target, q))


def test_too_low_costs_q_and_too_high_the_rest():
    loss = l2torch.QuantileLoss(0.75, reduction="none")
    input = torch.tensor([-2.0, 0.0, 2.0], requires_grad=True)
    value = loss(input, torch.zeros(3))
    value.sum().backward()
    assert value.tolist() == [1.5, 0.0, 0.5]
    assert input.grad.tolist() == [-0.75, 0.0, 0.25]


@pytest.mark.parametrize("q", [0.2, 0.8])
def test_the_constant_that_fits_best_is_the_quantile(q):
    data = torch.arange(101.0)
    costs = vmap(lambda c: l2torch.QuantileLoss(q)(c.expand(101), data))(data)
    assert costs.argmin() == round(100 * q)


# --- LogCoshLoss ------------------------------------------------------------------------------


def test_log_cosh_is_right_to_a_few_ulp_at_any_size():
    """Where a + log1p(exp(-2a)) - log 2 loses every digit, and where cosh overflows."""
    r = torch.logspace(-30, 38, 300).float()
    r = torch.cat([-r, r]).requires_grad_()
    value = l2torch.LogCoshLoss("none")(r, torch.zeros_like(r))
    value.sum().backward()
    with mpmath.workdps(150):  # twice the 60 digits that cancel at 1e-30
        at = [mpmath.mpf(x) for x in r.tolist()]
        exact = [abs(x) - mpmath.log(2) + mpmath.log1p(mpmath.exp(-2 * abs(x))) for x in at]
        slopes = [mpmath.tanh(x) for x in at]
    # sinh, log1p, exp and tanh of torch: up to 9 half-ULPs of float32 each, two in a row, then
    # the products; float32's own rounding of a value below its least normal number.
    for got, true in ((value, exact), (r.grad, slopes)):
        expected = np.array([float(x) for x in true])
        np.testing.assert_allclose(
            got.detach().double().numpy(), expected, rtol=24 * U32, atol=2.0**-126
        )


def test_the_textbook_form_loses_every_digit():
    r = torch.tensor([1e-4])
    textbook = r + F.softplus(-2 * r) - torch.log(torch.tensor(2.0))
    assert abs(textbook.item() - 5e-9) > 4e-9
    assert abs(l2torch.LogCoshLoss()(r, torch.zeros(1)).item() - 5e-9) < 5e-9 * 24 * U32


# --- functions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "name"),
    [
        (l2torch.functional.huber_loss, "delta"),
        (l2torch.functional.smooth_l1_loss, "beta"),
        (l2torch.functional.quantile_loss, "q"),
    ],
)
def test_functions_take_tensors_of_a_parameter(f, name):
    """Of two rows each its own, of powers of two: nothing rounds."""
    r, zero = torch.tensor([[-2.0, 0.25], [0.125, 4.0]]), torch.zeros(2)
    x = torch.tensor([0.5, 0.25], requires_grad=True)
    found = f(r, torch.zeros(2, 2), reduction="sum", **{name: x})
    rows = [f(r[i], zero, reduction="sum", **{name: (0.5, 0.25)[i]}) for i in (0, 1)]
    assert float(found.detach()) == float(sum(rows))
    expected = {"delta": [1.5, 3.75], "beta": [-0.5 - 0.125, -0.5 - 0.125], "q": [1.75, -4.125]}
    assert torch.autograd.grad(found, x)[0].tolist() == expected[name]
