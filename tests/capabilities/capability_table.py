"""The tables of capabilities as they stand in the docs, to be compared with what is tried."""

import re
from pathlib import Path

TABLES = Path(__file__).parents[2] / "docs" / "tables" / "capabilities.md"


def cells(framework: str) -> dict[str, tuple[str, str]]:
    """{capability: (cell of ours, cell of the built-in losses)}, in the table's order."""
    lines = (
        TABLES.read_text(encoding="utf-8")
        .split(f"\n| {framework} | ")[1]
        .split("\n\n")[0]
        .splitlines()[2:]
    )
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return {name.strip(): (ours.strip(), theirs.strip()) for name, ours, theirs in rows}


def says(cell: str, backend: str = "") -> bool:
    """Whether a cell says yes: "yes", "no", or the backends of Keras where it holds."""
    if cell in ("yes", "no"):
        return cell == "yes"
    backends = cell.removeprefix("on ").lower().split(", ")
    assert set(backends) <= {"tensorflow", "jax", "torch"}
    return backend in backends
