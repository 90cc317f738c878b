"""Agents that push by themselves, as people do."""

from __future__ import annotations

import subprocess

import pytest
from acceptance_yard import Yard, git

COMMITS_AND_PUSHES = """\
set -e
echo "$TICKETD_TICKET" > "$TICKETD_TICKET.txt"
git add -A
git commit -q -m "work on $TICKETD_TICKET"
git pull -q --rebase
git push
git push origin HEAD:main
if git push --force origin HEAD:main; then exit 7; fi
"""


def test_agents_that_push_exit_well_and_land_once(yard: Yard) -> None:
    script = yard.root / "agent.sh"
    script.write_text(COMMITS_AND_PUSHES)
    yard.config(agent=f'[agents.default]\ncommand = ["sh", "{script}"]\n')
    for id_ in ("a", "b"):
        yard.ticket(id_, touches=f"/{id_}.txt")
    done = yard.until_idle()
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(yard.subjects()) == ["first", "work on a", "work on b"]
    assert "kept" in yard.run("logs", "a").stdout
    assert "nothing is forced here" in yard.run("logs", "a").stdout


FILL = r"printf 'protocol=https\nhost=example.invalid\n\n' | git credential fill"
LOOKS_FOR_CREDENTIALS = f"""\
{FILL} > filled.txt 2>&1
git config --list > config.txt
env > env.txt
git ls-remote origin > remote.txt
"""


def test_no_credential_of_the_remote_reaches_an_agent(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address holds a password, and so do a helper, the agent of ssh and what people keep in their shells."""
    script = yard.root / "agent.sh"
    script.write_text(LOOKS_FOR_CREDENTIALS)
    yard.config(agent=f'[agents.default]\ncommand = ["sh", "{script}"]\n')
    address = "https://me:hunter2@example.invalid/shop.git"
    git(yard.work, "remote", "set-url", "origin", address)
    git(yard.work, "config", f"url.{yard.origin}.insteadOf", address)
    git(yard.work, "config", "--global", "credential.helper", "!sh -c 'echo username=me; echo password=hunter'2")
    for name in ("SSH_AUTH_SOCK", "SSH_ASKPASS", "GIT_ASKPASS", "GITHUB_TOKEN", "GH_TOKEN"):
        monkeypatch.setenv(name, "/bin/hunter2")
    assert b"password=hunter2" in subprocess.run(["sh", "-c", FILL], cwd=yard.work, capture_output=True).stdout
    yard.ticket("a", touches="/*.txt")
    done = yard.until_idle()
    assert done.returncode == 0, done.stdout + done.stderr
    found = {name: yard.file(f"{name}.txt") for name in ("filled", "config", "env", "remote")}
    assert [name for name, text in found.items() if "hunter2" in text] == []
    assert "could not read Username" in found["filled"]
    assert found["remote"].endswith("\trefs/heads/main")
