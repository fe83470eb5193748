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


def recording() -> bool:
    """Whether what runs is written down for other inputs, whose gradients may be wanted."""
    if torch.compiler.is_compiling():  # torch.compile asks again for other inputs
        return is_exporting()
    return is_tracing() or dispatch_modes() > 0


def forward_mode() -> bool:
    """Whether forward mode may be at work; in doubt yes."""
    return _forward_level is None or forward_ad._current_level >= 0


def _public_mse_loss(pred: Any, target: Any, reduction: int) -> Any:
    name = ("none", "mean", "sum")[reduction]
    return torch.nn.functional.mse_loss(pred, target, reduction=name)


mse_loss: Callable[[Any, Any, int], Any] = found("_C._nn.mse_loss", _public_mse_loss)
"""The squared error, 0, 1, 2 being none, mean, sum, without the look at broadcasts of F.mse_loss."""
