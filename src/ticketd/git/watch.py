"""What agents share by way of the control repository, held against what ticketd last made of it, and put back.

ticketd's own git minds none of it (see `own.py`); but the agents' gits do, and refs are what keeps their work. Files
first, since they cost nothing; then one process lists all refs.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ticketd.domain.attempt import AttemptKey
from ticketd.errors import GitFailed
from ticketd.git.configuration import restore_config
from ticketd.git.control import Control
from ticketd.git.exactness import content_of_gits
from ticketd.git.own import NO_BRANCH, SHALLOW
from ticketd.git.record import WATCHED, Comparison, list_refs
from ticketd.git.tree import Tree, remove, write_whole
from ticketd.ports import Watched

_HEAD = re.compile(rb"ref: refs/\S+\n?|[0-9a-f]{40}(?:[0-9a-f]{24})?\n?")
_SHA = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?\n?")
# What git takes in `packed-refs`: it reads no ref at all where there is anything else.
_PACKED = re.compile(
    rb"(# pack-refs with:[^\n]*|[0-9a-f]{40}([0-9a-f]{24})? refs/[^\s]+|\^[0-9a-f]{40}([0-9a-f]{24})?)\n"
)
_FETCHED, _SHOWN, _REPLACED = "refs/fetched/", "refs/remotes/origin/", "refs/replace/"


def watch(control: Control, trees: Sequence[Tree], suspect: AttemptKey | None = None) -> Watched:
    """Put back what is not as ticketd left it. `trees` are those of live attempts; what a ref was moved to is kept
    under the name of the `suspect`, an attempt."""
    said = [*_files(control), *(text for tree in trees for text in _admin(tree))]
    odd = [*_odd_refs(control.path), *_unreadable(control.path / "packed-refs")]
    with control.record.compared() as compared:
        listed = list_refs(control.git)
        said += [*odd, *_put_back(control, compared, listed, suspect), *_show(control, compared, listed)]
        said += [text for tree in trees for text in _given_back(control, compared, listed, tree)]
    return Watched(tuple(said), tuple(_strays(control, listed)))


def tidy(control: Control, refs: Sequence[str], by: AttemptKey | None = None) -> tuple[str, ...]:
    """Take away refs that agents have made beside their own branch; their commits stay."""
    listed, said = list_refs(control.git), []
    for ref in (one for one in refs if one in listed):
        held = [sha for sha in dict.fromkeys((listed[ref], *_stashed(control, ref))) if not control.is_safe(sha)]
        saved = [f"update {_aside(by, sha)} {sha}" for sha in held]
        if control.move_refs([*saved, f"delete {ref} {listed[ref]}"]).ok:
            _forget_log(control, ref)
            where = f"; kept as {_aside(by, held[0])}" if held else ""
            said.append(f"took {ref} away{where}")
    return tuple(said)


# --- files ---


def _files(control: Control) -> Iterator[str]:
    if keys := restore_config(control.path):
        yield f"{', '.join(keys)} taken out of the shared configuration"
    yield from _emptied(control.path / "hooks", ())
    yield from _emptied(control.path / "info", ("exclude",))
    exclude, ours = control.path / "info/exclude", control.own / "info/exclude"
    if _differs(exclude, content_of_gits(ours)):
        with control.exclusive():  # they may just have been about to be written, the one after the other
            yield from _as_ours(control, exclude, content_of_gits(ours))
    for file, said in (
        (control.path / "HEAD", f"ref: {NO_BRANCH}\n".encode()),
        (control.path / "objects/info/alternates", content_of_gits(control.own / "info/alternates") or None),
        (control.path / "objects/info/http-alternates", None),
        (control.path / SHALLOW, content_of_gits(control.own / SHALLOW)),
    ):
        yield from _as_ours(control, file, said)


def _as_ours(control: Control, file: Path, ours: bytes | None) -> Iterator[str]:
    if _differs(file, ours):
        remove(file) if ours is None else write_whole(file, os.fsdecode(ours))
        yield f"{file.relative_to(control.path)} put back"


def _differs(file: Path, ours: bytes | None) -> bool:
    return os.path.lexists(file) if ours is None else content_of_gits(file) != ours


def _emptied(folder: Path, ours: Sequence[str]) -> Iterator[str]:
    if folder.is_symlink() or not folder.is_dir():
        if os.path.lexists(folder):
            remove(folder)
            yield f"{folder.name} removed"
        return
    for path in sorted(folder.iterdir()):
        if path.name not in ours and not path.name.endswith(".ticketd"):  # being written just now
            remove(path)
            yield f"{folder.name}/{path.name} removed"


def _admin(tree: Tree) -> Iterator[str]:
    """Only what is never another while a worktree lives; its HEAD may stand anywhere."""
    name = tree.path.name
    if tree.admin.is_symlink():
        remove(tree.admin)
    if not tree.admin.is_dir():
        yield f"the git directory of worktree {name} is gone; what it holds is kept all the same"
        return
    for file, ours in (("gitdir", f"{tree.path / '.git'}\n"), ("commondir", "../..\n")):
        if content_of_gits(tree.admin / file) != ours.encode():
            write_whole(tree.admin / file, ours)
            yield f"worktrees/{name}/{file} put back"
    if not _HEAD.fullmatch(content_of_gits(tree.admin / "HEAD") or b"") and tree.branch:
        write_whole(tree.admin / "HEAD", f"ref: refs/heads/{tree.branch}\n")
        yield f"worktrees/{name}/HEAD put back"


# --- refs ---


def _odd_refs(control: Path) -> Iterator[str]:
    """A pipe would hold up every git that lists refs, and a link leads elsewhere."""
    folders = [control / "refs"]
    while folders:
        with contextlib.suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif not entry.is_file(follow_symlinks=False):
                    remove(Path(entry.path))
                    yield f"{Path(entry.path).relative_to(control)} was no ref, and is removed"


def _unreadable(packed: Path) -> Iterator[str]:
    """Refs that were only there and are not recorded go with what is wrong; those that are come back by the record."""
    if not os.path.lexists(packed):
        return
    content = content_of_gits(packed)
    lines = (content or b"").splitlines(keepends=True)
    sound = b"".join(line for line in lines if _PACKED.fullmatch(line))
    if sound != content:
        write_whole(packed, os.fsdecode(sound))
        yield f"{packed.name} made readable again"


def _put_back(
    control: Control, compared: Comparison, listed: Mapping[str, str], suspect: AttemptKey | None
) -> Iterator[str]:
    known = compared.known
    wrong = sorted(
        ref for ref in {*known, *listed} if ref.startswith((*WATCHED, _REPLACED)) and known.get(ref) != listed.get(ref)
    )
    # One that is to go may be in the way of one that is to come: `refs/ticketd/a` of `refs/ticketd/a/1`.
    for ref in sorted(wrong, key=lambda one: known.get(one) is not None):
        should, stands = known.get(ref), listed.get(ref)
        saved = [f"update {_aside(suspect, stands)} {stands}"] if stands and not ref.startswith(_REPLACED) else []
        move = f"update {ref} {should}" if should else f"delete {ref}"
        if not stands:  # what is there may be rubbish, or lead elsewhere
            with contextlib.suppress(OSError):
                _remove_unless_named(control.path / ref)
        answer = compared.move(control.git, [*saved, move])
        became = f"put back to {should[:7]}" if should else "taken away"
        kept = f" (what it stood at is kept as {_aside(suspect, stands)})" if saved and stands else ""
        yield f"{ref} {became}{kept}" if answer.ok else f"{ref} cannot be put back: {answer.err.strip()}"


def _remove_unless_named(path: Path) -> None:
    if path.is_dir() or not _SHA.fullmatch(content_of_gits(path) or b""):
        remove(path)


def _show(control: Control, compared: Comparison, listed: Mapping[str, str]) -> Iterator[str]:
    """The target as agents see it. Their own fetch may set it back for a moment, which is nothing to speak of."""
    for ref, tip in compared.known.items():
        shown = ref.replace("refs/target/", _SHOWN, 1)
        there = listed.get(shown)
        if shown == ref or not tip or there == tip:
            continue
        if compared.move(control.git, [f"update {shown} {tip}"]).ok and there and not control.contains(tip, there):
            yield f"{shown} put back to {tip[:7]}"


def _given_back(control: Control, compared: Comparison, listed: Mapping[str, str], tree: Tree) -> Iterator[str]:
    """A branch that was deleted under its worktree, at the last commit that the worktree's own log has of it."""
    branch = f"refs/heads/{tree.branch}"
    if branch in listed or content_of_gits(tree.admin / "HEAD") != f"ref: {branch}\n".encode():
        return
    moves = [line.split(b" ", 2) for line in (content_of_gits(tree.admin / "logs/HEAD") or b"").splitlines()]
    last = next((fields[1] for fields in reversed(moves) if len(fields) == 3 and _SHA.fullmatch(fields[1])), None)
    if last and compared.move(control.git, [f"update {branch} {last.decode()}"]).ok:
        yield f"{branch} put back to {last.decode()[:7]}"


def _aside(attempt: AttemptKey | None, sha: str) -> str:
    """No ticket's id begins with an underscore."""
    return f"refs/ticketd-extra/{attempt or '_/0'}/found-{sha}"


def _strays(control: Control, listed: Mapping[str, str]) -> Iterator[str]:
    """What is neither ticketd's nor the branch that a worktree was given. Its maker may still need it."""
    notes = (control.state / "worktrees").glob(".*.branch")
    given = {f"refs/heads/{note.read_text()}" for note in notes}
    shown = {ref.replace("refs/target/", _SHOWN, 1) for ref in listed if ref.startswith("refs/target/")}
    heads = (content_of_gits(head) or b"" for head in (control.path / "worktrees").glob("*/HEAD"))
    on = {os.fsdecode(head).removeprefix("ref: ").strip() for head in heads}
    for ref in listed:
        if not (ref.startswith((*WATCHED, _FETCHED, _REPLACED)) or ref in given or ref in shown or ref in on):
            yield ref


def _stashed(control: Control, ref: str) -> Iterator[str]:
    """A stash below the topmost is only in the log of the ref."""
    log = content_of_gits(control.path / "logs" / ref) if ref == "refs/stash" else None
    for line in (log or b"").splitlines():
        fields = line.split(b" ", 2)
        if len(fields) == 3 and _SHA.fullmatch(fields[1]):
            yield fields[1].decode()


def _forget_log(control: Control, ref: str) -> None:
    """ticketd's git keeps no logs, and so takes none away with a ref."""
    try:
        (control.path / "logs" / ref).unlink(missing_ok=True)
    except OSError as error:
        raise GitFailed(f"the log of {ref} cannot be removed: {error}") from error
