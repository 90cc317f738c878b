"""The real daemon with slots that are clones."""

from __future__ import annotations

import json
import os
import signal
import subprocess

from acceptance_yard import Yard, git, wait_until

CLONES = '[worktrees]\nisolation = "clone"\n[limits]\nretries = 0\n'


def test_commits_pushes_and_loose_files_land_and_a_destroyed_clone_is_a_failure_of_its_own(yard: Yard) -> None:
    script = """
    case $TICKETD_TICKET in
    pushes) echo 1 > pushes; git add pushes; git commit -qm pushes; git push -q origin HEAD:main;;
    leaves) echo 1 > leaves; git stash -q -u; echo 2 > leaves;;
    destroys) echo 1 > destroys; git add destroys; git commit -qm d; rm -rf .git;;
    vanishes) rm -rf "$PWD"; exit 0;;
    esac
    """
    yard.config(CLONES, f'[agents.default]\ncommand = ["sh", "-c", {json.dumps(script)}]\n')
    for id_ in ("pushes", "leaves", "destroys", "vanishes"):
        yard.ticket(id_, touches=f"/{id_}")
    yard.until_idle()
    lines = {line["id"]: line for line in yard.json("list")["tickets"]}
    states = {id_: line["state"] for id_, line in lines.items()}
    assert states == {"pushes": "landed", "leaves": "landed", "destroys": "failed", "vanishes": "failed"}
    assert (yard.file("pushes"), yard.file("leaves")) == ("1", "2")
    assert "tampered with" in lines["destroys"]["detail"]
    assert git(yard.control, "show", "refs/ticketd/destroys/1:destroys") == "1"
    assert git(yard.control, "for-each-ref", "refs/ticketd-extra/leaves/1") != "", "the stash"
    assert git(yard.control, "for-each-ref", "refs/stash") == ""
    assert git(yard.control, "fsck", "--connectivity-only", "--no-dangling") == ""


def test_a_daemon_killed_outright_is_followed_by_one_that_takes_a_clones_work(yard: Yard) -> None:
    yard.config(CLONES)
    yard.ticket("one", touches="/one", does=("write one 1", "commit half", "write go-on x", f"wait-for {yard.root}/go"))
    daemon: subprocess.Popen[str] = yard.start()
    wait_until(lambda: list(yard.state.glob("ticketd/*/worktrees/1/go-on")), "the agent works")
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.wait()
    (yard.root / "go").touch()
    assert yard.until_idle().returncode == 0
    assert yard.file("one") == "1"
    assert "half" in yard.subjects()
