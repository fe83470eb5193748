"""PyTorch's memory as NumPy's, for one pass over it; bfloat16, which NumPy lacks, by its bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from l2core.onepass import Operands


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
        return np.left_shift(x, 16, dtype=np.uint32).view(np.float32)

    def write(self, block: tuple[slice, slice], grad: np.ndarray[Any, Any]) -> None:
        """The nearest bfloat16, the even one at ties, of numbers of which none is NaN."""
        if "grad" not in self.halves:
            super().write(block, grad)
            return
        bits = grad.astype(np.float32, copy=False).view(np.uint32)
        odd = (bits >> 16) & 1
        odd += 0x7FFF
        odd += bits
        np.right_shift(odd, 16, out=self.arrays["grad"][block], dtype=np.uint32, casting="unsafe")
