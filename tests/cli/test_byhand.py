"""`ticketd diff`, `land` and `revert`: a person's own hands on what agents have made."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path

import pytest
from hands_yard import SCRIPTED, Hands, git, make_hands

from ticketd.domain.ticket import TicketState


@pytest.fixture
def hands(tmp_path: Path) -> Hands:
    return make_hands(tmp_path)


def landed(hands: Hands, *does: str, id_: str = "paint", **front: object) -> None:
    hands.ticket(id_, *(does or (f"append {id_}.txt blue",)), **front)
    assert hands.run("start", "--until-idle").returncode == 0


def by_hand(hands: Hands, path: str, text: str, message: str = "by hand") -> None:
    """Somebody else moves main."""
    other = hands.work.parent / "other"
    if not other.exists():
        git(hands.work.parent, "clone", "-q", str(hands.origin), str(other))
    git(other, "pull", "-q", "--rebase")
    (other / path).write_text(text)
    git(other, "add", "-A")
    git(other, "commit", "-q", "-m", message)
    git(other, "push", "-q", "origin", "HEAD:main")


def subjects(hands: Hands) -> list[str]:
    return git(hands.origin, "log", "--reverse", "--format=%s", "main").splitlines()


def event_kinds(hands: Hands, id_: str) -> list[str]:
    return [event["kind"] for event in hands.json("show", id_)["events"]]


# --- diff -----------------------------------------------------------------------------------------------------------


def test_a_diff_of_what_has_landed_is_exactly_its_commits_and_applies(hands: Hands) -> None:
    by_hand(hands, "before.txt", "x\n")
    landed(hands, "append paint.txt blue", "commit Paint it", "append paint.txt green")
    by_hand(hands, "after.txt", "x\n")
    document = hands.json("diff", "paint")
    assert (document["state"], document["attempt"]) == ("landed", None)
    assert document["files"] == [{"path": "paint.txt", "added": 2, "removed": 0}]
    assert document["tip"] == hands.json("show", "paint")["landed_sha"]
    patch = hands.ok("diff", "paint")
    assert patch == document["diff"] and "\x1b" not in patch
    done = subprocess.run(["git", "apply"], cwd=hands.work, input=patch.encode(), check=False)
    assert done.returncode == 0
    assert (hands.work / "paint.txt").read_text() == "blue\ngreen\n"
    assert hands.ok("diff", "paint", "--stat").splitlines()[0].split() == ["paint.txt", "|", "2", "++"]


def test_a_diff_while_the_agent_runs_is_of_its_tree_as_it_stands(tmp_path: Path) -> None:
    hands = make_hands(tmp_path)
    go, wrote = tmp_path / "go", tmp_path / "wrote"
    hands.ticket(
        "paint", "append paint.txt blue", "commit half", "append paint.txt green", f"write {wrote} x", f"wait-for {go}"
    )
    daemon = subprocess.Popen(hands.command("start", "--until-idle"), stdout=subprocess.DEVNULL)
    try:
        while not wrote.exists():
            assert daemon.poll() is None
        tree = Path(hands.ok("path", "paint").strip())
        before = git(tree, "status", "--porcelain")
        shown = hands.json("diff", "paint")
        assert (shown["state"], shown["attempt"], shown["tip"]) == ("running", 1, None)
        assert [line for line in shown["diff"].splitlines() if line[:1] == "+"][1:] == ["+blue", "+green"]
        assert git(tree, "status", "--porcelain") == before == "M paint.txt"
    finally:
        go.touch()
        assert daemon.wait(timeout=60) == 0


def test_a_diff_of_kept_work_is_of_the_attempt_that_is_asked_for(hands: Hands) -> None:
    hands.ticket("paint", "append paint.txt blue", "exit 3", retries=0)
    hands.run("start", "--until-idle")
    hands.ticket("paint", "append paint.txt green", "exit 3", retries=0)
    hands.ok("retry", "paint")
    hands.run("start", "--until-idle")
    assert "+green" in hands.ok("diff", "paint") and "+blue" in hands.ok("diff", "paint", "--attempt", "1")
    assert hands.json("diff", "paint")["attempt"] == 2
    assert "attempt 3 of paint has left no work" in hands.refused(2, "diff", "paint", "--attempt", "3")


def test_a_diff_of_nothing_says_so(hands: Hands) -> None:
    hands.ticket("paint", "say hi")
    assert "paint has left no work" in hands.refused(2, "diff", "paint")
    assert "there is no ticket `pant`" in hands.refused(2, "diff", "pant")


def test_what_a_terminal_would_obey_is_shown_and_a_pipe_gets_every_byte(hands: Hands) -> None:
    landed(hands, "write paint.txt a\x1b]0;title\x07b")
    assert "+a\x1b]0;title\x07b" in hands.ok("diff", "paint")
    script = f'script -qec "{" ".join(hands.command("diff", "paint"))}" /dev/null'
    said = subprocess.run(["sh", "-c", script], capture_output=True, check=False).stdout
    assert b"\\x1b]0;title\\x07" in said and b"\x1b]0" not in said


# --- land -----------------------------------------------------------------------------------------------------------


def test_what_is_in_the_lane_goes_to_its_front(hands: Hands) -> None:
    (hands.work / "ticketd.toml").write_text('[landing]\nverify = ["false"]\n' + SCRIPTED)
    hook = hands.origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    for id_ in ("a", "b", "c"):
        hands.ticket(id_, f"append {id_}.txt x")
    (hands.work / "ticketd.toml").write_text(SCRIPTED)
    hands.run("start", "--until-idle")
    hook.unlink()
    for id_ in ("a", "b", "c"):
        hands.ok("retry", id_)
    assert hands.ok("land", "c") == "c lands next once `ticketd start` runs\n"
    hands.ok("land", "c")
    first = hands.json("status")["landing"][0]
    assert (first["ticket"], first["ahead"]) == ("c", True)
    assert event_kinds(hands, "c").count("put-ahead") == 1
    assert hands.run("start", "--until-idle").returncode == 0
    assert subjects(hands)[1] == "c"


def test_what_waits_for_a_person_is_approved_by_it_and_only_as_it_was_shown(hands: Hands) -> None:
    hands.ticket("paint", "append paint.txt blue", gate="land")
    hands.run("start", "--until-idle")
    hands.ok("review", "show", "paint")
    assert "what waits is" in hands.refused(1, "land", "paint", "--commit", "0" * 40)
    with_other = sqlite3.connect(hands.state / "store.db", isolation_level=None)
    with_other.execute("UPDATE tickets SET shown = ?", ["0" * 40])
    with_other.close()
    assert "paint has changed since it was shown" in hands.refused(1, "land", "paint")
    hands.ok("review", "show", "paint")
    assert hands.ok("land", "paint").startswith("paint is approved and lands next")
    assert hands.run("start", "--until-idle").returncode == 0


def test_kept_work_of_a_failed_and_of_a_cancelled_ticket_lands_without_an_agent(hands: Hands) -> None:
    hands.ticket("a", "append a.txt x", "exit 3", retries=0)
    hands.ticket("b", "append b.txt x", "exit 3", retries=0)
    hands.run("start", "--until-idle")
    hands.ok("cancel", "b")
    for id_ in ("a", "b"):
        assert hands.ok("land", id_).startswith(f"{id_} lands next, with the work that was kept")
    assert hands.run("start", "--until-idle").returncode == 0
    assert sorted(subjects(hands)) == ["a", "b", "first"]
    assert [hands.json("show", id_)["attempts"] for id_ in ("a", "b")] == [1, 1]


def test_a_claim_that_somebody_holds_by_now_is_named_with_its_path(hands: Hands) -> None:
    hands.ticket("a", "append a.txt x", "exit 3", retries=0)
    hands.run("start", "--until-idle")
    hands.ticket("b", "say hi", touches="a")
    hands.ok("list")
    hands.dispatch("b")
    assert "b holds a.txt, which a needs to land" in hands.refused(1, "land", "a")
    assert hands.state_of("a") is TicketState.FAILED


def test_what_has_nothing_to_land_says_what_to_do_instead(hands: Hands) -> None:
    hands.ticket("queued", "say hi")
    hands.ticket("asked", "say hi", gate="start")
    hands.ticket("empty", "say hi")
    hands.ok("list")
    with hands.store() as store:
        store.ask_to_start("empty", 1.0)
        store.reject("empty", "no", 2.0)
    assert "`ticketd explain queued`" in hands.refused(2, "land", "queued")
    assert "`ticketd review approve asked`" in hands.refused(2, "land", "asked")
    assert "`ticketd retry empty`" in hands.refused(2, "land", "empty")
    hands.dispatch("queued")
    assert "`ticketd diff queued`" in hands.refused(2, "land", "queued")


# --- revert ---------------------------------------------------------------------------------------------------------


def test_what_has_landed_is_taken_back_through_the_lane_without_an_agent(hands: Hands) -> None:
    landed(hands, "append paint.txt blue", "commit Paint it", "append paint.txt green")
    by_hand(hands, "after.txt", "x\n")
    first, second = git(hands.origin, "log", "--reverse", "--format=%H", "main").splitlines()[1:3]
    said = hands.ok("revert", "paint")
    assert said.startswith("revert-paint takes back paint by ") and "once `ticketd start` runs" in said
    assert hands.state_of("revert-paint") is TicketState.LANDING
    assert event_kinds(hands, "revert-paint") == ["ticket-added", "entered", "landing-queued"]
    assert hands.run("start", "--until-idle").returncode == 0
    assert subjects(hands)[-1] == 'Revert "paint"'
    assert "paint.txt" not in git(hands.origin, "ls-tree", "--name-only", "main").splitlines()
    body = git(hands.origin, "log", "-1", "--format=%B", "main")
    assert body.splitlines()[2:] == [
        f"This reverts commit {second}.",
        f"This reverts commit {first}.",
        "",
        "Reverts: paint",
        "Ticket: revert-paint",
        "Ticket-Attempt: 1",
    ]
    shown = hands.json("show", "revert-paint")
    assert (shown["attempts"], shown["touches"], shown["state"]) == (1, ["/paint.txt"], "landed")
    assert (hands.work / "tickets" / "revert-paint.md").exists()
    assert hands.state_of("paint") is TicketState.LANDED


def test_a_single_commit_gives_its_own_subject_and_can_be_brought_back(hands: Hands) -> None:
    landed(hands, "append paint.txt blue", "commit Paint it")
    hands.ok("revert", "paint")
    assert hands.run("start", "--until-idle").returncode == 0
    assert subjects(hands)[-1] == 'Revert "Paint it"'
    hands.ok("revert", "revert-paint")
    assert hands.run("start", "--until-idle").returncode == 0
    assert git(hands.origin, "show", "main:paint.txt") == "blue"
    assert "nothing of revert-paint is left" in hands.refused(1, "revert", "revert-paint")


def test_it_is_verified_like_all_others(hands: Hands) -> None:
    landed(hands)
    (hands.work / "ticketd.toml").write_text('[landing]\nverify = ["test", "-e", "paint.txt"]\n' + SCRIPTED)
    hands.ok("revert", "paint")
    assert hands.run("start", "--until-idle").returncode == 1
    assert subjects(hands) == ["first", "paint"]


def test_a_later_change_is_named_and_nothing_is_made_up(hands: Hands) -> None:
    landed(hands)
    by_hand(hands, "paint.txt", "red\n", "theirs: red")
    said = hands.refused(1, "revert", "paint")
    assert "paint.txt has changed since on origin/main, by" in said and "theirs: red" in said
    assert [path.name for path in (hands.work / "tickets").iterdir()] == ["paint.md"]
    said = hands.ok("revert", "paint", "--agent")
    assert "revert-paint is queued for an agent" in said
    assert hands.state_of("revert-paint") is TicketState.QUEUED
    assert hands.json("show", "revert-paint")["touches"] == ["/paint.txt"]


def test_a_file_or_an_id_that_is_there_is_never_taken(hands: Hands) -> None:
    landed(hands)
    hands.ticket("revert-paint", "say hi")
    text = (hands.work / "tickets" / "revert-paint.md").read_text()
    assert hands.ok("revert", "paint").startswith("revert-paint-2 takes back paint")
    assert (hands.work / "tickets" / "revert-paint.md").read_text() == text


@pytest.mark.parametrize("by_agent", [False, True])
def test_what_is_being_taken_back_is_not_taken_back_twice(hands: Hands, by_agent: bool) -> None:
    landed(hands)
    if by_agent:
        by_hand(hands, "paint.txt", "red\n")
    hands.ok("revert", "paint", "--agent")
    said = hands.refused(1, "revert", "paint", "--agent")
    assert "revert-paint takes back paint already" in said and "`ticketd explain revert-paint`" in said
    hands.ok("cancel", "revert-paint")
    assert hands.run("start", "--until-idle").returncode == 0
    assert "revert-paint-2" in hands.ok("revert", "paint", "--agent")


def test_it_lands_though_others_hold_its_files_and_needs_no_further_word(hands: Hands) -> None:
    landed(hands, gate="none")
    (hands.work / "ticketd.toml").write_text('[review]\nprotect = ["paint.txt"]\n[gates]\nnormal = "land"\n' + SCRIPTED)
    hands.ticket("other", "say hi", touches="paint", gate="none")
    hands.ok("list")
    hands.dispatch("other", git(hands.origin, "rev-parse", "main"))
    hands.ok("revert", "paint")
    with hands.store() as store:
        assert [claim.ticket for claim in store.board().claims] == ["other"]
    hands.ok("cancel", "other")
    assert hands.run("start", "--until-idle").returncode == 0
    assert subjects(hands)[-1] == 'Revert "paint"'


def test_only_what_is_on_the_target_can_be_taken_back(hands: Hands) -> None:
    hands.ticket("queued", "say hi", gate="start")
    assert "queued is review" in hands.refused(2, "revert", "queued")
    (hands.work / "ticketd.toml").write_text('[landing]\nmode = "branch"\n' + SCRIPTED)
    hands.ticket("paint", "append paint.txt blue")
    hands.run("start", "--until-idle")
    assert "pushed as branch ticketd/paint, not to origin/main" in hands.refused(2, "revert", "paint")


def test_a_target_that_does_not_answer_is_told(hands: Hands) -> None:
    landed(hands)
    hands.origin.rename(hands.origin.with_name("away"))
    assert "the target cannot be reached" in hands.refused(1, "revert", "paint")


def test_it_works_on_a_local_branch(hands: Hands) -> None:
    git(hands.work, "checkout", "-q", "-b", "elsewhere")
    (hands.work / "ticketd.toml").write_text('[target]\nremote = ""\n' + SCRIPTED)
    landed(hands)
    hands.ok("revert", "paint")
    assert hands.run("start", "--until-idle").returncode == 0
    assert git(hands.work, "log", "-1", "--format=%s", "main") == 'Revert "paint"'
