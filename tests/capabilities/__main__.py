"""Print the tables of capabilities; each framework is tried in its own process.

python tests/capabilities
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track

Row = tuple[str, bool, bool]
KERAS_BACKENDS = {"TensorFlow": "tensorflow", "JAX": "jax", "torch": "torch"}
FRAMEWORKS = {
    "PyTorch": ("torch_rows", "l2torch", "built-in"),
    "JAX": ("jax_rows", "l2jax", "optax and jax.numpy"),
    "Keras": ("keras_rows", "l2keras", "built-in"),
}


def tried(module: str, keras_backend: str = "tensorflow") -> list[Row]:
    code = f"import json, {module}; print('ROWS' + json.dumps({module}.rows()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env=os.environ | {"KERAS_BACKEND": keras_backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{module} on {keras_backend}: {done.stderr}")
    return [tuple(row) for row in json.loads(done.stdout.partition("ROWS")[2])]


def cell(holds: dict[str, bool]) -> str:
    """yes, no, or the backends on which it holds."""
    if all(holds.values()):
        return "yes"
    return (
        "on " + ", ".join(name for name, yes in holds.items() if yes)
        if any(holds.values())
        else "no"
    )


def table(framework: str, runs: dict[str, list[Row]]) -> tuple[str, list[str]]:
    """A line of counts, and the table of one framework."""
    _, ours, built_in = FRAMEWORKS[framework]
    lines = [f"| {framework} | {ours} | {built_in} |", "|---|---|---|"]
    counts = [0, 0]
    for same in zip(*runs.values(), strict=True):
        sides = [dict(zip(runs, column, strict=True)) for column in zip(*same, strict=True)][1:]
        counts = [n + all(side.values()) for n, side in zip(counts, sides, strict=True)]
        lines.append(f"| {same[0][0]} | {cell(sides[0])} | {cell(sides[1])} |")
    n = len(lines) - 2
    return f"{framework}: {ours} {counts[0]} of {n}, {built_in} {counts[1]} of {n}", lines


def main() -> None:
    jobs = [
        (framework, name, backend)
        for framework in FRAMEWORKS
        for name, backend in (
            KERAS_BACKENDS if framework == "Keras" else {"": "tensorflow"}
        ).items()
    ]
    runs: dict[str, dict[str, list[Row]]] = {framework: {} for framework in FRAMEWORKS}
    console = Console(stderr=True)
    for framework, name, backend in track(jobs, "Trying", console=console, transient=True):
        runs[framework][name] = tried(FRAMEWORKS[framework][0], backend)
    for framework in FRAMEWORKS:
        summary, lines = table(framework, runs[framework])
        print(f"## {summary}\n")
        print("\n".join(lines), end="\n\n")


if __name__ == "__main__":
    main()
