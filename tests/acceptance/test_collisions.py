"""Claims that are true while agents run: what is really written counts, and who collides is told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acceptance_yard import Yard, git, wait_until

LINES = "".join(f"line {number}\n" for number in range(30))


def slot(yard: Yard, ticket: str) -> Any:
    return next((each for each in yard.status()["slots"] if each.get("ticket") == ticket), {})


def notes(yard: Yard, ticket: str) -> str:
    (path,) = yard.state.glob(f"ticketd/*/runs/{ticket}/1/notes.md")
    return path.read_text()


def collide(yard: Yard, stray: str) -> Path:
    """`owner` has claimed shared.txt and writes it; so does `stray`, who has not. Both run on until `go` is there."""
    go = yard.root / "go"
    yard.push_by_hand("shared.txt", LINES)
    yard.ticket("owner", touches="/shared.txt", does=("append shared.txt by the owner", f"wait-for {go}"))
    yard.ticket("stray", touches="/own.txt", does=("append own.txt x", stray, f"wait-for {go}"))
    return go


def test_two_who_write_one_file_are_told_at_once_and_the_later_is_rebased_and_verified_again(yard: Yard) -> None:
    seen = yard.root / "seen"
    yard.config(f'[landing]\nverify = ["sh", "-c", "(git rev-parse HEAD; sed -n \'1p;$p\' shared.txt) >> {seen}"]\n')
    go = collide(yard, "prepend shared.txt by the stray")
    daemon = yard.start("--until-idle")
    wait_until(lambda: slot(yard, "stray").get("collides_with"), "the collision is seen")
    assert slot(yard, "stray")["collides_with"] == [{"ticket": "owner", "path": "shared.txt"}]
    assert slot(yard, "owner")["collides_with"] == [{"ticket": "stray", "path": "shared.txt"}]
    shown = yard.run("status").stdout
    assert "collides with owner on shared.txt" in shown and "collides with stray on shared.txt" in shown
    assert "with stray on shared.txt" in yard.run("show", "owner").stdout
    assert "wrote what owner holds: shared.txt" in yard.run("logs", "owner").stderr
    wait_until(lambda: notes(yard, "stray") and notes(yard, "owner"), "both agents are told")
    assert notes(yard, "stray").startswith("- You wrote `shared.txt`, which ticket owner holds")
    assert notes(yard, "owner").startswith("- Ticket stray wrote `shared.txt`, which you hold")
    go.touch()
    assert daemon.wait(timeout=60) == 0
    assert [notes(yard, each).count("\n") for each in ("stray", "owner")] == [1, 1]
    for ticket in ("owner", "stray"):
        events = yard.json("show", ticket)["events"]
        collided = [event for event in events if event["kind"] == "claim-collided"]
        assert [(e["ticket"], e["with"], e["paths"]) for e in collided] == [("stray", "owner", ["shared.txt"])]
    landed = git(yard.origin, "log", "-2", "--reverse", "--format=%H", "main").splitlines()
    verified = {sha: (top, end) for sha, top, end in zip(*[iter(seen.read_text().splitlines())] * 3, strict=True)}
    assert verified[landed[1]] == ("by the stray", "by the owner")
    assert "line 29" in verified[landed[0]] or "line 0" in verified[landed[0]]


def test_two_who_write_the_same_line_end_well_too_the_later_by_running_anew(yard: Yard) -> None:
    yard.config("[landing]\nrepairs = 0\n")
    go = collide(yard, "append shared.txt by the stray")
    daemon = yard.start("--until-idle")
    wait_until(lambda: slot(yard, "stray").get("collides_with"), "the collision is seen")
    go.touch()
    assert daemon.wait(timeout=60) == 0
    attempts = {ticket: yard.json("show", ticket)["attempt_list"] for ticket in ("owner", "stray")}
    reasons = [attempt["reason"] for each in attempts.values() for attempt in each]
    assert sorted(map(str, reasons)) == ["None", "None", "conflict"]
    assert sorted(yard.file("shared.txt").splitlines()[-2:]) == ["by the owner", "by the stray"]


def test_a_later_pick_avoids_what_a_running_agent_has_really_written(yard: Yard) -> None:
    yard.config('[claims]\noutside = "warn"\nshared = ["*.md"]\n')
    go = yard.root / "go"
    yard.ticket("first", touches="/own.txt", does=("append new.txt 1", "append NOTES.md 1", f"wait-for {go}"))
    daemon = yard.start()
    claimed = [event["kind"] for event in yard.json("show", "first")["events"]]
    wait_until(
        lambda: "claim-extended" in [event["kind"] for event in yard.json("show", "first")["events"]],
        f"the claim is extended, after {claimed}",
    )
    yard.ticket("second", touches="/new.txt", does=("append new.txt 2",))
    yard.ticket("third", touches="/NOTES.md", does=("append third.txt 3",))
    yard.wait_for_state("third", "landed")
    (waiting,) = yard.status()["queue"]
    assert waiting["waits_on"] == [{"kind": "overlap", "ticket": "first", "path": "new.txt"}]
    go.touch()
    yard.wait_for_state("second", "landed")
    assert yard.file("new.txt") == "1\n2"
    assert daemon.poll() is None
