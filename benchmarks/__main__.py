"""``python -m benchmarks``: every framework in a process of its own, one table, JSON, a plot."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks import floor
from benchmarks.bars import BARS, LARGE, MIDDLE
from benchmarks.measure import ALLOCATOR, SIZES, Row, machine
from benchmarks.report import check, console, markdown, plot, table

# What people run comes first: threads that no core holds, the system's allocator. Then PyTorch's bound
# to cores (other frameworks have threads of their own, which would inherit the first one's core), and
# with an allocator that keeps what it has.
BOUND = {"OMP_PROC_BIND": "true", "OMP_PLACES": "cores"}
SETTINGS = {"default": {}, "bound": BOUND, "no faults": BOUND | ALLOCATOR}
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
SCRIPTS = {
    "torch": [("torch", {}, setting) for setting in SETTINGS],
    "busy": [("busy", {}, "default")],
    "training": [("training", {}, "default")],
    "numpy": [("numpy", {}, "default")],
    "jax": [("jax", {}, "default"), ("jax", {"JAX_ENABLE_X64": "1"}, "default")],
    "tensorflow": [("tensorflow", {}, "default")],
    "keras": [
        ("keras", {"KERAS_BACKEND": name}, "default") for name in ("tensorflow", "jax", "torch")
    ],
}


def run(
    name: str, environment: dict[str, str], setting: str, sizes: list[float], seconds: float
) -> list[Row]:
    """The rows of one script; no run keeps more than one size of its inputs in memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        command = [sys.executable, "-m", f"benchmarks.bench_{name}", "--json", str(path)]
        subprocess.run(
            [*command, "--seconds", str(seconds), "--sizes", *map(str, sizes)],
            env=os.environ | QUIET | SETTINGS[setting] | environment | {"BENCH_SETTING": setting},
            check=True,
        )
        return [Row(**json.loads(line)) for line in path.read_text().splitlines()]


def sizes_for(name: str, setting: str, wanted: list[float] | None, check: bool) -> list[float]:
    """All of them; to check, those of the bars; in other settings than the default at most LARGE."""
    if name == "training":
        return [1]  # its tasks have their own
    if name == "busy":
        return wanted or [MIDDLE, LARGE]
    meant = [
        n
        for bar in BARS
        for n in bar.sizes
        if bar.setting == setting and bar.framework.partition("-")[0] == name
    ]
    if setting != "default":
        return wanted or sorted(set(meant))
    return wanted or (sorted(set(meant)) if check else list(SIZES))


def imports(rounds: int = 15) -> Row:
    """Seconds to import l2core and NumPy, each in new processes, in turn."""
    code = "import time; a = time.perf_counter(); import {}; print(time.perf_counter() - a)"
    # As pip installs them: byte-compiled, which a checkout is after its first import.
    compiled = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    seen: dict[str, list[float]] = {"ours": [], "numpy": []}
    for i in range(rounds + 1):
        for name, module in (("ours", "l2core"), ("numpy", "numpy")):
            command = [sys.executable, "-c", code.format(module)]
            done = subprocess.run(command, capture_output=True, check=True, env=compiled)
            if i:
                seen[name].append(float(done.stdout))
    ratios = [a / b for a, b in zip(seen["ours"], seen["numpy"], strict=True)]
    seconds = {name: statistics.median(x) for name, x in seen.items()}
    ratios = {"ours": 1.0, "numpy": statistics.median(ratios)}
    return Row("import", "f", "unweighted", "float32", 1, "default", seconds, {}, ratios)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=list(SCRIPTS))
    parser.add_argument("--sizes", nargs="+", type=float, help="all; with --check the bars' alone")
    parser.add_argument("--seconds", type=float, default=1.5, help="for a comparison")
    parser.add_argument("--runs", type=int, default=1, help="of everything; medians are shown")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--plot", type=Path, default=Path("build/speed.png"))
    parser.add_argument("--check", action="store_true", help="compare with the bars; exit 1 if not")
    parser.add_argument("--markdown", action="store_true", help="the tables of docs/speed.md")
    parser.add_argument("--from", dest="source", type=Path, help="show the rows of this JSON again")
    arguments = parser.parse_args()
    if arguments.source:
        found = json.loads(arguments.source.read_text())
        rows, about = [Row(**row) for row in found["rows"]], found["machine"]
    else:
        about, rows = machine(), []
        for _ in range(arguments.runs):
            rows.append(imports())
            for name in arguments.only:
                for script, environment, setting in SCRIPTS[name]:
                    sizes = sizes_for(script, setting, arguments.sizes, arguments.check)
                    rows += run(script, environment, setting, sizes, arguments.seconds)
        about["load at the end"] = round(os.getloadavg()[0], 2)
        about["floor"] = floor.kind()
        about["bound"] = ", ".join(f"{k}={v}" for k, v in BOUND.items())
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(
            json.dumps({"machine": about, "rows": [asdict(row) for row in rows]}, indent=1)
        )
    console.print(", ".join(f"{key} {value}" for key, value in about.items()))
    if arguments.markdown:
        print(markdown(rows))
        return
    console.print(table(rows))
    plotted = {row.n for row in rows if row.n > 1} >= set(SIZES[:-1])
    if plotted and all(name in arguments.only for name in ("torch", "numpy", "jax", "keras")):
        arguments.plot.parent.mkdir(parents=True, exist_ok=True)
        plot(rows, arguments.plot)
        console.print(f"Plot: {arguments.plot}")
    if arguments.check and not check(rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
