"""Every test has a home of its own, a fixed git identity, and nothing of the user's or the outer repository's."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from ticketd.git.door import LOCAL_VARIABLES

# No deadline: how long an example takes says what else the machine does. `HYPOTHESIS_PROFILE=prove` is for proofs that
# run for minutes (`HYPOTHESIS_EXAMPLES` says how many each); tests that name a number of examples themselves keep it.
settings.register_profile("suite", deadline=None)
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "50000"))
settings.register_profile("prove", deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

# Who runs tests in the background of a script has SIGINT ignored, or by `nohup` SIGHUP, and what they start would
# inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

GITCONFIG = """\
[user]
\tname = Ada Tester
\temail = ada@example.org
[init]
\tdefaultBranch = main
[protocol "file"]
\tallow = always
"""


@pytest.fixture(autouse=True)
def hermetic_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text(GITCONFIG)
    for name in [*LOCAL_VARIABLES, *(name for name in os.environ if name.startswith(("GIT_", "TICKETD_", "XDG_")))]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(home.parent))
    return home
