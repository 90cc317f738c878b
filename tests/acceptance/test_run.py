"""Whole runs: ticket files in, landed commits out, by real processes in real repositories."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

from acceptance_yard import Yard, git, wait_until


def test_independent_and_overlapping_tickets_all_land_once_and_in_order(yard: Yard) -> None:
    for number in range(12):
        name = f"f{number % 4}.txt"
        yard.ticket(f"t{number:02}", touches=f"/{name}", does=(f"append {name} line {number}",))
    done = yard.until_idle()
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(yard.subjects()[1:]) == [f"t{number:02}" for number in range(12)]
    for kind in range(4):
        assert yard.file(f"f{kind}.txt").splitlines() == [f"line {kind + 4 * turn}" for turn in range(3)]


def test_landed_commits_carry_trailers_and_the_author_of_the_repository(yard: Yard) -> None:
    yard.ticket("fix", touches="/a.txt", does=("append a.txt x", "commit Mend the thing"))
    assert yard.until_idle().returncode == 0
    body = git(yard.origin, "log", "-1", "--format=%an <%ae>%n%B", "main")
    assert body == "Ada Tester <ada@example.org>\nMend the thing\n\nTicket: fix\nTicket-Attempt: 1"


def test_a_dependent_starts_from_what_it_depends_on(yard: Yard) -> None:
    yard.ticket("a-second", touches="/two.txt", does=("wait-for one.txt", "append two.txt x"), depends_on=["z-first"])
    yard.ticket("z-first", touches="/one.txt", does=("append one.txt x",))
    assert yard.until_idle().returncode == 0
    assert yard.subjects()[1:] == ["z-first", "a-second"]


def test_what_an_agent_leaves_uncommitted_is_committed_for_it(yard: Yard) -> None:
    yard.ticket("mixed", touches="/m*.txt", does=("append m1.txt x", "commit first half", "append m2.txt y"))
    assert yard.until_idle().returncode == 0
    assert yard.subjects()[1:] == ["first half", "mixed"]


def test_a_failed_attempt_is_retried_and_its_work_kept(yard: Yard) -> None:
    yard.ticket("flaky", touches="/a.txt", does=("append a.txt attempt", "fail-first 1"))
    assert yard.until_idle().returncode == 0
    assert yard.file("a.txt") == "attempt"
    assert git(yard.control, "show", "refs/ticketd/flaky/1:a.txt") == "attempt"
    assert yard.ticket_line("flaky")["attempts"] == 2


def test_a_ticket_out_of_retries_fails_with_its_reason_and_the_run_ends_in_1(yard: Yard) -> None:
    yard.ticket("bad", touches="/a.txt", does=("exit 3",), retries=0)
    yard.ticket("good", touches="/b.txt", does=("append b.txt x",))
    done = yard.until_idle()
    assert done.returncode == 1
    assert "bad: failed (agent-failed)" in done.stdout
    assert yard.subjects()[1:] == ["good"]


def test_failed_verification_keeps_main_clean_and_names_the_log(yard: Yard) -> None:
    yard.config('[landing]\nrepairs = 0\nverify = ["sh", "-c", "echo checking; test ! -e broken.txt"]\n')
    yard.ticket("breaks", touches="/broken.txt", does=("append broken.txt x",), retries=0)
    yard.ticket("fine", touches="/fine.txt", does=("append fine.txt x",))
    assert yard.until_idle().returncode == 1
    line = yard.ticket_line("breaks")
    assert line["reason"] == "verify-failed"
    log = Path(line["detail"].rpartition(" in ")[2])
    assert "checking" in log.read_text()
    assert yard.subjects()[1:] == ["fine"]
    assert git(yard.control, "show", "refs/ticketd/breaks/1:broken.txt") == "x"


def test_verification_sees_exactly_the_tree_that_is_pushed(yard: Yard) -> None:
    seen = yard.root / "seen"
    yard.config(f'[landing]\nverify = ["sh", "-c", "git rev-parse HEAD >> {seen}; git status --porcelain >> {seen}"]\n')
    for number in range(3):
        yard.ticket(f"t{number}", touches=f"/{number}.txt", does=(f"append {number}.txt x",))
    assert yard.until_idle().returncode == 0
    on_main = git(yard.origin, "log", "--reverse", "--format=%H", "main").splitlines()[1:]
    assert seen.read_text().split() == on_main


def test_a_tickets_own_verification_runs_beside_the_projects(yard: Yard) -> None:
    yard.config("[landing]\nrepairs = 0\n")
    yard.ticket("own", touches="/a.txt", does=("append a.txt x",), verify="test -e b.txt", retries=0)
    assert yard.until_idle().returncode == 1
    assert yard.ticket_line("own")["reason"] == "verify-failed"


def test_an_agent_that_changes_nothing_fails_as_such(yard: Yard) -> None:
    yard.ticket("idle", touches="/a.txt", does=("say hello",), retries=0)
    assert yard.until_idle().returncode == 1
    assert yard.ticket_line("idle")["reason"] == "no-changes"


def test_writing_outside_the_claim_fails_where_the_project_says_so(yard: Yard) -> None:
    yard.config('[claims]\noutside = "fail"\n')
    yard.ticket("stray", touches="/a.txt", does=("append a.txt x", "append b.txt x"), retries=0)
    assert yard.until_idle().returncode == 1
    line = yard.ticket_line("stray")
    assert (line["reason"], "b.txt" in line["detail"]) == ("outside-claim", True)


def test_writing_outside_the_claim_extends_it_by_default(yard: Yard) -> None:
    yard.ticket("stray", touches="/a.txt", does=("append a.txt x", "append b.txt x"))
    assert yard.until_idle().returncode == 0
    kinds = [event["kind"] for event in yard.json("show", "stray")["events"]]
    assert "claim-extended" in kinds


def test_exit_75_costs_no_retry(yard: Yard) -> None:
    script = yard.root / "later.sh"
    script.write_text('test "$TICKETD_ATTEMPT" -gt 1 || exit 75\necho x > a.txt\n')
    yard.config(agent=f'[agents.default]\ncommand = ["sh", "{script}"]\n')
    yard.ticket("later", touches="/a.txt", retries=0)
    done = yard.until_idle()
    assert done.returncode == 0, done.stdout
    assert yard.json("show", "later")["failures"] == 0


def test_a_rate_limited_profile_hands_its_tickets_to_the_next_of_the_route(yard: Yard) -> None:
    yard.config(
        'slots = 2\n[routes]\nM = ["busy", "free"]\n',
        agent='[agents.busy]\ncommand = ["sh", "-c", "exit 75"]\n'
        '[agents.free]\ncommand = ["sh", "-c", "echo x > $TICKETD_TICKET"]\n',
    )
    for id_ in ("a", "b", "c"):
        yard.ticket(id_, touches=f"/{id_}", retries=0)
    assert yard.until_idle().returncode == 0
    shown = {id_: yard.json("show", id_) for id_ in ("a", "b", "c")}
    assert all(ticket["attempt_list"][-1]["agent"] == "free" for ticket in shown.values())
    assert [shown[id_]["attempt_list"][0]["agent"] for id_ in ("a", "b")] == ["busy", "busy"]
    assert all(ticket["failures"] == 0 for ticket in shown.values())


def test_a_missing_program_fails_its_ticket_at_once_and_says_how_to_mend_it(yard: Yard) -> None:
    yard.config(agent='[agents.default]\ncommand = ["no-such-agent"]\n')
    yard.ticket("a", touches="/a", retries=5)
    assert yard.until_idle().returncode == 1
    line = yard.ticket_line("a")
    assert (line["state"], line["reason"], line["attempts"]) == ("failed", "agent-failed", 1)
    assert "no-such-agent" in line["detail"] and "[agents.default]" in line["detail"]


def test_the_agents_environment_is_the_allow_list_and_its_brief_is_on_stdin(yard: Yard, monkeypatch: object) -> None:
    script = yard.root / "agent.sh"
    script.write_text('env > env.txt\ncat > stdin.txt\ncp "$TICKETD_BRIEF" brief.txt\n')
    yard.config(agent=f'[agents.default]\ncommand = ["sh", "{script}"]\nenv = ["WANTED"]\n')
    yard.ticket("look", touches="/*.txt", does=("say this is the brief",))
    environment = {"WANTED": "yes", "SECRET": "no"}
    done = subprocess.run(
        ["env", *(f"{k}={v}" for k, v in environment.items()), *yard.command("start", "--until-idle")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(line.split("=", 1) for line in yard.file("env.txt").splitlines() if "=" in line)
    assert said["WANTED"] == "yes"
    assert "SECRET" not in said and "XDG_STATE_HOME" not in said
    assert (said["TICKETD_TICKET"], said["TICKETD_ATTEMPT"]) == ("look", "1")
    assert said["TICKETD_BASE"] == git(yard.origin, "rev-parse", "main~1")
    assert said["TICKETD_REPO"] == str(yard.work)
    assert Path(said["TICKETD_NOTES"]).read_text() == ""
    assert yard.file("stdin.txt") == yard.file("brief.txt")
    assert "agent: say this is the brief" in yard.file("stdin.txt")
    assert "touches" not in yard.file("stdin.txt")


def test_a_timeout_ends_the_whole_tree_and_keeps_the_work(yard: Yard) -> None:
    script = yard.root / "agent.sh"
    script.write_text("echo half > a.txt\nsetsid sleep 1000 &\ntrap '' TERM\nsleep 1000\n")
    yard.config('[limits]\ngrace = "1s"\n', agent=f'[agents.default]\ncommand = ["sh", "{script}"]\n')
    yard.ticket("slow", touches="/a.txt", timeout="1s", retries=0)
    assert yard.until_idle().returncode == 1
    assert yard.ticket_line("slow")["reason"] == "timeout"
    assert git(yard.control, "show", "refs/ticketd/slow/1:a.txt") == "half"


def test_a_conflict_is_found_and_the_ticket_runs_again_from_the_new_base(yard: Yard) -> None:
    go = yard.root / "go"
    yard.config("[landing]\nrepairs = 0\n")
    yard.ticket("edit", touches="/README.md", does=(f"wait-for {go}", "write README.md mine"))
    daemon = yard.start("--until-idle")
    wait_until(lambda: yard.status()["slots"][0].get("phase") == "running", "the agent runs")
    yard.push_by_hand("README.md", "theirs\n")
    go.touch()
    assert daemon.wait(timeout=60) == 0
    reasons = [attempt["reason"] for attempt in yard.json("show", "edit")["attempt_list"]]
    assert reasons == ["conflict", None]
    assert yard.file("README.md") == "mine"


def test_drift_is_told_while_the_agent_runs_and_its_tree_is_left_alone(yard: Yard) -> None:
    go, wrote = yard.root / "go", yard.root / "wrote"
    yard.ticket("edit", touches="/README.md", does=("write README.md mine", f"write {wrote} x", f"wait-for {go}"))
    yard.ticket("other", touches="/x.txt", does=("append x.txt 1", f"wait-for {go}"))
    yard.start("--until-idle")
    wait_until(wrote.exists, "the agent has written")
    yard.push_by_hand("README.md", "theirs\n")

    def slot(ticket: str) -> dict[str, object]:
        return next((s for s in yard.status()["slots"] if s.get("ticket") == ticket), {})

    wait_until(lambda: slot("edit").get("drift") == "conflict", "drift is a conflict")
    wait_until(lambda: slot("other").get("drift") == "behind", "the other is only behind")
    assert slot("edit")["behind"] == 1
    assert slot("edit")["drift_paths"] == ["README.md"]
    tree = Path(str(slot("edit")["worktree"]))
    assert (tree / "README.md").read_text() == "mine\n"
    assert git(tree, "status", "--porcelain") == "M README.md"
    go.touch()


def test_a_second_daemon_is_refused(yard: Yard) -> None:
    go = yard.root / "go"
    yard.ticket("one", touches="/a.txt", does=(f"wait-for {go}", "append a.txt x"))
    yard.start()
    wait_until(lambda: yard.status()["daemon"]["running"], "the daemon runs")
    second = yard.run("start")
    assert second.returncode == 4
    assert "already runs" in second.stderr
    assert "Traceback" not in second.stderr
    go.touch()


def test_ticket_files_that_come_change_and_go_are_noticed(yard: Yard) -> None:
    go = yard.root / "go"
    yard.ticket("first", touches="/a.txt", does=(f"wait-for {go}", "append a.txt x"))
    leaves = yard.ticket("leaves", touches="/a.txt", does=("append a.txt never",))
    yard.ticket("z-changes", touches="/a.txt", does=("append a.txt old",))
    daemon = yard.start("--until-idle")
    yard.wait_for_state("first", "running")
    leaves.unlink()
    yard.ticket("z-changes", touches="/a.txt", does=("append a.txt new",))
    yard.ticket("late", touches="/b.txt", does=("append b.txt x",))
    (yard.work / "tickets" / "broken.md").write_text("---\ntuoches: [a]\n---\n")
    yard.wait_for_state("leaves", "cancelled")
    yard.wait_for_state("late", "landed")
    go.touch()
    assert daemon.wait(timeout=60) == 1
    assert yard.file("a.txt") == "x\nnew"
    assert [problem["file"] for problem in yard.status()["problems"]] == ["tickets/broken.md"]


def test_a_daemon_killed_outright_is_followed_by_one_that_takes_its_agents_over(yard: Yard) -> None:
    go = yard.root / "go"
    for number in range(3):
        yard.ticket(f"t{number}", touches=f"/{number}.txt", does=(f"wait-for {go}", f"append {number}.txt x"))
    first = yard.start()
    wait_until(lambda: [s.get("phase") for s in yard.status()["slots"]].count("running") == 3, "three agents run")
    pids = {slot.get("pid") for slot in yard.status()["slots"]}
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not yard.status()["daemon"]["running"]
    second = yard.start("--until-idle")
    wait_until(lambda: yard.status()["daemon"]["running"], "the next daemon runs")
    assert {slot.get("pid") for slot in yard.status()["slots"]} == pids
    go.touch()
    assert second.wait(timeout=60) == 0
    assert sorted(yard.subjects()[1:]) == ["t0", "t1", "t2"]
    assert [yard.ticket_line(f"t{n}")["attempts"] for n in range(3)] == [1, 1, 1]


def test_stop_now_ends_agents_keeps_their_work_and_requeues(yard: Yard) -> None:
    wrote = yard.root / "wrote"
    yard.ticket("long", touches="/a.txt", does=("append a.txt half", f"write {wrote} x", "wait-for /never"), retries=0)
    daemon = yard.start()
    wait_until(wrote.exists, "the agent has written")
    assert yard.run("stop", "--now").returncode == 0
    assert daemon.wait(timeout=60) == 0
    assert yard.state_of("long") == "queued"
    assert git(yard.control, "show", "refs/ticketd/long/1:a.txt") == "half"


def test_cancelling_a_running_ticket_keeps_its_work_and_frees_its_slot(yard: Yard) -> None:
    wrote = yard.root / "wrote"
    yard.ticket("long", touches="/a.txt", does=("append a.txt half", f"write {wrote} x", "wait-for /never"))
    yard.ticket("next", touches="/a.txt", does=("append a.txt mine",))
    daemon = yard.start("--until-idle", "--slots", "1")
    wait_until(wrote.exists, "the agent has written")
    assert yard.run("cancel", "long").returncode == 0
    assert daemon.wait(timeout=60) == 0
    assert (yard.state_of("long"), yard.state_of("next")) == ("cancelled", "landed")
    assert git(yard.control, "show", "refs/ticketd/long/1:a.txt") == "half"


def test_a_refused_push_is_told_apart_and_lands_by_retry_without_the_agent(yard: Yard) -> None:
    hook = yard.origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    yard.ticket("one", touches="/a.txt", does=("append a.txt x",))
    assert yard.until_idle().returncode == 1
    assert yard.ticket_line("one")["reason"] == "push-rejected"
    assert "not today" in yard.ticket_line("one")["detail"]
    hook.unlink()
    assert yard.run("retry", "one").returncode == 0
    assert yard.until_idle().returncode == 0
    assert yard.ticket_line("one")["attempts"] == 1


def test_a_remote_that_is_gone_is_waited_for_and_blamed_on_nobody(yard: Yard) -> None:
    go, away = yard.root / "go", yard.root / "away.git"
    yard.ticket("one", touches="/a.txt", does=(f"wait-for {go}", "append a.txt x"))
    daemon = yard.start("--until-idle")
    yard.wait_for_state("one", "running")
    yard.origin.rename(away)
    go.touch()
    wait_until(lambda: [each["phase"] for each in yard.status()["landing"]] == ["waiting"], "it waits")
    assert yard.status()["target"]["trouble"]
    away.rename(yard.origin)
    assert daemon.wait(timeout=90) == 0
    assert yard.subjects()[1:] == ["one"]


def test_skip_abort_and_block_do_what_they_say(yard: Yard) -> None:
    yard.ticket("skips", touches="/a.txt", does=("exit 1",), retries=0, on_failure="skip")
    yard.ticket("skipped", touches="/b.txt", does=("append b.txt x",), depends_on=["skips"])
    yard.ticket("skipped-too", touches="/c.txt", does=("append c.txt x",), depends_on=["skipped"])
    yard.ticket("blocks", touches="/d.txt", does=("exit 1",), retries=0)
    yard.ticket("blocked", touches="/e.txt", does=("append e.txt x",), depends_on=["blocks"])
    assert yard.until_idle().returncode == 1
    states = {line["id"]: line["state"] for line in yard.json("list")["tickets"]}
    assert states == {
        "skips": "failed",
        "skipped": "skipped",
        "skipped-too": "skipped",
        "blocks": "failed",
        "blocked": "queued",
    }
    assert yard.status()["queue"][0]["waits_on"][0] == {
        "kind": "dependency",
        "ticket": "blocks",
        "detail": "failed (agent-failed)",
    }


def test_abort_stops_the_run(yard: Yard) -> None:
    yard.ticket("a", touches="/a.txt", does=("exit 1",), retries=0, on_failure="abort")
    yard.ticket("b", touches="/a.txt", does=("append a.txt x",))
    done = yard.run("start", "--slots", "1")
    assert done.returncode == 1
    assert "a failed (agent-failed)" in done.stdout
    assert yard.state_of("b") == "queued"


def test_setup_runs_once_per_worktree_and_again_when_its_inputs_change(yard: Yard) -> None:
    count = yard.root / "count"
    yard.config(f'[worktrees]\nsetup = ["sh", "-c", "echo x >> {count}"]\nsetup_inputs = ["lock"]\ncopy = [".env"]\n')
    (yard.work / ".env").write_text("SECRET=1\n")
    for number in range(3):
        yard.ticket(f"a{number}", touches="/a.txt", does=("append a.txt x", "wait-for .env"))
    yard.ticket("b-lock", touches="/**", does=("write lock 2",))
    yard.ticket("c", touches="/**", does=("append a.txt y",))
    assert yard.until_idle("--slots", "1").returncode == 0
    names = set(yard.state.glob("ticketd/*/worktrees/[0-9]*"))
    assert len(names) <= 3
    setups = len(count.read_text().split())
    assert len(names) < setups + 1 <= 2 * len(names) + 1


def test_status_is_as_the_contract_says_while_a_run_is_under_way(yard: Yard) -> None:
    go = yard.root / "go"
    yard.ticket("a", touches="/a.txt", does=(f"wait-for {go}", "append a.txt x"))
    yard.ticket("b", touches="/a.txt", does=("append a.txt y",), priority="high", depends_on=[])
    yard.ticket("c", touches="/c.txt", does=("append c.txt y",), depends_on=["a"])
    yard.start("--until-idle", "--slots", "1")
    wait_until(lambda: yard.status()["slots"][0]["state"] == "busy", "a slot is busy")
    said = yard.status()
    assert said["schema"] == 1
    assert json.dumps(said["counts"]).count(":") == 8
    assert {"running", "pid", "since", "paused", "engine"} <= set(said["daemon"])
    assert {"remote", "branch", "sha"} <= set(said["target"])
    busy = said["slots"][0]
    assert {"ticket", "attempt", "agent", "pid", "started_at", "base", "behind", "drift", "worktree"} <= set(busy)
    assert all({"ticket", "rank", "priority", "scope", "waits_on"} <= set(each) for each in said["queue"])
    go.touch()
