"""The worktree that stands ready for the next agent."""

from __future__ import annotations

from pathlib import Path

from acceptance_yard import Yard, git, wait_until


def stands_at(yard: Yard, name: str) -> str:
    tree = next(iter(yard.state.glob(f"ticketd/*/worktrees/{name}")), Path("nowhere"))
    return git(tree, "rev-parse", "HEAD", ok=False) if tree.is_dir() else ""


def clean_at(yard: Yard, name: str, sha: str) -> bool:
    """Where the tree's HEAD is, and nothing else in it."""
    tree = next(iter(yard.state.glob(f"ticketd/*/worktrees/{name}")), None)
    return tree is not None and stands_at(yard, name) == sha and git(tree, "status", "--porcelain", ok=False) == ""


def test_a_spare_follows_the_target_while_agents_run_and_the_next_agent_gets_it(yard: Yard) -> None:
    go = yard.root / "go"
    yard.ticket("a", touches="/a.txt", does=("append a.txt 1", f"wait-for {go}"))
    yard.ticket("b", touches="/b.txt", does=("append b.txt 2", f"wait-for {yard.root / 'never'}"))
    yard.start("--slots", "1")
    wait_until(lambda: clean_at(yard, "2", git(yard.origin, "rev-parse", "main")), "the spare is ready")
    sha = yard.push_by_hand("theirs.txt", "x\n")
    wait_until(lambda: clean_at(yard, "2", sha), "the spare has followed")
    go.touch()
    wait_until(lambda: yard.status()["slots"][0].get("ticket") == "b", "the next one runs")
    wait_until(lambda: yard.status()["slots"][0].get("worktree"), "it has a tree")
    assert Path(yard.status()["slots"][0]["worktree"]).name == "2"
    yard.wait_for_state("a", "landed")
    trees = next(yard.state.glob("ticketd/*/worktrees"))
    assert sorted(path.name for path in trees.iterdir() if path.name.isdigit()) == ["1", "2"]


def test_nobody_waits_in_the_queue_and_no_spare_is_made(yard: Yard) -> None:
    go = yard.root / "go"
    yard.ticket("a", touches="/a.txt", does=("append a.txt 1", f"wait-for {go}"))
    daemon = yard.start("--until-idle")
    yard.wait_for_state("a", "running")
    sha = yard.push_by_hand("theirs.txt", "x\n")
    wait_until(lambda: yard.status()["slots"][0].get("behind") == 1, "the target has moved")
    go.touch()
    assert daemon.wait(timeout=60) == 0
    assert stands_at(yard, "2") == "" != sha
