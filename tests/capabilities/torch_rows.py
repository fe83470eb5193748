"""What a user of PyTorch can rely on: each capability tried on l2torch and on the built-in losses.

A capability is a function of a side, true if it holds there; one that raises does not hold. Where
PyTorch has no such loss or argument, its side is what people write instead.
"""

import copy
import io
from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, jvp, vmap

import l2torch
from capability import Capabilities, raises

F = nn.functional
EAGER = {"fullgraph": True, "backend": "aot_eager"}

OURS = SimpleNamespace(
    mse=l2torch.MSELoss(),
    l1=l2torch.L1Loss(),
    huber=l2torch.HuberLoss(),
    smooth_l1=l2torch.SmoothL1Loss(),
    nll=l2torch.GaussianNLLLoss(),
    rmse=l2torch.RMSELoss(),
    log_cosh=l2torch.LogCoshLoss(),
    quantile=lambda p, t, q: l2torch.QuantileLoss(q)(p, t),
    module=l2torch.HuberLoss,
    weighted=lambda p, t, w: l2torch.MSELoss()(p, t, weight=w),
    weighted_huber=lambda p, t, w: l2torch.HuberLoss()(p, t, weight=w),
    masked=lambda p, t, m: l2torch.MSELoss()(p, t, mask=m),
    accumulated=lambda pairs: sum(l2torch.Criterion().terms(*pair) for pair in pairs).value(),
    reduction=lambda name: l2torch.MSELoss(reduction=name),
)


def _batch_means(pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    return torch.stack([F.mse_loss(p, t) for p, t in pairs]).mean()


BUILT_IN = SimpleNamespace(
    mse=nn.MSELoss(),
    l1=nn.L1Loss(),
    huber=nn.HuberLoss(),
    smooth_l1=nn.SmoothL1Loss(),
    nll=nn.GaussianNLLLoss(),
    rmse=lambda p, t: F.mse_loss(p, t).sqrt(),
    log_cosh=lambda p, t: torch.log(torch.cosh(p - t)).mean(),
    quantile=lambda p, t, q: torch.maximum(q * (t - p), (q - 1) * (t - p)).mean(),
    module=nn.HuberLoss,
    weighted=lambda p, t, w: F.mse_loss(p, t, weight=w),
    weighted_huber=lambda p, t, w: F.huber_loss(p, t, weight=w),
    masked=lambda p, t, m: (F.mse_loss(p, t, reduction="none") * m).sum() / m.sum(),
    accumulated=_batch_means,
    reduction=lambda name: nn.MSELoss(reduction=name),
)

capability = Capabilities()


def _pair(n: int = 6, **options) -> tuple[Tensor, Tensor]:
    """Residuals on both sides of Huber's corner, none on it, none 0."""
    target = torch.linspace(-1, 1, n, dtype=torch.float64)
    input = target + torch.tensor([-2.0, -0.7, 0.3, 0.6, 1.4, 2.5], dtype=torch.float64)[:n]
    return input.to(**options), target.to(**options)


def _basic(side: SimpleNamespace) -> list:
    return [side.mse, side.l1, side.huber, side.smooth_l1]


def _same(f: Callable, g: Callable, *args: Tensor) -> bool:
    return torch.allclose(f(*args), g(*args), rtol=1e-12, atol=1e-12)


def _gradient(f: Callable, *args: Tensor) -> Tensor:
    leaf = args[0].clone().requires_grad_()
    return torch.autograd.grad(f(leaf, *args[1:]), leaf)[0]


# --- derivatives ------------------------------------------------------------------------------


@capability("first and second derivatives, reverse mode")
def _(side):
    pair = [x.requires_grad_() for x in _pair()]
    return all(gradcheck(f, pair) and gradgradcheck(f, pair) for f in _basic(side))


@capability("forward mode (`jvp`), once")
def _(side):
    pair = [x.requires_grad_() for x in _pair()]
    return all(gradcheck(f, pair, check_forward_ad=True) for f in _basic(side))


@capability("Huber's second derivative in forward mode (`hessian`, `jacfwd(jacfwd)`)")
def _(side):
    p, t = _pair()
    curvature = torch.tensor([0, 1, 1, 1, 0, 0], dtype=p.dtype).diag() / 6

    def of(f):
        return lambda q: f(q, t)

    return all(
        torch.allclose(second(of(side.huber))(p), curvature)
        for second in (hessian, lambda f: jacfwd(jacfwd(f)))
    )


@capability("per-example gradients (`vmap(grad)`)")
def _(side):
    p, t = (x.reshape(2, 3) for x in _pair())
    return all(
        torch.equal(
            vmap(grad(f))(p, t), torch.stack([_gradient(f, *row) for row in zip(p, t, strict=True)])
        )
        for f in _basic(side)
    )


@capability("per-example gradients of the Gaussian likelihood")
def _(side):
    p, t = (x.reshape(2, 3) for x in _pair())
    return vmap(grad(side.nll))(p, t, torch.ones(2, 3)).shape == (2, 3)


@capability("an input changed in place before `backward` is noticed, or harmless")
def _(side):
    p, t = _pair()
    expected = _gradient(side.mse, p, t)
    leaf = p.clone().requires_grad_()
    input = leaf.clone()
    value = side.mse(input, t)
    input.detach().add_(1.0)
    try:
        return torch.equal(torch.autograd.grad(value, leaf)[0], expected)
    except RuntimeError:
        return True


@capability("a finite gradient of the RMSE at a perfect fit")
def _(side):
    return bool(_gradient(side.rmse, torch.ones(3), torch.ones(3)).isfinite().all())


@capability("no gradient of the Gaussian likelihood to a clamped variance")
def _(side):
    variance = torch.tensor([1e-9], requires_grad=True)
    side.nll(torch.ones(1), torch.zeros(1), variance).backward()
    return bool(variance.grad == 0)


# --- compilers --------------------------------------------------------------------------------


@capability("`torch.compile(fullgraph=True)`")
def _(side):
    pair = _pair()
    return all(_same(torch.compile(f, **EAGER), f, *pair) for f in _basic(side))


@capability("`torch.compile(fullgraph=True)` of the Gaussian likelihood")
def _(side):
    pair = _pair()
    return _same(torch.compile(side.nll, **EAGER), side.nll, *pair, torch.ones(6).double())


@capability("compiled once for all lengths (`dynamic=True`)")
def _(side):
    from torch._dynamo.testing import CompileCounterWithBackend

    torch._dynamo.reset()  # what was compiled before does not count
    counter = CompileCounterWithBackend("aot_eager")
    f = torch.compile(side.huber, fullgraph=True, dynamic=True, backend=counter)
    return all(_same(f, side.huber, *_pair(n)) for n in (2, 4, 6)) and counter.frame_count <= 2


@capability("`vmap(grad)`, `jvp` and `hessian` inside `torch.compile`")
def _(side):
    p, t = (x.reshape(2, 3) for x in _pair())

    def transforms(p, t):
        along = jvp(lambda q: side.huber(q, t), (p,), (t,))[1]
        second = hessian(lambda q: side.huber(q, t))(p)
        return torch.cat([vmap(grad(side.huber))(p, t).flatten(), along[None], second.flatten()])

    return _same(torch.compile(transforms, **EAGER), transforms, p, t)


@capability("`torch.export` with a free batch length")
def _(side):
    class Model(nn.Module):
        def forward(self, p, t):
            return side.huber(p, t)

    free = {0: torch.export.Dim("n", min=2)}
    program = torch.export.export(Model(), _pair(4), dynamic_shapes=(free, free))
    return _same(program.module(), side.huber, *_pair(6))


@capability("no wait for the device (tried on meta tensors)")
def _(side):
    p, t = (torch.rand(4, device="meta", requires_grad=True) for _ in range(2))
    torch.stack([f(p, t) for f in _basic(side)]).sum().backward()
    return p.grad.shape == (4,)


@capability("no wait for the device in the Gaussian likelihood")
def _(side):
    return side.nll(*torch.rand(3, 4, device="meta")).shape == ()


# --- numbers ----------------------------------------------------------------------------------


@capability("a float16 residual of 300")
def _(side):
    return side.mse(torch.tensor([300.0]).half(), torch.zeros(1).half()).item() == 90_000


@capability("70,000 float16 weights of 1")
def _(side):
    ones = torch.ones(70_000).half()
    return bool(side.weighted(ones, 0 * ones, ones) == 1)


@capability("autocast: float32 values, weighted too")
def _(side):
    p, t = _pair(dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        values = side.mse(p, t), side.weighted(p, t, torch.ones_like(p))
    return all(v.dtype == torch.float32 for v in values)


@capability("uint8 pixels, 0 against 20")
def _(side):
    return bool(side.mse(*torch.tensor([[0], [20]], dtype=torch.uint8)) == 400)


@capability("complex numbers, 1+2j against 0")
def _(side):
    return bool(side.mse(torch.tensor([1 + 2j]), torch.tensor([0j])) == 5)


@capability("an integer variance in the Gaussian likelihood")
def _(side):
    return bool(side.nll(torch.ones(2), torch.zeros(2), torch.ones(2, dtype=torch.int64)) == 0.5)


@capability("log cosh of 1e-4 and of 100 in float32")
def _(side):
    small, large = (side.log_cosh(torch.tensor([x]), torch.zeros(1)) for x in (1e-4, 100.0))
    return abs(small / 5e-9 - 1) < 1e-5 and abs(large / (100 - 0.6931472) - 1) < 1e-6


@capability("the quantile loss: gradient 0 at 0")
def _(side):
    zero = torch.zeros(1)
    return bool(_gradient(lambda p, t: side.quantile(p, t, 0.9), zero, zero) == 0)


# --- meaning ----------------------------------------------------------------------------------


@capability("unequal shapes, (3,) and (3, 1), raise")
def _(side):
    return all(raises(f, torch.zeros(3), torch.zeros(3, 1)) for f in _basic(side))


@capability("what has weight 0 has no part, be it NaN")
def _(side):
    p, t = torch.tensor([1.0, torch.nan]), torch.zeros(2)
    weight = torch.tensor([1.0, 0.0])

    def f(p, t):
        return side.weighted(p, t, weight)

    return bool(f(p, t) == 1) and _gradient(f, p, t).tolist() == [2, 0]


@capability("what is masked has no part, be it NaN")
def _(side):
    p, t = torch.tensor([1.0, torch.nan]), torch.zeros(2)
    mask = torch.tensor([True, False])

    def f(p, t):
        return side.masked(p, t, mask)

    return bool(f(p, t) == 1) and _gradient(f, p, t).tolist() == [2, 0]


@capability("a weighted mean divides by the weights, in every loss")
def _(side):
    half, weight = torch.full((2,), 0.5), torch.tensor([1.0, 3.0])
    zero = torch.zeros(2)
    return bool(side.weighted(half, zero, weight) == 0.25) and bool(
        side.weighted_huber(half, zero, weight) == 0.125
    )


@capability("the mean over unequal micro-batches is the mean over all")
def _(side):
    p, t = _pair()
    value = side.accumulated([(p[:5], t[:5]), (p[5:], t[5:])])
    return torch.allclose(value, (p - t).square().mean())


@capability("a misspelt reduction raises where it is written")
def _(side):
    return raises(side.reduction, "Mean")


# --- modules ----------------------------------------------------------------------------------


@capability("`deepcopy`, `torch.save`, `.to()`, an empty `state_dict`")
def _(side):
    module, buffer = side.module(delta=0.5), io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    others = copy.deepcopy(module), torch.load(buffer, weights_only=False), module.to("meta")
    pair = _pair()
    same = all(torch.equal(other(*pair), module(*pair)) for other in others)
    return same and module.state_dict() == {}


@capability("a `repr` that tells the parameters")
def _(side):
    return "0.5" in repr(side.module(delta=0.5))


@capability("channels-last images stay so")
def _(side):
    p, t = (torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last) for _ in range(2))
    side.mse(p.requires_grad_(), t).backward()
    return p.grad.is_contiguous(memory_format=torch.channels_last)


def rows() -> list[tuple[str, bool, bool]]:
    """(capability, whether it holds for l2torch, whether for the built-in losses)."""
    return capability.rows(OURS, BUILT_IN)
