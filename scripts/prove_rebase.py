"""Hold the rebase in memory against `git rebase`: move real commits by both and compare what comes out.

A commit, or a short branch, goes onto a commit some 3, 30 or 300 before it, and back again where that was clean; or
onto a branch beside it. Compared are the verdict, each new commit (tree, author, date, message), the paths in conflict
(but for the labels that git puts on a file that is in a directory's way), and which commit met it.

Where a patch has been on the target and was taken back there, git leaves it out and ticketd makes it again (see
`ticketd.git.rebase`). Such a move is held against `git rebase --reapply-cherry-picks`, and counted.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from ticketd.git.door import Git
from ticketd.git.merging import MERGING
from ticketd.git.rebase import rebase
from ticketd.ports import Conflict, Identity, NothingLeft, Rebased

BY = Identity("Prover", "prover@example.org")
OPTIONS = ("-q", "--no-keep-empty", "--empty=drop")
CONFIG = (MERGING, "rebase.backend=merge", "gc.auto=0", "core.hooksPath=/dev/null", "advice.detachedHead=false")
STEPS = (3, 30, 300)
BATCH = 20
# Nothing of the user's configuration takes part.
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_COMMITTER_NAME": BY.name,
    "GIT_COMMITTER_EMAIL": BY.email,
    "GIT_EDITOR": "true",
}
LABEL = re.compile(r"~(HEAD|[0-9a-f]{7,64}\b.*)$", re.S)
LOOK = ("log", "--reverse", "--topo-order", "-z", "--format=%T%n%an%n%ae%n%ad%n%B", "--date=raw")


@dataclass(frozen=True, slots=True)
class Move:
    """`base..tip` to go onto `onto`; `onwards`: the base is in `onto`'s history, as when a ticket lands."""

    base: str
    tip: str
    onto: str
    onwards: bool


@dataclass(frozen=True, slots=True)
class Done:
    """The new commits, each as all that is compared of it."""

    commits: tuple[str, ...]
    tip: str


@dataclass(frozen=True, slots=True)
class Stopped:
    paths: frozenset[str]
    commit: str


Outcome = Done | Stopped


@dataclass(frozen=True, slots=True)
class Yard:
    """A clone with a working tree for git, and a bare one for the rebase in memory; both borrow the objects."""

    tree: Path
    bare: Path

    def git(self, *args: str, where: Path | None = None) -> subprocess.CompletedProcess[bytes]:
        config = [part for item in CONFIG for part in ("-c", item)]
        environment = {**os.environ, **ENVIRONMENT}
        return subprocess.run(
            ["git", *config, *args], cwd=where or self.tree, env=environment, capture_output=True, check=False
        )

    def by_git(self, move: Move, *more: str) -> Outcome:
        upstream = move.onto if move.onwards else move.base
        answer = self.git("rebase", *OPTIONS, *more, "--onto", move.onto, upstream, move.tip)
        state = self.tree / ".git/rebase-merge"
        if answer.returncode == 0:
            return self._done(move.onto, "HEAD", self.tree)
        if not state.is_dir():
            raise SystemExit(f"git rebase broke: {answer.stderr.decode(errors='replace')}")
        unmerged = os.fsdecode(self.git("ls-files", "-z", "--unmerged").stdout).split("\0")[:-1]
        stopped = (state / "stopped-sha").read_text().strip()
        shutil.rmtree(state)
        self.git("reset", "-q", "--hard")
        self.git("clean", "-qffdx")
        return Stopped(unlabelled(entry.partition("\t")[2] for entry in unmerged), stopped)

    def in_memory(self, move: Move) -> Outcome:
        own = Git(self.bare, env={"GIT_DIR": str(self.bare), **ENVIRONMENT})
        match rebase(own, move.base, move.tip, move.onto, (), BY):
            case Conflict(paths=paths, commit=commit):
                return Stopped(unlabelled(iter(paths)), commit)
            case NothingLeft():
                return Done((), move.onto)
            case Rebased(tip=tip):
                return self._done(move.onto, tip, self.bare)

    def _done(self, onto: str, tip: str, where: Path) -> Done:
        found = os.fsdecode(self.git(*LOOK, f"{onto}..{tip}", where=where).stdout).split("\0")
        sha = self.git("rev-parse", tip, where=where).stdout.decode().strip()
        return Done(tuple(each.strip() for each in found if each), sha)


def unlabelled(paths: Iterator[str]) -> frozenset[str]:
    return frozenset(LABEL.sub("~", path) for path in paths)


def make_yard(source: Path, at: Path) -> Yard:
    yard = Yard(at / "tree", at / "bare")
    for options, path in (((), yard.tree), (("--bare",), yard.bare)):
        subprocess.run(["git", "clone", "-q", "--shared", *options, source, path], check=True)
    return yard


# --- which moves ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Graph:
    parents: dict[str, tuple[str, ...]]
    children: dict[str, list[str]]

    def is_plain(self, sha: str) -> bool:
        return len(self.parents[sha]) == 1

    def above(self, sha: str, steps: int) -> str:
        """So many first parents before it, or the first commit."""
        for _ in range(steps):
            sha = self.parents[sha][0] if self.parents[sha] else sha
        return sha

    def branch(self, tip: str, length: int) -> list[str]:
        """The commit that a branch begins at, and its plain ones up to `tip`: at most `length`, oldest first."""
        line = [tip]
        while len(line) <= length and self.is_plain(line[0]):
            line.insert(0, self.parents[line[0]][0])
        return line

    def has(self, tip: str, wanted: str) -> bool:
        """Whether `wanted` is in `tip`'s history."""
        seen, left = {tip}, [tip]
        while left:
            sha = left.pop()
            if sha == wanted:
                return True
            fresh = [parent for parent in self.parents[sha] if parent not in seen]
            seen.update(fresh)
            left += fresh
        return False


def read_graph(source: Path) -> Graph:
    listed = subprocess.run(
        ["git", "-C", source, "rev-list", "--all", "--parents"], capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in listed.stdout.splitlines()]
    parents = {sha: tuple(rest) for sha, *rest in lines}
    children: dict[str, list[str]] = {sha: [] for sha in parents}
    for sha, of in parents.items():
        for parent in of:
            children[parent].append(sha)
    return Graph(parents, children)


def moves(graph: Graph, count: int, rng: random.Random) -> list[Move]:
    """One for each of so many commits that are no merges; every third goes onto a branch beside it if there is one."""
    plain = sorted(sha for sha in graph.parents if graph.is_plain(sha))
    chosen = rng.sample(plain, min(count, len(plain)))
    return [
        (beside(graph, tip, rng) if number % 3 == 0 else None) or backwards(graph, tip, rng)
        for number, tip in enumerate(chosen)
    ]


def backwards(graph: Graph, tip: str, rng: random.Random) -> Move:
    base = graph.branch(tip, rng.choice((1, 1, 1, 3)))[0]
    return Move(base, tip, graph.above(base, rng.choice(STEPS)), onwards=False)


def beside(graph: Graph, tip: str, rng: random.Random) -> Move | None:
    """Onto what else grew out of the branch's beginning, or of a commit on the way."""
    line = graph.branch(tip, 5)
    forks = [
        (at, child) for at, on in pairwise(line) for child in sorted(graph.children[at]) if child != on and child != tip
    ]
    if not forks:
        return None
    base, onto = rng.choice(forks)
    for _ in range(rng.choice((0, 3, 30))):
        further = [child for child in sorted(graph.children[onto]) if child not in line]
        onto = rng.choice(further) if further else onto
    if graph.has(onto, tip):
        return None
    return Move(base, tip, onto, onwards=True)


# --- the comparison -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """What both have made of one move; `wrong` says where they differ."""

    kind: str
    wrong: str = ""


def compare(yard: Yard, move: Move) -> Iterator[Finding]:
    """The move, and where it is clean and went backwards, the way back."""
    git, memory = yard.by_git(move), yard.in_memory(move)
    yield judged(yard, move, git, memory)
    if isinstance(git, Done) and isinstance(memory, Done) and git.commits and memory.commits and not move.onwards:
        if move.onto == move.base:
            return
        git = yard.by_git(back := Move(move.onto, git.tip, move.base, onwards=True))
        memory = yard.in_memory(Move(move.onto, memory.tip, move.base, onwards=True))
        yield judged(yard, back, git, memory, " and back")


def judged(yard: Yard, move: Move, git: Outcome, memory: Outcome, way: str = "") -> Finding:
    kind = "conflicts" if isinstance(git, Stopped) else "clean" if git.commits else "nothing left"
    # On the way back both move commits that they have made themselves.
    differ = partial(difference, named=not way)
    if not (wrong := differ(git, memory)):
        return Finding(kind)
    if move.onwards and not differ(yard.by_git(move, "--reapply-cherry-picks"), memory):
        return Finding("made again")
    return Finding(kind, f"{wrong}{way}")


def difference(git: Outcome, memory: Outcome, named: bool) -> str:
    """Empty if there is none. `named`: the commits that are moved have the same names on both sides."""
    match git, memory:
        case Done(commits=theirs), Done(commits=ours):
            return "" if theirs == ours else f"other commits: git {theirs}, in memory {ours}"
        case Stopped(), Stopped():
            if git.paths and git.paths != memory.paths:
                return f"other conflicts: git {sorted(git.paths)}, in memory {sorted(memory.paths)}"
            if named and git.commit != memory.commit:
                return f"stopped at another commit: git {git.commit}, in memory {memory.commit}"
            return ""
        case _:
            return f"another verdict: git {git}, in memory {memory}"


@cache
def yard_of(source: Path, home: Path) -> Yard:
    """One for each process: git's side has a working tree."""
    return make_yard(source, Path(tempfile.mkdtemp(dir=home)))


def try_batch(home: Path, batch: tuple[Path, Sequence[Move]]) -> list[tuple[Path, Move, Finding]]:
    source, some = batch
    return [(source, move, found) for move in some for found in compare(yard_of(source, home), move)]


def shares(total: int, parts: int) -> list[int]:
    return [total // parts + (number < total % parts) for number in range(parts)]


def main() -> int:
    """Run the comparison and say how it went."""
    parser = argparse.ArgumentParser(
        prog="prove-rebase", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("repositories", nargs="+", type=Path, metavar="REPO", help="clones, bare or not")
    parser.add_argument("--commits", type=int, default=2_000, help="of all repositories together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--move", nargs=3, metavar=("BASE", "TIP", "ONTO"), help="only this one, of the first REPO")
    options = parser.parse_args()
    rng, begun = random.Random(options.seed), time.monotonic()
    sources = [path.resolve() for path in options.repositories]
    graphs = [read_graph(source) for source in sources]
    if options.move:
        base, tip, onto = options.move
        work = [(sources[0], [Move(base, tip, onto, graphs[0].has(onto, base))])]
    else:
        each = zip(sources, graphs, shares(options.commits, len(sources)), strict=True)
        lists = [(source, moves(graph, count, rng)) for source, graph, count in each]
        work = [(source, some[at : at + BATCH]) for source, some in lists for at in range(0, len(some), BATCH)]
    with tempfile.TemporaryDirectory(prefix="ticketd-prove-") as home, ProcessPoolExecutor(options.processes) as pool:
        found = [each for some in pool.map(partial(try_batch, Path(home)), work) for each in some]
    tell(sources, work, found)
    print(f"{time.monotonic() - begun:.0f} s, seed {options.seed}")
    return 1 if any(finding.wrong for _, _, finding in found) else 0


def tell(
    sources: Sequence[Path], work: Sequence[tuple[Path, Sequence[Move]]], found: Sequence[tuple[Path, Move, Finding]]
) -> None:
    kinds = ("clean", "conflicts", "nothing left", "made again")
    head = ("repository", "commits", "moves", *kinds, "disagreements")
    print("{:<24} {:>8} {:>8} {:>8} {:>10} {:>13} {:>11} {:>14}".format(*head))
    for source in sources:
        of = [finding for where, _, finding in found if where == source]
        count = Counter(finding.kind for finding in of)
        moved = sum(len(some) for where, some in work if where == source)
        wrong = sum(bool(finding.wrong) for finding in of)
        numbers = "{:>8} {:>10} {:>13} {:>11}".format(*(count[kind] for kind in kinds))
        print(f"{source.name:<24} {moved:>8} {len(of):>8} {numbers} {wrong:>14}")
    for source, move, finding in found:
        if finding.wrong:
            print(f"\n{finding.wrong}\n  prove-rebase {source} --move {move.base} {move.tip} {move.onto}")


if __name__ == "__main__":
    sys.exit(main())
