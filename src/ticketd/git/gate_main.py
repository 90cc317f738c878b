"""The hook of the agents' gate: keeps what an agent pushes as its attempt's ref, and says when it will land.

Called as `python -m ticketd.git.gate_main STATE BRANCH`, `BRANCH` being the target.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ticketd.domain.attempt import AttemptKey
from ticketd.errors import GitFailed
from ticketd.git.control import Control
from ticketd.git.push_command import PushCommand, running_push
from ticketd.git.receiving import Declined, Received, Taken, converse
from ticketd.git.repository import NOBODY
from ticketd.git.snapshot import extra_ref
from ticketd.git.target import target_ref

_NOTE = re.compile(r"ticketd/(?P<ticket>[a-z0-9][a-z0-9._-]*)/(?P<number>[0-9]+)")
INSTEAD = "leave your commits in the worktree: they land when you are done"


@dataclass(frozen=True, slots=True)
class Place:
    """The worktree of the pool that a push was started in."""

    key: AttemptKey
    admin: Path


def place_of(control: Control, where: Path | None) -> Place | None:
    """None: not in a worktree that is an attempt's. The note is ticketd's own, out of the tree."""
    home = (control.state / "worktrees").resolve()
    if where is None or not where.is_relative_to(home) or where == home:
        return None
    name = where.relative_to(home).parts[0]
    note = home / f".{name}.branch"
    found = _NOTE.fullmatch(note.read_text(errors="replace")) if note.is_file() else None
    if found is None:
        return None
    return Place(AttemptKey(found["ticket"], int(found["number"])), control.path / "worktrees" / name)


@dataclass(frozen=True, slots=True)
class Gate:
    """Decides about the pushes of one `git push`. What the pushing program says of itself (`environ`) has to agree with
    where it is: by either alone an agent could move the ref of another's work, or one that has ended its own."""

    control: Control
    branch: str
    environ: Mapping[str, str]
    command: PushCommand | None

    def decide(self, received: Sequence[Received]) -> list[Taken | Declined]:
        place = self._place()
        if isinstance(place, Declined):
            return [place for _ in received]
        return [self._refusal(one, place) or self._keep(one, place) for one in received]

    def _place(self) -> Place | Declined:
        if self.command is None:
            return Declined(f"it cannot be seen which git push this is; {INSTEAD}")
        place = place_of(self.control, self.command.where)
        if place is None:
            return Declined("this gate is for the worktrees of running attempts; push from one, or use ticketd push")
        said = f"{self.environ.get('TICKETD_TICKET', '')}/{self.environ.get('TICKETD_ATTEMPT', '')}"
        if said != str(place.key):
            who = "no attempt" if said == "/" else f"attempt {said}"
            return Declined(f"this worktree is of attempt {place.key}, but the environment is of {who}")
        if self.command.forced:
            return Declined(f"nothing is forced here, and nothing needs to be: push without it, or {INSTEAD}")
        return place

    def _refusal(self, one: Received, place: Place) -> Declined | None:
        if one.deletes:
            return Declined(f"nothing is deleted on the remote by an agent; {INSTEAD}")
        if one.ref.startswith("refs/tags/"):
            return Declined(f"tags do not land; say in your last message which one is wanted, and {INSTEAD}")
        own = f"refs/heads/ticketd/{place.key}"
        if one.ref not in (f"refs/heads/{self.branch}", f"refs/for/{self.branch}", own):
            return Declined(
                f"an agent's work lands on {self.branch} and nowhere else: git push origin HEAD, or {INSTEAD}"
            )
        return self._unfit(one, place)

    def _unfit(self, one: Received, place: Place) -> Declined | None:
        """What is not in the worktree's history would be kept, but never land; and to say otherwise were a lie."""
        head = self.control.git.ask("rev-parse", "--verify", f"worktrees/{place.admin.name}/HEAD^{{commit}}").line
        if not head or not self._contains(head, one.new):
            return Declined(
                "it is not in the history of HEAD; what is checked out here when you are done is what lands"
            )
        if self.control.fork_point(one.new, target_ref(self.branch)) is None:
            return Declined(f"it has no history in common with {self.branch}; begin from origin/{self.branch}")
        return None

    def _contains(self, tip: str, commit: str) -> bool:
        try:
            return self.control.contains(tip, commit)
        except GitFailed:
            return False  # not a commit

    def _keep(self, one: Received, place: Place) -> Taken | Declined:
        """The attempt's ref at the pushed commit; what it stood at, if that is not part of it, stays under another."""
        ref, zeros = place.key.ref, "0" * len(one.new)
        former = self.control.read_ref(ref)
        lines = [f"update {ref} {one.new} {former or zeros}"]
        if former is not None and not self._contains(one.new, former):
            lines.append(f"update {extra_ref(place.key)}/pushed-{former} {former}")
        kept = self.control.git.ask(
            "update-ref", "--no-deref", "--stdin", stdin="".join(f"{line}\n" for line in lines).encode()
        )
        if not kept.ok:
            return Declined(f"it could not be kept ({kept.err.strip()}); {INSTEAD}")
        say(f"kept {one.new[:7]} as {ref}; it is rebased, verified and landed on {self.branch} when you are done")
        return Taken(ref, former, one.new)


def say(line: str) -> None:
    """git shows a hook's stderr to who pushes, as lines of the remote."""
    print(f"ticketd: {line}", file=sys.stderr, flush=True)


def main() -> None:
    state, branch = Path(sys.argv[1]), sys.argv[2]
    gate = Gate(Control(state, NOBODY), branch, os.environ, running_push())
    converse(sys.stdin.buffer, sys.stdout.buffer, gate.decide)


if __name__ == "__main__":
    main()
