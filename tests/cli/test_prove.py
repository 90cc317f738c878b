"""`./scripts/prove-schedule`: each property, how often it was tried, and what was found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "prove_schedule.py"


def test_every_property_is_tried_as_often_as_was_asked() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--examples", "3"], capture_output=True, text=True, check=False)
    head, *rows, verdict = done.stdout.splitlines()
    assert head.split() == ["property", "examples", "seconds", "per", "s"], done.stdout
    assert [row.split()[-3] for row in rows] == ["3"] * 4
    assert (verdict, done.returncode) == ("no counter-example", 0)
