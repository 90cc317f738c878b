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


def test_all_rows_of_bad_input_are_there_and_name_a_test_or_say_why_not() -> None:
    lines = (ROOT / "wiki" / "_global" / "bad-input.md").read_text("utf-8").splitlines()
    rows = {int(found[1]): line for line in lines if (found := re.match(r"\| (\d+) \|", line))}
    assert list(rows) == list(range(1, 46))
    assert [n for n, line in rows.items() if not NAMED.search(line) and "not there yet" not in line] == []
