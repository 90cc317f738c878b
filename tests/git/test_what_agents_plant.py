"""What an agent may write into the repository that its worktree is linked to, and what of it ticketd's own git minds:
nothing. The plain git of the agent minds all of it, which shows that the plants are good ones."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from gitworld import ADA, KEY, World, commit, git, write

from ticketd.errors import GitFailed
from ticketd.ports import Pushed, Rebased, Tried

HOOKS = (
    *("pre-commit", "post-checkout", "reference-transaction", "post-index-change", "pre-push", "pre-rebase"),
    *("post-merge", "prepare-commit-msg", "post-rewrite"),
)
CONFIGURED = {
    "core.hooksPath": "HOOKS",
    "core.fsmonitor": "RUN",
    "filter.evil.clean": "RUN",
    "filter.evil.smudge": "RUN",
    "filter.evil.process": "RUN",
    "diff.evil.textconv": "RUN",
    "diff.evil.command": "RUN",
    "diff.external": "RUN",
    "merge.evil.driver": "RUN",
    "gpg.program": "RUN",
    "core.sshCommand": "RUN",
    "core.askPass": "RUN",
    "core.editor": "RUN",
    "core.pager": "RUN",
    "credential.helper": "RUN",
    "remote.origin.uploadpack": "RUN",
    "remote.origin.receivepack": "RUN",
    "core.alternateRefsCommand": "RUN",
    "sequence.editor": "RUN",
    "alias.status": "!RUN",
    "alias.update-ref": "!RUN",
    "core.gitProxy": "RUN",
    "uploadpack.packObjectsHook": "RUN",
    "init.templateDir": "HOOKS",
    "trailer.x.command": "RUN",
    "interactive.diffFilter": "RUN",
}
"""Also those that git itself takes from nobody's repository: an older or a newer one may."""
ATTRIBUTES = "* filter=evil diff=evil merge=evil\n"


@dataclass(frozen=True)
class Field:
    """Programs that note their own name when they run."""

    programs: Path
    ran: Path

    def program(self, name: str, folder: Path | None = None) -> str:
        path = (folder or self.programs) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        then = "exit 1" if name.startswith("remote.") else "cat"  # a transport that says nothing would be waited for
        path.write_text(f'#!/bin/sh\ntouch "{self.ran}/{name}"\n{then}\n')
        path.chmod(0o755)
        return str(path)

    def hooks(self, folder: Path) -> None:
        for hook in HOOKS:
            self.program(hook, folder)

    @property
    def found(self) -> list[str]:
        return sorted(path.name for path in self.ran.iterdir())


@pytest.fixture
def field(tmp_path: Path) -> Field:
    (tmp_path / "ran").mkdir()
    return Field(tmp_path / "programs", tmp_path / "ran")


def plant_hooks(world: World, tree: Path, field: Field) -> None:
    field.hooks(world.control.path / "hooks")


def plant_configuration(world: World, tree: Path, field: Field) -> None:
    field.hooks(field.programs / "elsewhere")
    for key, value in CONFIGURED.items():
        runs = field.program(key)
        git(tree, "config", key, value.replace("RUN", runs).replace("HOOKS", str(field.programs / "elsewhere")))
    git(tree, "config", "commit.gpgSign", "true")
    git(tree, "config", "core.attributesFile", str(attributes(world.state)))


def attributes(at: Path) -> Path:
    (at / "attributes").write_text(ATTRIBUTES)
    return at / "attributes"


def plant_included_configuration(world: World, tree: Path, field: Field) -> None:
    plant_configuration(world, tree, field)
    config, included = world.control.path / "config", field.programs / "included"
    config.rename(included)
    config.write_text(f"[core]\n\trepositoryFormatVersion = 1\n[include]\n\tpath = {included}\n")


def plant_worktree_configuration(world: World, tree: Path, field: Field) -> None:
    plant_configuration(world, tree, field)
    config = world.control.path / "config"
    config.rename(world.control.path / "worktrees/1/config.worktree")
    config.write_text("[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tworktreeConfig = true\n")


def plant_other_addresses(world: World, tree: Path, field: Field) -> None:
    """`insteadOf` sends a push of a literal URL elsewhere, which git then reports as done."""
    for key in ("insteadOf", "pushInsteadOf"):
        git(tree, "config", f"url.ext::{field.program('insteadOf')} .{key}", str(world.origin))
    git(tree, "config", "protocol.ext.allow", "always")


def plant_another_link(world: World, tree: Path, field: Field) -> None:
    evil = evil_repository(world, field)
    (tree / ".git").write_text(f"gitdir: {evil}\n")


def plant_another_common_directory(world: World, tree: Path, field: Field) -> None:
    evil = evil_repository(world, field)
    (world.control.path / "worktrees/1/commondir").write_text(f"{evil}\n")


def evil_repository(world: World, field: Field) -> Path:
    evil = world.state.with_name("evil.git")
    git(world.state, "clone", "-q", "--bare", str(world.origin), str(evil))
    field.hooks(evil / "hooks")
    git(evil, "config", "filter.evil.clean", field.program("evil-clean"))
    git(evil, "config", "filter.evil.smudge", field.program("evil-smudge"))
    return evil


def plant_a_repository_inside(world: World, tree: Path, field: Field) -> None:
    """Known to the index, so that git looks into it for changes: by a process in it, with its configuration."""
    inner = tree / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    commit(inner, {"f": "f", ".gitattributes": ATTRIBUTES})
    git(tree, "add", "inner")
    field.hooks(inner / ".git/hooks")
    git(inner, "config", "core.fsmonitor", field.program("inner-fsmonitor"))
    git(inner, "config", "filter.evil.clean", field.program("inner-clean"))
    write(inner, {"f": "g"})


PLANTS = [value for name, value in sorted(globals().items()) if name.startswith("plant_")]


def all_that_the_daemon_does(world: World, tree: Path, base: str) -> None:
    """In the order of an attempt: looked at, tried, kept, rebased, pushed; the target fetched, the tree used again."""
    tip = world.move_target({"theirs": "t"})
    assert world.tip() == tip
    world.pool.look("1", base, tip)
    world.pool.trials([Tried("1", base, ("mine", "a.txt"), ("mine", "a.txt"))], tip)
    kept = world.pool.keep("1", KEY, base, "left", ADA)
    rebased = world.control.rebase(base, kept.tip, tip, [("Ticket", "fix-it")])
    assert isinstance(rebased, Rebased)
    world.control.changed(base, kept.tip)
    assert world.target.push(rebased.tip, tip) == Pushed()
    assert git(world.origin, "rev-parse", "main") == rebased.tip
    world.pool.prepare("1", rebased.tip, "ticketd/next/1", keep_ignored=False)
    with contextlib.suppress(GitFailed):
        world.pool.begin_merge("1", base)
    world.pool.prepare("2", tip, None, keep_ignored=False)


def worked(world: World) -> tuple[Path, str]:
    world.move_target({".gitattributes": ATTRIBUTES})
    base = world.tip()
    world.pool.prepare("1", base, "ticketd/fix-it/1", keep_ignored=False)
    tree = world.pool.path("1")
    commit(tree, {"a.txt": "committed\n"})
    write(tree, {"mine": "work", "a.txt": "not committed\n"})
    return tree, base


@pytest.mark.parametrize("plant", PLANTS)
def test_nothing_that_an_agent_plants_runs_in_our_git(world: World, field: Field, plant: object) -> None:
    tree, base = worked(world)
    plant(world, tree, field)  # type: ignore[operator]
    list(clear(field))
    all_that_the_daemon_does(world, tree, base)
    assert field.found == []


def clear(field: Field) -> Iterator[str]:
    for name in field.found:
        (field.ran / name).unlink()
        yield name


def test_the_agents_own_git_runs_them(world: World, field: Field) -> None:
    tree, _ = worked(world)
    plant_hooks(world, tree, field)
    plain(tree, "commit", "-qm", "x", "--allow-empty")
    plain(tree, "checkout", "-q", "-b", "elsewhere")
    assert {"pre-commit", "post-checkout", "reference-transaction"} <= set(clear(field))
    plant_configuration(world, tree, field)
    for command in ("add -A", "commit -qm y", "diff HEAD", "rebase -i HEAD~1", "fetch origin", "push origin HEAD"):
        plain(tree, *command.split())
    assert {"filter.evil.process", "diff.evil.command", "core.fsmonitor", "gpg.program"} <= set(field.found)
    assert {"remote.origin.uploadpack", "remote.origin.receivepack"} <= set(field.found)


def plain(tree: Path, *args: str) -> None:
    subprocess.run(["git", *args], cwd=tree, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=30)
