"""What an agent of chaos does to what is not its own: shared refs, configuration, hooks, locks, the trees of others.

Where slots are clones it is the agent's own clone that most of it meets. A hook or program that is planted complains if
it is ever run outside of a run: by ticketd's own git. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

PLANTED = """#!/bin/sh
[ -n "$TICKETD_RUN" ] || echo "what an agent had planted was run: $0" >> {made}/complaints
[ "$1" != -- ] || cat
exit 0
"""


def tamper(kind: str, made: Path) -> None:
    """Written down first; what is not possible here is left."""
    with (made / "tampered").open("a") as out:
        out.write(f"{kind}\n")
    with contextlib.suppress(OSError):
        TAMPERS[kind](Path(git("rev-parse", "--path-format=absolute", "--git-common-dir")), made)


def git(*args: str) -> str:
    return subprocess.run(["git", *args], check=False, capture_output=True, text=True).stdout.strip()


def refs(common: Path, made: Path) -> None:
    """The branch of another to one's own commit, the work of one that is over gone, the target elsewhere."""
    listed = git("for-each-ref", "--format=%(refname)").split()
    own = git("symbolic-ref", "--quiet", "HEAD")
    others = [ref for ref in listed if ref != own]
    for prefix in ("refs/heads/ticketd/", "refs/ticketd/", "refs/ticketd-extra/", "refs/target/"):
        if ours := [ref for ref in others if ref.startswith(prefix)]:
            git("update-ref", random.choice(ours), "HEAD")
            git("update-ref", "-d", random.choice(ours))


def config(common: Path, made: Path) -> None:
    program = plant(made / "planted")
    for key in (
        "core.fsmonitor",
        "core.sshCommand",
        "core.editor",
        "filter.evil.clean",
        "diff.external",
        "gpg.program",
    ):
        git("config", "--file", str(common / "config"), key, f"{program} --")
    git("config", "--file", str(common / "config"), "core.hooksPath", str(program.parent))
    (common / "info").mkdir(exist_ok=True)
    (common / "info" / "attributes").write_text("* filter=evil\n")


def hooks(common: Path, made: Path) -> None:
    (common / "hooks").mkdir(exist_ok=True)
    for name in (
        "pre-commit",
        "post-commit",
        "post-checkout",
        "reference-transaction",
        "post-index-change",
        "pre-push",
    ):
        plant(common / "hooks" / name, made)


def locks(common: Path, made: Path) -> None:
    (common / "refs" / "target").mkdir(parents=True, exist_ok=True)
    wanted = [common / name for name in ("packed-refs.lock", "config.lock", "HEAD.lock", "refs/target/main.lock")]
    wanted += [tree / "index.lock" for tree in (common / "worktrees").glob("*")]
    for path in wanted:
        with contextlib.suppress(FileExistsError):
            path.touch(exist_ok=False)


def remove(common: Path, made: Path) -> None:
    """The worktree of another; what it holds is nowhere then, which the checker has to know."""
    here = Path.cwd()
    others = [tree for tree in here.parent.glob("[0-9]*") if tree != here]
    if not others:
        return
    other = random.choice(others)
    write_victim(made, other)
    git("worktree", "remove", "--force", "--", str(other))
    shutil.rmtree(other, ignore_errors=True)
    write_victim(made, other)


def write_victim(made: Path, tree: Path) -> None:
    where = made / "where" / tree.name
    with (made / "destroyed").open("a") as out:
        out.write(f"{where.read_text() if where.exists() else ''}\n")


def collect(common: Path, made: Path) -> None:
    git("gc", "--quiet", "--prune=now")
    git("repack", "-q", "-a", "-d")
    git("prune", "--expire=now")
    git("worktree", "prune", "--expire=now")


def strays(common: Path, made: Path) -> None:
    """Branches, tags and stashes, as agents make them. Of its own work nothing is stashed: another agent's filters may
    be in force for its git just then, in linked worktrees, and make something else of it."""
    Path("stashed.txt").write_text("stashed\n")
    git("stash", "push", "--include-untracked", "--quiet", "--", "stashed.txt")
    git("stash", "pop", "--quiet")
    name = f"{os.environ['TICKETD_TICKET']}-{os.environ['TICKETD_ATTEMPT']}"
    git("tag", f"v-{name}")
    git("branch", f"stray/{name}")


def unfinished(common: Path, made: Path) -> None:
    """A merge that is left in the middle."""
    other = git("commit-tree", "-p", "HEAD", "-m", "other", "HEAD^{tree}")
    git("merge", "--quiet", "--no-commit", "--no-ff", other)


def plant(path: Path, made: Path | None = None) -> Path:
    path.unlink(missing_ok=True)
    path.write_text(PLANTED.format(made=made or path.parent))
    path.chmod(0o755)
    return path


TAMPERS: dict[str, Callable[[Path, Path], None]] = {
    "refs": refs,
    "config": config,
    "hooks": hooks,
    "locks": locks,
    "remove": remove,
    "collect": collect,
    "strays": strays,
    "unfinished": unfinished,
}
