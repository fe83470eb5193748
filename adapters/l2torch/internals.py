"""PyTorch's private names that we use: all of them, each with what serves where it has moved.

Without one, a slower public call or the plain path gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

import torch
from torch.autograd import forward_ad

MISSING: list[str] = []
"""The names that this PyTorch does not have."""


def found(path: str, instead: Any) -> Any:
    """What has this dotted path below torch, or else ``instead``."""
    here: Any = torch
    for name in path.split("."):
        if not hasattr(here, name):
            MISSING.append(path)
            return instead
        here = getattr(here, name)
    return here


def _always(*_: Any) -> bool:
    return True


transforms_active: Callable[[], bool] = found("_C._are_functorch_transforms_active", _always)
"""Whether a transform of torch.func is at work; in doubt yes, which leads to the plain path."""

is_tracing: Callable[[], bool] = found("_C._is_tracing", torch.jit.is_tracing)  # type: ignore[attr-defined]
"""See :func:`tracing`; not for code that Dynamo meets."""

is_exporting: Callable[[], bool] = found("compiler.is_exporting", torch.compiler.is_compiling)
"""Whether torch.export is at work; before it could be asked, in doubt whether any compiler is."""

dispatch_modes: Callable[[], int] = found("_C._len_torch_dispatch_stack", lambda: 1)
"""How many modes watch every operation; in doubt one."""

legacy_batched: Callable[[Any], bool] = found("_C._functorch.is_legacy_batchedtensor", _always)
"""Whether a tensor stands for several, under is_grads_batched; in doubt yes."""

forward_grad_enabled: Any = found("autograd.forward_ad._set_fwd_grad_enabled", None)
"""A context in which forward mode is on or off; None: rho is then an expression under transforms."""

register_pytree_node: Any = found("utils._pytree.register_pytree_node", None)
"""None: terms do not pass torch.func and torch.export."""

unwrapped: Any = found("_functorch.utils.unwrap_dead_wrappers", None)
"""With which Function.apply begins; None: it is called whole."""

all_reduce_node: Any = None
"""An all-reduce as a node of a compiler's graph, once it was asked for; None: the compiler makes its
own of the public one, or ends the graph there."""


def load_all_reduce_node() -> None:
    """Import it, which takes a while, for those who have ranks."""
    global all_reduce_node
    if all_reduce_node is None:
        with suppress(ImportError):
            import_module("torch.distributed._functional_collectives")
        all_reduce_node = found("distributed._functional_collectives.all_reduce", None)


_forward_level = found("autograd.forward_ad._current_level", None)


def tracing() -> bool:
    """Whether torch.jit.trace is at work, which keeps whatever Python decides."""
    return not torch.compiler.is_compiling() and is_tracing()


def exporting() -> bool:
    """Whether what runs is written down for another place."""
    return is_exporting() if torch.compiler.is_compiling() else is_tracing()


def recording() -> bool:
    """Whether what runs is written down for other inputs, whose gradients may be wanted."""
    if torch.compiler.is_compiling():  # torch.compile asks again for other inputs
        return is_exporting()
    return is_tracing() or dispatch_modes() > 0


def forward_mode() -> bool:
    """Whether forward mode may be at work; in doubt yes."""
    return _forward_level is None or forward_ad._current_level >= 0


def _public(name: str, *parameters: str) -> Callable[..., Any]:
    """The public function of a loss, called as the one below it: (pred, target, reduction, delta)."""
    public = getattr(torch.nn.functional, name)

    def called(pred: Any, target: Any, reduction: int, *given: float) -> Any:
        named = dict(zip(parameters, given, strict=True))
        return public(pred, target, reduction=("none", "mean", "sum")[reduction], **named)

    return called


# The reduction is 0, 1, 2 for none, mean, sum; without the look at broadcasts of the public ones.
mse_loss: Callable[..., Any] = found("_C._nn.mse_loss", _public("mse_loss"))
l1_loss: Callable[..., Any] = found("_C._nn.l1_loss", _public("l1_loss"))
huber_loss: Callable[..., Any] = found("_C._nn.huber_loss", _public("huber_loss", "delta"))
smooth_l1_loss: Callable[..., Any] = found(
    "_C._nn.smooth_l1_loss", _public("smooth_l1_loss", "beta")
)


def saved_residual(node: Any) -> Any:
    """What the node of a sign has kept, below that of its product with an upstream gradient."""
    for below, _ in getattr(node, "next_functions", ()):
        if below is not None and below.name() == "SgnBackward0":
            return getattr(below, "_saved_self", None)
    return None


def saved_pair(node: Any) -> tuple[Any, Any] | None:
    """What a node of a loss's graph, or of its gradient's, has kept: pred and target."""
    try:
        return node._saved_self, node._saved_target
    except AttributeError:
        return None
