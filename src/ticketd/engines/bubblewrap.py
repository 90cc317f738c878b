"""Whether bubblewrap works here: it may not be installed, and some systems let nobody but root make a namespace."""

from __future__ import annotations

import functools
import shutil
import subprocess

from ticketd.domain.sandbox import PROGRAM, render_probe

PATIENCE_S = 10.0


@functools.cache
def why_not() -> str:
    """Why it does not work; empty if it does. Asked once."""
    if shutil.which(PROGRAM) is None:
        return f"there is no program {PROGRAM}"
    try:
        done = subprocess.run(render_probe(), capture_output=True, timeout=PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return "" if done.returncode == 0 else (said[-1] if said else f"{PROGRAM} ended with {done.returncode}")
