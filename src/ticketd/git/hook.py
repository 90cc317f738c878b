"""Install, remove and find the pre-push hook. Nothing but files in the hooks directory is written."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ticketd import failpoints
from ticketd.errors import NotSetUp, TicketdError
from ticketd.git import hook_main
from ticketd.git.door import Git
from ticketd.git.rebase_checkout import users_setting

NAME = "pre-push"
BEFORE = "pre-push.before-ticketd"
LEGACY = "pre-push.legacy"  # where `pre-commit install` moves the hook that it finds, and from where it runs it

MARKER = b"ticketd-hook: 0b0f7c0e5d1f4a6b"
BY_HAND = b"ticketd hook run"
PRE_COMMIT = b"pre-commit.com"

LINE = 'if command -v ticketd >/dev/null; then ticketd hook run pre-push "$@"; fi'


class HookState(StrEnum):
    INSTALLED = "installed"
    BY_HAND = "by-hand"
    OTHER = "other"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class HookStatus:
    """`path` is the file that calls ticketd, or that of the other hook; `obstacle` says why `install` would refuse."""

    state: HookState
    path: Path
    chained: Path | None
    hooks_path: str | None
    obstacle: str


@dataclass(frozen=True, slots=True)
class HooksDir:
    """Where git looks for hooks: `configured` is core.hooksPath, `top` the working tree (None in a bare repository)."""

    path: Path
    common: Path
    top: Path | None
    configured: str | None

    @property
    def hook(self) -> Path:
        return self.path / NAME

    @property
    def before(self) -> Path:
        return self.path / BEFORE

    @property
    def is_husky(self) -> bool:
        """husky writes `.husky/_` anew at every `npm install`; people's own hooks are in `.husky`, tracked."""
        return self.path.name == "_" and (self.path.parent.name == ".husky" or (self.path / "h").is_file())


def hooks_dir(root: Path) -> HooksDir:
    """The effective hooks directory of the repository at `root`.

    Raises:
        NotSetUp: `root` is in no git repository.
    """
    git = Git(root)
    common = git.ask("rev-parse", "--path-format=absolute", "--git-common-dir")
    if not common.ok:
        raise NotSetUp(f"{root} is not in a git repository")
    top = git.ask("rev-parse", "--path-format=absolute", "--show-toplevel").line
    configured = users_setting(git, "core.hooksPath")
    start = Path(top or git.run("rev-parse", "--absolute-git-dir"))
    path = start / configured if configured else Path(common.line) / "hooks"
    return HooksDir(path, Path(common.line), Path(top) if top else None, configured)


def status(root: Path) -> HookStatus:
    """What a push in `root` would run."""
    where = hooks_dir(root)
    path, state = _found(where)
    chained = where.before if state is HookState.INSTALLED and where.before.exists() else None
    return HookStatus(state, path, chained, where.configured, _obstacle(where))


def _found(where: HooksDir) -> tuple[Path, HookState]:
    """ticketd may be called directly, through pre-commit's legacy hook, or by a line that somebody wrote."""
    legacy = where.path / LEGACY
    if _runs(where.hook, MARKER):
        return where.hook, HookState.INSTALLED
    if _runs(where.hook, PRE_COMMIT) and _runs(legacy, MARKER):
        return legacy, HookState.INSTALLED
    script = where.path.parent / NAME if where.is_husky else where.hook
    if not (os.access(script, os.X_OK) or (where.is_husky and script.exists())):  # husky runs it by `sh`
        return script, HookState.NONE
    return script, HookState.BY_HAND if BY_HAND in _text(script) else HookState.OTHER


def _runs(path: Path, mark: bytes) -> bool:
    """git passes over a hook that is not executable."""
    return mark in _text(path) and os.access(path, os.X_OK)


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _obstacle(where: HooksDir) -> str:
    """Why the hook may not be written there, and what to do instead; empty when it may."""
    if where.is_husky:
        return f"husky runs the hooks here; add this line at the top of {where.path.parent / NAME}: {LINE}"
    if _inside(where.path, where.common):
        return ""
    if where.configured and (where.path.exists() and not where.path.is_dir()):
        return f"core.hooksPath is {where.configured}, which turns hooks off"
    if where.top is None or not _inside(where.path, where.top):
        return f"core.hooksPath is {where.configured}, outside this repository; add this line to its {NAME}: {LINE}"
    if _is_shared(where, where.top):
        return f"{where.path} is tracked by git; add this line to {where.hook} and commit it: {LINE}"
    return ""


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _is_shared(where: HooksDir, top: Path) -> bool:
    """Whether the hook is, or would with the next `git add` become, a file of everybody."""
    git = Git(top)
    if git.ask("ls-files", "--error-unmatch", "--", str(where.hook)).ok:
        return True
    ignored = git.ask("check-ignore", "--quiet", "--", str(where.hook)).ok
    return not ignored and bool(git.ask("ls-files", "--", str(where.path)).out)


def install(root: Path, python: str = sys.executable) -> Path:
    """Write the hook, or bring it up to date, and return its path. A hook that was there is kept and run first.

    Raises:
        NotSetUp: `root` is in no git repository.
        TicketdError: the hooks directory is not this repository's own.
    """
    where = hooks_dir(root)
    path, state = _found(where)
    if state is HookState.BY_HAND:
        return path
    if why := _obstacle(where):
        raise TicketdError("the pre-push hook cannot be installed", mend=why)
    where.path.mkdir(parents=True, exist_ok=True)
    if state is HookState.INSTALLED:
        _write(path, python)
        return path
    if os.path.lexists(where.hook) and MARKER not in _text(where.hook):
        _set_aside(where)
    _write(where.hook, python)
    return where.hook


def _set_aside(where: HooksDir) -> None:
    """Rename: the bytes, the mode and a symbolic link stay what they are."""
    kept = _text(where.before)
    same = kept == _text(where.hook) or (PRE_COMMIT in kept and PRE_COMMIT in _text(where.hook))
    if os.path.lexists(where.before) and not same:
        raise TicketdError(
            f"there is a hook in {where.hook} and an earlier one in {where.before.name}",
            mend="keep one of them, remove the other, then run: ticketd hook install",
        )
    where.hook.replace(where.before)
    failpoints.hit("file/hook.set_aside")


def _write(path: Path, python: str) -> None:
    """In one step: a push that starts meanwhile runs the old hook or the new one."""
    template = Path(__file__).with_name("pre-push.tmpl").read_text(encoding="utf-8")
    text = template.replace("@PYTHON@", shlex.quote(python)).replace("@HOOK_MAIN@", shlex.quote(hook_main.__file__))
    fresh = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    fresh.write_text(text, encoding="utf-8", errors="surrogateescape")
    fresh.chmod(0o755)
    fresh.replace(path)
    failpoints.hit("file/hook.write")


def uninstall(root: Path) -> Path | None:
    """Remove the hook and put the earlier one back; None when there was nothing to remove.

    Raises:
        TicketdError: ticketd is called by a line that a person wrote.
    """
    where = hooks_dir(root)
    path, state = _found(where)
    if state is HookState.BY_HAND:
        raise TicketdError(f"{path} calls ticketd in a line of its own", mend="remove that line")
    if state is not HookState.INSTALLED:
        return None
    if path.name == LEGACY and PRE_COMMIT in _text(where.before):
        where.before.unlink()  # pre-commit has been installed again since; it refuses to run as its own legacy hook
    if os.path.lexists(where.before):
        where.before.replace(path)
        failpoints.hit("file/hook.put_back")
    else:
        path.unlink()
    return path
