"""The docs' table of conformance has the subjects and the laws that there are."""

import re
from pathlib import Path

import pytest

from l2core.conformance.checks import checks
from l2core.conformance.processes import load

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "conformance.md").read_text(encoding="utf-8")
TABLES = (DOCS / "tables" / "conformance.md").read_text(encoding="utf-8") + "\n"


def test_the_laws_are_counted():
    assert f"tries {len(checks())} laws" in PAGE


@pytest.mark.parametrize("provider", ["numpy", "torch", "jax", "sklearn", "tensorflow"])
def test_every_subject_has_a_row(provider):
    rows = re.findall(r"^\| (.*?) \|", TABLES, re.MULTILINE)
    assert {subject.name for subject in load(provider)} <= set(rows)


def test_every_implementation_is_counted():
    for who in ("Ours", "The frameworks' own"):
        n, table = re.search(
            rf"{who}: (\d+) implementations.*?\n\n(.*?)\n\n", TABLES, re.DOTALL
        ).groups()
        assert len(table.splitlines()) - 2 == int(n)
