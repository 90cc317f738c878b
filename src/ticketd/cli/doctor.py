"""`ticketd doctor`: look at everything that ticketd needs, and mend what is safe to mend."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ticketd.agents import PRESETS
from ticketd.app import doctor as judge
from ticketd.app.disk import places, size_of
from ticketd.app.doctor import Check
from ticketd.app.fitness import Program, check_agents
from ticketd.app.places import Places
from ticketd.app.recovering import Recovering
from ticketd.app.sandbox import shows
from ticketd.app.tickets import sync
from ticketd.boot.restore import make_safe, put_back
from ticketd.boot.secrets import KnownSecrets
from ticketd.boot.session import open_session, require_store
from ticketd.cli.drycall import dry_calls, look_at
from ticketd.cli.lint import Finding, read_all
from ticketd.clock import SystemClock
from ticketd.domain.events import EventKind
from ticketd.domain.recovery import Left
from ticketd.domain.settings import LandingMode, SandboxMode, Settings
from ticketd.doorbell import DaemonLock, doorbell_path
from ticketd.engines import bubblewrap
from ticketd.engines.local import LocalEngine
from ticketd.errors import DaemonRuns, StoreLost, TicketdError
from ticketd.files import CONFIG, TICKETS, CheckoutFiles
from ticketd.forges import forge_of
from ticketd.git import checkup, hook
from ticketd.git.control import Control
from ticketd.git.door import leave_outer_repository
from ticketd.git.repository import NOBODY, UserRepository, find, identity, remote_url, state_dir
from ticketd.git.worktrees import WorktreePool
from ticketd.ports import Refused
from ticketd.store import SqliteStore, open_store
from ticketd.store import checkup as store_checkup

MARKS = {True: "ok", False: "FAULT", "warn": "warn"}


@dataclass(frozen=True, slots=True)
class Patient:
    """A repository, set up or not. Nothing of ticketd's state is made by looking: `store` is None if it is not there
    or does not open, `store_fault` says why."""

    user: UserRepository
    secrets: KnownSecrets
    places: Places
    files: CheckoutFiles
    settings: Settings
    store: SqliteStore | None
    store_fault: TicketdError | None

    @property
    def root(self) -> Path:
        return self.user.root

    @property
    def lock(self) -> DaemonLock:
        return DaemonLock(self.places.state)


@click.command()
@click.option("--fix", is_flag=True, help="Mend what is safe: what a crash left, the hook, the state directory's mode.")
@click.option("--restore", is_flag=True, help="The store is lost: go on from its newest backup, or from nothing.")
@click.option("--agents", "calls", is_flag=True, help="Ask each agent for one word, by a real attempt. It costs money.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def doctor(ctx: click.Context, fix: bool, restore: bool, calls: bool, as_json: bool) -> None:
    """Check git, configuration, remote, hook, agents, disk and what a crash may have left. Exits 1 on a fault."""
    leave_outer_repository(os.environ)
    patient = _patient(find(ctx.obj["repo"]))
    mended = tuple(_restore(patient)) if restore else ()
    if mended:
        patient = _patient(patient.user)
    checks = list(_checks(patient))
    mended += tuple(_mend(patient, checks)) if fix else ()
    if mended:
        checks = list(_checks(patient))
    if calls:
        checks += dry_calls(patient.settings, _finder(patient))
    well = all(check.ok for check in checks)
    if as_json:
        told = [judge.check_document(check) for check in checks]
        click.echo(json.dumps({"schema": 1, "ok": well, "checks": told, "mended": mended}))
    else:
        click.echo("\n".join([*(f"mended: {word}" for word in mended), *_lines(checks)]))
    ctx.exit(0 if well else 1)


def _lines(checks: list[Check]) -> Iterator[str]:
    width = max(len(check.name) for check in checks)
    for check in checks:
        yield f"{MARKS[check.ok]:<5}  {check.name:<{width}}  {check.what}"
        if check.mend:
            yield f"{'':<5}  {'':<{width}}  → {check.mend}"


def _patient(user: UserRepository) -> Patient:
    places = Places(state_dir(user.common_dir, os.environ))
    secrets = KnownSecrets(CheckoutFiles(user.root, places.last_good_settings), os.environ)
    files = CheckoutFiles(user.root, places.last_good_settings, secrets)
    store, fault = None, None
    try:
        require_store(places)
        if places.store.exists():
            store = open_store(places.store)
            store_checkup.require_sound(places.store)
    except (TicketdError, OSError, store_checkup.Unreadable) as error:
        fault = error if isinstance(error, TicketdError) else TicketdError(str(error))
    return Patient(user, secrets, places, files, files.settings().settings or Settings(), store, fault)


# --- looking --------------------------------------------------------------------------------------------------------


def _checks(patient: Patient) -> Iterator[Check]:
    yield judge.check_git(checkup.git_version())
    yield judge.check_python(sys.version_info[:3], store_checkup.SQLITE_VERSION)
    has_config = (patient.root / CONFIG).exists()
    is_set_up = has_config or (patient.root / TICKETS).is_dir()
    yield judge.check_repository(patient.root, is_set_up)
    by = identity(patient.root)
    yield judge.check_identity(by.name, by.email, by != NOBODY)
    if is_set_up:
        yield from _of_files(patient, has_config)
        if patient.files.settings().settings is not None:
            yield from check_agents(patient.settings.agents, PRESETS, _finder(patient), look_at)
            mode = patient.settings.sandbox.mode
            if told := judge.check_sandbox(mode, "" if mode is SandboxMode.OFF else bubblewrap.why_not()):
                yield told
            yield judge.check_secrets(*_secrets(patient))
    yield from _target(patient, is_set_up)
    found = hook.status(patient.root)
    installed = found.state in (hook.HookState.INSTALLED, hook.HookState.BY_HAND)
    yield judge.check_hook(installed, found.path, found.obstacle, found.hooks_path)
    yield from _state(patient)


def _of_files(patient: Patient, has_config: bool) -> Iterator[Check]:
    finding = _read(patient)
    ours = (CONFIG, patient.settings.brief.template)
    config = [problem for problem in finding.problems if problem.file in ours]
    if has_config:
        yield judge.check_config_owner(CONFIG, (patient.root / CONFIG).stat().st_uid, os.geteuid())
    yield judge.check_files("config", CONFIG if has_config else f"no {CONFIG}: all is default", config)
    tickets = [problem for problem in finding.problems if problem.file not in ours]
    yield judge.check_files("tickets", f"{len(finding.files)} without a fault", tickets)


def _read(patient: Patient) -> Finding:
    try:
        landed = patient.store.landed() if patient.store else frozenset[str]()
    except store_checkup.Unreadable:
        landed = frozenset()  # the check of the store tells
    return read_all(patient.files, landed)


def _secrets(patient: Patient) -> tuple[frozenset[str], tuple[str, ...], list[str]]:
    """The names of those that are known, of those that are too short, and of those that are not there."""
    found, settings = patient.secrets(), patient.settings
    variables = settings.secret_variables()
    there = [path for path in settings.secrets.files if (patient.root / path).is_file()]
    missing = [*(variables - {*os.environ}), *(path for path in settings.secrets.files if path not in there)]
    return frozenset(found.names.values()), found.short, missing


def _finder(patient: Patient) -> Callable[[str], Program]:
    def find_program(program: str) -> Program:
        if "/" not in program:
            found = shutil.which(program)
            if found is None:
                return Program.MISSING
            return Program.FOUND if shows(patient.settings.sandbox, Path.home(), Path(found)) else Program.HIDDEN
        path = patient.root / program
        if not path.is_file():
            return Program.MISSING
        if not os.access(path, os.X_OK):
            return Program.NOT_EXECUTABLE
        in_worktrees = Path(program).is_absolute() or Path(program) in map(Path, patient.settings.worktrees.copy)
        return Program.FOUND if in_worktrees or checkup.is_tracked(patient.root, program) else Program.UNTRACKED

    return find_program


def _target(patient: Patient, is_set_up: bool) -> Iterator[Check]:
    """Without a set-up the target is a guess, and not worth a question over the network."""
    if not is_set_up:
        return
    target = patient.settings.target
    has_remote = not target.remote or remote_url(patient.root, target.remote) is not None
    answer = (
        checkup.target_tip(patient.root, target.remote, target.branch) if has_remote else checkup.RemoteAnswer(None)
    )
    yield judge.check_target(target, has_remote, answer.tip, answer.trouble)
    if target.remote and answer.tip:
        refusal = checkup.push_refusal(patient.root, target.remote, target.branch, answer.tip)
        yield judge.check_push(target, refusal)
    url = remote_url(patient.root, target.remote) if target.remote else None
    if patient.settings.landing.mode is LandingMode.PR and url is not None:
        forge = forge_of(patient.settings.landing.forge, url, patient.root, os.environ)
        yield judge.check_forge(forge.detail if isinstance(forge, Refused) else None)


def _state(patient: Patient) -> Iterator[Check]:
    state = patient.places.state
    there = checkup.nearest_existing(state)
    private = not state.is_dir() or not state.stat().st_mode & 0o077
    writable = os.access(there, os.W_OK | os.X_OK)
    yield judge.check_state(state, writable, private, checkup.file_system(state))
    yield judge.check_disk(checkup.free_bytes(state))
    if (limit := patient.settings.limits.disk) is not None:
        sizes = {place: size_of(state / place) for place in places(state)}
        yield judge.check_limit(limit, sizes, _kept(patient))
    yield judge.check_store(patient.places.store, patient.places.store.exists(), patient.store_fault)
    if patient.store is not None and patient.store_fault is None:
        yield judge.check_history(store_checkup.disagreements(patient.store))
    yield from _leftovers(patient)


def _kept(patient: Patient) -> list[str]:
    """What the last word of a daemon on the limit says that could not be cleared."""
    try:
        said = patient.store.last_event(EventKind.DISK_SHORT) if patient.store else None
    except (TicketdError, store_checkup.Unreadable):
        return []  # the check of the store tells
    kept: Any = said.data.get("kept") if said else None
    return list(kept or ())


def _leftovers(patient: Patient) -> Iterator[Check]:
    running, bell = patient.lock.is_taken(), doorbell_path(patient.places.state)
    try:
        live = [str(attempt.key) for attempt in patient.store.live_attempts()] if patient.store else []
        recovering = _recovering(patient)
        found = recovering.look(at_rest=not running) if recovering else ()
    except (TicketdError, store_checkup.Unreadable, OSError) as error:
        live, found = [], (Left("the control repository", str(error), "See the check of the store."),)
    yield from judge.check_leftovers(running, found, bell if bell.exists() else None, live)


def _recovering(patient: Patient) -> Recovering | None:
    """None where there are no records to hold the world against, or no world."""
    if patient.store is None or not patient.places.control.is_dir():
        return None
    pool = WorktreePool(Control(patient.places.state, identity(patient.root)))
    return Recovering(patient.places, SystemClock(), patient.store, pool, LocalEngine())


# --- mending --------------------------------------------------------------------------------------------------------


def _mend(patient: Patient, checks: list[Check]) -> Iterator[str]:
    """What was done, in words. Only what is not well is touched."""
    sick = {check.name for check in checks if check.ok is not True}
    if "state" in sick and patient.places.state.is_dir():
        yield from _make_private(patient.places.state)
    if "leftovers" in sick:
        yield from _clear_leftovers(patient)
    if "hook" in sick and "repository" not in sick:
        yield from _install_hook(patient.root)


def _make_private(state: Path) -> Iterator[str]:
    try:
        if state.stat().st_mode & 0o077:
            state.chmod(0o700)
            yield f"took {state} from the eyes of others"
    except OSError:
        return  # it is somebody else's: the check tells what to do


def _clear_leftovers(patient: Patient) -> Iterator[str]:
    """Under the daemon's lock, so that none comes up meanwhile."""
    lock = patient.lock
    try:
        lock.take()
    except DaemonRuns:
        return
    try:
        if (recovering := _recovering(patient)) is not None:
            yield from recovering.mend(recovering.look(at_rest=True))
        bell = doorbell_path(patient.places.state)
        if bell.exists():
            bell.unlink()
            yield f"removed the doorbell {bell}"
    finally:
        lock.release()


def _restore(patient: Patient) -> Iterator[str]:
    """Only what is lost: one that is locked, or was written by a newer ticketd, is well.

    Raises:
        TicketdError: it is not lost; or agents run.
    """
    fault = patient.store_fault
    if not isinstance(fault, StoreLost):
        raise fault or TicketdError(
            "the store is well; there is nothing to go back for", mend="`ticketd doctor` looks closer."
        )
    lock, at = patient.lock, time.time()
    lock.take()
    try:
        yield from put_back(patient.places, at)
        sync(open_session(patient.root).session, patient.settings)
        store = open_store(patient.places.store)
        control = Control(patient.places.state, identity(patient.root))
        yield from make_safe(patient.places, store, control, patient.settings.target.branch, at)
    finally:
        lock.release()


def _install_hook(root: Path) -> Iterator[str]:
    try:
        yield f"installed the pre-push hook {hook.install(root)}"
    except (TicketdError, OSError):
        return  # the check tells why
