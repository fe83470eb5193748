"""A loss as somebody might write it in plain PyTorch: right, or with one mistake planted."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import torch

from l2core import (
    AbsoluteError,
    Criterion,
    HalfSquaredError,
    Huber,
    LogCosh,
    Quantile,
    SquaredError,
)
from l2core.conformance import Claim, Subject

KINDS = {
    "squared": SquaredError(),
    "half": HalfSquaredError(),
    "absolute": AbsoluteError(),
    "huber": Huber(0.5),
    "open huber": Huber(),
    "log_cosh": LogCosh(),
    "pinball": Quantile(0.9),
}
REDUCTIONS = ("none", "sum", "mean", "root_mean")


class Written:
    """``Written(mistake, reduction, kind)(pred, target, weight=None, mask=None)``."""

    def __init__(self, mistake="", reduction="mean", kind="squared", delta=1.0):
        late = mistake in ("checks its options late", "accepts any option")
        if not late and (reduction not in REDUCTIONS or delta <= 0):
            raise ValueError(f"reduction: expected one of {REDUCTIONS}, got {reduction!r}")
        self.mistake, self.reduction, self.kind, self.delta = mistake, reduction, kind, delta

    def to_config(self):
        left_out = "delta" if self.mistake == "forgets its parameter" else ""
        return {name: x for name, x in vars(self).items() if name != left_out}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __reduce__(self):
        return Written.from_config, (self.to_config(),)

    # --- the computation, step by step ------------------------------------------------------------

    def __call__(self, pred, target, weight=None, mask=None, delta=None):
        if self.reduction not in REDUCTIONS and self.mistake == "checks its options late":
            raise ValueError(f"reduction: expected one of {REDUCTIONS}, got {self.reduction!r}")
        self.check(pred, target)
        self.given = delta
        if delta is not None:
            self.given = delta.reshape(delta.shape + (1,) * (pred.ndim - delta.ndim))
            if self.mistake == "no gradient to its parameter":
                self.given = self.given.detach()
        w, present = self.selected(pred, target, weight, mask)
        pred, target = self.widened(pred, target)
        rho = self.rho(*self.filled(pred, target, present))
        losses = rho if w is None else self.weighed(w, rho)
        if present is not None and self.mistake not in ("multiplies", "replaces NaN"):
            losses = torch.where(present, losses, 0.0)
        return self.finished(self.reduced(losses, w, present), pred, target)

    def terms(self, pred, target, weight=None, mask=None):
        """Its mean as a part of others of its size."""
        dtype = torch.float32 if self.mistake == "adds up in float32" else torch.float64
        return Part(self(pred, target, weight, mask).to(dtype), 1)

    def denominator_of(self, target, weight=None, mask=None):
        """That of its part."""
        return torch.tensor(2 if self.mistake == "guesses its denominator" else 1)

    def check(self, pred, target):
        if self.mistake == "raises what it likes":
            pred.undefined = target.undefined = 0
        for x in (pred, target):
            if not isinstance(x, torch.Tensor):
                raise TypeError(f"pred and target: expected tensors, got {type(x).__name__}")
        if pred.shape != target.shape and self.mistake != "broadcasts":
            raise ValueError(f"expected equal shapes, got {pred.shape} and {target.shape}")
        refused = (
            self.kind in ("huber", "open huber", "log_cosh")
            and self.mistake != "takes complex numbers"
        )
        if refused and (pred.is_complex() or target.is_complex()):
            raise TypeError(f"pred: expected a real dtype, got {pred.dtype}")

    def widened(self, pred, target):
        match self.mistake:
            case "computes in float32":
                return pred.to(torch.float32), target.to(torch.float32)
            case "wraps integers" if not pred.is_floating_point() and not pred.is_complex():
                return (pred.int() - target.int()).to(pred.dtype).float(), torch.zeros(pred.shape)
            case "computes in halves" if pred.dtype in (torch.float16, torch.bfloat16):
                return pred, target
            case "drops the imaginary part" if pred.is_complex():
                return pred.real, target.real
            case "reads storage":
                shape = pred.shape
                rows = torch.empty(shape).stride()
                return pred.as_strided(shape, rows), target.as_strided(shape, rows)
            case "no gradient to the target":
                target = target.detach()
        dtype = torch.promote_types(pred.dtype, target.dtype)
        if dtype in (torch.int32, torch.int64, torch.uint32, torch.uint64):
            dtype = torch.float64
        elif not dtype.is_complex and dtype is not torch.float64:
            dtype = torch.float32
        return pred.to(dtype), target.to(dtype)

    def selected(self, pred, target, weight, mask):
        """The weights of full rank, and where an element is present; None for all."""

        def aligned(x):
            if self.mistake == "aligns with the last axes" and x.shape[0] == pred.shape[-1]:
                return x
            return x.reshape(x.shape + (1,) * (pred.ndim - x.ndim))

        if self.mistake == "ignores missing predictions":
            return None, ~(torch.isnan(target) | torch.isnan(pred))
        if self.kind == "squared" and self.reduction == "mean" and self.mistake == "keeps targets":
            return None, ~torch.isnan(target)
        w = None
        if weight is not None:
            w = torch.as_tensor(weight, dtype=torch.promote_types(pred.dtype, torch.float32))
            w = aligned(w)
        present = None if mask is None else aligned(mask)
        if w is not None:
            w = w if present is None else torch.where(present, w, 0.0)
            allowed = True if present is None else present
            present = allowed & ((w != 0) | self.finite(pred, target))
            if self.mistake == "drops weights of 0":
                present = allowed & (w != 0)
            w = torch.where(present, w, 0.0)
        if w is None and self.mistake == "multiplies" and present is not None:
            w = present.to(torch.float32)
        return w, present

    given = None

    def finite(self, pred, target):
        """Where the loss is a number."""
        pred, target = self.widened(pred.detach(), target.detach())
        return torch.isfinite(self.rho(pred, target))

    def filled(self, pred, target, present):
        if self.mistake == "replaces NaN":
            return torch.nan_to_num(pred), torch.nan_to_num(target)
        if present is None or self.mistake in ("multiplies", "selects too late"):
            return pred, target
        return torch.where(present, pred, 0.0), torch.where(present, target, 0.0)

    def rho(self, pred, target):
        r = target - pred if self.mistake == "swaps its arguments" else pred - target
        if self.mistake == "penalises overshooting":
            return torch.where(r > 0, 1.1 * r * r, r * r)
        if self.mistake == "caps the loss":
            return torch.clamp(r * r, max=1.0)
        square = r.real**2 + r.imag**2 if r.is_complex() else r * r
        match self.kind:
            case "squared":
                rho = square
            case "half":
                rho = 0.5 * square
            case "absolute" if self.mistake == "has slope 1 at 0":
                rho = torch.where(r >= 0, r, -r)
            case "absolute":
                rho = torch.abs(r)
            case "huber" | "open huber":
                delta = torch.tensor(self.delta) if self.given is None else self.given
                size = torch.minimum(torch.abs(r), delta.to(r.dtype))
                rho = size * (torch.abs(r) - 0.5 * size)
            case "log_cosh":
                rho = self.log_cosh(r)
            case "pinball":
                rho = torch.maximum(-0.9 * r, 0.1 * r)
        added = {"adds an epsilon": 1e-7, "subtracts a little": -1e-3}.get(self.mistake, 0.0)
        return rho + added if added else rho

    def log_cosh(self, r):
        size = torch.abs(r)
        far = size + torch.log1p(torch.exp(-2.0 * size)) - 0.6931471805599453
        if self.mistake == "cancels":
            return far
        sinh = torch.sinh(torch.where(size < 1, r, 0.0))
        return torch.where(size < 1, 0.5 * torch.log1p(sinh * sinh), far)

    def weighed(self, w, rho):
        if self.mistake == "weighs the mean":
            return torch.broadcast_to(torch.mean(w) * rho, rho.shape)
        return (w * w if self.mistake == "weighs twice" else w) * rho

    def reduced(self, losses, w, present):
        if self.mistake == "counts the first twice" and losses.numel():
            first = torch.zeros(losses.numel(), dtype=losses.dtype)
            first[0] = 1.0
            losses = losses * (1 + first.reshape(losses.shape))
        if self.reduction == "none":
            return losses
        total = losses.half().sum().float() if self.mistake == "sums in halves" else losses.sum()
        if self.mistake == "hides infinity":
            total = torch.clamp(total, max=torch.finfo(total.dtype).max)
        if self.reduction == "sum":
            return losses.mean(-1).sum() if self.mistake == "sums means" else total
        n = self.divisor(losses, w, present)
        if self.mistake == "nothing is zero" and losses.numel() == 0:
            return total
        mean = total / n
        if self.reduction != "root_mean":
            return mean
        if self.mistake == "roots without a guard":
            return torch.sqrt(mean)
        return torch.where(mean == 0, 0.0, torch.sqrt(torch.where(mean == 0, 1.0, mean)))

    def divisor(self, losses, w, present):
        if self.mistake == "divides by n":
            return losses.numel()
        if self.mistake == "divides by n - 1":
            return losses.numel() - 1
        if w is not None and self.mistake != "multiplies":
            total = torch.broadcast_to(w, losses.shape).sum()
            return total + 1e-6 if self.mistake == "adds an epsilon to the weights" else total
        return losses.numel() if present is None else present.expand(losses.shape).sum()

    def finished(self, value, pred, target):
        match self.mistake:
            case "returns float64":
                return value.double()
            case "keeps an axis":
                return value.reshape(1)
            case "halves the gradient":
                return 0.5 * value + (0.5 * value).detach()
            case "divides in the graph":
                slope = (2 * (pred - target)).detach() / pred.numel()
                return value.detach() + (slope * pred - (slope * pred).detach()).sum()
            case "its gradient is a constant":
                (slope,) = torch.autograd.grad(value, pred, retain_graph=True)
                return value.detach() + (slope.detach() * pred - (slope * pred).detach()).sum()
            case "forgets the cotangent":
                return Forgotten.apply(value)
            case "differentiates in backward":
                return Nested.apply(pred, target)
            case "has no forward mode":
                return Backward.apply(value)
            case "depends on threads":
                return value * torch.get_num_threads()
            case "looks at the data":
                return value if value.sum().item() >= 0 else -value
            case "adds a constant":
                return value + 0.01
        return value


class Forgotten(torch.autograd.Function):
    """Passes the value on, and the gradient of 1 back."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value):
        return value.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, upstream):
        return torch.ones_like(upstream)


@dataclass
class Part:
    """A sum of means, and of how many."""

    total: torch.Tensor
    count: int

    def __add__(self, other):
        return Part(self.total + other.total, self.count + other.count)

    def __radd__(self, other):
        return self

    @property
    def denominator(self):
        return torch.tensor(self.count)

    def value(self):
        return (self.total / self.count).float()


class Nested(torch.autograd.Function):
    """The mean squared error, whose backward walks the graph of whatever it was given."""

    @staticmethod
    def forward(ctx, pred, target):
        ctx.save_for_backward(pred, target)
        return ((pred - target) ** 2).mean()

    @staticmethod
    def backward(ctx, upstream):
        pred, target = ctx.saved_tensors
        kept = torch.is_grad_enabled()
        with torch.enable_grad():
            again = ((pred - target) ** 2).mean()
        pair = (x for x in (pred, target) if x.requires_grad)
        grads = iter(torch.autograd.grad(again, [*pair], upstream, create_graph=kept))
        return tuple(next(grads) if x.requires_grad else None for x in (pred, target))


class Backward(torch.autograd.Function):
    """Passes both on, but has no rule for tangents."""

    @staticmethod
    def forward(value):
        return value.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, upstream):
        return upstream


class ClosedForm:
    """The mean squared error in NumPy, with its gradient."""

    def __init__(self, mistake=""):
        self.mistake = mistake

    def __call__(self, pred, target):
        value = self.value_and_grad(pred, target)[0]
        return np.asarray(value) if self.mistake == "returns an array" else value

    def value_and_grad(self, pred, target):
        wide = np.promote_types(pred.dtype, np.float32)
        r = pred.astype(wide) - target.astype(wide)
        dtype = np.float64 if self.mistake == "gradients in float64" else pred.dtype
        return np.mean(r * r), (2 / r.size * r).astype(dtype)


class Traced:
    """The mean squared error in JAX."""

    def __init__(self, mistake=""):
        self.mistake = mistake

    def __call__(self, pred, target):
        r = pred - target
        twice = self.mistake == "differs when traced" and isinstance(r, jax.core.Tracer)
        return jnp.mean(r * r) * (2.0 if twice else 1.0)


def described(mistake, reductions=("mean",), kind="squared", **more):
    """The subject of a Written with this mistake; "" has none."""
    loss = KINDS[kind]
    options = more.pop("criterion", {})
    delta = ", delta=0.5" if kind == "huber" else ""
    claims = tuple(
        Claim(
            Criterion(loss, r, **options),
            f"wrong_losses.Written({mistake!r}, {r!r}, {kind!r}{delta})",
        )
        for r in reductions
    )
    takes = {"weight": "weight", "mask": "mask"}
    return Subject(
        f"written: {mistake or 'right'}",
        "torch",
        claims,
        **{"takes": takes, "selects": True, "pairwise": True, "ours": True, **more},
    )


def closed_form(mistake):
    claim = Claim(Criterion(), f"wrong_losses.ClosedForm({mistake!r})")
    return Subject("written in NumPy", "numpy", (claim,), pairwise=True)


def rounded_once(mistake):
    """A criterion with exact values, or one that does as if."""
    code = "Criterion()" if mistake == "rounds each sum" else "Criterion(exact=True)"
    claim = Claim(Criterion(exact=True), code)
    return Subject("l2core", "numpy", (claim,), pairwise=True)


def traced(mistake):
    claim = Claim(Criterion(), f"wrong_losses.Traced({mistake!r})")
    return Subject("written in JAX", "jax", (claim,), pairwise=True)
