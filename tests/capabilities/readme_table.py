"""The tables of capabilities as they stand in the README, to be compared with what is tried."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def cells(framework: str) -> dict[str, tuple[str, str]]:
    """{capability: (cell of ours, cell of the built-in losses)}, in the README's order."""
    section = README.read_text(encoding="utf-8").split("\n## At home in each framework\n")[1]
    lines = section.split(f"\n| {framework} | ")[1].split("\n\n")[0].splitlines()[2:]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return {name.strip(): (ours.strip(), theirs.strip()) for name, ours, theirs in rows}


def says(cell: str, backend: str = "") -> bool:
    """Whether a cell says yes: "yes", "no", or the backends of Keras where it holds."""
    if cell in ("yes", "no"):
        return cell == "yes"
    backends = cell.removeprefix("on ").lower().split(", ")
    assert set(backends) <= {"tensorflow", "jax", "torch"}
    return backend in backends
