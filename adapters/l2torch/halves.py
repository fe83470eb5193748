"""PyTorch's memory as NumPy's, for one pass over it; bfloat16, which NumPy lacks, by its bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from l2core.onepass import Operands

GRAIN = 1 << 15
"""Elements up to which an operator of PyTorch stays in the thread that calls it."""


def host(x: Tensor) -> np.ndarray[Any, Any]:
    """The array in the same memory; that of a bfloat16 holds its bits."""
    x = x.detach()
    if x.dtype is torch.bfloat16:
        return x.view(torch.int16).numpy().view(np.uint16)
    return x.numpy()


class HalfOperands(Operands):
    """Those of which some, by name, are the bits of bfloat16: the upper half of a float32's."""

    def __init__(self, halves: frozenset[str], *given: Any) -> None:
        super().__init__(*given)
        self.halves = halves
        self.inside = self.inside and "grad" not in halves

    def read(self, name: str, block: tuple[slice, slice]) -> Any:
        """See :class:`l2core.onepass.Operands`."""
        x = super().read(name, block)
        if x is None or name not in self.halves:
            return x
        bits = x.astype(np.uint32)
        bits <<= 16
        return bits.view(np.float32)

    def write(self, block: tuple[slice, slice], grad: np.ndarray[Any, Any]) -> None:
        """See :class:`l2core.onepass.Operands`; rounded by PyTorch, which has an instruction for it."""
        if "grad" not in self.halves:
            super().write(block, grad)
            return
        place = torch.from_numpy(self.arrays["grad"][block].reshape(-1).view(np.int16))
        places, parts = place.view(torch.bfloat16), torch.from_numpy(grad.reshape(-1))
        for i in range(0, len(parts), GRAIN):
            places[i : i + GRAIN].copy_(parts[i : i + GRAIN])
