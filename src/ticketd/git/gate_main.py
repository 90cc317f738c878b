"""The hook of the agents' gate: keeps what an agent pushes as its attempt's ref, and says when it will land.

Called as `python -m ticketd.git.gate_main CONTROL BRANCH`: the control repository, and the target. It spells the names
of refs by itself: what spells them elsewhere takes longer to import than all that is done here.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ticketd import failpoints
from ticketd.git.door import Git
from ticketd.git.push_command import PushCommand, running_push
from ticketd.git.receiving import Declined, Received, Taken, converse, say
from ticketd.git.record import NAME, Record
from ticketd.git.repository import OWN

_NOTE = re.compile(r"ticketd/(?P<attempt>[a-z0-9][a-z0-9._-]*/[0-9]+)")
INSTEAD = "leave your commits in the worktree: they land when you are done"


@dataclass(frozen=True, slots=True)
class Place:
    """The worktree of the pool that a push was started in: its name, and the attempt (`id/number`) that it is of."""

    tree: str
    attempt: str

    @property
    def ref(self) -> str:
        return f"refs/ticketd/{self.attempt}"


def place_of(state: Path, where: Path | None) -> Place | None:
    """None: not in a worktree that is an attempt's. The note that tells is ticketd's own, out of the tree."""
    home = (state / "worktrees").resolve()
    if where is None or where == home or not where.is_relative_to(home):
        return None
    name = where.relative_to(home).parts[0]
    note = home / f".{name}.branch"
    found = _NOTE.fullmatch(note.read_text(errors="replace")) if note.is_file() else None
    return Place(name, found["attempt"]) if found else None


@dataclass(frozen=True, slots=True)
class Gate:
    """Decides about one `git push`. What the pushing program says of itself (`environ`) has to agree with where it is:
    by either alone an agent could move the ref of another's work, or of one that has ended."""

    control: Path
    branch: str
    environ: Mapping[str, str]
    command: PushCommand | None

    @property
    def git(self) -> Git:
        own = self.control.with_name(OWN)
        return Git(own, env={"GIT_DIR": str(own)})

    def decide(self, received: Sequence[Received]) -> list[Taken | Declined]:
        place = self._place()
        if isinstance(place, Declined):
            return [place for _ in received]
        return [self._refusal(one, place) or self._keep(one, place) for one in received]

    def _place(self) -> Place | Declined:
        if self.command is None:
            return Declined(f"it cannot be seen which git push this is; {INSTEAD}")
        place = place_of(self.control.parent, self.command.where)
        if place is None:
            return Declined("this gate is for the worktrees of running attempts; push from one, or use ticketd push")
        said = f"{self.environ.get('TICKETD_TICKET', '')}/{self.environ.get('TICKETD_ATTEMPT', '')}"
        if said != place.attempt:
            who = "no attempt" if said == "/" else f"attempt {said}"
            return Declined(f"this worktree is of attempt {place.attempt}, but the environment is of {who}")
        if self.command.forced:
            return Declined(f"nothing is forced here, and nothing needs to be: push without it, or {INSTEAD}")
        return place

    def _refusal(self, one: Received, place: Place) -> Declined | None:
        if one.deletes:
            return Declined(f"nothing is deleted on the remote by an agent; {INSTEAD}")
        if one.ref.startswith("refs/tags/"):
            return Declined(f"tags do not land; say in your last message which one is wanted, and {INSTEAD}")
        own = f"refs/heads/ticketd/{place.attempt}"
        if one.ref not in (f"refs/heads/{self.branch}", f"refs/for/{self.branch}", own):
            return Declined(f"work lands on {self.branch} and nowhere else: git push origin HEAD, or {INSTEAD}")
        return self._unfit(one, place)

    def _unfit(self, one: Received, place: Place) -> Declined | None:
        """What is not in the worktree's history would be kept, but never land; and to say otherwise were a lie."""
        self._look_at(place)
        head = self._commit(f"worktrees/{place.tree}/HEAD")
        if head is None or not self._contains(head, one.new):
            return Declined(
                "it is not in the history of HEAD; what is checked out here when you are done is what lands"
            )
        if not self.git.ask("merge-base", one.new, f"refs/target/{self.branch}").ok:
            return Declined(f"it has no history in common with {self.branch}; begin from origin/{self.branch}")
        return None

    def _look_at(self, place: Place) -> None:
        """A clone has a HEAD of its own. What reads it is imported for clones only."""
        if (self.control.parent / "worktrees" / f".{place.tree}.clone").is_file():
            from ticketd.git.control import Control
            from ticketd.git.repository import NOBODY
            from ticketd.git.worktrees import WorktreePool

            WorktreePool(Control(self.control.parent, NOBODY)).see(place.tree)

    def _commit(self, name: str) -> str | None:
        return self.git.ask("rev-parse", "--quiet", "--verify", f"{name}^{{commit}}").line or None

    def _contains(self, tip: str, commit: str) -> bool:
        return tip == commit or self.git.ask("merge-base", "--is-ancestor", commit, tip).ok

    def _keep(self, one: Received, place: Place) -> Taken | Declined:
        """The attempt's ref at the pushed commit; what it stood at, if that is not part of it, stays under another."""
        former, zeros = self._commit(place.ref), "0" * len(one.new)
        lines = [f"update {place.ref} {one.new} {former or zeros}"]
        if former is not None and not self._contains(one.new, former):
            lines.append(f"update refs/ticketd-extra/{place.attempt}/pushed-{former} {former}")
        kept = Record(self.control.with_name(OWN) / NAME).move(self.git, lines)
        if not kept.ok:
            return Declined(f"it could not be kept ({kept.err.strip()}); {INSTEAD}")
        say(f"kept {one.new[:7]} as {place.ref}; it is rebased, verified and landed on {self.branch} when you are done")
        return Taken(place.ref, former, one.new)


def main() -> None:
    failpoints.arm(os.environ)
    control, branch = Path(sys.argv[1]), sys.argv[2]
    converse(sys.stdin.buffer, sys.stdout.buffer, Gate(control, branch, os.environ, running_push()).decide)


if __name__ == "__main__":
    main()
