"""What `ticketd doctor` judges. Pure: what was found comes in as plain values, what to do about it goes out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ticketd.domain.keeping import TOO_LITTLE_BYTES, amount
from ticketd.domain.problems import Problem, Severity
from ticketd.domain.recovery import Left, Mend
from ticketd.domain.settings import SandboxMode, TargetSettings
from ticketd.errors import TicketdError

OLDEST_GIT = (2, 38)  # `git merge-tree --write-tree`
OLDEST_PYTHON = (3, 11)
OLDEST_SQLITE = (3, 37)  # STRICT tables
LITTLE_BYTES = 2 * 2**30
MOST_LEFT = 20
LARGEST = 3
# SQLite's WAL needs memory that is shared, and locks that hold; a network gives neither.
NETWORKS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "9p", "glusterfs", "lustre", "fuse.sshfs", "fuse.glusterfs"}
)

Ok = bool | Literal["warn"]


@dataclass(frozen=True, slots=True)
class Check:
    """`ok` is False for what keeps ticketd from working, "warn" for what may not be meant."""

    name: str
    ok: Ok
    what: str
    mend: str = ""


def check_document(check: Check) -> dict[str, Any]:
    return {"name": check.name, "ok": check.ok, "what": check.what, "mend": check.mend}


# --- programs -------------------------------------------------------------------------------------------------------


def check_git(version: Sequence[int]) -> Check:
    said = f"git {_dotted(version)}" if version else "git does not tell its version"
    if tuple(version) >= OLDEST_GIT:
        return Check("git", True, said)
    return Check("git", False, said, f"Install git {_dotted(OLDEST_GIT)} or later.")


def check_python(python: Sequence[int], sqlite: Sequence[int]) -> Check:
    said = f"Python {_dotted(python)}, SQLite {_dotted(sqlite)}"
    if tuple(python) < OLDEST_PYTHON:
        return Check("python", False, said, f"Run ticketd with Python {_dotted(OLDEST_PYTHON)} or later.")
    if tuple(sqlite) < OLDEST_SQLITE:
        return Check("python", False, said, f"Use a Python that has SQLite {_dotted(OLDEST_SQLITE)} or later.")
    return Check("python", True, said)


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))


# --- what the user wrote --------------------------------------------------------------------------------------------


def check_repository(root: Path, is_set_up: bool) -> Check:
    if is_set_up:
        return Check("repository", True, str(root))
    return Check("repository", False, f"{root} is not set up for ticketd", "Run `ticketd init`.")


def check_files(name: str, sound: str, problems: Collection[Problem]) -> Check:
    """`ticketd.toml`, or all ticket files; `sound` is said when nothing is wrong."""
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    if not problems:
        return Check(name, True, sound)
    first = min(errors or problems)
    more = len(errors or problems) - 1
    return Check(name, False if errors else "warn", f"{first}{f'; and {more} more' if more else ''}", "`ticketd lint`")


def check_identity(name: str, email: str, is_set: bool) -> Check:
    if is_set:
        return Check("identity", True, f"commits are by {name} <{email}>")
    mend = 'git config --global user.name "…"; git config --global user.email "…"'
    return Check("identity", "warn", f"git has no user.name and user.email; commits are by {name} <{email}>", mend)


# --- the target -----------------------------------------------------------------------------------------------------


def check_target(target: TargetSettings, has_remote: bool, tip: str | None, trouble: str) -> Check:
    name = f"{target.remote}/{target.branch}" if target.remote else f"the local branch {target.branch}"
    if target.remote and not has_remote:
        mend = f'Add it (`git remote add {target.remote} URL`), or set `remote = ""` under [target] to land locally.'
        return Check("target", False, f"this repository has no remote `{target.remote}`", mend)
    if trouble:
        return Check("target", False, f"{target.remote} did not answer: {trouble}", "See that `git fetch` works.")
    if tip is None and target.remote:
        mend = f"Push it (`git push {target.remote} HEAD:{target.branch}`), or mend [target] in ticketd.toml."
        return Check("target", False, f"{target.remote} has no branch {target.branch}", mend)
    if tip is None:
        mend = "Make a first commit on it, or mend [target] in ticketd.toml."
        return Check("target", False, f"there is no branch {target.branch} with a commit", mend)
    return Check("target", True, f"{name} is at {tip[:12]}")


def check_push(target: TargetSettings, refusal: str | None) -> Check:
    if refusal is None:
        mend = f"Run `git fetch {target.remote}`, then `ticketd doctor` again."
        return Check("push", "warn", f"unknown: the tip of {target.remote}/{target.branch} is not here yet", mend)
    if refusal:
        return Check("push", False, f"{target.remote} refuses pushes: {refusal}", "See that `git push` works.")
    return Check("push", True, f"{target.remote} takes pushes from here")


def check_forge(refusal: str | None) -> Check:
    """With `mode = "pr"`. `refusal`: why no pull request can be opened."""
    if refusal is None:
        return Check("forge", True, "its program is there; whether it is logged in turns out when it is asked")
    return Check("forge", False, refusal, "Without it each ticket's agent runs, and its work does not land.")


def check_hook(installed: bool, path: Path, obstacle: str, hooks_path: str | None) -> Check:
    setting = f" (core.hooksPath is {hooks_path})" if hooks_path is not None else ""
    if installed:
        return Check("hook", True, f"{path}{setting}")
    mend = obstacle or "Run `ticketd hook install`, or `ticketd doctor --fix`."
    return Check("hook", "warn", f"the pre-push hook is not installed{setting}", mend)


# --- the sandbox ----------------------------------------------------------------------------------------------------


def check_sandbox(mode: SandboxMode, why_not: str) -> Check | None:
    """`why_not`: why bubblewrap does not work here. None where no sandbox is wanted."""
    if mode is SandboxMode.OFF:
        return None
    if not why_not:
        return Check("sandbox", True, "bubblewrap works here")
    mend = 'Install bubblewrap and allow user namespaces, or set `mode = "off"` under [sandbox].'
    if mode is SandboxMode.AUTO:
        return Check("sandbox", "warn", f"agents run without a sandbox: {why_not}", mend)
    return Check("sandbox", False, f"bubblewrap does not work here, so no agent is run: {why_not}", mend)


# --- secrets ---------------------------------------------------------------------------------------------------------


def check_secrets(known: Collection[str], short: Collection[str], missing: Collection[str]) -> Check:
    """`missing`: those that the configuration names and that have no value here."""
    said = f"kept out of logs and commits: {', '.join(sorted(known))}" if known else "none is known"
    faults = [f"too short to be looked for: {', '.join(sorted(short))}"] if short else []
    faults += [f"without a value here: {', '.join(sorted(missing))}"] if missing else []
    if not faults:
        return Check("secrets", True, said)
    mend = "Use longer values; set what is missing in the shell that starts ticketd, or mend [secrets]."
    return Check("secrets", "warn", "; ".join([said, *faults]), mend)


def check_config_owner(name: str, owner: int, own: int) -> Check:
    """Whoever owns it says which programs run here."""
    if owner in (0, own):
        return Check("config owner", True, f"{name} is yours or root's")
    return Check("config owner", "warn", f"{name} belongs to user {owner}", f"If that is not meant: chown {own} {name}")


# --- the state directory --------------------------------------------------------------------------------------------


def check_state(state: Path, writable: bool, private: bool, file_system: str) -> Check:
    kind = f" ({file_system})" if file_system else ""
    if file_system in NETWORKS:
        mend = "Set XDG_STATE_HOME to a directory on a local disk."
        return Check("state", False, f"{state} lies on a network file system{kind}", mend)
    if not writable:
        mend = "Make it yours and writable, or set XDG_STATE_HOME."
        return Check("state", False, f"{state} cannot be written", mend)
    if not private:
        return Check("state", "warn", f"{state} can be read by others", f"chmod 700 {state}")
    return Check("state", True, f"{state}{kind}")


def check_disk(free: int) -> Check:
    said = f"{amount(free)} are free for worktrees and logs"
    ok: Ok = False if free < TOO_LITTLE_BYTES else "warn" if free < LITTLE_BYTES else True
    return Check("disk", ok, said, "" if ok is True else "Make room, or set XDG_STATE_HOME to a larger disk.")


def check_limit(limit: int, sizes: Mapping[str, int], kept: Sequence[str]) -> Check:
    """`sizes`: of each place in the state directory; `kept`: what a daemon last could not clear away, and why."""
    used = sum(sizes.values())
    largest = sorted(sizes, key=lambda place: -sizes[place])[:LARGEST]
    said = f"{amount(used)} of {amount(limit)} are in use; most by " + ", ".join(
        f"{place} ({amount(sizes[place])})" for place in largest
    )
    if used <= limit:
        return Check("disk limit", True, said)
    stays = f"; stays: {'; '.join(kept)}" if kept else ""
    mend = "Raise `disk` under [limits], or take out of the worktrees what is not needed (`ticketd path`)."
    return Check("disk limit", "warn", f"{said}{stays}", mend)


def check_store(path: Path, there: bool, fault: TicketdError | None) -> Check:
    if fault is None:
        return Check("store", True, str(path) if there else "not made yet")
    where = "" if str(path) in fault.what else f"{path}: "
    return Check("store", False, f"{where}{fault.what}", fault.mend)


def check_history(disagreements: Sequence[str]) -> Check:
    """Whether the tables of the store are what its events tell; only asked of a store that can be read."""
    if not disagreements:
        return Check("history", True, "the events tell how everything stands")
    more = f"; and {len(disagreements) - 1} more" if len(disagreements) > 1 else ""
    mend = "ticketd goes by the tables. If nobody has changed store.db by hand, keep a copy of it and report this."
    return Check("history", False, f"the store is not what its events tell: {disagreements[0]}{more}", mend)


def check_leftovers(
    running: bool, found: Sequence[Mend | Left], doorbell: Path | None, live: Sequence[str]
) -> Iterator[Check]:
    """What a daemon that did not end by itself left, or an agent; and what is left alone, each with its mend."""
    yield _check_mendable(running, [each for each in found if isinstance(each, Mend)], doorbell, live)
    stays = [each for each in found if isinstance(each, Left)]
    for each in stays[:MOST_LEFT]:
        yield Check("left alone", "warn", f"{each.what}: {each.why}", each.mend)
    if len(stays) > MOST_LEFT:
        more = f"and {len(stays) - MOST_LEFT} more that no record explains"
        yield Check("left alone", "warn", more, "Mend these first; then look again.")


def _check_mendable(running: bool, mends: Sequence[Mend], doorbell: Path | None, live: Sequence[str]) -> Check:
    found = [f"{mend.what.partition(chr(10))[0]} ({mend.deed})" for mend in mends]
    if running:
        what = f"; it mends {found[0]}" if found else ""
        return Check("leftovers", True, f"a daemon runs; what there is is its own{what}")
    found += [f"a doorbell {doorbell}"] * bool(doorbell)
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        return Check("leftovers", "warn", f"left by a crash: {found[0]}{more}", "Run `ticketd doctor --fix`.")
    if live:
        what = f"no daemon runs, but these attempts are open: {', '.join(live)}"
        return Check("leftovers", "warn", what, "`ticketd start` takes them up; their work is kept.")
    return Check("leftovers", True, "none")
