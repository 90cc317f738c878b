"""git killed in the middle of what it does, an agent's and ticketd's, and what must be true once all is cleared up.

Two agents have a worktree each: one is struck, the other stands by with a commit and uncommitted work. At the k-th
system call that writes, strace kills the process that makes it; where an agent is struck, all of its processes. Then:

    what the struck agent had committed and what it had on disk is kept
    its worktree is clean at the next commit, and a new one can be made
    the bystander's HEAD and files are as they were, and it can commit
    every attempt that was kept before still is, and the repository is sound
    the target is what ticketd says it is, and has only been fast-forwarded

Exit codes: 0 all of it is true; 1 not; 2 there is no strace that may trace here.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from kept_work import IDENTITY, git
from kill_scene import Scene, Violation, can_trace, scene_in, tracing

from ticketd.domain.attempt import AttemptKey
from ticketd.domain.recovery import Mend, Records, reconcile
from ticketd.errors import TicketdError
from ticketd.ports import Identity, Kept, Rebased

ADA = Identity("Ada", "ada@example.org")
LAST = 400
"""The highest number of a call that is tried; most commands have fewer, and then they live."""


# --- what is struck -------------------------------------------------------------------------------------------------

AGENTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "commit": (("commit", "--quiet", "--all", "--message", "struck"),),
    "add": (("add", "--all"),),
    "add, then commit": (("add", "--all"), ("commit", "--quiet", "--message", "struck")),
    "amend": (("commit", "--quiet", "--all", "--amend", "--message", "struck"),),
    "rebase": (("stash", "--quiet", "--include-untracked"), ("rebase", "--quiet", "origin/main")),
    "merge": (("stash", "--quiet"), ("merge", "--quiet", "--no-edit", "--no-ff", "origin/main")),
    "stash": (("stash", "--quiet", "--include-untracked"),),
    "reset": (("reset", "--quiet", "--hard", "HEAD~1"),),
    "branch": (("branch", "--quiet", "-f", "aside", "HEAD"),),
    "branch -D": (("branch", "--quiet", "-f", "aside", "HEAD"), ("branch", "--quiet", "-D", "aside")),
    "pack-refs": (("pack-refs", "--all"),),
    "gc": (("gc", "--quiet"),),
    "fetch": (("fetch", "--quiet", "{origin}", "main"),),
    "push": (("push", "--quiet", "--force", "{origin}", "HEAD:refs/heads/agents"),),
    "worktree add": (("worktree", "add", "--quiet", "--detach", "{side}"),),
    "worktree remove": (("worktree", "add", "--quiet", "--detach", "{side}"), ("worktree", "remove", "-f", "{side}")),
}


def strike_agent(scene: Scene, commands: tuple[tuple[str, ...], ...], when: int) -> bool:
    """All of the agent's processes end with the one that is killed. Whether one was."""
    side = scene.root / f"side{scene.number}"
    words = {"origin": str(scene.origin), "side": str(side)}
    filled = [[word.format(**words) for word in command] for command in commands]
    for command in filled[:-1]:
        git(scene.struck, *command)
    real = shutil.which("git", path=os.environ["PATH"].partition(os.pathsep)[2])
    traced = tracing(str(when)) if can_trace() else []
    with subprocess.Popen(
        [*traced, str(real), *filled[-1]],
        cwd=scene.struck,
        env={**os.environ, **IDENTITY},
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    ) as agent:
        while not traced and agent.poll() is None and not _is_half_way(scene):
            pass
        if traced:
            agent.wait()
        with suppress(ProcessLookupError):
            os.killpg(agent.pid, signal.SIGKILL)
    shutil.rmtree(side, ignore_errors=True)
    return agent.returncode == -signal.SIGKILL


def _is_half_way(scene: Scene) -> bool:
    """Without strace: as soon as git has written anything that it will not leave."""
    patterns = ("*.lock", "worktrees/*/*.lock", "refs/heads/**/*.lock", "objects/??/tmp_*", "objects/pack/tmp_*")
    return any(path for pattern in patterns for path in scene.control.path.glob(pattern))


def prepare_anew(scene: Scene) -> None:
    scene.pool.prepare(f"n{scene.number}", scene.main, f"ticketd/anew/{scene.number}", keep_ignored=False)


def prepare_again(scene: Scene) -> None:
    """The struck one's work is kept first, as it always is."""
    keep(scene)
    scene.pool.prepare("1", f"{scene.main}", f"ticketd/again/{scene.number}", keep_ignored=False)


def keep(scene: Scene) -> Kept:
    kept = scene.pool.keep("1", scene.key, scene.main, "left over", ADA)
    scene.kept[scene.key.ref] = kept.tip
    return kept


def fetch(scene: Scene) -> None:
    scene.move_target()
    scene.target.tip()


def rebase(scene: Scene) -> Rebased:
    verdict = scene.control.rebase(scene.main, keep(scene).tip, scene.tip(), [("Ticket", "struck")])
    if not isinstance(verdict, Rebased):
        raise Violation(f"it cannot be rebased: {verdict}")
    return verdict


def push(scene: Scene) -> None:
    onto = scene.tip()
    scene.target.push(rebase(scene).tip, onto)


OWN: dict[str, tuple[Callable[[Scene], object], tuple[str, ...]]] = {
    "prepare a new tree": (prepare_anew, ("worktree", "reset", "update-ref")),
    "prepare a tree again": (prepare_again, ("status", "clean", "reset", "update-ref")),
    "keep": (keep, ("add", "write-tree", "commit-tree", "update-ref")),
    "fetch": (fetch, ("fetch", "update-ref", "ls-remote")),
    "rebase": (rebase, ("update-ref", "rev-list", "cat-file", "fast-import", "merge-tree")),
    "push": (push, ("push",)),
}


def strike_own(scene: Scene, what: Callable[[Scene], object], command: str, when: int) -> bool:
    plan, killed = (scene.root / "bin" / name for name in ("plan", "killed"))
    killed.unlink(missing_ok=True)
    plan.write_text(f"{command} {when}\n")
    with suppress(TicketdError, OSError, ValueError, Violation):
        what(scene)
    plan.unlink(missing_ok=True)
    return killed.exists()


# --- what must be true ----------------------------------------------------------------------------------------------


def clear_up(scene: Scene) -> None:
    """As a daemon does, when it begins or when it finds that no git lives. A server's locks are its own people's."""
    for lock in scene.origin.rglob("*.lock"):
        lock.unlink()
    give_up_at = time.monotonic() + 30
    mend(scene)
    while any(scene.control.path.glob("**/*.lock")) and time.monotonic() < give_up_at:
        mend(scene)


def mend(scene: Scene) -> None:
    trees = frozenset(path.name for path in (scene.control.state / "worktrees").iterdir() if path.name.isalnum())
    numbers = {number: scene.kept.get(AttemptKey("struck", number).ref) for number in range(1, scene.number + 1)}
    ended = {AttemptKey("struck", number): commit for number, commit in numbers.items() if number < scene.number}
    live = frozenset({scene.key, AttemptKey("bystander", 1)})
    found = scene.pool.found(trees, [commit for commit in ended.values() if commit], True, time.time())
    for each in reconcile(Records(trees, live, ended, scene.main), found):
        if isinstance(each, Mend):
            scene.pool.mend(each)


def check(scene: Scene, head: str, left: dict[str, str]) -> None:
    """`head`: what the struck agent had committed; `left`: what it had on disk when it was struck."""
    kept = keep(scene)
    held = ("for-each-ref", "--contains", head, "--format=%(refname)", "refs/ticketd/", "refs/ticketd-extra/")
    must(f"/{scene.key}" in git(scene.control.path, *held), f"its commit {head} is not kept")
    for name, text in left.items():
        must(_shown(scene, f"{kept.tip}:{name}") == text, f"what {name} said on disk is not kept: {text!r}")
    scene.main = _checked_target(scene)
    scene.pool.prepare("1", scene.main, f"ticketd/after/{scene.number}", keep_ignored=False)
    must(git(scene.struck, "status", "--porcelain", "--ignored") == "", "the worktree is not clean")
    must(git(scene.struck, "rev-parse", "HEAD") == scene.main, "the worktree is elsewhere")
    scene.pool.prepare(f"n{scene.number}", scene.main, f"ticketd/fresh/{scene.number}", keep_ignored=False)
    _check_bystander(scene)
    for ref, commit in scene.kept.items():
        must(scene.control.read_ref(ref) == commit, f"{ref} is not what it was")
    git(scene.control.path, "fsck", "--no-dangling", "--no-progress", "--connectivity-only")


def _shown(scene: Scene, what: str) -> str:
    try:
        return git(scene.control.path, "show", what)
    except subprocess.CalledProcessError:
        return ""


def _checked_target(scene: Scene) -> str:
    tip = scene.tip()
    must(tip == git(scene.origin, "rev-parse", "main"), "the target is not where ticketd says")
    git(scene.origin, "merge-base", "--is-ancestor", scene.main, tip)
    return tip


def _check_bystander(scene: Scene) -> None:
    texts = [(scene.bystander / name).read_text() for name in ("mine.txt", "new.txt")]
    must(texts == ["not yet\n", "untracked\n"], f"the bystander's files have changed: {texts}")
    must(_shown(scene, "refs/heads/ticketd/bystander/1:mine.txt") == "committed", "the bystander's commit is gone")
    must(git(scene.bystander, "status", "--porcelain").split() == ["M", "mine.txt", "??", "new.txt"], "or its index")
    git(scene.bystander, "commit", "--quiet", "--allow-empty", "--message", f"beside {scene.number}")


def must(true: bool, what: str) -> None:
    if not true:
        raise Violation(what)


# --- the whole ------------------------------------------------------------------------------------------------------


def strike(scene: Scene, name: str, when: int, chance: random.Random) -> bool:
    """One kill and all that follows; whether it hit. Violation, TicketdError or CalledProcessError: it did harm."""
    scene.number += 1
    if name in ("rebase", "merge", "push"):
        scene.move_target()
    scene.pool.prepare("1", scene.main, f"ticketd/{scene.key}", keep_ignored=False)
    (scene.struck / "work.txt").write_text(f"work {scene.number}\n")
    git(scene.struck, "add", "--all")
    git(scene.struck, "commit", "--quiet", "--message", f"done {scene.number}")
    head = git(scene.struck, "rev-parse", "HEAD")
    (scene.struck / "more.txt").write_text("untracked\n")
    (scene.struck / "file1.txt").write_text(f"changed {scene.number}\n")
    if name in OWN:
        what, commands = OWN[name]
        hit = strike_own(scene, what, chance.choice(commands), when)
    else:
        hit = strike_agent(scene, AGENTS[name.removeprefix(OF_AN_AGENT)], when)
    files = [scene.struck / file for file in ("work.txt", "more.txt", "file1.txt", "theirs.txt")]
    left = {file.name: file.read_text().strip() for file in files if file.exists()} if name in AGENT_NAMES else {}
    clear_up(scene)
    check(scene, head, left)
    return hit


OF_AN_AGENT = "agent's "
AGENT_NAMES = tuple(f"{OF_AN_AGENT}{name}" for name in AGENTS)
NAMES = (*AGENT_NAMES, *OWN)


def prove(scene: Scene, seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """How many kills hit, by what was struck; and what was not true."""
    chance, hits, bad = random.Random(seed), Counter[str](), list[str]()
    for turn in range(count):
        name, when = NAMES[turn % len(NAMES)], int(LAST ** chance.random())
        try:
            hits[name] += strike(scene, name, when, chance)
        except (Violation, TicketdError, subprocess.CalledProcessError, OSError) as error:
            said = getattr(error, "stderr", b"") or b""
            bad.append(f"{name} at call {when} (turn {turn}): {error} {said!r}")
            break
    return hits, bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="scenes, each with a seed of its own (default 5)")
    parser.add_argument("--seed", type=int, default=1, help="the first of them (default 1)")
    parser.add_argument("--count", type=int, default=100, help="kills in each (default 100)")
    args = parser.parse_args()
    if not can_trace():
        print("strace is missing, or may not trace here", file=sys.stderr)
        return 2
    hits, bad = Counter[str](), 0
    for seed in range(args.seed, args.seed + args.seeds):
        root = Path(tempfile.mkdtemp(prefix="prove-kills-"))
        with scene_in(root) as scene:
            found, said = prove(scene, seed, args.count)
        hits += found
        bad += len(said)
        print(f"seed {seed}: {sum(found.values())} of {args.count} killed", *said, sep="\n  ", flush=True)
        if said:
            print(f"  the scene is kept: {root}")
        else:
            shutil.rmtree(root)
    for name in NAMES:
        print(f"{hits[name]:6}  {name}")
    print(f"{sum(hits.values())} kills, {bad} violations")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
