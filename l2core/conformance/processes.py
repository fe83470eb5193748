"""The suite over everything installed: one process a provider and environment, some at a time."""

from __future__ import annotations

import fnmatch
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import import_module
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from l2core.conformance.harness import GROUP as HARNESSES
from l2core.conformance.harness import NUMPY, installed
from l2core.conformance.measure import Measurement, exact_means, measure
from l2core.conformance.runner import Options, Outcome, run
from l2core.conformance.subjects import Subject, dotted_names, providers


@dataclass(frozen=True)
class Selection:
    """What to run: patterns that names must contain or match, None for everything."""

    subject: str | None = None
    check: str | None = None
    backend: str | None = None
    ours: bool = False
    once: bool = False  # each library in one environment, with its first harness alone

    def subjects(self, found: list[Subject]) -> list[Subject]:
        """Those of the wanted name and backend."""
        harness = found[0].harness if found else ""
        return [
            s
            for s in found
            if not (self.once and s.harness != harness)
            and _fits(self.subject, s.name)
            and (self.backend is None or s.harness.startswith(self.backend))
            and (s.ours or not self.ours)
        ]

    def wants(self, check: str) -> bool:
        """Whether a check has the wanted name."""
        return _fits(self.check, check)


def _fits(pattern: str | None, name: str) -> bool:
    return pattern is None or pattern in name or fnmatch.fnmatch(name, pattern)


@dataclass(frozen=True)
class Unit:
    """What one process runs: the subjects of a provider, or those that ``module:attribute`` names.

    A provider is called as its entry point: ``torch``, or ``keras.KERAS_BACKEND.jax``.
    """

    provider: str

    @property
    def library(self) -> str:
        """The framework or library."""
        return self.provider.partition(".")[0]

    @property
    def environment(self) -> dict[str, str]:
        """The variables to be set before the library is imported."""
        parts = self.provider.split(".")
        return {parts[1]: parts[2]} if len(parts) == 3 and ":" not in self.provider else {}

    @property
    def name(self) -> str:
        """For the progress bar."""
        return " on ".join([self.library, *self.environment.values()])


@dataclass
class Found:
    """What a process brings back."""

    subjects: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    error: str = ""

    def add(self, other: Found) -> None:
        """Take in what another process brought back."""
        self.subjects += other.subjects
        self.outcomes += other.outcomes
        self.measurements += other.measurements
        self.versions |= other.versions
        self.error += other.error


def units(selection: Selection) -> list[Unit]:
    """One for each provider, those that take longest first."""
    if selection.subject is not None and ":" in selection.subject:
        return [Unit(selection.subject)]
    families = [point.name for point in installed(HARNESSES)]
    found = [Unit(name) for name in providers()]
    if selection.backend is not None:
        family = next((f for f in families if selection.backend.startswith(f)), NUMPY)
        found = [
            u for u in found if (u.library if u.library in families else NUMPY) == family
        ]  # a library that is no backend computes with NumPy
    if selection.once:
        found.sort(key=lambda unit: unit.environment.items() <= os.environ.items())
        found = list({unit.library: unit for unit in found}.values())
    return sorted(found, key=lambda unit: unit.library not in families)


def load(provider: str) -> list[Subject]:
    """The subjects of a provider, or those that ``module:attribute`` names."""
    if ":" not in provider:
        try:
            return providers()[provider]()
        except ModuleNotFoundError:
            return []  # the library is there, what it is to run on in this process is not
    module, _, attribute = provider.partition(":")
    found = getattr(import_module(module), attribute)
    return [found] if isinstance(found, Subject) else list(found)


def everything(
    selection: Selection,
    options: Options,
    jobs: int,
    progress: Callable[[str, int, int], None],
    measured: bool = True,
) -> Found:
    """Run all units, ``jobs`` at a time; ``progress(unit, done, total)`` is told how far they are."""
    found = Found()
    context = get_context("spawn")  # a fresh interpreter, in which no framework is loaded yet
    largest = 1000 if options.quick else 100_000
    exact = exact_means(largest) if measured else {}
    with context.Manager() as manager:
        queue = manager.Queue()
        with ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=1) as pool:
            pending = {
                pool.submit(run_unit, unit, selection, options, exact, queue)
                for unit in units(selection)
            }
            while pending:
                done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                while not queue.empty():
                    progress(*queue.get())
                for future in done:
                    found.add(future.result())
    return found


def run_unit(
    unit: Unit, selection: Selection, options: Options, exact: dict[int, Fraction], queue: Any
) -> Found:
    """What a process does; whatever is printed in it is shown only if it fails."""
    os.environ.update(unit.environment)
    with tempfile.TemporaryFile("w+") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
        try:
            return _run(unit, selection, options, exact, queue)
        except Exception as error:  # noqa: BLE001  (reported, with what the process printed)
            log.seek(0)
            tail = log.read()[-2000:]
            return Found(error=f"{unit.name}: {type(error).__name__}: {error}\n{tail}\n")


def _run(
    unit: Unit, selection: Selection, options: Options, exact: dict[int, Fraction], queue: Any
) -> Found:
    if ":" in unit.provider:
        subjects = load(unit.provider)
    else:
        subjects = selection.subjects(load(unit.provider))
    found = Found([_described(s) for s in subjects], versions=_versions(subjects))
    total = len(subjects)
    for done, subject in enumerate(subjects):
        queue.put((unit.name, done, total))
        found.outcomes += run([subject], options, selection.wants)
        found.measurements += measure(subject, exact)
    queue.put((unit.name, total, total))
    return found


def _described(subject: Subject) -> dict[str, Any]:
    return {
        "name": subject.name,
        "harness": subject.harness,
        "ours": subject.ours,
        "builtin": subject.builtin,
        "claims": [claim.code for claim in subject.claims],
    }


def _versions(subjects: list[Subject]) -> dict[str, str]:
    """Versions of the distributions that the subjects' code and harnesses name."""
    paths = {path for s in subjects for c in s.claims for path in _names(c.make)}
    roots = {path.partition(".")[0] for path in paths} | {
        s.harness.partition("-")[0] for s in subjects
    }
    known = packages_distributions()
    return {
        known[root][0]: version(known[root][0])
        for root in sorted({*roots, "numpy", "hypothesis"})
        if root in known and find_spec(root) is not None
    }


def _names(make: Any) -> Iterator[str]:
    if isinstance(make, str):
        yield from dotted_names(make)
    else:
        yield str(make.__module__)


def machine() -> dict[str, str]:
    """Where a run took place."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
    return {
        "processor": model or platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "Python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }
