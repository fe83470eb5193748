"""Memory of large gradients that is kept for the next one of its size.

The first touch of fresh pages costs more than the whole pass that fills them. One place is kept,
once nobody holds the gradient in it any more.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

LEAST = 1 << 20
"""Bytes from which a place is worth keeping."""
_limit = 1 << 29
_kept: dict[int, np.ndarray[Any, np.dtype[np.uint8]]] = {}


def keep_memory(limit: int) -> None:
    """Keep at most so many bytes between calls (512 MiB, unless this is called); 0 keeps none.

    What is kept beyond that is freed. TypeError or ValueError unless it is an int >= 0.
    """
    global _limit
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"limit: expected an int, in bytes, got {limit!r}")
    if limit < 0:
        raise ValueError(f"limit: expected at least 0 bytes, got {limit!r}")
    _limit = limit
    if kept_memory() > limit:
        free_memory()


def kept_memory() -> int:
    """The bytes that are kept now, and that nothing uses."""
    return sum(list(_kept))


def free_memory() -> None:
    """Give what is kept back to the system."""
    _kept.clear()


def place(size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """So many bytes: those that were kept, or new ones. They are kept once nobody holds them."""
    if size < LEAST:
        return np.empty(size, np.uint8)
    memory: Any = _kept.pop(size, None)  # one step, also where threads run at once
    if memory is None:  # NumPy asks for huge pages, whose first touch costs less than small ones'
        memory = np.empty(size, np.uint8)
    # Through a buffer: of a view of an array, further views hold the array alone, not that view.
    array = np.frombuffer(memoryview(memory), np.uint8)
    weakref.finalize(array, _keep, memory).atexit = False
    return array


def _keep(memory: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    if memory.size <= _limit:
        _kept.clear()
        _kept[memory.size] = memory
