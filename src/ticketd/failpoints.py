"""Where a process can be told to die, for the proof that nothing is lost by it: right after each durable step.

`TICKETD_FAILPOINT=NAME[:N]` in its environment makes a process of ticketd kill itself (SIGKILL) when it passes the
point of that name for the Nth time. Nothing else arms a point, and one that is not armed costs a comparison.

What is durable goes through few doors: a transaction of the store, a git command that writes, a file put in its place.
Each door has its point, and the point is named after the function that came through it; so a step that is new has one
too, and the test that looks through the code asks for a sentence about it here. `engines/supervisor/` has points of
its own: it imports nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

from ticketd.errors import BadInput

VARIABLE = "TICKETD_FAILPOINT"
POINTS: Mapping[str, str] = {
    # --- the store ---
    "store/made": "the store's file is there, in WAL mode, without a table",
    "store/migrated": "the store has its tables",
    "store/attempts.dispatch": "an attempt holds its slot and its claim",
    "store/attempts.start_refused": "a start that found no process is no attempt any more",
    "store/attempts.preempt": "a running attempt has been asked to make way",
    "store/attempts.restart": "a running attempt has been asked to begin anew",
    "store/attempts.end_for": "a running agent has been asked to end for good: its budget, or that it gets nowhere",
    "store/attempts.seen_to_cost": "what running agents have been seen to cost",
    "store/attempts.set_worktree": "the attempt has its worktree",
    "store/attempts.attempt_started": "its agent runs",
    "store/attempts.attempt_over": "its agent has ended, and the slot is free",
    "store/attempts.pulse": "signs of life of those that run",
    "store/attempts.set_drift": "how far a running attempt is behind the target",
    "store/attempts.extend_claim": "a claim holds what was written beside it",
    "store/attempts.close_attempt": "what is kept of the attempt, and the verdict: to the lane, to "
    "review, to the queue, or failed",
    "store/attempts.pass_over": "numbers of attempts that an older store does not know are not given again",
    "store/byhand.enter": "what takes back a ticket is in the lane",
    "store/byhand.land_ahead": "a person has put a ticket in front of the lane",
    "store/landings.set_phases": "the next step of a landing, before it is taken: the candidate that "
    "is verified, the push that is sent",
    "store/landings.land": "tickets have landed, their claims are free, and the target is known to have moved",
    "store/landings.landing_failed": "a ticket has left the lane: to be mended, to the queue, or failed",
    "store/landings.note_verification": "what a verification has said of a tree",
    "store/landings.forget_failures": "what failed while the target itself did is not held against it",
    "store/landings.take_off": "who had landed, and was taken off the target, is told so",
    "store/pool.daemon_started": "the daemon is on record",
    "store/pool.daemon_stopped": "the daemon is off the record",
    "store/pool.set_target": "where the target was last seen",
    "store/pool.add_worktree": "the name of a spare worktree",
    "store/pool.retire_worktrees": "worktrees of which the store knows nothing are not used again",
    "store/pool.set_worktree_setup": "what a worktree was set up with, or that it has to be again",
    "store/pool.note": "an event that changes nothing by itself",
    "store/pool.pause": "the pool is paused",
    "store/pool.resume": "the pool goes on",
    "store/pool.raise_alarm": "nothing leaves the lane until a person has looked",
    "store/pool.set_short": "nothing is started for want of room, or again",
    "store/pool.set_slots": "how many slots a person wants",
    "store/pool.ask_stop": "the daemon is to stop",
    "store/ticketfiles.save_files": "what was read of ticket files",
    "store/tickets.hold": "a ticket is held, or no longer",
    "store/tickets.bump": "a ticket has another priority",
    "store/tickets.cancel": "a ticket is cancelled, or is to be",
    "store/tickets.retry": "a ticket is back in the queue",
    "store/tickets.ask_to_start": "a ticket waits for a person before it runs",
    "store/tickets.ask_to_land": "a ticket is back from the lane, and waits for a person",
    "store/tickets.note_shown": "what a person has been shown",
    "store/tickets.approve": "a person has approved a ticket",
    "store/tickets.reject": "a person has rejected a ticket",
    "store/tickets.skip": "a ticket is skipped, for what it depends on did not land",
    # --- the state directory ---
    "file/creation.owner": "whom the state directory serves",
    "git/creation._clone/clone": "a copy of the user's repository, under a name that nobody reads",
    "git/creation._drop_refs/update-ref": "the copy has no refs any more",
    "file/creation.control": "the control repository has its name",
    "gone/creation._create": "the draft of a killed copy is gone",
    "file/own.open_own": "a file, or a link, of the side of the control repository that agents do not see",
    "file/record.begin": "where each ref is that keeps work",
    "file/record.append": "where a ref is about to go",
    "file/configuration.accepted": "its configuration is decided",
    "file/configuration.seen": "what an agent has added to the configuration is accepted, and not yet in force",
    "file/configuration.config": "its configuration is in force",
    "git/configuration.restore_config/config": "a harmless setting of an agent is in the draft of the configuration",
    "file/gate.open_gate": "a file of the gate, or a link to the control repository's objects",
    "file/gate.hook": "the gate's hook is in its place",
    "file/gate._show": "agents that fetch see the target",
    "file/settings": "the last good settings",
    "file/leaks": "a log is rid of secrets",
    "file/backup": "a backup of the store has its name",
    "file/restore.aside": "a file of the lost store has another name",
    "file/restore.put_back": "a backup is the store, and it is not made safe yet",
    # --- worktrees ---
    "git/worktrees._add/worktree": "a worktree is there, without files",
    "git/worktrees._add/reset": "a new worktree has its files",
    "git/worktrees._clean/clean": "a used worktree is rid of what was untracked",
    "git/worktrees._reset/reset": "a used worktree stands at another commit",
    "git/worktrees._put_on/update-ref": "the attempt's branch",
    "file/worktrees._put_on": "which branch the worktree was given",
    "file/worktrees.leave": "the worktree of a refused start has left its branch",
    "file/worktrees.leave_out": "what is no work of any attempt",
    "file/tree.point_head": "a worktree's HEAD",
    "file/tree.link": "a worktree and its git directory name each other",
    "gone/tree.settle": "something that an agent left unfinished is gone",
    "gone/worktrees._add": "the directory of a worktree that is made anew, or its git directory, is gone",
    "file/worktrees.discard": "a worktree that may go has lost its name",
    "gone/worktrees.discard": "a worktree, or its git directory, has gone to make room",
    "gone/keeping._go": "the record of a run, or a log, that nobody needs any more is gone",
    "git/conflicts.begin_merge/reset": "a worktree is ready for the merge that its agent is to finish",
    "git/conflicts._merge/merge": "the merge is under way in it",
    "gone/clones.furnish": "a clone's draft, or the link of its tree, has made room for it",
    "gone/clones.unfurnish": "a tree is no clone any more",
    "file/clones.furnish": "what a clone begins with is noted, and that the tree is one",
    "file/clones.furnish/clone": "the tree is a clone",
    "git/ingest._fetch/fetch": "what was made in a clone has come to the control repository, without a ref",
    "file/ingest.run": "what was found in a clone is noted",
    "git/worktrees.keep/update-ref": "the work of an attempt is kept, under its ref",
    "git/control.keep/update-ref": "a commit is kept: a candidate, what may have been pushed, what takes back a ticket",
    # --- runs ---
    "run/directory": "the run has a directory",
    "file/homes._write": "a file of an agent's configuration, in its own home",
    "run/brief": "the agent's brief",
    "run/spec": "what is to be run",
    "run/supervisor": "its supervisor is a process",
    "run/begun": "the agent's program runs, and the store does not know",
    "run/end": "the supervisor is asked to end the run",
    "run/forgotten": "what a run that is over was given in its environment is off the disk",
    "run/void": "the run must never begin",
    "gone/slots._refused": "nothing is left of the run that found no process",
    "gone/steps._run": "a step is over, and its run directory gone",
    "gone/steps.end_left": "likewise, of a step of an earlier daemon",
    "supervisor/lock": "the supervisor holds the run's lock",
    "supervisor/slip": "there is room for the exit record",
    "supervisor/log": "there is a log",
    "supervisor/started": "the agent's process is on record, and waits at the gate",
    "supervisor/gate": "the gate is open",
    "supervisor/ready": "the agent runs, and the daemon has been told",
    "supervisor/ended": "the agent and all that it left have ended, without a record",
    "supervisor/exit": "the exit record has its name",
    # --- what is put right ---
    "gone/mending._removed": "a lock, a draft or a broken ref that a crash left is gone",
    "gone/mending.mend_tree": "what a killed `worktree add` left is gone",
    "file/mending.mend_tree": "a HEAD that named nothing names a commit",
    "git/mending.mend_repository/update-ref": "a branch that no worktree is on is gone, or kept under another name",
    "git/mending._restored/update-ref": "the ref that keeps an attempt is back",
    "gone/recovering._do": "what a step of an earlier daemon left is gone",
    "file/watch._as_ours": "a file that agents share is as it was",
    "gone/watch._as_ours": "one that should not be is gone",
    "gone/watch._emptied": "a hook, or the like, that an agent has put there is gone",
    "file/watch._admin": "what a worktree's git directory says of where it belongs is as it was",
    "gone/watch._admin": "a link in place of a worktree's git directory is gone",
    "gone/watch._remove_unless_named": "rubbish in the place of a ref is gone",
    "git/watch._put_back/update-ref": "a ref that an agent has moved is back, and what it was moved to is kept",
    "git/watch._show/update-ref": "agents see the target where it is",
    "git/watch._given_back/update-ref": "a branch that was deleted under its worktree is back",
    "git/watch.tidy/update-ref": "a ref that an agent has left is gone, and its commits are kept",
    # --- the target ---
    "git/target.fetch_tip/fetch": "the target's newest commit is here",
    "git/target.push/push": "the target has taken the push, and nobody has noted it",
    "git/target.note_tip/update-ref": "the control repository knows that it was taken",
    "git/target.publish/push": "a branch of its own has the work, and nobody has noted it",
    "git/localtarget._bring/fetch": "the user's repository has the objects of what lands",
    "git/localtarget._two_tree/read-tree": "the user's checkout has the files of what lands, and "
    "its branch has not moved",
    "git/localtarget._move/update-ref": "the user's branch has moved",
    "git/gate_main._keep/update-ref": "what an agent has pushed is kept, and it has not been told",
    # --- people ---
    "file/newticket.create": "a ticket file",
    "file/init.tickets": "the folder of tickets",
    "file/hook.set_aside": "the hook that was there has another name",
    "file/hook.write": "ticketd's hook is in its place",
    "file/hook.put_back": "the hook that was there is back",
    "git/handover.hand_over/fetch": "an attempt's work is a branch of the user's repository",
    "git/rebase_checkout.fetch/fetch": "the user's repository knows the target",
    "git/rebase_checkout.rebase/rebase": "the user's branch is rebased, or stands in the middle of it",
    "git/rebase_checkout._abort/rebase": "a rebase that met a conflict is taken back",
    "git/push._git_push/push": "the target has taken a person's push",
    "git/people.install/config": "a part of the wiring of the people's gate",
    "git/people.uninstall/config": "a part of it is taken out",
    "git/people.show_landed/fetch": "the person's repository knows that the push has landed",
    "gone/people.uninstall": "the people's gate is gone",
}
"""Each point, and what has just become durable where it is passed."""

_heard: Callable[[str], None] | None = None


def hit(name: str) -> None:
    """This point is passed: something has become durable."""
    if _heard is not None:
        _heard(name)


def passed(door: str, way: str = "", through: tuple[str, ...] = ()) -> None:
    """Like `hit`, at a door that many come through: the point is that of whoever called the door's function. Functions
    named in `through` are of the door, too."""
    if _heard is not None:
        _heard(f"{door}/{_caller(sys._getframe(2), through)}{way and '/'}{way}")


def _caller(frame: FrameType | None, through: tuple[str, ...]) -> str:
    while frame is not None:
        name, module = frame.f_code.co_name, Path(frame.f_code.co_filename).stem
        if module != "contextlib" and name not in through and not name.startswith("<"):
            return f"{module}.{name}"
        frame = frame.f_back
    return "nobody"


def arm(environ: Mapping[str, str]) -> None:
    """Raises:
    BadInput: the environment names a point that is not there.
    """
    if not (said := environ.get(VARIABLE)):
        return
    name, _, number = said.partition(":")
    if name not in POINTS or not (number or "1").isdecimal():
        raise BadInput(
            f"{VARIABLE} is {said!r}, and there is no such point", mend="wiki/_global/failpoints.md lists all."
        )
    listen(_Death(name, int(number or 1)))


def listen(heard: Callable[[str], None] | None) -> None:
    """Each point that is passed from now on is told, in the thread that passes it."""
    global _heard
    _heard = heard


class _Death:
    """Counts over all threads."""

    def __init__(self, name: str, left: int) -> None:
        self._name, self._left, self._counting = name, left, threading.Lock()

    def __call__(self, name: str) -> None:
        with self._counting:
            self._left -= name == self._name
            if self._left == 0 and name == self._name:
                os.write(2, f"ticketd: killed at the failpoint {name}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)
