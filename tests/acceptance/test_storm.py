"""Landing in a storm, in small; `./scripts/prove-storm` is the whole of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "prove_storm.py"


def test_in_a_storm_every_good_ticket_lands_once_and_every_bad_one_comes_back_with_its_log() -> None:
    # So few tickets have no average, and how often others get in between is a matter of how busy the machine is.
    command = [sys.executable, SCRIPT, "--tickets", "20", "--verify", "0.1", "--most", "6"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "all of it is true", done.stdout + done.stderr
    assert "2 bad, 1 flaky" in done.stdout
    assert done.returncode == 0
