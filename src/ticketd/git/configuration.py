"""The control repository's two configurations: ticketd's own, and the one that agents see, with its recovery.

A linked worktree shares the configuration, so an agent's `git config` could name a filter, a merge driver or an
`insteadOf` that git obeys; overriding all such keys by `-c` is not possible (their names are free). ticketd's own git
reads another file (see `own.py`); what is put back here protects the agents from each other.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from ticketd import failpoints
from ticketd.app.removal import remove_below
from ticketd.git.door import Git
from ticketd.git.exactness import content_of, content_of_gits

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
"""
OF_AGENTS = """\
[remote]
\tpushDefault = origin
[remote "origin"]
\turl = {gate}
\tuploadpack = {upload}
\tpush = {push}
\tfetch = +refs/heads/*:refs/remotes/origin/*
"""

OF_TICKETD = """\
[core]
\t# Both say what the objects hold, and nothing holds that against the objects: an agent could plant one that lies.
\tcommitGraph = false
\tmultiPackIndex = false
"""

_HARMLESS = re.compile(r"^(user\.(name|email)|branch\..+\.(remote|merge|rebase|description))$", re.I | re.S)


def _accepted(control: Path) -> Path:
    return control.with_name("control.config")


def save_config(control: Path, branch: str) -> str:
    """Decide on the configuration of the control repository, and return ticketd's own. Agents read theirs, so it names
    their gate and not the user's remote, whose address may hold a password. Written as text: `git config` would take a
    process for each key."""
    accepted, seen = _accepted(control), control.with_name("control.config.seen")
    source = accepted if accepted.is_file() else control / "config"
    is_ours = source is not accepted or content_of_gits(control / "config") in (content_of(accepted), content_of(seen))
    with tempfile.TemporaryDirectory(prefix="config-", dir=control.parent) as scratch:
        fresh = Path(scratch) / "config"
        gate = quoted(str(control.with_name(GATE)))
        push = quoted(f"HEAD:refs/heads/{branch}")
        settings = SETTINGS + OF_AGENTS.format(gate=gate, upload=quoted(UPLOAD), push=push)
        cloned = _as_cloned(source)
        fresh.write_bytes(cloned + os.fsencode(f"{MARK}\n{settings}"))
        fresh.replace(accepted)
    failpoints.hit("file/configuration.accepted")
    seen.unlink(missing_ok=True)
    if is_ours:  # what somebody has changed while no daemon ran is for the first look at it to put back, and to tell
        restore_config(control)
    return f"{os.fsdecode(cloned)}{MARK}\n{SETTINGS}{OF_TICKETD}"


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


def restore_config(control: Path) -> tuple[str, ...]:
    """Take out what is not ticketd's, but for a name, an address and the branches' upstreams; what that was, in words.
    No process while all is as it was."""
    accepted, seen, file = _accepted(control), control.with_name("control.config.seen"), control / "config"
    found = content_of_gits(file)
    if found is not None and found in (content_of(accepted), content_of(seen)):
        return ()
    if not accepted.is_file():
        return ()  # being created
    with tempfile.TemporaryDirectory(prefix="config-", dir=control.parent) as scratch:
        fresh = Path(scratch) / "config"
        shutil.copyfile(accepted, fresh)
        entries = [] if found is None else [entry.partition("\n")[::2] for entry in _additions(accepted, file)]
        for key, value in entries:
            if _HARMLESS.match(key):
                Git(fresh.parent).run("config", "--file", str(fresh), "--add", key, value)
        shutil.copyfile(fresh, seen)
        failpoints.hit("file/configuration.seen")
        remains = fresh.read_bytes()
        if not file.is_file():
            remove_below(control, file.name)
        fresh.replace(file)
    failpoints.hit("file/configuration.config")
    taken = tuple(dict.fromkeys(key for key, _ in entries if not _HARMLESS.match(key)))
    return taken or (() if entries or found == remains else ("something",))


def _additions(accepted: Path, file: Path) -> list[str]:
    """What `file` has more than `accepted`; nothing when git cannot read it."""
    before, after = (
        Git(accepted.parent).ask("config", "--file", str(one), "--no-includes", "-z", "--list").split0()
        for one in (accepted, file)
    )
    return list((Counter(after) - Counter(before)).elements())
