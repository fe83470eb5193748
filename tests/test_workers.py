"""Threads that share the blocks of one array, where processes fork and end, and where they wait."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from l2core import Criterion, Huber, onepass, workers
from l2core.onepass import Operands, one_pass, rule
from paths import every_size_is_large


@pytest.fixture(autouse=True)
def many_cores(monkeypatch):
    """On any machine."""
    monkeypatch.setattr(workers, "_cores", lambda: 99)


@pytest.mark.parametrize("cores", [1, 3])
def test_no_more_than_the_cores_that_a_bound_thread_has(cores, monkeypatch):
    monkeypatch.setattr(workers, "_cores", lambda: cores)
    assert len(taken(8, wait=1e-3)) == cores


def taken(threads, n=100, widen=False, wait=0.0):
    """What each thread was given, by its name."""
    seen = {}

    def work(blocks):
        for run in blocks:
            seen.setdefault(threading.current_thread().name, []).append(run)
            time.sleep(wait)

    workers.share(work, n, threads, widen)
    return seen


@pytest.mark.parametrize("threads", [1, 2, 7, 100])
@pytest.mark.parametrize("n", [1, 3, 100])
def test_each_block_is_taken_once(threads, n):
    seen = taken(threads, n)
    assert sorted(i for runs in seen.values() for run in runs for i in run) == list(range(n))
    assert len(seen) <= min(threads, n, workers.MOST)


def test_others_help_and_are_the_same_ones():
    before = threading.active_count()
    seen = taken(2, wait=1e-3)
    assert len(seen) == 2
    names = set(seen)
    for _ in range(5):
        names |= set(taken(2, wait=1e-3))
    assert len(names) <= workers.MOST
    assert threading.active_count() <= before + workers.MOST


def test_who_has_been_kept_waiting_takes_more():
    (runs,) = taken(1, 100, widen=True, wait=2 * workers.SLOW).values()
    assert [len(run) for run in runs] == [1, 8, 64, 27]
    (runs,) = taken(1, 3, widen=False, wait=2 * workers.SLOW).values()
    assert [len(run) for run in runs] == [1, 1, 1]


@pytest.mark.parametrize("where", ["MainThread", "l2core"])
def test_an_error_ends_the_work_of_all(where):
    started = threading.Barrier(2)

    def work(blocks):
        started.wait(10)
        for _ in blocks:
            if threading.current_thread().name.startswith(where):
                raise ZeroDivisionError
            time.sleep(1e-3)

    with pytest.raises(ZeroDivisionError):
        workers.share(work, 10_000 if where == "MainThread" else 50, 2)


def test_nobody_holds_the_work_when_it_is_done():
    class Array:
        """Something that can be watched."""

    import weakref

    for _ in range(20):
        array = Array()

        def work(blocks, array=array):
            for _ in blocks:
                time.sleep(1e-4)

        workers.share(work, 8, 3)
        watched = weakref.ref(array)
        del array, work
        assert watched() is None


def operands(n, rows, dtype="float32"):
    rng = np.random.default_rng(3)
    p, t = rng.standard_normal((2, n)).astype(dtype)
    weight = rng.random(rows if rows > 1 else n).astype(dtype)
    return p.reshape(rows, -1), t.reshape(rows, -1), weight


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 60])
@pytest.mark.parametrize("loss", [Criterion().loss, Huber(0.4)], ids=repr)
def test_the_sum_does_not_depend_on_threads_nor_on_waiting(loss, rows, dtype, monkeypatch):
    p, t, weight = operands(60 * 1001, rows, dtype)

    def result(threads):
        grad = np.full_like(p, np.nan)
        given = Operands(p, t, weight, None, grad, p.dtype)
        total = one_pass(rule(loss), given, p.dtype.type(0.3), threads)
        return total, grad.tobytes()

    with every_size_is_large():
        expected = result(1)
        assert all(result(threads) == expected for threads in (2, 3, 8))
        monkeypatch.setattr(workers, "SLOW", 0.0)
        assert all(result(threads) == expected for threads in (1, 3))


def test_calls_of_several_threads_at_once():
    p, t, weight = operands(60 * 1001, 1)
    rules, found = rule(Huber(0.4)), []

    def call():
        for _ in range(10):
            grad = np.empty_like(p)
            given = Operands(p, t, weight, None, grad, p.dtype)
            found.append((one_pass(rules, given, p.dtype.type(0.3), 3), grad.tobytes()))

    with every_size_is_large():
        callers = [threading.Thread(target=call) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert len(found) == 40
    assert len(set(found)) == 1


SETUP = """
import atexit, os, sys, threading
import numpy as np
from l2core import onepass
from l2core.losses import SquaredError
onepass.EACH = 1
from l2core import workers
workers._cores = lambda: 99
n = 8 * onepass.BLOCK
p, t = np.full(n, 3, "f4"), np.ones(n, "f4")

def total():
    given = onepass.Operands(p, t, None, None, None, p.dtype)
    return onepass.one_pass(onepass.rule(SquaredError()), given, None, 4)

assert total() == 4 * n
"""


def run(script):
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SETUP + script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_a_forked_process_has_threads_of_its_own():
    run("""
for _ in range(3):
    child = os.fork()
    if child == 0:
        alone = threading.active_count() == 1
        os._exit(0 if alone and total() == 4 * n and threading.active_count() > 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
assert total() == 4 * n
""")


def test_the_end_of_the_interpreter_waits_for_nobody():
    assert run("atexit.register(lambda: print(total() == 4 * n, flush=True))\n") == "True\n"
    assert (
        run("threading._register_atexit(lambda: print(total() == 4 * n, flush=True))\n") == "True\n"
    )
    thread = "threading.Thread(target=lambda: print(total() == 4 * n, flush=True)).start()\n"
    assert run(thread) == "True\n"


def test_a_system_without_more_threads():
    run("""
def refused(*_):
    raise RuntimeError("can't start new thread")

from l2core import workers
workers._pool = None
threading.Thread.start = refused
assert total() == 4 * n
""")


def test_pytorch_says_how_many(monkeypatch):
    torch = pytest.importorskip("torch")
    import l2torch

    asked = []
    share = workers.share

    def watched(work, n, threads, widen):
        asked.append(threads)
        share(work, n, threads, widen)

    monkeypatch.setattr(onepass, "share", watched)
    before = torch.get_num_threads()
    x = torch.ones(9_000_000)
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            assert l2torch.MSELoss()(x, 3 * x) == 4
    finally:
        torch.set_num_threads(before)
    assert asked == [1, 2]


def test_a_helper_who_begins_late_does_nothing():
    worked = []
    blocks = workers.Blocks(lambda blocks: worked.extend(blocks), 5, False)
    blocks.end()
    blocks.help()
    assert worked == []


def test_the_caller_waits_for_who_has_begun():
    begun, let = threading.Event(), threading.Event()
    done = []

    def work(blocks):
        if threading.current_thread() is helper:
            for run in blocks:
                begun.set()
                let.wait(10)
                done.append(run)

    blocks = workers.Blocks(work, 5, False)
    helper = threading.Thread(target=blocks.help)
    helper.start()
    begun.wait(10)
    threading.Timer(0.05, let.set).start()
    blocks.end()
    assert len(done) == 1
    helper.join()
