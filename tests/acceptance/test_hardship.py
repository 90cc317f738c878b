"""What goes wrong around a run: nothing is lost, nothing lands twice, a person's word is heeded."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from pathlib import Path

from acceptance_yard import SCRIPTED, Yard, git, wait_until


def script(yard: Yard, text: str, config: str = "") -> None:
    path = yard.root / "agent.sh"
    path.write_text(text)
    yard.config(config, agent=f'[agents.default]\ncommand = ["bash", "{path}"]\n')


def origin_hook(yard: Yard, name: str, text: str) -> None:
    hook = yard.origin / "hooks" / name
    hook.write_text(f"#!/bin/sh\n{text}\n")
    hook.chmod(0o755)


def wait_for_phase(yard: Yard, phase: str) -> None:
    wait_until(lambda: phase in [each["phase"] for each in yard.status()["landing"]], f"a landing is {phase}")


def wait_for_agent(yard: Yard, count: int = 1) -> None:
    wait_until(
        lambda: [slot.get("phase") for slot in yard.status()["slots"]].count("running") == count, "the agents run"
    )


def log(yard: Yard) -> str:
    return next(yard.state.glob("ticketd/*/daemon.log")).read_text()


# --- landing, once ---


def test_a_push_that_went_through_is_not_forgotten_when_git_fails_right_after_it(yard: Yard) -> None:
    go, done = yard.root / "go", yard.root / "done"
    yard.ticket("a", touches="/a", does=("append a x", f"wait-for {go}"))
    yard.start()
    wait_for_agent(yard)
    lock = yard.control / "refs" / "target" / "main.lock"
    origin_hook(yard, "post-receive", f"test -e {done} || touch {done} {lock}")
    go.touch()
    wait_until(done.exists, "it was pushed")
    troubled = lambda: any(each["trouble"] for each in yard.status()["landing"])  # noqa: E731
    wait_until(lambda: troubled() or yard.state_of("a") == "landed", "git has failed")
    yard.push_by_hand("a", "quite different\n")
    lock.unlink(missing_ok=True)
    yard.wait_for_state("a", "landed")
    assert (yard.subjects().count("a"), yard.ticket_line("a")["attempts"]) == (1, 1)


def test_a_push_that_went_through_is_not_forgotten_when_the_remote_stays_away_too_long(yard: Yard) -> None:
    away, done = yard.root / "away.git", yard.root / "done"
    yard.config('[landing]\npatience = "2s"\n')
    origin_hook(yard, "post-receive", f"test -e {done} || {{ touch {done}; mv {yard.origin} {away}; }}")
    yard.ticket("a", touches="/a", does=("append a x",))
    yard.start()
    wait_until(done.exists, "it was pushed")
    yard.wait_for_state("a", "failed")
    assert yard.ticket_line("a")["reason"] == "push-rejected"
    away.rename(yard.origin)
    yard.push_by_hand("a", "quite different\n")
    assert yard.run("retry", "a").returncode == 0
    yard.wait_for_state("a", "landed")
    assert yard.subjects().count("a") == 1


def test_a_target_that_refuses_without_having_moved_is_not_raced_against(yard: Yard) -> None:
    count = yard.root / "count"
    yard.config(f'[target]\nremote = ""\n[landing]\nverify = ["sh", "-c", "echo x >> {count}"]\n')
    (yard.work / ".git" / "refs" / "heads" / "main.lock").touch()
    yard.ticket("a", touches="/a", does=("append a x",))
    yard.start()
    wait_for_phase(yard, "blocked")
    assert yard.status()["landing"][0]["trouble"]
    assert len(count.read_text().split()) == 1


# --- a person's word ---


def test_cancelling_during_verification_ends_it_and_nothing_lands(yard: Yard) -> None:
    yard.config('[landing]\nverify = ["sleep", "1000"]\n')
    yard.ticket("a", touches="/a", does=("append a x",))
    yard.start()
    wait_for_phase(yard, "verifying")
    assert yard.run("cancel", "a").returncode == 0
    yard.wait_for_state("a", "cancelled")
    assert yard.subjects() == ["first"]


def test_cancelling_while_the_remote_is_away_is_heeded(yard: Yard) -> None:
    go = yard.root / "go"
    yard.ticket("a", touches="/a", does=("append a x", f"wait-for {go}"))
    yard.start()
    wait_for_agent(yard)
    yard.origin.rename(yard.root / "away.git")
    go.touch()
    wait_for_phase(yard, "waiting")
    yard.run("cancel", "a")
    yard.wait_for_state("a", "cancelled")


def test_stop_now_ends_a_verification_and_the_next_daemon_lands_the_work(yard: Yard) -> None:
    hang = yard.root / "hang"
    hang.touch()
    yard.config(f'[landing]\nverify = ["sh", "-c", "while test -e {hang}; do sleep 0.05; done"]\n')
    yard.ticket("a", touches="/a", does=("append a x",), retries=0)
    daemon = yard.start()
    wait_for_phase(yard, "verifying")
    assert yard.run("stop", "--now").returncode == 0
    assert daemon.wait(timeout=60) == 0
    assert (yard.state_of("a"), yard.subjects()) == ("landing", ["first"])
    hang.unlink()
    assert yard.until_idle().returncode == 0
    assert yard.ticket_line("a")["attempts"] == 1


def test_stop_now_during_setup_starts_no_agent(yard: Yard) -> None:
    begun = yard.root / "begun"
    yard.config(f'[worktrees]\nsetup = ["sh", "-c", "touch {begun}; sleep 1000"]\n')
    yard.ticket("a", touches="/a", does=("append a x",))
    yard.start()
    wait_until(begun.exists, "setup runs")
    assert yard.run("stop", "--now").returncode == 0
    assert "started" not in [event["kind"] for event in yard.json("show", "a")["events"]]
    assert yard.state_of("a") == "queued"


def test_a_ticket_cancelled_by_a_person_does_not_come_back_with_its_file(yard: Yard) -> None:
    path = yard.ticket("a", touches="/a", does=("append a x",))
    text = path.read_text()
    assert yard.run("cancel", "a").returncode == 0
    path.unlink()
    yard.status()
    path.write_text(text)
    assert yard.state_of("a") == "cancelled"


def test_a_copied_ticket_file_takes_over_when_the_first_one_goes(yard: Yard) -> None:
    path = yard.ticket("a", touches="/a", does=("append a x",), scope="_global")
    yard.status()
    (yard.work / "tickets" / "acme").mkdir()
    shutil.copy(path, yard.work / "tickets" / "acme" / "a.md")
    yard.status()
    path.unlink()
    assert yard.until_idle().returncode == 0
    assert yard.state_of("a") == "landed"


def test_a_smaller_pool_starts_nothing_until_enough_agents_have_ended(yard: Yard) -> None:
    for number in range(3):
        yard.ticket(
            f"a{number}", touches=f"/a{number}", does=(f"append a{number} x", f"wait-for {yard.root}/go{number}")
        )
    yard.ticket("late", touches="/late", does=("append late x",))
    yard.start("--slots", "3")
    wait_for_agent(yard, 3)
    assert yard.run("slots", "2").returncode == 0
    (yard.root / "go0").touch()
    yard.wait_for_state("a0", "landed")
    assert yard.state_of("late") == "queued"
    (yard.root / "go1").touch()
    yard.wait_for_state("late", "landed")
    (yard.root / "go2").touch()


# --- the machine, the files, the store ---


def test_a_shutdown_that_signals_every_process_fails_no_ticket(yard: Yard) -> None:
    yard.config('[landing]\nverify = ["sleep", "1000"]\n')
    yard.ticket("lands", touches="/a", does=("append a x",), retries=0)
    yard.ticket("runs", touches="/b", does=("append b x", "wait-for /never"), retries=0)
    daemon = yard.start()
    wait_for_phase(yard, "verifying")
    wait_for_agent(yard)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"from supervisor" in command and os.fsencode(yard.state) in command:
            os.kill(int(process.name), signal.SIGTERM)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=60) == 0
    assert (yard.state_of("lands"), yard.state_of("runs")) == ("landing", "queued")


def test_a_profile_taken_away_while_its_agent_runs_does_not_spoil_its_work(yard: Yard) -> None:
    go = yard.root / "go"
    yard.config(agent=SCRIPTED + '[agents.one]\npreset = "scripted"\n')
    yard.ticket("a", touches="/a", does=("append a x", f"wait-for {go}"), agent="one", retries=0)
    yard.start()
    wait_for_agent(yard)
    yard.config()
    wait_until(lambda: yard.status()["problems"], "the change is noticed")
    go.touch()
    yard.wait_for_state("a", "landed")


def test_a_ticket_name_that_is_not_utf_8_is_told_and_stops_nobody(yard: Yard) -> None:
    yard.ticket("good", touches="/a", does=("append a x",))
    Path(os.fsdecode(os.fsencode(yard.work / "tickets") + b"/caf\xe9.md")).write_text("# x\n")
    assert yard.until_idle().returncode == 1
    assert yard.state_of("good") == "landed"
    assert "not UTF-8" in yard.status()["problems"][0]["what"]


def test_an_agent_that_writes_two_thousand_files_outside_its_claim_holds_nobody_up(yard: Yard) -> None:
    script(yard, "mkdir -p gen; for i in $(seq 2000); do echo x > gen/f$i; done; echo x > $TICKETD_TICKET\n")
    yard.ticket("big", touches="/big")
    assert yard.until_idle().returncode == 0
    assert len(git(yard.origin, "ls-tree", "-r", "--name-only", "main", "gen/").splitlines()) == 2000


def test_a_repository_inside_a_worktree_is_never_deleted_and_its_outer_work_is_kept(yard: Yard) -> None:
    script(
        yard,
        "echo x > a; git add -A; git commit -qm work; mkdir sub; cd sub; git init -q; echo y > f; git add -A;"
        " git -c user.name=x -c user.email=x@x commit -qm inner\n",
    )
    yard.ticket("a", touches="**", retries=0)
    assert yard.until_idle().returncode == 1
    assert "sub" in yard.ticket_line("a")["detail"]
    assert git(yard.control, "log", "-1", "--format=%s", "refs/ticketd/a/1~1") == "work"
    script(yard, "echo x > $TICKETD_TICKET\n")
    yard.ticket("b", touches="/b")
    yard.until_idle()
    assert [path.read_text() for path in yard.state.glob("ticketd/*/worktrees/*/sub/f")] == ["y\n"]


def test_a_hundred_short_tickets_use_few_worktrees_and_trip_nothing(yard: Yard) -> None:
    for number in range(60):
        yard.ticket(f"t{number:03}", touches=f"/f{number}", does=(f"append f{number} x",))
    assert yard.until_idle().returncode == 0
    assert "tripped" not in log(yard)
    assert len(list(yard.state.glob("ticketd/*/worktrees/[0-9]*"))) <= 24


def test_a_store_locked_for_a_while_ends_nothing(yard: Yard) -> None:
    go = yard.root / "go"
    yard.ticket("a", touches="/a", does=("append a x", f"wait-for {go}"))
    daemon = yard.start("--until-idle")
    wait_for_agent(yard)
    store = sqlite3.connect(next(yard.state.glob("ticketd/*/store.db")), isolation_level=None)
    store.execute("BEGIN IMMEDIATE")
    go.touch()
    wait_until(lambda: "a tick was put off" in log(yard), "the daemon has met the lock")
    store.execute("ROLLBACK")
    store.close()
    assert daemon.wait(timeout=60) == 0
    assert yard.subjects() == ["first", "a"]


def test_files_that_copy_brings_into_worktrees_never_land(yard: Yard) -> None:
    (yard.work / ".env").write_text("SECRET=1\n")
    script(yard, "grep -q SECRET .env && echo x > $TICKETD_TICKET && git add -A\n", '[worktrees]\ncopy = [".env"]\n')
    yard.ticket("a", touches="**")
    assert yard.until_idle().returncode == 0
    assert git(yard.origin, "show", "--format=", "--name-only", "main") == "a"


def test_setup_runs_again_in_a_worktree_that_an_agent_destroyed(yard: Yard) -> None:
    script(
        yard,
        "if [ $TICKETD_TICKET = a ]; then rm -rf $PWD; exit 3; fi\ntest -e deps/ok && echo x > $TICKETD_TICKET\n",
        'slots = 1\n[worktrees]\nsetup = ["sh", "-c", "mkdir -p deps; echo /deps/ > deps/.gitignore; touch deps/ok"]\n',
    )
    yard.ticket("a", touches="/a", retries=0)
    yard.ticket("b", touches="**", depends_on=[], retries=0)
    yard.until_idle()
    assert yard.state_of("b") == "landed"
