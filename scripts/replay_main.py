"""The proof on real input: N consecutive steps of a repository's history become tickets, and ticketd lands them.

Each ticket claims exactly the paths that its step changes, and its agent makes that change, strictly: only where those
paths are what they were before the real step. Steps that overlap have to run in order, others must not disturb each
other; so in the end main has to hold the very tree that the real history has. Exits 0 only then.

With --simulate nothing is run: the steps go through the scheduler under a virtual clock, one policy beside the other.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from replay_simulate import simulated
from replay_steps import History, Step, entries_of, git, load_history, longest_chain, touches

from ticketd.boot.session import open_session
from ticketd.cli.render.simulate import show_simulation
from ticketd.domain.attempt import Attempt
from ticketd.domain.events import EventKind
from ticketd.domain.ticket import Size, TicketRecord, TicketState
from ticketd.domain.ticketrender import render_ticket
from ticketd.ports import Store

AGENT = Path(__file__).with_name("replay_agent.py")
LOOK_EVERY_S = 5.0
HOME_CONFIG = "[user]\n\tname = Replay\n\temail = replay@ticketd.invalid\n[init]\n\tdefaultBranch = main\n"


@dataclass(frozen=True, slots=True)
class Yard:
    """A throwaway origin and its clone, with a home and a state directory of their own."""

    root: Path

    @property
    def origin(self) -> Path:
        return self.root / "origin.git"

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def steps(self) -> Path:
        return self.root / "steps"

    @property
    def log(self) -> Path:
        return self.root / "ticketd.log"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "TICKETD_", "XDG_"))}
        config = str(self.root / "home" / ".gitconfig")
        own = {"HOME": str(self.root / "home"), "XDG_STATE_HOME": str(self.root / "state")}
        return {**kept, **own, "GIT_CONFIG_GLOBAL": config, "GIT_CONFIG_NOSYSTEM": "1"}


# --- before ---


def make_yard(yard: Yard, source: Path, history: History) -> None:
    """An origin that holds the start's tree and nothing of what comes after: an agent has to bring what it adds."""
    for folder in (yard.steps, yard.work, yard.root / "home"):
        folder.mkdir()
    (yard.root / "home" / ".gitconfig").write_text(HOME_CONFIG)
    kind = git(source, "rev-parse", "--show-object-format").decode().strip()
    git(yard.root, "init", "--quiet", "--bare", "--initial-branch=main", f"--object-format={kind}", str(yard.origin))
    tree = start_tree(yard, source, history)
    borrowed = str(Path(git(source, "rev-parse", "--path-format=absolute", "--git-path", "objects").decode().strip()))
    lender = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": borrowed}
    objects = git(yard.origin, "rev-list", "--objects", "--no-object-names", tree, env=lender)
    packed = git(yard.origin, "pack-objects", "-q", "--stdout", given=objects, env=lender)
    git(yard.origin, "index-pack", "--stdin", given=packed)
    who = ("-c", "user.name=Replay", "-c", "user.email=replay@ticketd.invalid")
    commit = git(yard.origin, *who, "commit-tree", tree, "-m", f"The tree of {history.start}").decode().strip()
    git(yard.origin, "update-ref", "refs/heads/main", commit)
    git(yard.root, "clone", "--quiet", "--no-checkout", str(yard.origin), str(yard.work))


def start_tree(yard: Yard, source: Path, history: History) -> str:
    """The start's tree, less the files that the repository itself lacks."""
    tree = tree_of(source, history.start)
    if not history.absent:
        return tree
    objects = git(source, "rev-parse", "--path-format=absolute", "--git-path", "objects").decode().strip()
    own = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": objects, "GIT_INDEX_FILE": str(yard.root / "start-index")}
    git(yard.origin, "read-tree", tree, env=own)
    gone = b"".join(b"0 " + b"0" * len(tree) + b"\t" + os.fsencode(path) + b"\0" for path in sorted(history.absent))
    git(yard.origin, "update-index", "-z", "--index-info", given=gone, env=own)
    return git(yard.origin, "write-tree", env=own).decode().strip()


def tree_of(repo: Path, commit: str) -> str:
    return git(repo, "rev-parse", f"{commit}^{{tree}}").decode().strip()


def write_tickets(yard: Yard, source: Path, steps: Iterable[Step], slots: int, backfill: str) -> None:
    agent = [sys.executable, "-I", "-S", str(AGENT), str(yard.steps), str(source)]
    settings = [f"slots = {slots}", "[scheduler]", f'backfill = "{backfill}"', "[limits]", "retries = 0"]
    config = "\n".join([*settings, "[agents.default]", f"command = {json.dumps(agent)}", ""])
    (yard.work / "ticketd.toml").write_text(config, encoding="utf-8")
    (yard.work / "tickets").mkdir()
    for step in steps:
        text = render_ticket(step.subject, touches=touches(step), size=Size.S, body=f"Make the step {step.commit}.")
        (yard.work / "tickets" / f"{step.id}.md").write_text(text, encoding="utf-8")
        (yard.steps / f"{step.id}.json").write_text(json.dumps(_for_the_agent(step)))


def _for_the_agent(step: Step) -> dict[str, Any]:
    changes = [(change.path, change.was, change.before, change.after) for change in step.changes]
    return {"parent": step.parent, "changes": changes, "text": step.text.decode("latin-1"), "think": step.think}


# --- the run ---


def run_daemon(yard: Yard, slots: int, patience_s: float) -> float:
    """Wall seconds of `ticketd start --until-idle`; it is stopped when nothing has happened for `patience_s`."""
    command = [sys.executable, "-m", "ticketd", "--repo", str(yard.work), "start", "--until-idle", f"--slots={slots}"]
    begun = time.monotonic()
    with yard.log.open("wb") as log:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=yard.environment)
        try:
            _wait(daemon, yard, patience_s)
        finally:
            if daemon.poll() is None:
                daemon.terminate()
                daemon.wait()
    return time.monotonic() - begun


def _wait(daemon: subprocess.Popen[bytes], yard: Yard, patience_s: float) -> None:
    """Until it has ended by itself, or its output has stood still for too long."""
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < patience_s:
        try:
            daemon.wait(LOOK_EVERY_S)
            return
        except subprocess.TimeoutExpired:
            size = yard.log.stat().st_size
            seen, since = (size, time.monotonic()) if size != seen else (seen, since)


# --- after ---


@dataclass(frozen=True, slots=True)
class Lost:
    """A ticket that did not land, and why."""

    ticket: str
    commit: str
    state: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """Times in seconds. `agent_s` is the sum over all attempts; `phases_s` are means of a landed ticket."""

    repository: str
    start: str
    end: str
    slots: int
    tickets: int
    landed: int
    lost: tuple[Lost, ...]
    identical: bool
    differing: tuple[str, ...]
    skipped_empty: int
    skipped_submodules: int
    left_out: tuple[str, ...]
    wall_s: float
    agent_s: float
    chain_s: float
    bound_s: float
    over_bound: float
    slot_use: float
    phases_s: Mapping[str, float]
    said: str

    @property
    def good(self) -> bool:
        return self.identical and not self.lost


def report(yard: Yard, source: Path, history: History, slots: int, wall_s: float) -> Report:
    store = open_session(yard.work, yard.environment).session.store
    tickets = store.board().tickets
    attempts = [attempt for step in history.steps for attempt in store.attempts(step.id)]
    seconds = {each.key.ticket: _seconds(each.started_at, each.ended_at) for each in attempts}
    lost = tuple(_lost(step, tickets.get(step.id)) for step in history.steps if not _has_landed(tickets, step))
    differing = differences(yard, source, history)
    bound = max(chain := longest_chain(history.steps, seconds), sum(seconds.values()) / slots)
    return Report(
        repository=str(source),
        start=history.start,
        end=history.end,
        slots=slots,
        tickets=len(history.steps),
        landed=len(history.steps) - len(lost),
        lost=lost,
        identical=not differing,
        differing=differing[:20],
        skipped_empty=history.empty,
        skipped_submodules=history.only_gitlinks,
        left_out=tuple(sorted(history.left_out)),
        wall_s=round(wall_s, 2),
        agent_s=round(sum(seconds.values()), 2),
        chain_s=round(chain, 2),
        bound_s=round(bound, 2),
        over_bound=round(wall_s / bound, 2) if bound else 0.0,
        slot_use=round(sum(_seconds(each.dispatched_at, each.ended_at) for each in attempts) / (slots * wall_s), 3),
        phases_s=phases(store, attempts),
        said=_last_words(yard) if any(each.state != TicketState.FAILED for each in lost) else "",
    )


def _last_words(yard: Yard) -> str:
    return yard.log.read_text(encoding="utf-8", errors="replace")[-2000:]


def _seconds(begun: float | None, ended: float | None) -> float:
    return max(0.0, ended - begun) if begun is not None and ended is not None else 0.0


def _has_landed(tickets: Mapping[str, TicketRecord], step: Step) -> bool:
    return step.id in tickets and tickets[step.id].state is TicketState.LANDED


def _lost(step: Step, record: TicketRecord | None) -> Lost:
    if record is None:
        return Lost(step.id, step.commit, "unknown", "", "ticketd has no such ticket")
    return Lost(step.id, step.commit, record.state.value, record.reason.value if record.reason else "", record.detail)


def differences(yard: Yard, source: Path, history: History) -> tuple[str, ...]:
    """The paths at which main's tree and the real one differ, but for those that were left out. The origin has
    to hold every object of its own tree: nothing is borrowed there."""
    git(yard.origin, "fsck", "--connectivity-only", "--no-dangling", "main")
    ours, theirs = tree_of(yard.origin, "main"), tree_of(source, history.end)
    if ours == theirs:
        return ()
    trees = [entries_of(yard.origin, ours), entries_of(source, theirs)]
    paths = sorted(path for path in {**trees[0], **trees[1]} if trees[0].get(path) != trees[1].get(path))
    return tuple(path for path in paths if path not in history.left_out)


def phases(store: Store, attempts: Iterable[Attempt]) -> dict[str, float]:
    """Where the time of a landed ticket goes, in the mean."""
    sums: dict[str, list[float]] = {}
    for attempt in attempts:
        at: dict[EventKind, float] = {}
        for event in store.events(ticket=attempt.key.ticket):
            at.setdefault(event.kind, event.at)  # the first of each kind: tickets run once here
        if EventKind.LANDED in at and EventKind.LANDING_PHASE in at:
            marks = [
                ("prepare", at[EventKind.DISPATCHED], attempt.started_at),
                ("agent", attempt.started_at, attempt.ended_at),
                ("notice", attempt.ended_at, at[EventKind.AGENT_ENDED]),
                ("keep", at[EventKind.AGENT_ENDED], at[EventKind.WORK_KEPT]),
                ("wait for the lane", at[EventKind.WORK_KEPT], at[EventKind.LANDING_PHASE]),
                ("land", at[EventKind.LANDING_PHASE], at[EventKind.LANDED]),
            ]
            for name, begun, ended in marks:
                sums.setdefault(name, []).append(_seconds(begun, ended))
    return {name: round(sum(values) / len(values), 4) for name, values in sums.items()}


def lines(it: Report) -> Iterator[str]:
    yield f"{it.tickets} steps of {it.repository}, {it.start[:9]} to {it.end[:9]}, on {it.slots} slots"
    if it.skipped_empty or it.skipped_submodules:
        yield f"skipped:      {it.skipped_empty} that change nothing, {it.skipped_submodules} that only add submodules"
    if it.left_out:
        yield f"left out:     {len(it.left_out)} paths (new submodules, files that the repository lacks)"
    yield f"wall time:    {it.wall_s:.1f} s ({it.wall_s / it.tickets:.3f} s per ticket)"
    yield f"landed:       {it.landed}"
    yield f"lost:         {len(it.lost)}"
    yield from (f"  {each.ticket}: {each.state} ({each.reason or 'no reason'}) {each.detail}" for each in it.lost)
    yield f"tree:         {'identical' if it.identical else 'DIFFERENT at'}"
    yield from (f"  {path!r}" for path in it.differing)
    yield f"slots in use: {it.slot_use:.0%}"
    yield f"lower bound:  {it.bound_s:.1f} s (longest overlap chain {it.chain_s:.1f} s, all agents {it.agent_s:.1f} s)"
    yield f"wall / bound: {it.over_bound:.2f}"
    yield "a ticket:     " + ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in it.phases_s.items())
    if it.said:
        yield f"ticketd said:\n{it.said}"


# --- command line ---


@contextmanager
def throwaway(keep: bool) -> Iterator[Yard]:
    root = Path(tempfile.mkdtemp(prefix="ticketd-replay-")).resolve()
    try:
        yield Yard(root)
    finally:
        if keep:
            print(f"kept: {root}", file=sys.stderr)
        else:
            shutil.rmtree(root, ignore_errors=True)


def parse() -> argparse.Namespace:
    assert __doc__
    parser = argparse.ArgumentParser(prog="replay", description=__doc__.partition("\n\n")[0], epilog=__doc__)
    parser.add_argument("repo", type=Path, help="any git repository, bare or not; only read")
    parser.add_argument("--commits", type=int, required=True, metavar="N", help="how many steps")
    parser.add_argument("--from", dest="end", default="HEAD", metavar="COMMIT", help="the last step (default: HEAD)")
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--think", type=float, default=0.0, metavar="SECONDS", help="median; one in ten is tenfold")
    parser.add_argument(
        "--backfill",
        choices=("strict", "estimate"),
        default="strict",
        help="as [scheduler] backfill; by estimate steps pass others that they may need, and fail",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the think times, or of the simulated ones")
    parser.add_argument("--patience", type=float, default=300.0, metavar="SECONDS", help="give up after a standstill")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--keep", action="store_true", help="leave origin, clone and state where they are")
    alone = parser.add_argument_group("simulation")
    alone.add_argument("--simulate", action="store_true", help="compare scheduling policies; nothing is run")
    alone.add_argument("--claims", choices=("exact", "directory"), default="exact", help="what a step claims")
    alone.add_argument("--shared", action="append", default=[], metavar="PATTERN", help="as [claims] shared")
    alone.add_argument("--landing", type=float, default=5.0, metavar="SECONDS", help="of each ticket, in the lane")
    options = parser.parse_args()
    if options.commits < 1 or options.slots < 1 or min(options.think, options.landing) < 0:
        parser.error("--commits and --slots are 1 or more, --think and --landing 0 or more")
    return options


def main() -> int:
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        del os.environ[name]  # a hook's or an alias's: they would lead to another repository
    answer = git(options.repo, "rev-parse", "--path-format=absolute", "--git-common-dir")
    source = Path(os.fsdecode(answer.removesuffix(b"\n")))
    history = load_history(source, _commit(options.repo, options.end), options.commits, options.think, options.seed)
    if options.simulate:
        return simulate(history, options)
    with throwaway(options.keep) as yard:
        make_yard(yard, source, history)
        write_tickets(yard, source, history.steps, options.slots, options.backfill)
        wall_s = run_daemon(yard, options.slots, options.patience)
        result = report(yard, source, history, options.slots, wall_s)
    print(json.dumps({"schema": 1, **asdict(result)}) if options.json else "\n".join(lines(result)))
    return 0 if result.good else 1


def simulate(history: History, options: argparse.Namespace) -> int:
    document = simulated(history.steps, options.slots, options.seed, options.landing, options.claims, options.shared)
    if options.json:
        print(json.dumps(document))
    else:
        show_simulation(document)
    return 0


def _commit(repo: Path, name: str) -> str:
    """In the repository as it was named: a worktree has a HEAD of its own."""
    return git(repo, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}").decode().strip()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
