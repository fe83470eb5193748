"""What the conformance checks judge in PyTorch: ours, PyTorch's own losses, torchmetrics'."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import torch

from l2core import (
    AbsoluteError,
    Criterion,
    GaussianNLL,
    Huber,
    LogCosh,
    Loss,
    Quantile,
    SmoothL1,
    SquaredError,
)
from l2core.conformance.case import Case
from l2core.conformance.subjects import Claim, Subject, of_ours

REDUCTIONS = ("mean", "sum", "none")
MODULES: dict[str, dict[str, Loss]] = {
    "MSELoss": {"": SquaredError()},
    "L1Loss": {"": AbsoluteError()},
    "HuberLoss": {"": Huber(), "delta=0.5": Huber(0.5)},
    "SmoothL1Loss": {"": SmoothL1(), "beta=0.25": SmoothL1(0.25)},
    "GaussianNLLLoss": {"": GaussianNLL(), "full=True": GaussianNLL(full=True)},
}
MORE: dict[str, dict[str, Loss]] = {
    "LogCoshLoss": {"": LogCosh()},
    "QuantileLoss": {"q=0.9": Quantile(0.9)},
}
REFUSES = {"HuberLoss": ("delta=-1.0", "delta=0.0"), "SmoothL1Loss": ("beta=-1.0",)}
SHAPE = 'its documentation says "Target: (*), same shape as the input"'
PARAMETER = 'its documentation says "The value must be positive"'
FUNCTIONS = {"mse_loss": SquaredError(), "l1_loss": AbsoluteError(), "huber_loss": Huber()}


def subjects() -> list[Subject]:
    """Ours, again where there is CUDA; PyTorch's; torchmetrics' if it is installed."""
    ours = [of_ours("l2torch", "torch", "l2torch.Criterion")]
    ours += [_ours(name, losses) for name, losses in {**MODULES, **MORE}.items()]
    theirs = [_theirs(name, losses) for name, losses in MODULES.items()]
    theirs += [_function(name, loss) for name, loss in FUNCTIONS.items()]
    if torch.cuda.is_available():
        ours += [replace(x, name=f"{x.name} on CUDA", harness="torch-cuda") for x in ours]
    return [*ours, *theirs, *(_metrics() if find_spec("torchmetrics") is not None else [])]


def _module(path: str, losses: dict[str, Loss], **description: Any) -> Subject:
    name = path.rpartition(".")[2]

    def made(parameters: str, reduction: str) -> str:
        return f"{path}({', '.join(x for x in (parameters, f'reduction={reduction!r}') if x)})"

    claims = tuple(
        Claim(Criterion(x, r), made(p, r)) for p, x in losses.items() for r in REDUCTIONS
    )
    refuses = (made("", "Mean"), *(f"{path}({x})" for x in REFUSES.get(name, ())))
    return Subject(path, "torch", claims, refuses=refuses, **description)


def _ours(name: str, losses: dict[str, Loss]) -> Subject:
    takes = {"weight": "weight", "mask": "mask"}
    if name == "GaussianNLLLoss":
        takes["variance"] = "var"
    own = {"takes": takes, "selects": True, "pairwise": True, "ours": True}
    return _module(f"l2torch.{name}", losses, **own)


def _theirs(name: str, losses: dict[str, Loss]) -> Subject:
    takes = {"variance": "var"} if name == "GaussianNLLLoss" else {}
    implies = {"semantics/unequal-shapes": SHAPE}
    conventions = {}
    if name == "GaussianNLLLoss":
        implies = {}
        conventions["semantics/unequal-shapes"] = (
            'its documentation allows the target "one dimension equal to 1"'
        )
    own = {"takes": takes, "halves": "same", "builtin": True}
    return _module(f"torch.nn.{name}", losses, implies=implies, conventions=conventions, **own)


def count(case: Case) -> float:
    """The number of elements."""
    return float(case.pred.size)


def _function(name: str, loss: Loss) -> Subject:
    """A function with its argument weight; only huber_loss divides by the number of elements."""
    divisor = count if name == "huber_loss" else None
    claims = tuple(
        Claim(
            Criterion(loss, r),
            f"functools.partial(torch.nn.functional.{name}, reduction={r!r})",
            divisor if r == "mean" else None,
        )
        for r in REDUCTIONS
    )
    conventions = {}
    if divisor is not None:
        conventions["semantics/weighted-mean"] = (
            'its documentation says "the mean of the output is taken": it divides by N'
        )
    return Subject(
        f"F.{name}(weight=)",
        "torch",
        claims,
        takes={"weight": "weight"},
        weights=("element",),
        halves="same",
        builtin=True,
        implies={"semantics/unequal-shapes": SHAPE},
        conventions=conventions,
    )


def _metrics() -> list[Subject]:
    own: dict[str, Any] = {"halves": "same", "builtin": True}
    functional = "torchmetrics.functional"
    mse, root = Criterion(SquaredError()), Criterion(SquaredError(), "root_mean")
    return [
        Subject(
            "torchmetrics mean_squared_error",
            "torch",
            (
                Claim(mse, f"{functional}.mean_squared_error"),
                Claim(root, f"functools.partial({functional}.mean_squared_error, squared=False)"),
            ),
            **own,
        ),
        Subject(
            "torchmetrics MeanSquaredError",
            "torch",
            (Claim(mse, "torchmetrics.MeanSquaredError()"),),
            **own,
            dtypes=("float32",),
            differentiable=False,
        ),
        Subject(
            "torchmetrics log_cosh_error",
            "torch",
            (Claim(Criterion(LogCosh()), f"{functional}.log_cosh_error"),),
            ndims=(1,),
            **own,
        ),
    ]
