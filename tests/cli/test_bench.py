"""`./scripts/bench`: one script for each promise about speed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["../check"]])
def test_an_unknown_name_is_answered_with_those_there_are(arguments: list[str]) -> None:
    done = subprocess.run([SCRIPTS / "bench", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "    load\n" in done.stderr


def test_loading_is_measured_and_put_beside_its_bounds() -> None:
    command = [sys.executable, SCRIPTS / "bench_load.py", "--tickets", "30"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["what", "measured", "bound", "ratio"], done.stderr
    assert [row.split("  ")[0] for row in rows][:1] == ["files into an empty store"]
    assert all(float(row.split()[-1]) >= 0 for row in rows)
    assert done.returncode in (0, 1)


def test_a_rebase_in_memory_is_measured_beside_gits_own() -> None:
    command = [sys.executable, SCRIPTS / "bench_rebase.py", "--files", "40", "--folders", "3", "--times", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = [line for line in done.stdout.splitlines() if "commit" in line[:30]]
    assert [row[:10] for row in rows][:1] == ["one commit"], done.stderr
    assert len(rows) == 8
    assert done.returncode in (0, 1)


def test_pushing_is_measured_and_put_beside_its_bounds() -> None:
    command = [sys.executable, SCRIPTS / "bench_push.py", "--runs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["milliseconds", "first", "median", "least", "cpu", "bound"], done.stderr
    assert "ticketd push, nothing to do" in [row.split("  ")[0] for row in rows]
    assert all(float(field) >= 0 for row in rows for field in row[52:].split())
    assert done.returncode in (0, 1)
