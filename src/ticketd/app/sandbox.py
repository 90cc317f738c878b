"""Commands that run what agents write, put into the sandbox where it is on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from ticketd.app.places import Places
from ticketd.app.session import Session, Works
from ticketd.domain import sandbox
from ticketd.domain.problems import Problem, Severity
from ticketd.domain.sandbox import Sandbox, Shown
from ticketd.domain.settings import Argv, Isolation, SandboxHome, SandboxMode, SandboxSettings, Settings
from ticketd.errors import BadInput

MEND = 'Install bubblewrap, allow user namespaces, or set `mode` under [sandbox] to "auto" or "off".'


def enclosed(
    works: Works, settings: Settings, tree: str, argv: Argv, *also: Path, write: tuple[Path, ...] = ()
) -> Argv:
    """`argv` for the worktree `tree`: as it is where the sandbox is off. `also`: files of ours that it may
    read; `write`: directories that it may write.

    Raises:
        BadInput: bubblewrap does not work here, or `[sandbox]` names what it must not.
    """
    if not is_on(settings, works.session):
        return argv
    check(settings, works.session)
    home = _home(works)
    own_home = works.session.places.home(tree)
    own_home.mkdir(mode=0o700, parents=True, exist_ok=True)
    shown = (*_home_shown(settings.sandbox, home, own_home), *_named(settings.sandbox, home), *_own_program(argv))
    root, state = str(works.session.root), str(_states(works.session.places))
    seen = Sandbox(
        shown=shown,
        kept=tuple(Shown(at, root, False) for at in _seen_as(root, shown)),
        hidden=tuple(dict.fromkeys((state, *_seen_as(state, shown)))),
        own=tuple(_own(works.session.places, settings, tree, also, write)),
        at=str(works.session.places.worktree(tree)),
    )
    return sandbox.render(seen, argv)


def is_on(settings: Settings, session: Session) -> bool:
    """Whether what agents write runs in the sandbox. Where it is wanted at all costs it is on even if there is none to
    be had: then nothing runs."""
    match settings.sandbox.mode:
        case SandboxMode.OFF:
            return False
        case SandboxMode.AUTO:
            return not session.no_sandbox()
        case SandboxMode.BUBBLEWRAP:
            return True


def notice(settings: Settings, session: Session) -> Problem | None:
    """That there is no sandbox although one would be used."""
    if settings.sandbox.mode is not SandboxMode.AUTO or not (why := session.no_sandbox()):
        return None
    return Problem("ticketd.toml", 0, f"agents run without a sandbox: {why}", MEND, Severity.WARNING)


def check(settings: Settings, session: Session) -> None:
    """Raises:
    BadInput: bubblewrap is wanted and does not work here, or `read` or `write` names what must not be seen.
    """
    if not is_on(settings, session):
        return
    if why_not := session.no_sandbox():
        raise BadInput(f"agents are to run in a sandbox, but bubblewrap does not work here: {why_not}", mend=MEND)
    for key, writable in (("read", False), ("write", True)):
        for path in getattr(settings.sandbox, key):
            places = (Path(path).expanduser(), session.root, _states(session.places))
            really, root, state = map(os.path.realpath, places)
            if fault := sandbox.fault_of(really, writable, root, state):
                raise BadInput(f"`{key}` under [sandbox] names {path}: {fault}", mend="Take it out of ticketd.toml.")


def shows(settings: SandboxSettings, home: Path, program: Path) -> bool:
    """Whether a program of this machine is there in the sandbox, by its name and by what that leads to."""
    if settings.mode is SandboxMode.OFF:
        return True
    own = () if settings.home is SandboxHome.PRIVATE else _home_shown(settings, home, home)
    seen = (*sandbox.SYSTEM, *(each.at for each in (*own, *_named(settings, home))))
    return all(
        any(sandbox.is_within(path, each) for each in seen) for path in (str(program), os.path.realpath(program))
    )


def _home(works: Works) -> Path:
    return Path(works.environ.get("HOME") or Path.home())


def _home_shown(settings: SandboxSettings, home: Path, own: Path) -> Iterator[Shown]:
    source = own if settings.home is SandboxHome.PRIVATE else home
    if home != Path("/"):  # some services have no other
        yield Shown(str(home), str(source), settings.home is not SandboxHome.READ_ONLY)


def _named(settings: SandboxSettings, home: Path) -> Iterator[Shown]:
    for paths, writable in ((settings.read, False), (settings.write, True)):
        for path in paths:
            at = str(home / path.removeprefix("~/")) if path.startswith("~/") else path
            yield Shown(at, os.path.realpath(at), writable)


def _own_program(argv: Argv) -> Iterator[Shown]:
    """The built-in agent runs by the Python that runs ticketd, wherever that may lie."""
    if argv[0] == sys.executable:
        ours = str(Path(__file__).parents[1])
        for path in dict.fromkeys((sys.prefix, sys.base_prefix, ours)):
            yield Shown(path, path, False)


def _states(places: Places) -> Path:
    """The state directories of all repositories."""
    return places.state.parent if places.state.parent.name == "ticketd" else places.state


def _seen_as(path: str, shown: tuple[Shown, ...]) -> Iterator[str]:
    """Where a path is seen by way of what holds it; by another name than its own if that is shown by a link."""
    real = os.path.realpath(path)
    for each in shown:
        source = os.path.realpath(each.source)
        if sandbox.is_within(real, source):
            yield each.at.rstrip("/") + real[len(source.rstrip("/")) :]


def _own(
    places: Places, settings: Settings, tree: str, also: tuple[Path, ...], written: tuple[Path, ...]
) -> Iterator[Shown]:
    """A clone needs the objects that it borrows, and the gate to fetch from. A linked worktree works in the control
    repository itself: what commits and branches need of it can be written, and so destroyed; the rest not."""
    control, read, write = places.control, [places.gate, *also], [places.worktree(tree), *written]
    if sandbox.isolation_of(settings, sandboxed=True) is Isolation.CLONE:
        read += [control / "objects", control / "shallow"]
    else:
        (control / "logs").mkdir(exist_ok=True)
        read.append(control)
        write += [control / "objects", control / "refs", control / "logs", control / "worktrees" / tree]
    for paths, writable in ((read, False), (write, True)):
        yield from (Shown(str(path), str(path), writable) for path in paths if path.exists())
