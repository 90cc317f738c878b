"""What no record explains, once all is at rest: processes, files, refs, settings; and secrets that were told."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path

from invariant_scene import Scene, git

from ticketd.git.leftovers import SCRATCH
from ticketd.store import SqliteStore

RUN = "TICKETD_RUN"
# All that may lie in a state directory between two runs; drafts that a kill has left go when they are old enough.
DRAFTS_GO_AFTER_S = 3600.0
KNOWN = {
    *("store.db", "store.db-wal", "store.db-shm", "store.lock", "daemon.lock", "daemon.log", "doorbell"),
    *("control.git", "control.lock", "control.config", "control.config.seen", "gate.git", "people.git", "people.lock"),
    *("own.git", "fetch.lock", "repository", "ticketd.toml", "backups", "runs", "logs", "worktrees", "homes", "agents"),
}
# What a person has gone back from is set aside for good.
SET_ASIDE = ("store.lost-*.db*", "backups.lost-*")
RUNS_SOMETHING = re.compile(r"core\.(hookspath|fsmonitor|sshcommand|editor)|filter\..*|diff\.external|gpg\..*")
# Worktrees that are no attempt's.
OWN_TREES = ("lane", "lane-*", "people")


def runs(scene: Scene) -> dict[int, str]:
    """Each process that carries the mark of a run of this state directory, and which: ID/NUMBER or ID/NUMBER-WHAT."""
    found, prefix = {}, f"{RUN}={scene.state.name}/".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "environ").read_bytes().split(b"\0")
            zombie = (process / "stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
        except (OSError, IndexError):
            continue
        for word in words:
            if word.startswith(prefix) and not zombie:
                found[int(process.name)] = word.removeprefix(prefix).decode()
    return found


def left_processes(scene: Scene, is_live: Callable[[str], bool]) -> Iterator[str]:
    for pid, run in runs(scene).items():
        if not is_live(run):
            yield f"process {pid} of {run} is still there: {words_of(pid)}"


def words_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "(gone meanwhile)"


def left_files(scene: Scene, store: SqliteStore) -> Iterator[str]:
    names = store.worktree_names()
    for home in (scene.state / "worktrees", scene.control / "worktrees"):
        for tree in home.glob("[!.]*"):
            if tree.name not in names and not any(fnmatch(tree.name, own) for own in OWN_TREES):
                yield f"no record explains the worktree {tree}"
    tickets = store.board().tickets
    for home in (scene.state / "agents").glob("*"):
        if home.name not in tickets:
            yield f"no ticket explains the home {home}"
    drafts = drafts_in(scene)
    for path in scene.state.iterdir():
        aside = any(fnmatch(path.name, each) for each in SET_ASIDE)
        if path.name not in KNOWN and path not in drafts and not aside:
            yield f"no record explains {path}"
    yield from (f"a draft has not been swept: {path}" for path in drafts if age_of(path) > DRAFTS_GO_AFTER_S)
    halves = ("objects/??/tmp_obj_*", "objects/pack/tmp_*", "objects/incoming-*", "objects/tmp_objdir-*")
    for pattern in ("*.lock", "refs/**/*.lock", "worktrees/*/*.lock", "gc.pid", *halves):
        yield from (f"left behind: {path}" for path in scene.control.glob(pattern))


def drafts_in(scene: Scene) -> frozenset[Path]:
    return frozenset(path for draft in SCRATCH for path in scene.state.glob(draft))


def age_of(path: Path) -> float:
    return time.time() - path.lstat().st_mtime


def left_refs(scene: Scene, store: SqliteStore) -> Iterator[str]:
    refs = dict(
        line.split() for line in git(scene.control, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    )
    tips = {a.key.ref: a for ticket in store.board().tickets for a in store.attempts(ticket)}
    for ref in refs:
        if ref.startswith("refs/ticketd/") and ref not in tips:
            yield f"no attempt explains {ref}"
    for ref, attempt in tips.items():
        if attempt.tip and refs.get(ref) != attempt.tip:
            yield f"{ref} is {refs.get(ref)}, and {attempt.tip} is what the store says was kept"


def left_settings(scene: Scene) -> Iterator[str]:
    """What an agent has put where the gits of all others would run it."""
    for path in (*(scene.control / "hooks").glob("*"), scene.control / "info" / "attributes"):
        if path.exists():
            yield f"left behind: {path}"
    listed = git(scene.control, "config", "--file", str(scene.control / "config"), "--name-only", "--list")
    for key in listed.splitlines():
        if RUNS_SOMETHING.fullmatch(key):
            yield f"left behind: {key} in the configuration of {scene.control}"


def told_secrets(scene: Scene) -> Iterator[str]:
    word = scene.secret.encode()
    for path in scene.state.rglob("*"):
        if path.is_file() and not path.is_symlink() and not may_tell(path, scene.state) and word in path.read_bytes():
            yield f"{path} holds the secret"


def may_tell(path: Path, state: Path) -> bool:
    """What an agent was started with, and what it has written itself."""
    where = path.relative_to(state).parts
    return where[0] in ("worktrees", "homes", "agents") or (where[0] == "runs" and where[-1] == "spec.json")
