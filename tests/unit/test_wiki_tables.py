"""A page that names a test as proof names one that is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"\b(tests/[\w/.-]+\.py)::(\w+)")
PAGES = sorted((ROOT / "wiki" / "_global").glob("*.md"))


def functions_of(file: Path) -> set[str]:
    """Also those in classes."""
    return {node.name for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = NAMED.findall(page.read_text("utf-8"))
    missing = [f"{file}::{name}" for file, name in named if name not in functions_of(ROOT / file)]
    assert missing == []


@pytest.mark.parametrize(("heading", "rows"), [("## Faults", 52), ("## Bad input", 45)])
def test_each_row_is_there_and_names_a_test_or_says_why_not(heading: str, rows: int) -> None:
    page = (ROOT / "wiki" / "_global" / "reliability.md").read_text("utf-8")
    section = page.split(f"{heading}\n", 1)[1].split("\n## ", 1)[0]
    found = {int(row[1]): row[0] for row in re.finditer(r"^\| (\d+) \|.*$", section, re.MULTILINE)}
    assert list(found) == list(range(1, rows + 1))
    assert [n for n, row in found.items() if not NAMED.search(row) and "not there yet" not in row] == []
