"""Python threads that share the blocks of one array: NumPy's functions let go of the interpreter.

Each takes the next blocks when it is done with its last, so that one whom the system has put aside
keeps nobody waiting for more than these; one who has not begun is not waited for at all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # half as long an import as that of all the rest of ours
    from concurrent.futures import ThreadPoolExecutor

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
        from threading import (
            Condition,  # not above: most of the time that importing this would take
        )

        self.n, self.widen = n, widen
        self.error: BaseException | None = None
        self._work: Callable[[Blocks], None] | None = work
        self._taken, self._helping, self._state = 0, 0, Condition()

    def __iter__(self) -> Iterator[range]:
        """Runs of numbers that nobody else has: of one, and of more after slow ones if they may be."""
        wanted = 1
        while taken := self._take(wanted):
            start = time.perf_counter()
            yield taken
            if self.widen and time.perf_counter() - start > SLOW:
                wanted *= WIDER

    def _take(self, wanted: int) -> range:
        with self._state:
            start, self._taken = self._taken, min(self._taken + wanted, self.n)
            return range(start, self._taken)

    def help(self) -> None:
        """Work on them in another thread, unless that has ended."""
        with self._state:
            work = self._work
            self._helping += work is not None
        if work is None:
            return
        try:
            work(self)
        except BaseException as error:  # noqa: BLE001 (the caller's to raise)
            self.error = error
        finally:
            work = None  # who rests holds no arrays
            with self._state:
                self._helping -= 1
                self._state.notify_all()

    def end(self) -> None:
        """Let nobody begin any more, and wait for those who have."""
        with self._state:
            self._taken, self._work = self.n, None
            while self._helping:
                self._state.wait()


def share(work: Callable[[Blocks], None], n: int, threads: int, widen: bool = False) -> None:
    """Run ``work`` in the caller's thread and, if that is more than one, in others beside it.

    It takes blocks from what it is given until there are no more. ``widen`` says whether it may be
    given several in a row.
    """
    blocks = Blocks(work, n, widen)
    _call(blocks, min(threads, n, MOST, _cores()) - 1)
    try:
        work(blocks)
    finally:
        blocks.end()
    if blocks.error is not None:
        raise blocks.error


def _cores() -> int:
    """Cores that the caller's thread may run on, which those that it starts inherit: one if it is
    bound (OMP_PROC_BIND), where a helper would only take its time."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _call(blocks: Blocks, helpers: int) -> None:
    """Ask so many threads to help, as far as there are any."""
    global _pool
    if helpers < 1:
        return
    if _pool is None:
        from concurrent.futures import ThreadPoolExecutor

        _pool = ThreadPoolExecutor(MOST - 1, "l2core")
    with suppress(RuntimeError):  # the interpreter is about to end, or the system has no more
        for _ in range(helpers):
            _pool.submit(blocks.help)


def _forget() -> None:
    """A forked process has none of its parent's threads."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
