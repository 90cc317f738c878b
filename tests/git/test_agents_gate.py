"""What an agent's `git push`, `git fetch` and `git pull` meet: the gate, by real pushes from worktrees of the pool."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import pytest
from gitworld import ADA, KEY, World, commit, git

from ticketd.git.creation import open_control
from ticketd.git.receiving import Declined, Received, Taken, converse
from ticketd.git.repository import find
from ticketd.ports import Pushed

needs_proc = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="the gate sees in /proc who pushes")
pytestmark = needs_proc
Done = subprocess.CompletedProcess[str]


@dataclass
class Slot:
    """A worktree in which attempt `fix-it/1` works, and the environment of its agent."""

    world: World
    base: str

    @property
    def tree(self) -> Path:
        return self.world.pool.path("1")

    def git(self, *args: str, where: Path | None = None, **environ: str) -> Done:
        own = {"TICKETD_TICKET": KEY.ticket, "TICKETD_ATTEMPT": str(KEY.number), **environ}
        env = {**os.environ, **{name: value for name, value in own.items() if value}}
        return subprocess.run(
            ["git", *args], cwd=where or self.tree, env=env, capture_output=True, text=True, timeout=60
        )

    def takes(self, *push: str, where: Path | None = None, **environ: str) -> Done:
        done = self.git("push", *push, where=where, **environ)
        assert done.returncode == 0, done.stderr
        return done

    def refuses(self, *push: str, where: Path | None = None, **environ: str) -> str:
        """What it says; and nothing at all has changed."""
        before = self.refs()
        done = self.git("push", *push, where=where, **environ)
        assert done.returncode == 1, done.stderr
        assert self.refs() == before
        return done.stderr

    def refs(self) -> tuple[str, str]:
        return git(self.world.control.path, "for-each-ref", "refs/ticketd*", "refs/heads"), self.main

    @property
    def kept(self) -> str | None:
        return self.world.control.read_ref(KEY.ref)

    @property
    def main(self) -> str:
        return git(self.world.origin, "rev-parse", "main")

    def commit(self, name: str = "mine") -> str:
        return commit(self.tree, {name: name})


@pytest.fixture
def slot(world: World) -> Slot:
    base = world.tip()
    world.pool.prepare("1", base, f"ticketd/{KEY}", keep_ignored=False)
    return Slot(world, base)


# --- what is taken ---


@pytest.mark.parametrize(
    "push",
    [
        (),
        ("origin",),
        ("origin", "HEAD"),
        ("origin", "HEAD:main"),
        ("origin", "HEAD:refs/for/main"),
        ("-u", "origin", "HEAD"),
        ("--no-verify", "origin", "HEAD:main"),
        ("--atomic", "-o", "ci.skip", "origin", "HEAD:main"),
    ],
    ids=" ".join,
)
def test_a_push_is_kept_as_the_attempts_ref_and_lands_nothing(slot: Slot, push: tuple[str, ...]) -> None:
    tip = slot.commit()
    done = slot.takes(*push)
    assert slot.kept == tip
    assert slot.main == slot.base
    assert f"-> {KEY.ref}" in done.stderr
    assert f"kept {tip[:7]} as {KEY.ref}; it is rebased, verified and landed on main when you are done" in done.stderr


def test_a_push_from_a_subdirectory_or_by_way_of_an_alias_is_the_same(slot: Slot) -> None:
    slot.commit()
    slot.takes(where=slot.tree / "src")
    tip = slot.commit("more")
    assert slot.git("-c", "alias.p=push origin", "p", "HEAD").returncode == 0
    assert slot.kept == tip


def test_a_branch_that_is_behind_is_taken_all_the_same(slot: Slot) -> None:
    slot.world.move_target({"theirs": "t"})
    slot.world.tip()
    assert slot.git("fetch").returncode == 0
    tip = slot.commit()
    slot.takes("origin", "HEAD:main")
    assert slot.kept == tip


def test_a_second_push_tells_from_where_to_where(slot: Slot) -> None:
    first = slot.commit()
    slot.takes()
    second = slot.commit("more")
    assert f"{first[:7]}..{second[:7]}  HEAD -> {KEY.ref}" in slot.takes().stderr
    assert slot.kept == second
    slot.takes()
    assert slot.kept == second


def test_what_was_pushed_before_and_is_not_part_of_the_new_is_kept_beside_it(slot: Slot) -> None:
    first = slot.commit()
    slot.takes()
    git(slot.tree, "commit", "-q", "--amend", "-m", "better")
    slot.takes()
    assert slot.kept == git(slot.tree, "rev-parse", "HEAD") != first
    assert slot.world.control.is_safe(first)
    assert git(slot.world.control.path, "for-each-ref", "--points-at", first, "refs/ticketd-extra") != ""


def test_what_was_pushed_and_then_dropped_is_kept_when_the_attempt_is_collected(slot: Slot) -> None:
    pushed = slot.commit()
    slot.takes()
    git(slot.tree, "reset", "-q", "--hard", slot.base)
    shutil.rmtree(slot.world.control.path / "worktrees/1/logs")
    (slot.world.control.path / "worktrees/1/ORIG_HEAD").unlink()
    kept = slot.world.pool.keep("1", KEY, slot.base, "left", ADA)
    assert kept.tip == slot.base == slot.kept
    assert slot.world.control.is_safe(pushed)


def test_a_dry_run_changes_nothing(slot: Slot) -> None:
    slot.commit()
    before = slot.refs()
    slot.takes("--dry-run", "origin", "HEAD:main")
    assert slot.refs() == before


def test_no_object_is_stored_twice(slot: Slot) -> None:
    def stored() -> list[Path]:
        return sorted((slot.world.control.path / "objects").rglob("*"))

    slot.commit()
    before = stored()
    slot.takes()
    assert stored() == before


# --- what is not ---


@pytest.mark.parametrize(
    ("push", "why"),
    [
        (("--force", "origin", "HEAD:main"), "nothing is forced here"),
        (("-f",), "nothing is forced here"),
        (("origin", "+HEAD:main"), "nothing is forced here"),
        (("--force-with-lease", "origin", "HEAD:main"), "stale info"),
        (("--mirror", "origin"), "nothing is forced here"),
        (("origin", "v1"), "tags do not land"),
        (("--tags", "origin"), "tags do not land"),
        (("origin", "HEAD:refs/heads/other"), "lands on main and nowhere else"),
        (("origin", "HEAD:refs/ticketd/other/1"), "lands on main and nowhere else"),
        (("origin", "elsewhere:main"), "not in the history of HEAD"),
        (("origin", ":main"), "remote ref does not exist"),
        (("origin", "HEAD^{tree}:refs/heads/main"), "not in the history of HEAD"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_push_of_anything_else_is_refused_with_a_reason(slot: Slot, push: tuple[str, ...], why: str) -> None:
    git(slot.tree, "branch", "elsewhere")
    slot.commit()
    git(slot.tree, "switch", "-q", "elsewhere")
    slot.commit("other")
    git(slot.tree, "switch", "-q", f"ticketd/{KEY}")
    git(slot.tree, "tag", "v1")
    assert why in slot.refuses(*push)


def test_the_refusal_of_one_ref_does_not_touch_the_others(slot: Slot) -> None:
    tip = slot.commit()
    git(slot.tree, "tag", "v1")
    done = slot.git("push", "origin", "HEAD:main", "v1")
    assert done.returncode == 1
    assert "tags do not land" in done.stderr
    assert slot.kept == tip


def test_a_history_that_has_nothing_in_common_with_the_target_is_refused(slot: Slot) -> None:
    git(slot.tree, "switch", "-q", "--orphan", "new")
    slot.commit()
    assert "no history in common with main" in slot.refuses("origin", "HEAD:main")


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        (
            {"TICKETD_TICKET": "other"},
            "this worktree is of attempt fix-it/1, but the environment is of attempt other/1",
        ),
        ({"TICKETD_ATTEMPT": "2"}, "but the environment is of attempt fix-it/2"),
        ({"TICKETD_TICKET": "", "TICKETD_ATTEMPT": ""}, "but the environment is of no attempt"),
    ],
)
def test_an_environment_that_says_another_ticket_is_not_believed(slot: Slot, environ: dict[str, str], why: str) -> None:
    slot.commit()
    assert why in slot.refuses(**environ)


def test_a_push_from_somewhere_else_is_no_attempts(slot: Slot) -> None:
    slot.commit()
    clone = slot.world.state.parent / "clone"
    git(slot.tree, "clone", "-q", str(slot.tree), str(clone))
    gate = str(slot.world.state / "gate.git")
    assert "for the worktrees of running attempts" in slot.refuses(gate, "HEAD:refs/heads/main", where=clone)


def test_a_tree_that_is_an_attempts_no_more_pushes_nothing(slot: Slot) -> None:
    slot.commit()
    slot.world.pool.leave("1", slot.base)
    assert "for the worktrees of running attempts" in slot.refuses("origin", "HEAD:refs/heads/main")


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "GIT_DIR", "GIT_CONFIG_PARAMETERS"])
def test_nothing_in_the_agents_environment_bends_the_hook(slot: Slot, name: str, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    (trap / "ticketd").mkdir(parents=True)
    (trap / "ticketd" / "__init__.py").write_text("raise SystemExit('bent')\n")
    value = {"GIT_DIR": str(slot.tree / ".git"), "GIT_CONFIG_PARAMETERS": "'core.hookspath'='/nowhere'"}
    tip = slot.commit()
    slot.takes("origin", "HEAD:main", **{name: value.get(name, str(trap))})
    assert slot.kept == tip


# --- the other direction ---


def test_an_agent_pulls_from_the_gate_without_the_remote(slot: Slot) -> None:
    mine = slot.commit()
    theirs = slot.world.move_target({"theirs": "t"})
    slot.world.tip()
    shutil.move(slot.world.origin, slot.world.origin.with_name("away"))
    for pull in (("pull", "-q", "--rebase", "origin", "main"), ("fetch", "origin"), ("ls-remote", "origin")):
        done = slot.git(*pull)
        assert done.returncode == 0, done.stderr
    assert git(slot.tree, "rev-parse", "HEAD~1") == theirs
    assert git(slot.tree, "rev-parse", "origin/main") == theirs
    assert git(slot.tree, "rev-parse", "HEAD") != mine
    slot.takes("origin", "HEAD:main")


def test_an_upstream_set_twice_is_one(slot: Slot) -> None:
    """Agents get it by the environment, and some set it once more."""
    upstream = {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": f"branch.ticketd/{KEY}.remote",
        "GIT_CONFIG_VALUE_0": "origin",
        "GIT_CONFIG_KEY_1": f"branch.ticketd/{KEY}.merge",
        "GIT_CONFIG_VALUE_1": "refs/heads/main",
    }
    slot.commit()
    theirs = slot.world.move_target({"theirs": "t"})
    slot.world.tip()
    assert slot.git("pull", "-q", "--rebase", **upstream).returncode == 0
    assert git(slot.tree, "rev-parse", "HEAD~1") == theirs
    slot.takes("-u", **upstream)
    again = slot.world.move_target({"again": "t"})
    slot.world.tip()
    done = slot.git("pull", "-q", "--rebase", **upstream)
    assert done.returncode == 0, done.stderr
    assert git(slot.tree, "rev-parse", "HEAD~1") == again


def test_what_the_gate_shows_follows_what_ticketd_pushes(slot: Slot) -> None:
    tip = slot.commit()
    slot.world.target.push(tip, slot.base)
    assert slot.git("ls-remote", "origin", "main").stdout.split() == [tip, "refs/heads/main"]


def test_no_address_of_the_remote_is_where_an_agent_looks(world: World, tmp_path: Path) -> None:
    git(world.user, "remote", "set-url", "origin", "https://me:secret@example.invalid/x.git")
    control = open_control(tmp_path / "fresh", find(world.user))
    for file in (tmp_path / "fresh").rglob("*"):
        if file.is_file() and "objects" not in file.parts:
            assert b"example.invalid" not in file.read_bytes(), file
    assert control.path.is_dir()


# --- broken, and made again ---


def broken_pipe(gate: Path) -> None:
    (gate / "hooks" / "proc-receive").write_text("#!/bin/sh\nexit 1\n")


@pytest.mark.parametrize(
    "break_it",
    [
        lambda gate: shutil.rmtree(gate),
        lambda gate: shutil.rmtree(gate / "refs"),
        lambda gate: (gate / "hooks" / "proc-receive").unlink(),
        lambda gate: (gate / "hooks" / "proc-receive").chmod(0o644),
        lambda gate: (gate / "config").write_text("[core\n"),
        lambda gate: (gate / "HEAD").write_text(""),
        lambda gate: (gate / "objects").unlink(),
        broken_pipe,
    ],
)
def test_a_broken_gate_takes_nothing_until_it_is_made_again(slot: Slot, break_it: Callable[[Path], None]) -> None:
    tip = slot.commit()
    break_it(slot.world.state / "gate.git")
    assert slot.git("push", "origin", "HEAD:main").returncode != 0
    assert slot.kept is None
    open_control(slot.world.state, find(slot.world.user))
    slot.takes("origin", "HEAD:main")
    assert slot.kept == tip
    assert slot.git("ls-remote", "origin", "main").stdout.startswith(slot.base)


def test_a_gate_that_cannot_show_the_target_does_not_hold_up_a_landing(slot: Slot) -> None:
    heads = slot.world.state / "gate.git/refs/namespaces/shown/refs/heads"
    shutil.rmtree(heads)
    heads.write_text("")
    tip = slot.commit()
    assert slot.world.target.push(tip, slot.base) == Pushed()


def test_a_target_whose_name_the_former_one_stood_in_the_way_of_is_shown(slot: Slot) -> None:
    git(slot.world.control.path, "update-ref", "-d", "refs/target/main")
    git(slot.world.control.path, "update-ref", "refs/target/main/next", slot.base)
    open_control(slot.world.state, find(slot.world.user), "main/next")
    assert slot.git("ls-remote", "--heads", "origin").stdout.split() == [slot.base, "refs/heads/main/next"]


def test_a_link_in_the_gates_place_is_not_followed(slot: Slot, tmp_path: Path) -> None:
    gate, elsewhere = slot.world.state / "gate.git", tmp_path / "elsewhere"
    shutil.rmtree(gate)
    elsewhere.mkdir()
    gate.symlink_to(elsewhere)
    open_control(slot.world.state, find(slot.world.user))
    assert list(elsewhere.iterdir()) == []
    slot.takes("origin", "HEAD")


def test_hooks_that_a_person_has_for_all_repositories_do_not_stand_in_for_the_gates(
    slot: Slot, hermetic_home: Path
) -> None:
    with (hermetic_home / ".gitconfig").open("a") as file:
        file.write(
            f"[core]\n\thooksPath = {hermetic_home}\n[remote]\n\tpushDefault = fork\n[push]\n\tdefault = nothing\n"
        )
    tip = slot.commit()
    slot.takes()
    assert slot.kept == tip


# --- the conversation ---


def pkt(*lines: bytes) -> bytes:
    return b"".join(b"%04x%s" % (len(line) + 4, line) for line in lines) + b"0000"


OLD, NEW = "0" * 40, "a" * 40


def test_options_are_read_only_where_git_sends_them() -> None:
    for offer, options in ((b"version=1\0push-options atomic", pkt(b"ci.skip")), (b"version=1", b"")):
        said = BytesIO()
        heard = BytesIO(pkt(offer) + pkt(f"{OLD} {NEW} refs/heads/main".encode()) + options)
        converse(heard, said, lambda received: [Taken("refs/x", None, one.new) for one in received])
        assert heard.read() == b""
        assert said.getvalue().endswith(
            pkt(b"ok refs/heads/main\n", b"option refname refs/x\n", b"option old-oid %s\n" % OLD.encode())[:-4]
            + pkt(b"option new-oid %s\n" % NEW.encode())
        )


def test_a_fault_of_ours_declines_all_and_a_reason_is_one_line() -> None:
    def fails(received: object) -> list[Declined]:
        raise RuntimeError("out\nof order")

    said = BytesIO()
    converse(BytesIO(pkt(b"version=1") + pkt(f"{OLD} {NEW} refs/heads/a b".encode())), said, fails)
    assert b"ng refs/heads/a b the gate failed (RuntimeError: out of order); your commits stay" in said.getvalue()


@pytest.mark.parametrize("heard", [b"", b"000", b"zzzz", b"0003", pkt(b"version=1") + b"0050ab"])
def test_what_is_not_the_protocol_ends_the_conversation(heard: bytes) -> None:
    with pytest.raises((EOFError, ValueError)):
        converse(BytesIO(heard), BytesIO(), lambda received: [])


def test_a_delete_is_one() -> None:
    assert Received(NEW, OLD, "refs/heads/main").deletes
    assert not replace(Received(NEW, OLD, "refs/heads/main"), new=NEW).deletes
