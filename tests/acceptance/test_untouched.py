"""What is the user's stays as it was: checkout, index, stash, branches, configuration; byte for byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

from acceptance_yard import Yard, git, wait_until


def everything_in(root: Path) -> dict[str, str]:
    """Every file below, by its path: kind, mode, time of change and content."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = b""
        if path.is_symlink():
            content = str(path.readlink()).encode()
        elif path.is_file():
            content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        found[str(path.relative_to(root))] = f"{status.st_mode:o} {status.st_mtime_ns} {digest}"
    return found


def prepare(yard: Yard) -> None:
    """A checkout in the middle of something: staged, unstaged and untracked changes, a stash, a branch."""
    git(yard.work, "branch", "mine")
    (yard.work / "README.md").write_text("stashed\n")
    git(yard.work, "stash")
    (yard.work / "README.md").write_text("unstaged\n")
    (yard.work / "staged.txt").write_text("staged\n")
    git(yard.work, "add", "staged.txt")
    (yard.work / "untracked.txt").write_text("untracked\n")


def test_a_run_changes_nothing_in_the_users_repository(yard: Yard) -> None:
    prepare(yard)
    yard.config('[landing]\nverify = ["test", "!", "-e", "bad.txt"]\n[worktrees]\nsetup = ["true"]\n')
    yard.ticket("one", touches="/README.md", does=("append README.md x",))
    yard.ticket("two", touches="/two.txt", does=("append two.txt x", "commit two"))
    yard.ticket("bad", touches="/bad.txt", does=("append bad.txt x",), retries=0)
    before = everything_in(yard.work)
    assert yard.until_idle().returncode == 1
    assert yard.status()["counts"]["landed"] == 2
    assert everything_in(yard.work) == before


def no_remote(yard: Yard) -> None:
    git(yard.work, "remote", "remove", "origin")
    yard.config('[target]\nremote = ""\n')


def test_without_a_remote_work_lands_on_the_local_branch_and_its_checkout_follows(yard: Yard) -> None:
    no_remote(yard)
    (yard.work / "mine.txt").write_text("untracked\n")
    for number in range(3):
        yard.ticket(f"t{number}", touches="/a.txt", does=(f"append a.txt {number}",))
    assert yard.until_idle().returncode == 0
    assert git(yard.work, "log", "--format=%s", "main").splitlines() == ["t2", "t1", "t0", "first"]
    assert git(yard.work, "status", "--porcelain") == "?? mine.txt"
    assert (yard.work / "a.txt").read_text() == "0\n1\n2\n"


def test_without_a_remote_local_changes_elsewhere_in_the_checkout_stay(yard: Yard) -> None:
    no_remote(yard)
    (yard.work / "README.md").write_text("my change\n")
    yard.ticket("one", touches="/a.txt", does=("append a.txt x",))
    assert yard.until_idle().returncode == 0
    assert git(yard.work, "status", "--porcelain") == "M README.md"
    assert (yard.work / "README.md").read_text() == "my change\n"


def test_without_a_remote_a_branch_that_is_not_checked_out_just_moves(yard: Yard) -> None:
    no_remote(yard)
    git(yard.work, "switch", "-q", "-c", "elsewhere")
    before = {path: said for path, said in everything_in(yard.work).items() if not path.startswith(".git/")}
    yard.ticket("one", touches="/a.txt", does=("append a.txt x",))
    before |= {path: said for path, said in everything_in(yard.work).items() if path.startswith("tickets/")}
    assert yard.until_idle().returncode == 0
    assert git(yard.work, "log", "--format=%s", "main").splitlines() == ["one", "first"]
    after = {path: said for path, said in everything_in(yard.work).items() if not path.startswith(".git/")}
    assert after == before | {"tickets": after["tickets"]}


def test_without_a_remote_a_local_change_in_the_way_is_told_and_never_overwritten(yard: Yard) -> None:
    no_remote(yard)
    (yard.work / "README.md").write_text("my change\n")
    yard.ticket("edit", touches="/README.md", does=("write README.md theirs",))
    daemon = yard.start("--until-idle")
    wait_until(lambda: any("README.md" in each["trouble"] for each in yard.status()["landing"]), "the way is blocked")
    assert (yard.work / "README.md").read_text() == "my change\n"
    git(yard.work, "checkout", "-q", "README.md")
    assert daemon.wait(timeout=90) == 0
    assert (yard.work / "README.md").read_text() == "theirs\n"
