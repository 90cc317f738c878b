"""The control repository's configuration, and its recovery from what an agent wrote into it.

A linked worktree shares the configuration, so an agent's `git config` could name a filter, a merge driver or an
`insteadOf` that ticketd's own git would obey; overriding all such keys by `-c` is not possible (their names are free).
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from ticketd import failpoints
from ticketd.git.door import Git

GATE = "gate.git"
PEOPLE = "people.git"
# What an agent's fetch is shown lies in a namespace of the gate, away from what its push meets.
UPLOAD = "git --namespace=shown upload-pack"
MARK = "# ticketd's own settings"
SETTINGS = """\
[gc]
\tauto = 0
[maintenance]
\tauto = false
[core]
\trepositoryFormatVersion = 1
\t# A power loss must not take an attempt that the store says is kept.
\tfsync = objects,reference
[extensions]
\t# `gc --prune=now` of one agent destroyed the branches of all others within 20 s; so git refuses it. It refuses
\t# `repack -d` too; `repack` with `prune-packed` does as well.
\tpreciousObjects = true
[remote]
\tpushDefault = origin
[remote "origin"]
\turl = {gate}
\tuploadpack = {upload}
\tpush = {push}
\tfetch = +refs/heads/*:refs/remotes/origin/*
"""

_HARMLESS = re.compile(r"^(user\.(name|email)|branch\..+\.(remote|merge|rebase|description))$", re.I | re.S)


def _accepted(control: Path) -> Path:
    return control.with_name("control.config")


def save_config(control: Path, branch: str) -> None:
    """Decide on the configuration of the control repository. Agents read it, so it names their gate and not the user's
    remote, whose address may hold a password. Written as text: `git config` would take a process for each key."""
    accepted = _accepted(control)
    source = accepted if accepted.is_file() else control / "config"
    with tempfile.TemporaryDirectory(prefix="config-", dir=control.parent) as scratch:
        fresh = Path(scratch) / "config"
        gate = quoted(str(control.with_name(GATE)))
        push = quoted(f"HEAD:refs/heads/{branch}")
        settings = SETTINGS.format(gate=gate, upload=quoted(UPLOAD), push=push)
        fresh.write_bytes(_as_cloned(source) + os.fsencode(f"{MARK}\n{settings}"))
        fresh.replace(accepted)
    failpoints.hit("file/configuration.accepted")
    control.with_name("control.config.seen").unlink(missing_ok=True)
    restore_config(control)


def _as_cloned(source: Path) -> bytes:
    """What `git clone` wrote (the object format, the file system's abilities), less its remote."""
    cloned = source.read_bytes().partition(MARK.encode())[0]
    return cloned.partition(b"[remote ")[0]


def quoted(value: str) -> str:
    """As a value in a git configuration."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def forget_config(control: Path) -> None:
    """Before the control repository is made anew."""
    _accepted(control).unlink(missing_ok=True)


def restore_config(control: Path) -> None:
    """Take out what is not ticketd's, but for a name, an address and the branches' upstreams. No process while all
    is as it was."""
    accepted, seen, file = _accepted(control), control.with_name("control.config.seen"), control / "config"
    found = _read(file)
    if found is not None and found in (_read(accepted), _read(seen)):
        return
    if not accepted.is_file():
        return  # being created
    with tempfile.TemporaryDirectory(prefix="config-", dir=control.parent) as scratch:
        fresh = Path(scratch) / "config"
        shutil.copyfile(accepted, fresh)
        _add(fresh, _additions(accepted, file))
        shutil.copyfile(fresh, seen)
        failpoints.hit("file/configuration.seen")
        fresh.replace(file)
    failpoints.hit("file/configuration.config")


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _add(file: Path, entries: list[str]) -> None:
    for entry in entries:
        key, _, value = entry.partition("\n")
        if _HARMLESS.match(key):
            Git(file.parent).run("config", "--file", str(file), "--add", key, value)


def _additions(accepted: Path, file: Path) -> list[str]:
    """What `file` has more than `accepted`; nothing when git cannot read it."""
    before, after = (
        Git(accepted.parent).ask("config", "--file", str(one), "--no-includes", "-z", "--list").split0()
        for one in (accepted, file)
    )
    return list((Counter(after) - Counter(before)).elements())
