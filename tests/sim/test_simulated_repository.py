"""The simulated repository gives the answers that git gives: the same histories are built in both."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sim_repository import Disk, SimHistory, SimWorktrees

from ticketd.domain.attempt import AttemptKey
from ticketd.git.control import Control
from ticketd.git.creation import open_control
from ticketd.git.repository import find
from ticketd.git.worktrees import WorktreePool
from ticketd.ports import Conflict, Identity, NothingLeft, Rebased

BY = Identity("Somebody", "somebody@example.com")
PATHS = ("a", "b", "d/one")
TRAILERS = (("Ticket", "t1"), ("Ticket-Attempt", "1"))


def git(where: Path, *args: str, given: bytes | None = None) -> str:
    done = subprocess.run(["git", *args], cwd=where, input=given, capture_output=True, check=True)
    return done.stdout.decode().strip()


@dataclass
class Twins:
    """The same commits in both repositories: `real[name]` is what git calls what the simulation calls `name`."""

    control: Control
    root: Path
    disk: Disk = field(default_factory=Disk)
    real: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.history = SimHistory(self.disk, lambda words: None)
        self.pool = WorktreePool(self.control)
        self.trees = SimWorktrees(self.disk, self.root, lambda words: None, lambda what: None, lambda path: "")

    def commit(self, files: dict[str, str], parents: list[str], number: int) -> str:
        name = self.disk.commit(files, parents, f"commit {number}")
        marks = "".join(
            f"from {self.real[each]}\n" if n == 0 else f"merge {self.real[each]}\n" for n, each in enumerate(parents)
        )
        body = "".join(
            f"M 100644 inline {path}\ndata {len(text) + 1}\n{text}\n\n" for path, text in sorted(files.items())
        )
        said = f"commit {number}\n"
        head = f"commit refs/twins/{name}\ncommitter A <a@b> {1_700_000_000 + number} +0000\ndata {len(said)}\n{said}"
        git(self.control.path, "fast-import", "--quiet", "--force", given=f"{head}{marks}deleteall\n{body}".encode())
        self.real[name] = git(self.control.path, "rev-parse", f"refs/twins/{name}")
        return name


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Control:
    root = tmp_path_factory.mktemp("twins")
    user = root / "user"
    git(root, "init", "-q", "-b", "main", str(user))
    (user / "first").write_text("first\n")
    git(user, "add", "-A")
    git(user, "-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "first")
    return open_control(root / "state", find(user))


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[int, int | None, dict[str, str]]]:
    """Commits: on which earlier one, merging which, with which files changed."""
    content = st.dictionaries(st.sampled_from(PATHS), st.sampled_from(["x", "y", "z"]), max_size=2)
    found = []
    for number in range(draw(st.integers(3, 6))):
        merged = draw(st.none() | st.integers(0, number)) if number > 2 else None
        found.append((draw(st.integers(0, number)), merged, draw(content)))
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(plan=steps(), fold=st.booleans())
def test_both_say_the_same_of_a_history(control: Control, plan: list, fold: bool) -> None:  # type: ignore[type-arg]
    twins = Twins(control, control.state)
    made = [twins.commit({"a": "x", "b": "x"}, [], 0)]
    for number, (on, merged, files) in enumerate(plan, 1):
        parents = [made[on], *([made[merged]] if merged is not None and made[merged] != made[on] else [])]
        made.append(twins.commit({**twins.disk.get(made[on]).files, **files}, parents, number))
    real, tip, onto = twins.real, made[-1], made[-2]
    assert twins.history.contains(tip, onto) == control.contains(real[tip], real[onto])
    assert twins.history.count(onto, tip) == control.count(real[onto], real[tip])
    assert set(twins.history.changed(onto, tip)) == set(control.changed(real[onto], real[tip]))
    fork = twins.history.fork_point(tip, onto)
    several = git(control.path, "merge-base", "--all", real[tip], real[onto]).split()
    assert fork is not None
    if len(several) > 1:
        return  # which of them is taken is git's own affair
    assert [real[fork]] == several
    _compare(twins, fork, tip, onto, fold)


def _compare(twins: Twins, base: str, tip: str, onto: str, fold: bool) -> None:
    simulated = twins.history.rebase(base, tip, onto, TRAILERS, fold=fold)
    real = twins.control.rebase(twins.real[base], twins.real[tip], twins.real[onto], TRAILERS, fold=fold)
    assert type(simulated) is type(real)
    match simulated, real:
        case Rebased(), Rebased():
            assert dict(twins.disk.get(simulated.tip).files) == _files(twins, real.tip)
            assert (len(simulated.commits), simulated.flattened) == (len(real.commits), real.flattened)
        case Conflict(), Conflict():
            assert simulated.paths == real.paths
        case NothingLeft(), NothingLeft():
            pass


def _files(twins: Twins, commit: str) -> dict[str, str]:
    names = git(twins.control.path, "ls-tree", "-r", "--name-only", commit).split()
    return {name: git(twins.control.path, "cat-file", "blob", f"{commit}:{name}") for name in names}


def test_both_keep_what_lies_in_a_worktree(control: Control) -> None:
    twins = Twins(control, control.state)
    base = twins.commit({"a": "x", "b": "x"}, [], 100)
    twins.pool.prepare("1", twins.real[base], "ticketd/t/1", keep_ignored=False)
    twins.trees.prepare("1", base, "ticketd/t/1", keep_ignored=False)
    (twins.pool.path("1") / "a").write_text("changed\n")
    twins.trees.tree("1").files["a"] = "changed"
    key = AttemptKey("t", 1)
    real = twins.pool.keep("1", key, twins.real[base], "left", BY)
    simulated = twins.trees.keep("1", key, base, "left", BY)
    assert (simulated.changed, simulated.nested, simulated.undecided) == (real.changed, real.nested, real.undecided)
    assert control.read_ref(key.ref) == real.tip
    assert twins.history.read_ref(key.ref) == simulated.tip
    assert _files(twins, real.tip) == dict(twins.disk.get(simulated.tip).files)


def test_both_stop_a_merge_at_its_conflicts(control: Control) -> None:
    twins = Twins(control, control.state)
    base = twins.commit({"a": "x", "b": "x"}, [], 200)
    ours = twins.commit({"a": "mine", "b": "x"}, [base], 201)
    theirs = twins.commit({"a": "other", "b": "other"}, [base], 202)
    twins.pool.prepare("2", twins.real[ours], "ticketd/t/2", keep_ignored=False)
    twins.trees.prepare("2", ours, "ticketd/t/2", keep_ignored=False)
    undecided = twins.pool.begin_merge("2", twins.real[theirs])
    assert twins.trees.begin_merge("2", theirs) == undecided == ("a",)
    key = AttemptKey("t", 2)
    real = twins.pool.keep("2", key, twins.real[ours], "left", BY)
    simulated = twins.trees.keep("2", key, ours, "left", BY)
    assert simulated.undecided == real.undecided == ("a",)
    asked = (undecided, ours, theirs)
    told = control.unresolved(real.tip, undecided, twins.real[ours], twins.real[theirs])
    assert twins.history.unresolved(simulated.tip, *asked) == told == (("a",), ("a",))
