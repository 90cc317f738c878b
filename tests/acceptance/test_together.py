"""Two daemons of two clones and a person, all on one origin at the same time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from acceptance_yard import Yard, git, make_yard

BY_HAND = 6


def second_clone(yard: Yard, root: Path) -> Yard:
    work = root / "work-2"
    git(root, "clone", "-q", str(yard.origin), str(work))
    other = Yard(root, yard.origin, work, yard.state)
    other.config()
    return other


def test_two_daemons_and_a_person_land_everything_by_fast_forward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make_yard(tmp_path, monkeypatch)
    two = second_clone(one, tmp_path)
    for yard, letter in ((one, "a"), (two, "b")):
        for number in range(8):
            name = f"{letter}{number % 3}.txt"
            yard.ticket(f"{letter}{number}", touches=f"/{name}", does=(f"append {name} {number}",))
    daemons = [one.start("--until-idle"), two.start("--until-idle")]
    for number in range(BY_HAND):
        push_until_through(one, f"hand-{number}.txt")
    assert [daemon.wait(timeout=180) for daemon in daemons] == [0, 0]
    tickets = [f"{letter}{number}" for letter in "ab" for number in range(8)]
    by_hand = [f"by hand: hand-{number}.txt" for number in range(BY_HAND)]
    assert sorted(one.subjects()[1:]) == sorted([*tickets, *by_hand])
    only_fast_forwards(one.origin)


def push_until_through(yard: Yard, name: str) -> None:
    other = yard.root / "other"
    if not other.exists():
        git(yard.root, "clone", "-q", str(yard.origin), str(other))
    (other / name).write_text("by hand\n")
    git(other, "add", "-A")
    git(other, "commit", "-q", "-m", f"by hand: {name}")
    while True:
        git(other, "pull", "-q", "--rebase")
        git(other, "push", "-q", "origin", "HEAD:main", ok=False)
        git(other, "fetch", "-q")
        if git(other, "rev-list", "--count", "origin/main..HEAD") == "0":
            return


def only_fast_forwards(origin: Path) -> None:
    log = git(origin, "reflog", "show", "--format=%H", "main").splitlines()
    assert len(log) > 10
    for newer, older in pairwise(log):
        git(origin, "merge-base", "--is-ancestor", older, newer)
