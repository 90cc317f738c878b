"""A canary in an agent's environment and in a file that it gets: it works with it, and nobody reads it afterwards."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
from pathlib import Path

import pytest
from acceptance_yard import Yard, git, wait_until

from ticketd.doorbell import doorbell_path

VALUE, IN_FILE = "canary-in-the-environment", "canary/in+a:file"
ENCODED = base64.b64encode(f"user:{VALUE}".encode()).rstrip(b"=")[8:-4]
CONFIG = """\
[limits]
retries = 0
[worktrees]
copy = [".env"]
setup = ["sh", "-c", "cat {env}"]
[landing]
repairs = 1
verify = ["sh", "-c", "cat {env}; ! test -e bad"]
[secrets]
files = [".env"]
"""


@pytest.fixture
def canaries(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> Yard:
    monkeypatch.setenv("SHOP_TOKEN", VALUE)
    (yard.work / ".env").write_text(f"DB_URL={IN_FILE}\n")
    with (yard.work / ".git" / "info" / "exclude").open("a") as exclude:
        exclude.write(".env\n")
    return yard


def runs(yard: Yard, *lines: str) -> None:
    script = yard.root / "agent.sh"
    script.write_text("\n".join(["cat > /dev/null", *lines, ""]))
    agent = f'[agents.default]\ncommand = ["sh", "{script}"]\nenv = ["SHOP_TOKEN"]\n'
    yard.config(CONFIG.replace("{env}", str(yard.work / ".env")), agent=agent)


def told_by(state: Path) -> dict[str, bytes]:
    """All that ticketd keeps and shows: its store, its logs, its runs."""
    files = [path for path in state.rglob("*") if path.is_file()]
    apart = ("worktrees", "control.git", "gate.git")
    return {str(path): path.read_bytes() for path in files if not set(apart) & set(path.parts)}


def holds_a_canary(content: bytes) -> bool:
    return any(each in content for each in (VALUE.encode(), IN_FILE.encode(), ENCODED))


def test_no_log_no_event_and_no_text_holds_what_an_agent_printed(canaries: Yard) -> None:
    runs(
        canaries,
        'echo "token $SHOP_TOKEN"; cat .env >&2',
        'printf "user:$SHOP_TOKEN" | base64 -w0',
        "touch bad",
    )
    canaries.ticket("spill", touches="/bad")
    assert canaries.until_idle().returncode == 1
    kept = told_by(next(canaries.state.glob("ticketd/*")))
    assert [name for name, content in kept.items() if holds_a_canary(content)] == []
    assert any(b"token [SHOP_TOKEN]" in content and b"[DB_URL]" in content for content in kept.values())
    for asked in (
        *(
            ("logs", "spill"),
            ("logs", "spill", "--verify", "--attempt", "1"),
            ("logs", "spill", "--setup", "--attempt", "1"),
            ("logs", "spill", "--json"),
        ),
        *(("show", "spill"), ("show", "spill", "--json"), ("status", "--json"), ("events", "--json")),
    ):
        said = subprocess.run(canaries.command(*asked), capture_output=True, check=True).stdout
        assert said and not holds_a_canary(said), asked


def test_who_follows_a_running_agent_from_another_shell_reads_no_secret(
    canaries: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value comes in two pieces, and the shell that asks does not have it."""
    runs(
        canaries,
        'printf "a ${SHOP_TOKEN%ment}"; while ! test -e ../../go; do sleep 0.05; done; echo "ment z"',
        "echo done > ok",
    )
    canaries.ticket("slow", touches="/ok")
    daemon = canaries.start("--until-idle")
    monkeypatch.delenv("SHOP_TOKEN")
    wait_until(lambda: canaries.run("logs", "slow").stdout.startswith("a "), "the agent has printed the beginning")
    with subprocess.Popen(canaries.command("logs", "slow", "-f"), stdout=subprocess.PIPE) as following:
        assert following.stdout is not None
        assert os.read(following.stdout.fileno(), 2) == b"a "
        (next(canaries.state.glob("ticketd/*")) / "go").touch()
        said = following.stdout.read()
    assert (said, daemon.wait(timeout=60)) == (b"[SHOP_TOKEN] z\n", 0)


def test_an_agent_that_commits_a_secret_mends_that_and_lands_without_it(canaries: Yard) -> None:
    runs(
        canaries,
        'if test -n "$TICKETD_REPAIR"; then echo "read from the environment" > config; exit; fi',
        'echo "$SHOP_TOKEN" > config; git add -A; git commit -qm "A token"',
        "echo more >> config",
    )
    canaries.ticket("config", touches="/config")
    assert canaries.until_idle().returncode == 0
    assert canaries.file("config") == "read from the environment"
    assert VALUE not in git(canaries.origin, "log", "-p", "--all")


def test_nothing_in_the_state_directory_is_for_others(canaries: Yard) -> None:
    """Below the worktrees and the repositories git's modes stand; their tops let nobody in."""
    before = os.umask(0o022)
    runs(canaries, "echo done > ok")
    canaries.ticket("quick", touches="/ok")
    daemon = canaries.start()
    canaries.wait_for_state("quick", "landed")
    state = next(canaries.state.glob("ticketd/*"))
    open_to_others = [
        str(path.relative_to(state))
        for path in (state, *state.rglob("*"))
        if not path.is_symlink()
        and not {"worktrees", "control.git", "gate.git", "own.git"} & set(path.relative_to(state).parts[:-1])
        and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    bell = doorbell_path(state)
    modes = [stat.filemode(each.stat().st_mode) for each in (bell, bell.parent)]
    daemon.terminate()
    daemon.wait(timeout=60)
    os.umask(before)
    assert (open_to_others, modes) == ([], ["srw-------", "drwx------"])
