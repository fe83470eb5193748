"""Python threads that share the blocks of one array: NumPy's functions let go of the interpreter.

Each takes the next blocks when it is done with its last, so that one whom the system has put aside
keeps nobody waiting for more than these; one who has not begun is not waited for at all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # half as long an import as that of all the rest of ours
    from concurrent.futures import Future, ThreadPoolExecutor

MOST = 16
"""Threads for one array, which saturate a memory; the interpreter hands few more their next block."""
SLOW = 4e-3
"""Seconds that no usual block takes: somebody else has the processor, or Python (for 5 ms at a time,
``sys.getswitchinterval``)."""
WIDER = 8
"""Times as many blocks are taken after a slow one, since each one may wait again."""

_pool: ThreadPoolExecutor | None = None


class Blocks:
    """The numbers from 0 to n - 1, which threads take from in turn."""

    def __init__(self, work: Callable[[Blocks], None], n: int, widen: bool) -> None:
        self.work: Callable[[Blocks], None] | None = work
        from threading import (
            Lock,  # not above: most of the time that importing this room would take
        )

        self.n, self.widen = n, widen
        self._taken, self._lock = 0, Lock()

    def __iter__(self) -> Iterator[range]:
        """Runs of numbers that nobody else has: of one, and of more after slow ones if they may be."""
        wanted = 1
        while taken := self._take(wanted):
            start = time.perf_counter()
            yield taken
            if self.widen and time.perf_counter() - start > SLOW:
                wanted *= WIDER

    def _take(self, wanted: int) -> range:
        with self._lock:
            start, self._taken = self._taken, min(self._taken + wanted, self.n)
            return range(start, self._taken)

    def run(self) -> None:
        """Work on them, in this thread too."""
        work = self.work  # which may be gone the next moment
        if work is not None:
            work(self)

    def end(self) -> None:
        """Nothing more is to be taken, and no thread that is about to rest holds the arrays."""
        self._taken, self.work = self.n, None


def share(work: Callable[[Blocks], None], n: int, threads: int, widen: bool = False) -> None:
    """Run ``work`` in the caller's thread and, if that is more than one, in others beside it.

    It takes blocks from what it is given until there are no more. ``widen`` says whether it may be
    given several in a row.
    """
    blocks = Blocks(work, n, widen)
    others = _started(blocks, min(threads, n, MOST) - 1)
    try:
        blocks.run()
    finally:
        blocks.end()
        for other in others:
            if not other.cancel():
                other.result()


def _started(blocks: Blocks, wanted: int) -> list[Future[Any]]:
    global _pool
    started: list[Future[Any]] = []
    if wanted < 1:
        return started
    if _pool is None:
        from concurrent.futures import ThreadPoolExecutor

        _pool = ThreadPoolExecutor(MOST - 1, "l2core")
    try:
        for _ in range(wanted):
            started.append(_pool.submit(blocks.run))
    except RuntimeError:  # the interpreter is about to end, or the system has no more threads
        pass
    return started


def _forget() -> None:
    """A forked process has none of its parent's threads."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
