"""How a benchmark measures: interleaved, by medians, with peak memory; and on what machine."""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

SIZES = (32, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
BYTES_AN_ELEMENT = 40
"""What the hungriest contender holds: pred, target, weight, their squares, products, gradients."""
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
"""glibc keeps what it has: no page faults after the first call."""


@dataclass
class Task:
    """Calls that do the same; "ours", "built-in", "hand" and "floor" are their usual names."""

    framework: str
    what: str  # "f" or "f+g"
    variant: str
    dtype: str
    n: int
    calls: dict[str, Callable[[], object]]
    forget: Callable[[], object] = gc.collect
    """Gives back what ours keeps from call to call, so that the memory of a call counts it."""
    setting: str = field(default_factory=lambda: os.environ.get("BENCH_SETTING", "default"))
    """"default" is what people run: threads that no core holds, the system's allocator."""
    single: int = 0
    """So many rounds of single calls, of which the worst counts; 0: as many as the time allows."""


@dataclass
class Row:
    """What came of a task."""

    framework: str
    what: str
    variant: str
    dtype: str
    n: int
    setting: str
    seconds: dict[str, float] = field(default_factory=dict)
    """Median of a call, by contender."""
    worst: dict[str, float] = field(default_factory=dict)
    """The slowest of single calls, where those were timed."""
    ratios: dict[str, float] = field(default_factory=dict)
    """Median over rounds of ours / contender, both of one round."""
    extra_bytes: dict[str, float] = field(default_factory=dict)
    """Peak resident memory that a call adds, in bytes an element."""


def sizes(wanted: Iterable[float]) -> list[int]:
    """Those for which the machine has memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return [int(n) for n in wanted if n * BYTES_AN_ELEMENT < 0.6 * memory]


def interleaved(
    calls: dict[str, Callable[[], object]], seconds: float, least: int = 7, single: int = 0
) -> list[dict[str, float]]:
    """Rounds of all calls in random order, at least so many, each the seconds of one call; or so many
    rounds of single calls."""
    order, once = list(calls), {}
    for name in order:
        calls[name]()  # warm: thread pools, caches of compiled code, pages
        start = time.perf_counter()
        calls[name]()
        once[name] = time.perf_counter() - start
    length = 0.0 if single else 1e-3
    times = {name: min(2000, max(1, round(length / once[name]))) for name in order}
    spent = sum(times[name] * once[name] for name in order)
    shuffle, rounds = random.Random(0).shuffle, []
    for _ in range(single or min(101, max(least, round(seconds / spent)))):
        shuffle(order)
        seen = {}
        for name in order:
            call, repeats = calls[name], range(times[name])
            start = time.perf_counter()
            for _ in repeats:
                call()
            seen[name] = (time.perf_counter() - start) / times[name]
        rounds.append(seen)
    return rounds


def extra_bytes(
    call: Callable[[], object], forget: Callable[[], object] = gc.collect
) -> float | None:
    """How far a call, once warm, raises the peak of resident memory; None where that is not told."""
    peak = Path("/proc/self/clear_refs")
    if not peak.exists():
        return None
    call()
    forget()
    gc.collect()
    peak.write_text("5")  # the peak is what is resident now
    before = _status("VmHWM")
    result = call()
    after = _status("VmHWM")
    del result
    return float(after - before)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(name)))


def measured(task: Task, seconds: float) -> Row:
    gc.collect()
    gc.disable()
    # Where bars are, medians of enough: page faults make single calls differ by half.
    least = 7 if task.n > 10_000_000 else 21
    rounds = interleaved(task.calls, seconds, least, task.single)
    gc.enable()
    row = Row(task.framework, task.what, task.variant, task.dtype, task.n, task.setting)
    for name in task.calls:
        row.seconds[name] = statistics.median(seen[name] for seen in rounds)
        row.ratios[name] = statistics.median(seen["ours"] / seen[name] for seen in rounds)
        if task.single:
            row.worst[name] = max(seen[name] for seen in rounds)
    # Only where arrays come from the system and go back to it.
    if task.n == 10_000_000 and row.setting == "default":
        for name, call in task.calls.items():
            extra = extra_bytes(call, task.forget)
            if extra is not None:
                row.extra_bytes[name] = extra / task.n
    return row


def machine() -> dict[str, object]:
    """What the figures depend on."""
    packages = ("l2core", "numpy", "torch", "jax", "tensorflow", "keras", "optax")
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        cpu = found[0].partition(":")[2].strip() if found else cpu
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
        **{name: version(name) for name in packages},
    }


def main(tasks: Callable[[list[int]], Iterable[Task]]) -> None:
    """The command line of one framework's script: rows as JSON, one a line, and progress."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", nargs="+", type=float, default=SIZES)
    parser.add_argument("--seconds", type=float, default=1.5, help="for a comparison")
    parser.add_argument("--json", type=Path, help="instead of standard output")
    arguments = parser.parse_args()
    # A fault of a page counts: nothing may be left of an earlier size.
    lines = []
    for task in tasks(sizes(arguments.sizes)):
        row = measured(task, arguments.seconds)
        lines.append(json.dumps(asdict(row)))
        named = ", ".join(f"{name} {1e6 * x:.4g}" for name, x in row.seconds.items())
        title = f"{row.framework} {row.what} {row.variant} {row.dtype} n={row.n:.0e}"
        print(f"{title} [{row.setting}]  µs: {named}", file=sys.stderr, flush=True)
    text = "\n".join(lines) + "\n"
    if arguments.json:
        arguments.json.write_text(text)
    else:
        print(text, end="")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.1f} GiB", file=sys.stderr)
