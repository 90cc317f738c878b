"""The world around a run misbehaves: remote, target, disk, files, user. Nothing is lost, and it is told."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from acceptance_yard import Yard, git, wait_until

from ticketd.boot.daemon import open_daemon
from ticketd.boot.session import open_session
from ticketd.errors import TicketdError

# --- the target ---


def test_ones_own_branch_may_be_amended_but_not_without_a_word_where_it_loses_what_has_landed(yard: Yard) -> None:
    yard.config('[target]\nremote = ""\n')
    daemon = yard.start()
    wait_until(lambda: yard.status()["target"]["sha"], "it has been asked for")
    git(yard.work, "commit", "-q", "--amend", "-m", "first, but better")
    yard.ticket("a", touches="/a", does=("append a x",))
    yard.wait_for_state("a", "landed")
    assert yard.status()["daemon"]["alarm"] == ""
    git(yard.work, "reset", "-q", "--hard", "HEAD^")
    wait_until(lambda: yard.status()["daemon"]["alarm"], "it is told")
    assert "what a had landed" in yard.status()["daemon"]["alarm"]
    assert "went from" in yard.run("events").stdout
    assert yard.run("stop").returncode == 0
    assert daemon.wait(timeout=60) == 0


# --- the checkout, and what lies in it ---


def wait_for_agent(yard: Yard) -> None:
    wait_until(lambda: "running" in [slot.get("phase") for slot in yard.status()["slots"]], "the agent runs")


def test_git_in_the_checkout_disturbs_no_run_and_what_it_cleans_away_loosens_no_rule(yard: Yard) -> None:
    """Tickets and `ticketd.toml` are not tracked here, so `git clean` takes them; and the daemon dies in between."""
    go = yard.root / "go"
    yard.config('[landing]\nverify = ["sh", "-c", "! test -e bad"]\nrepairs = 0\n[limits]\nretries = 0\n')
    yard.ticket("bad", touches="/bad", does=(f"wait-for {go}", "append bad x"))
    yard.ticket("good", touches="/good", does=(f"wait-for {go}", "append good x"))
    later = yard.ticket("later", touches="/good", does=(f"wait-for {go}.not",))
    text = later.read_text()
    first = yard.start()
    wait_until(lambda: [slot.get("phase") for slot in yard.status()["slots"]].count("running") == 2, "both agents run")
    git(yard.work, "commit", "-q", "--amend", "-m", "history made anew")
    git(yard.work, "switch", "-q", "-c", "elsewhere")
    git(yard.work, "clean", "-ffdxq")
    git(yard.work, "reflog", "expire", "--expire=now", "--all")
    git(yard.work, "gc", "-q", "--prune=now")
    git(yard.work, "worktree", "prune")
    wait_until(lambda: yard.status()["problems"], "it is told")
    assert "what it last said holds" in yard.status()["problems"][0]["what"]
    first.kill()
    first.wait()
    second = yard.start()
    wait_until(lambda: yard.status()["daemon"]["running"], "the next daemon takes them up")
    go.touch()
    yard.wait_for_state("good", "landed")
    yard.wait_for_state("bad", "failed")
    assert yard.ticket_line("bad")["reason"] == "verify-failed"
    assert yard.state_of("later") == "cancelled"
    yard.config()
    later.parent.mkdir()
    later.write_text(text)
    assert yard.state_of("later") in ("queued", "running")
    second.terminate()
    assert second.wait(timeout=60) == 0
    assert yard.subjects() == ["first", "good"]


def test_a_checkout_that_is_moved_away_withdraws_no_ticket(yard: Yard) -> None:
    go = yard.root / "go"
    yard.ticket("a", touches="/a", does=(f"wait-for {go}", "append a x"))
    yard.ticket("b", touches="/a", does=("append a y",))
    daemon = yard.start("--until-idle")
    wait_for_agent(yard)
    away = yard.work.rename(yard.root / "away")
    log = next(yard.state.glob("ticketd/*/daemon.log"))
    wait_until(lambda: "is gone" in log.read_text(), "it is told")
    go.touch()
    wait_until(lambda: yard.subjects() == ["first", "a", "b"], "both land all the same")
    away.rename(yard.work)
    assert daemon.wait(timeout=60) == 0


def test_of_many_daemons_begun_at_once_by_any_path_one_runs_even_without_its_lock_file(yard: Yard) -> None:
    go, link, linked = yard.root / "go", yard.root / "link", yard.root / "linked"
    link.symlink_to(yard.work)
    git(yard.work, "worktree", "add", "-q", "--detach", str(linked))
    yard.ticket("a", touches="/a", does=(f"wait-for {go}", "append a x"))
    daemons = [
        subprocess.Popen([*yard.command(where=where), "start", "--until-idle"], stderr=subprocess.PIPE, text=True)
        for where in (yard.work, link, linked, yard.work)
    ]
    wait_until(lambda: [each.poll() for each in daemons].count(4) == 3, "three are refused")
    next(yard.state.glob("ticketd/*/daemon.lock")).unlink()
    assert yard.run("start").returncode == 4
    go.touch()
    assert sorted(each.wait(timeout=60) for each in daemons) == [0, 4, 4, 4]
    assert yard.subjects() == ["first", "a"]
    for each in daemons:
        each.communicate()


def test_a_state_directory_on_a_network_is_refused(yard: Yard) -> None:
    opened = open_session(yard.work)
    with pytest.raises(TicketdError, match="network file system"), open_daemon(opened, file_system=lambda _: "nfs4"):
        pass
    opened.session.store.close()  # type: ignore[attr-defined]


# --- the state directory ---


def test_a_worktree_and_logs_deleted_under_running_agents_end_nobody_else(yard: Yard) -> None:
    go = yard.root / "go"
    yard.config("[limits]\nretries = 0\n")
    for id_ in ("tree", "logs"):
        yard.ticket(id_, touches=f"/{id_}", does=(f"append {id_} x", f"append {yard.root}/{id_} x", f"wait-for {go}"))
    daemon = yard.start("--until-idle")
    wait_until(lambda: all((yard.root / id_).exists() for id_ in ("tree", "logs")), "both have written")
    shutil.rmtree(next(slot["worktree"] for slot in yard.status()["slots"] if slot.get("ticket") == "tree"))
    shutil.rmtree(next(yard.state.glob("ticketd/*/logs")))
    go.touch()
    assert daemon.wait(timeout=60) == 1
    assert (yard.state_of("tree"), yard.state_of("logs")) == ("failed", "landed")
    assert "tripped" not in next(yard.state.glob("ticketd/*/daemon.log")).read_text()


# --- the disk ---


def test_a_full_disk_stops_nothing_for_good_and_loses_nothing(yard: Yard) -> None:
    """All of ticketd's state is on a disk of its own, which is filled while an agent runs."""
    yard.state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400m", "none", str(yard.state)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        go = yard.root / "go"
        yard.ticket("a", touches="/a", does=("append a x", f"wait-for {go}"))
        yard.ticket("b", touches="/b", does=("append b x", f"wait-for {go}"))
        daemon = yard.start("--until-idle")
        wait_until(lambda: len(list(yard.state.glob("ticketd/*/worktrees/*/[ab]"))) == 2, "both have written")
        ballast = yard.state / "ballast"
        fill(ballast)
        go.touch()
        wait_until(lambda: "make room" in yard.status()["daemon"]["short"], "it is told")
        fill(ballast)
        late = yard.ticket("late", touches="/late")
        explained = yard.run("explain", "a")
        assert explained.returncode == 0
        assert "last read of the ticket files" in explained.stderr
        late.unlink()
        assert daemon.poll() is None
        ballast.unlink()
        assert daemon.wait(timeout=60) == 0
        assert sorted(yard.subjects()[1:]) == ["a", "b"]
        assert [yard.ticket_line(id_)["attempts"] for id_ in "ab"] == [1, 1]
        yard.assert_events_tell_all()
        assert "Traceback" not in (yard.root / "daemon-0.out").read_text()
    finally:
        for each in yard.daemons:
            each.kill()
            each.wait()
        subprocess.run(["umount", "-l", str(yard.state)], check=False)


def fill(ballast: Path) -> None:
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
