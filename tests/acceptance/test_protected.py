"""A target that nobody may push to: work is proposed, and lands when people have merged it; or it stops as a branch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from acceptance_yard import Yard, git, make_yard, wait_until

from forge_yard import FakeForge, make_forge

DRIVER = Path(__file__).parents[1] / "daemon" / "kill_driver.py"


def protect(yard: Yard, monkeypatch: pytest.MonkeyPatch, config: str = "", program: str = "gh") -> FakeForge:
    """main takes a push of nobody but the forge itself."""
    forge = make_forge(yard.root / "bin", yard.origin, program)
    monkeypatch.setenv("PATH", f"{forge.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FORGE_STATE", str(forge.state))
    yard.config(f'[landing]\nmode = "pr"\n{config}\n[target]\npoll = "1s"\n')
    return forge


@pytest.fixture(params=["gh", "glab"])
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_work_is_proposed_and_lands_when_it_is_merged(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    forge = protect(yard, monkeypatch, program=program)
    yard.ticket("one", touches="/a.txt", does=("append a.txt x",))
    yard.ticket("two", touches="/a.txt", does=("append a.txt y",))
    done = yard.until_idle()
    assert done.returncode == 1
    assert "one: landing: one waits for its pull request https://forge.test/pull/1" in done.stdout
    assert yard.subjects() == ["first"]
    assert git(yard.origin, "log", "-1", "--format=%s", "ticketd/one") == "one"
    (landing,) = yard.status()["landing"]
    assert (landing["phase"], landing["proposal"]) == ("proposed", "https://forge.test/pull/1")
    assert yard.state_of("two") == "queued", "its files are held until people have decided"
    sha = forge.merge(1)
    assert yard.until_idle().returncode == 1
    assert yard.ticket_line("one")["landed_sha"] == sha
    assert [pull["title"] for pull in forge.pulls()] == ["one", "two"]
    assert yard.file("a.txt") == "x"


def test_a_squashed_merge_lands_as_the_commit_that_the_forge_has_made(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge = protect(yard, monkeypatch)
    yard.ticket("one", touches="/a.txt", does=("append a.txt x", "commit half", "append a.txt y"))
    daemon = yard.start("--until-idle")
    wait_until(lambda: yard.state_of("one") == "landing" and forge.pulls(), "it is proposed")
    sha = forge.merge(1, "squash")
    daemon.wait(timeout=60)
    assert yard.until_idle().returncode == 0
    assert yard.ticket_line("one")["landed_sha"] == sha
    assert yard.subjects() == ["first", "Squashed (#1)"]
    assert "+x" in yard.run("diff", "one").stdout and "+y" in yard.run("diff", "one").stdout


def test_one_that_is_closed_is_rejected_and_may_be_proposed_again(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    forge = protect(yard, monkeypatch)
    yard.ticket("one", touches="/a.txt", does=("append a.txt x",))
    yard.until_idle()
    forge.close(1)
    assert yard.until_idle().returncode == 1
    line = yard.ticket_line("one")
    assert (line["state"], line["reason"]) == ("failed", "rejected")
    assert "https://forge.test/pull/1 was closed" in line["detail"]
    assert git(yard.control, "show", "refs/ticketd/one/1:a.txt") == "x"
    assert yard.run("land", "one").returncode == 0
    yard.until_idle()
    assert [(pull["number"], pull["state"]) for pull in forge.pulls()] == [(1, "closed"), (2, "open")]
    forge.merge(2)
    assert yard.until_idle().returncode == 0


def test_one_that_is_closed_while_it_is_on_its_way_again_is_rejected_and_not_proposed_anew(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, verifying = yard.root / "go", yard.root / "verifying"
    script = f"test ! -e b.txt || {{ touch {verifying}; until test -e {go}; do sleep 0.02; done; }}"
    forge = protect(yard, monkeypatch, f'verify = ["sh", "-c", "{script}"]')
    yard.ticket("one", touches="/a.txt", does=("append a.txt x",))
    yard.until_idle()
    yard.push_by_hand("b.txt", "b\n")
    forge.change(1, stuck=True)
    daemon = yard.start("--until-idle")
    wait_until(verifying.exists, "it is verified anew")
    forge.close(1)
    go.touch()
    assert daemon.wait(timeout=60) == 1
    assert yard.ticket_line("one")["reason"] == "rejected"
    assert [(pull["number"], pull["state"]) for pull in forge.pulls()] == [(1, "closed")]


def test_one_that_cannot_be_merged_any_more_is_rebased_and_pushed_anew(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge = protect(yard, monkeypatch)
    yard.ticket("one", touches="/a.txt", does=("append a.txt x",))
    yard.until_idle()
    was = git(yard.origin, "rev-parse", "ticketd/one")
    yard.push_by_hand("b.txt", "b\n")
    yard.until_idle()
    assert git(yard.origin, "rev-parse", "ticketd/one") == was, "it could be merged as it was"
    forge.change(1, stuck=True)
    daemon = yard.start()
    wait_until(lambda: git(yard.origin, "rev-parse", "ticketd/one") != was, "it is pushed anew")
    assert git(yard.origin, "rev-parse", "ticketd/one~1") == git(yard.origin, "rev-parse", "main")
    wait_until(lambda: [each["phase"] for each in yard.status()["landing"]] == ["proposed"], "it waits again")
    assert (forge.calls("pr create"), len(forge.pulls())) == (1, 1)
    daemon.terminate()
    assert daemon.wait(timeout=60) == 0
    forge.merge(1)
    assert yard.until_idle().returncode == 0


def test_what_others_push_to_its_branch_is_theirs_and_lands_with_it(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge = protect(yard, monkeypatch)
    yard.ticket("one", touches="/a.txt", does=("append a.txt x",))
    yard.until_idle()
    yard.push_by_hand("b.txt", "b\n")
    other = yard.root / "other"
    git(other, "fetch", "-q", "origin")
    git(other, "checkout", "-q", "-b", "mine", "origin/ticketd/one")
    (other / "a.txt").write_text("better\n")
    git(other, "commit", "-q", "-a", "-m", "better")
    git(other, "push", "-q", "origin", "HEAD:ticketd/one")
    theirs = git(other, "rev-parse", "HEAD")
    forge.change(1, stuck=True)
    yard.until_idle()
    assert git(yard.origin, "rev-parse", "ticketd/one") == theirs
    forge.merge(1)
    assert yard.until_idle().returncode == 0
    assert yard.file("a.txt") == "better"


def test_a_cancelled_one_is_let_go_and_its_pull_request_is_left_to_people(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge = protect(yard, monkeypatch)
    yard.ticket("one", touches="/a.txt", does=("append a.txt x",))
    yard.until_idle()
    assert yard.run("cancel", "one").returncode == 0
    yard.until_idle()
    assert yard.state_of("one") == "cancelled"
    assert forge.pulls()[0]["state"] == "open"


def test_a_forge_that_does_not_answer_is_waited_for_and_one_that_refuses_fails_the_ticket(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge = protect(yard, monkeypatch)
    yard.ticket("one", touches="/a.txt", does=("append a.txt x",))
    forge.fail("pr create", "error connecting to forge.test")
    daemon = yard.start("--until-idle")
    wait_until(lambda: [each["phase"] for each in yard.status()["landing"]] == ["blocked"], "it waits for the forge")
    wait_until(lambda: "error connecting" in yard.status()["landing"][0]["trouble"], "it is told")
    forge.fail("pr list", "gh auth login", 4)
    yard.wait_for_state("one", "failed")
    assert yard.ticket_line("one")["reason"] == "push-rejected"
    assert daemon.wait(timeout=60) == 1
    forge.mend()
    assert yard.run("retry", "one").returncode == 0
    yard.until_idle()
    assert forge.pulls()[0]["state"] == "open"


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_each_write_there_is_one_pull_request_and_it_is_followed(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, killed = 1, True
    while killed:
        root = tmp_path / str(number)
        root.mkdir()
        yard = make_yard(root, monkeypatch)
        with monkeypatch.context() as patch:
            forge = protect(yard, patch)
            yard.ticket("one", touches="/a.txt", does=("append a.txt x", "commit half", "write a.txt y"))
            command = [sys.executable, str(DRIVER), str(yard.work), when, str(number), "landing-phase"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode in (0, -signal.SIGKILL), done.stderr
            killed = done.returncode != 0
            if number % 2 and forge.pulls():
                forge.merge(1, "squash")  # before anybody has looked
            yard.until_idle()
            assert (len(forge.pulls()), forge.calls("pr create")) == (1, 1)
            if forge.pulls()[0]["state"] == "open":
                forge.merge(1)
                assert yard.until_idle().returncode == 0
            assert yard.state_of("one") == "landed"
            assert yard.file("a.txt") == "y"
            assert yard.ticket_line("one")["attempts"] == 1
            yard.assert_events_tell_all()
        number += 1
    assert number > 4


def test_with_branches_only_the_verified_work_is_pushed_and_that_is_all(yard: Yard) -> None:
    yard.config('[landing]\nmode = "branch"\nverify = ["test", "-e", "a.txt"]\n')
    yard.ticket("one", touches="/a.txt", does=("append a.txt x",))
    assert yard.until_idle().returncode == 0
    line = yard.ticket_line("one")
    assert line["detail"] == "pushed as branch ticketd/one, not to origin/main"
    assert line["landed_sha"] == git(yard.origin, "rev-parse", "ticketd/one")
    assert yard.subjects() == ["first"]


def test_a_mode_that_needs_a_remote_is_refused_without_one(yard: Yard) -> None:
    yard.config('[target]\nremote = ""\n[landing]\nmode = "pr"\n')
    done = yard.run("start", "--until-idle")
    assert done.returncode == 2
    assert "`pr` needs a remote" in done.stderr
