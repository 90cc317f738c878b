"""What running agents are told of a target that moves against them, and who begins anew. Their trees stay untouched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acceptance_yard import Yard, git, wait_until


def slot(yard: Yard, ticket: str) -> Any:
    return next((each for each in yard.status()["slots"] if each.get("ticket") == ticket), {})


def notes(yard: Yard, attempt: str) -> str:
    return next(yard.state.glob(f"ticketd/*/runs/{attempt}/notes.md")).read_text()


def kinds(yard: Yard, ticket: str) -> list[str]:
    return [event["kind"] for event in yard.json("show", ticket)["events"]]


def edits_readme(yard: Yard, config: str = "") -> tuple[Path, Path]:
    """An agent that has written README.md, notes its attempt's number in a file, and waits."""
    go, wrote = yard.root / "go", yard.root / "wrote"
    yard.config(config)
    steps = ("write README.md mine", f"append {wrote} x", f"wait-for {go}")
    yard.ticket("edit", touches="/README.md", does=steps, retries=0)
    yard.start("--until-idle")
    wait_until(wrote.exists, "the agent has written")
    return go, wrote


def files_of(tree: Path) -> dict[Path, tuple[bytes, float]]:
    return {
        path: (path.read_bytes(), path.stat().st_mtime)
        for path in sorted(tree.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def test_an_agent_whose_work_conflicts_finds_it_in_its_notes_once_and_its_tree_as_it_was(yard: Yard) -> None:
    go, _ = edits_readme(yard)
    wait_until(lambda: slot(yard, "edit"), "it is on screen")
    tree = Path(slot(yard, "edit")["worktree"])
    before, index = files_of(tree), git(tree, "ls-files", "-s")
    sha = yard.push_by_hand("README.md", "theirs\n")
    wait_until(lambda: notes(yard, "edit/1"), "the agent is told")
    assert slot(yard, "edit")["drift"] == "conflict"
    assert "`origin/main` conflicts with what you have written in `README.md`" in notes(yard, "edit/1")
    assert sha[:12] in notes(yard, "edit/1")
    yard.push_by_hand("elsewhere.txt", "x\n")
    wait_until(lambda: slot(yard, "edit")["behind"] == 2, "the target has gone on")
    assert slot(yard, "edit")["drift"] == "conflict"
    assert notes(yard, "edit/1").count("\n") == 1
    assert (files_of(tree), git(tree, "ls-files", "-s")) == (before, index)
    assert git(tree, "rev-parse", "HEAD") == slot(yard, "edit")["base"]
    assert "conflict README.md" in yard.run("status").stdout
    go.touch()


def test_what_only_its_claim_covers_is_relevant_and_no_note(yard: Yard) -> None:
    go = yard.root / "go"
    yard.ticket("wide", touches="/docs/**", does=("append docs/mine.txt x", f"wait-for {go}"))
    yard.start("--until-idle")
    wait_until(lambda: slot(yard, "wide").get("phase") == "running", "it runs")
    git(yard.root, "clone", "-q", str(yard.origin), str(yard.root / "other"))
    (yard.root / "other" / "docs").mkdir()
    yard.push_by_hand("docs/theirs.txt", "x\n")
    wait_until(lambda: slot(yard, "wide").get("drift") == "relevant", "it is relevant")
    assert slot(yard, "wide")["drift_paths"] == ["docs/theirs.txt"]
    assert notes(yard, "wide/1") == ""
    go.touch()


def test_with_continue_nobody_is_told(yard: Yard) -> None:
    go, _ = edits_readme(yard, '[drift]\non_conflict = "continue"\n')
    yard.push_by_hand("README.md", "theirs\n")
    wait_until(lambda: slot(yard, "edit").get("drift") == "conflict", "drift is a conflict")
    yard.push_by_hand("elsewhere.txt", "x\n")
    wait_until(lambda: slot(yard, "edit")["behind"] == 2, "the target has gone on")
    assert notes(yard, "edit/1") == ""
    go.touch()


def test_what_has_just_begun_begins_anew_on_the_new_target_at_most_twice_and_uses_up_no_retry(yard: Yard) -> None:
    config = '[drift]\non_conflict = "restart"\nrestart_within = "1h"\n[limits]\ngrace = "1s"\n[landing]\nrepairs = 0\n'
    go, wrote = edits_readme(yard, config)
    for number in (2, 3):
        yard.push_by_hand("README.md", f"theirs {number}\n")
        wait_until(lambda number=number: wrote.read_text().count("x") == number, "it has begun anew")  # type: ignore[misc]
        assert slot(yard, "edit")["base"] == git(yard.origin, "rev-parse", "main")
    yard.push_by_hand("README.md", "theirs at last\n")
    wait_until(lambda: notes(yard, "edit/3"), "the third is told")
    assert notes(yard, "edit/1") == notes(yard, "edit/2") == ""
    assert kinds(yard, "edit").count("restart-asked") == 2
    assert slot(yard, "edit")["begins_anew"] is False
    assert git(yard.control, "show", "refs/ticketd/edit/1:README.md") == "mine"
    assert yard.json("show", "edit")["failures"] == 0
    assert "begins anew on" in yard.run("events", "--ticket", "edit").stdout
    go.touch()
    wait_until(lambda: yard.state_of("edit") in ("landed", "failed"), "it has ended")
    assert [each["reason"] for each in yard.json("show", "edit")["attempt_list"]] == [None, None, "conflict"]
