"""What a process in the sandbox sees, and how bubblewrap is told. Pure: paths are texts, and nothing is looked up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ticketd.domain.settings import Argv, Isolation, Settings

PROGRAM = "bwrap"
SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix/store", "/snap"),
    *("/run/systemd/resolve", "/run/resolvconf", "/run/current-system"),
)
"""What programs need. Not the rest of /run: there lie the sockets of a container's daemon, of a session's bus, of an
ssh agent, and a read-only mount keeps nobody from talking to one."""
# What bubblewrap is itself sent to end with, all of the sandbox would end with at once; so it ignores that, and the
# program inside, which is in the same process group, does not.
DEAF = ("env", "--ignore-signal=TERM")
HEARING = ("env", "--default-signal=TERM")
SEPARATE = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent", "--cap-drop", "ALL")


class Shown(NamedTuple):
    """`source` is seen at `at`."""

    at: str
    source: str
    writable: bool


@dataclass(frozen=True, slots=True)
class Sandbox:
    """`shown`: what lies anywhere but in the state directory. `kept`: what is seen by way of that, but never written.
    `hidden`: what must not be seen, whatever shows it, but for `own`. `at`: where the program begins."""

    shown: tuple[Shown, ...]
    kept: tuple[Shown, ...]
    hidden: tuple[str, ...]
    own: tuple[Shown, ...]
    at: str


def isolation_of(settings: Settings, sandboxed: bool) -> Isolation:
    """A linked worktree in a sandbox could still write what all share."""
    return settings.worktrees.isolation or (Isolation.CLONE if sandboxed else Isolation.WORKTREE)


def is_within(path: str, folder: str) -> bool:
    """Whether it lies there, or is it. Both absolute and without `..`."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def fault_of(path: str, writable: bool, root: str, state: str) -> str | None:
    """Why a path of `[sandbox]`, as it really lies, cannot be shown; None if it can. What is hidden or kept from
    writing would be in it; or it in that."""
    for what, folder in (("ticketd's state directory", state), ("the repository", root)):
        if is_within(path, folder) and (writable or folder == state):
            return f"it lies in {what}" if path != folder else f"it is {what}"
        if writable and is_within(folder, path):
            return f"it holds {what}"
    return None


def render(sandbox: Sandbox, argv: Sequence[str]) -> Argv:
    """A command that runs `argv` in the sandbox."""
    return (*DEAF, PROGRAM, *SEPARATE, *_mounts(sandbox), "--chdir", sandbox.at, "--", *HEARING, *argv)


def render_probe() -> Argv:
    """The least sandbox: where this runs, others do."""
    return (*DEAF, PROGRAM, *SEPARATE, *_base(), "--", *HEARING, "true")


def _base() -> Iterator[str]:
    for path in SYSTEM:
        yield from ("--ro-bind-try", path, path)
    # As root one could write the kernel's settings, such as the program that is run for a core dump.
    yield from ("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys")
    yield from ("--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/var/tmp", "--setenv", "TMPDIR", "/tmp")


def _mounts(sandbox: Sandbox) -> Iterator[str]:
    """A later mount hides what lies below it of an earlier one: so what holds others comes first, and of two at the
    same place the one that cannot be written last."""
    yield from _base()
    for each in sorted(sandbox.shown, key=lambda each: (each.at.rstrip("/").count("/"), not each.writable, each)):
        yield from ("--bind-try" if each.writable else "--ro-bind-try", each.source, each.at)
    for each in sandbox.kept:
        yield from ("--ro-bind-try", each.source, each.at)
    for path in sandbox.hidden:
        yield from ("--tmpfs", path)
    for each in sandbox.own:
        yield from ("--bind" if each.writable else "--ro-bind", each.source, each.at)
    for path in (*sandbox.hidden, "/"):
        yield from ("--remount-ro", path)
