"""What does not land goes back to where it can be mended, cheapest first: the same work, a new attempt, a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from acceptance_yard import Yard, git, wait_until

TICKET = {"touches": "/README.md"}


def agent(yard: Yard, *lines: str, config: str = "") -> Path:
    """What every agent runs. It waits at `go` in its first attempt; its brief, state and environment go to `seen`."""
    seen, go = yard.root / "seen", yard.root / "go"
    seen.mkdir()
    script = yard.root / "agent.sh"
    begin = [
        f"me={seen}/$TICKETD_TICKET.$TICKETD_ATTEMPT",
        "cat > $me.brief",
        "env > $me.env",
        "pwd > $me.pwd",
        "git status --porcelain > $me.status",
        f"test $TICKETD_ATTEMPT -gt 1 || while ! test -e {go}; do sleep 0.05; done",
    ]
    script.write_text("\n".join([*begin, *lines, ""]))
    yard.config(config, agent=f'[agents.default]\ncommand = ["sh", "{script}"]\n')
    return seen


def meet_a_conflict(yard: Yard, seen: Path, *paths: str) -> int:
    """The agent runs, somebody else changes what it changes, and all goes on to its end: the exit code."""
    daemon = yard.start("--until-idle")
    wait_until((seen / "edit.1.status").exists, "the agent runs")
    for path in paths or ("README.md",):
        yard.push_by_hand(path, "theirs\n")
    (yard.root / "go").touch()
    return daemon.wait(timeout=120)


def attempts(yard: Yard, id_: str = "edit") -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = yard.json("show", id_)["attempt_list"]
    return shown


def reasons(yard: Yard, id_: str = "edit") -> list[str | None]:
    return [attempt["reason"] for attempt in attempts(yard, id_)]


MINE = 'test -n "$TICKETD_REPAIR" || echo mine > README.md'


def test_an_agent_that_resolves_the_conflict_in_its_own_worktree_lands(yard: Yard) -> None:
    """Files that came with the target are not outside its claim."""
    both = 'test -z "$TICKETD_REPAIR" || printf "mine\\ntheirs\\n" > README.md'
    seen = agent(yard, MINE, both, config='[claims]\noutside = "fail"\n')
    yard.ticket("edit", **TICKET, retries=0)
    assert meet_a_conflict(yard, seen, "README.md", "new") == 0
    assert yard.file("README.md") == "mine\ntheirs"
    assert reasons(yard) == ["conflict", None]
    assert yard.subjects() == ["first", "by hand: README.md", "by hand: new", "edit"]
    assert "TICKETD_REPAIR=conflict\n" in (seen / "edit.2.env").read_text()
    assert (seen / "edit.2.status").read_text() == "UU README.md\nA  new\n"
    assert (seen / "edit.2.pwd").read_text() == (seen / "edit.1.pwd").read_text()
    brief = (seen / "edit.2.brief").read_text()
    assert "## Landing failed: conflicts with origin/main in README.md" in brief
    assert yard.json("show", "edit")["failures"] == 0


def test_one_that_leaves_the_markers_is_begun_afresh_and_told(yard: Yard) -> None:
    seen = agent(yard, MINE, "test $TICKETD_ATTEMPT -lt 3 || echo mine, afresh > README.md")
    yard.ticket("edit", **TICKET, retries=1)
    assert meet_a_conflict(yard, seen) == 0
    assert reasons(yard) == ["conflict", "conflict", None]
    assert yard.file("README.md") == "mine, afresh"
    brief = (seen / "edit.3.brief").read_text()
    assert "## What happened before" in brief
    assert "- attempt 2: conflict: conflicts with origin/main in README.md; the conflict is not resolved" in brief
    assert "TICKETD_REPAIR" not in (seen / "edit.3.env").read_text()
    assert "<<<<<<<" in git(yard.control, "show", "refs/ticketd/edit/2:README.md")
    assert "<<<<<<<" not in git(yard.origin, "log", "-p", "main")


def test_one_that_ignores_repairs_ends_with_a_person_and_everything_kept(yard: Yard) -> None:
    seen = agent(yard, MINE, 'test -z "$TICKETD_REPAIR" || git merge --abort')
    yard.ticket("edit", **TICKET, retries=0)
    assert meet_a_conflict(yard, seen) == 1
    line = yard.ticket_line("edit")
    assert (line["state"], line["reason"]) == ("failed", "conflict")
    assert "its agent was to mend that, and changed nothing" in line["detail"]
    assert len(attempts(yard)) == 2
    assert git(yard.control, "show", "refs/ticketd/edit/2:README.md") == "mine"
    assert yard.file("README.md") == "theirs"
    mends = yard.status()["ended"][0]["mend"]
    assert {"ticketd checkout edit", "ticketd retry edit"} <= set(mends)


def test_what_one_repair_has_resolved_is_there_for_the_next(yard: Yard) -> None:
    half = (
        "case $TICKETD_ATTEMPT in",
        "1) echo mine > README.md; echo mine > b;;",
        "2) echo both > README.md;;",
        "3) cat README.md > $me.found; echo both > b;;",
        "esac",
    )
    seen = agent(yard, *half)
    yard.ticket("edit", touches="**", retries=0)
    assert meet_a_conflict(yard, seen, "README.md", "b") == 0
    assert reasons(yard) == ["conflict", "conflict", None]
    assert (seen / "edit.3.found").read_text() == "both\n"
    assert "not resolved in b" in (seen / "edit.3.brief").read_text()
    assert (yard.file("README.md"), yard.file("b")) == ("both", "both")


def test_a_resolution_that_takes_back_what_others_did_does_not_land(yard: Yard) -> None:
    """`git checkout HEAD -- .` in a merge is one side whole: the other's files are gone as if they had never been."""
    seen = agent(
        yard,
        MINE,
        'test -z "$TICKETD_REPAIR" || { git checkout -q HEAD -- . && git rm -q --cached new && rm new; }',
    )
    yard.ticket("edit", **TICKET, retries=0)
    assert meet_a_conflict(yard, seen, "README.md", "new") == 1
    assert yard.ticket_line("edit")["reason"] == "conflict"
    assert "takes back what origin/main has changed in new" in yard.ticket_line("edit")["detail"]
    assert (yard.file("README.md"), yard.file("new")) == ("theirs", "theirs")
    assert reasons(yard) == ["conflict"] * 3


def test_commits_that_conflict_one_by_one_but_not_as_a_whole_land_as_one(yard: Yard) -> None:
    there = "echo mine > README.md; git commit -qam there; echo a project > README.md; git commit -qam back"
    seen = agent(yard, f'test -n "$TICKETD_REPAIR" || {{ {there}; echo own > own; }}')
    yard.ticket("edit", touches="**", retries=0)
    assert meet_a_conflict(yard, seen) == 0
    assert (yard.file("README.md"), yard.file("own")) == ("theirs", "own")
    assert "as a whole they do not" in (seen / "edit.2.brief").read_text()


def test_a_failed_verification_is_mended_on_the_very_tree_that_failed(yard: Yard) -> None:
    check = "cat part; ! grep -q wrong part || { printf 'agent: x\\n```\\nred: %s\\n' wrong; exit 1; }"
    steps = ('test -n "$TICKETD_REPAIR" || echo wrong > part', 'test -z "$TICKETD_REPAIR" || echo right > part')
    seen = agent(
        yard, *steps, "git rev-parse HEAD > $me.head", config=f"[landing]\nverify = ['sh', '-c', '''{check}''']\n"
    )
    yard.ticket("edit", touches="/part", retries=0)
    assert meet_a_conflict(yard, seen, "README.md") == 0
    assert reasons(yard) == ["verify-failed", None]
    assert yard.file("part") == "right"
    brief = (seen / "edit.2.brief").read_text()
    assert "## Landing failed: `sh -c" in brief and "red: wrong\n````\n" in brief
    assert "TICKETD_REPAIR=verify\n" in (seen / "edit.2.env").read_text()
    by_hand, *own = git(yard.origin, "log", "--reverse", "--format=%H", "main").splitlines()[1:]
    begun = (seen / "edit.2.head").read_text().strip()
    assert git(yard.control, "log", "-1", "--format=%P", begun) == by_hand
    assert len(own) == 1  # what failed is on main in no commit
    assert git(yard.origin, "log", "-1", "--format=%(trailers:key=Ticket-Attempt,valueonly)", own[0]) == "2"


def test_a_repair_of_a_verification_that_changes_nothing_is_not_verified_again(yard: Yard) -> None:
    ran = yard.root / "ran"
    seen = agent(
        yard,
        'test -n "$TICKETD_REPAIR" || echo wrong > part',
        config=f"[landing]\nreruns = 0\nverify = ['sh', '-c', 'echo x >> {ran}; ! test -e part']\n",
    )
    yard.ticket("edit", touches="/part", retries=0)
    (yard.root / "go").touch()
    assert yard.until_idle().returncode == 1
    assert reasons(yard) == ["verify-failed", "verify-failed"]
    assert ran.read_text() == "x\nx\n"  # the second one is the target's own
    assert seen.exists()


@pytest.mark.parametrize("retries", [0, 1])
def test_without_repairs_a_conflict_is_begun_afresh_or_a_persons(yard: Yard, retries: int) -> None:
    seen = agent(yard, "echo mine > README.md", config="[landing]\nrepairs = 0\n")
    yard.ticket("edit", **TICKET, retries=retries)
    assert meet_a_conflict(yard, seen) == 1 - retries
    assert reasons(yard) == ["conflict", None][: 1 + retries]
    assert not (seen / "edit.2.brief").exists() or "What happened before" in (seen / "edit.2.brief").read_text()


def test_a_repair_is_told_on_every_screen(yard: Yard) -> None:
    wait = f"while ! test -e {yard.root}/mend; do sleep 0.05; done"
    seen = agent(yard, MINE, f'test -z "$TICKETD_REPAIR" || {{ {wait}; echo both > README.md; }}')
    yard.ticket("edit", **TICKET)
    yard.start("--until-idle")
    wait_until((seen / "edit.1.status").exists, "the agent runs")
    yard.push_by_hand("README.md", "theirs\n")
    (yard.root / "go").touch()
    wait_until((seen / "edit.2.status").exists, "the repair runs")
    words = "repair 1 of 2: conflicts with origin/main in README.md"
    busy = next(slot for slot in yard.status()["slots"] if slot["state"] == "busy")
    assert busy["repair"] == {"kind": "conflict", "number": 1, "of": 2, "told": words.partition(": ")[2]}
    for screen in (("explain", "edit"), ("show", "edit"), ("status",)):
        assert words in " ".join(yard.run(*screen).stdout.split()), screen
    (yard.root / "mend").touch()
    yard.wait_for_state("edit", "landed")
    told = yard.run("events").stdout
    assert "goes back to its agent, repair 1: conflict: conflicts with origin/main in README.md" in told
    assert "(attempt 2), to mend a conflict" in told
