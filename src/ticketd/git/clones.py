"""The tree of a slot as a clone that borrows the control repository's objects: its `.git` belongs to the agent.

No git of ours ever works in such a clone or reads its configuration. The daemon goes on to work with the tree's git
directory within the control repository, of which the clone is written here, anew for each attempt: so nothing that one
agent has put there (a hook, a filter, an alias) is there for the next. How work comes back: `ingest.py`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

from ticketd import failpoints
from ticketd.git.configuration import GATE, UPLOAD, quoted
from ticketd.git.control import Control
from ticketd.git.gate import SHOWN
from ticketd.git.snapshot import NOTED
from ticketd.git.tree import Tree, remove, write_whole

# What the file system can do, as `git clone` has found out when it made the control repository.
_ABILITIES = re.compile(
    rb"^\s*(?:filemode|ignorecase|precomposeunicode|symlinks)\s*=\s*(?:true|false)\s*$", re.I | re.M
)
# A merge that was begun for the agent is its own to finish.
_UNDER_WAY = ("MERGE_HEAD", "MERGE_MSG", "MERGE_MODE", "AUTO_MERGE", "ORIG_HEAD")
_CONFIG = """\
[core]
\trepositoryFormatVersion = 1
\tbare = false
{abilities}[extensions]
\tobjectFormat = {format}
[gc]
\tauto = 0
[maintenance]
\tauto = false
[remote]
\tpushDefault = origin
[remote "origin"]
\turl = {gate}
\tuploadpack = {upload}
{pushes}\tfetch = +refs/heads/*:refs/remotes/origin/*
"""
# Where the control repository's objects cannot be written, a push has nowhere to go; git's own words for that are a
# riddle. A shell runs this, with the repository's path after it.
NO_PUSH = (
    "echo 'ticketd: in this sandbox nothing is pushed, and nothing needs to be: "
    "what is checked out when you are done is what lands' >&2; false"
)


def furnish(control: Control, tree: Tree, commit: str, branch: str | None, *, sandboxed: bool) -> None:
    """Put a fresh clone into a tree that stands at `commit`: on `branch`, with the index and the merge of the tree's
    git directory. Call only when what its former one held is kept. The index goes with its times: a checkout of 5,000
    files is not read again."""
    fresh = tree.path.with_name(f".{tree.path.name}.git")
    remove(fresh)
    for folder in ("objects/info", "objects/pack", "refs/tags", "info"):
        (fresh / folder).mkdir(parents=True)
    (fresh / "objects/info/alternates").write_text(borrowed(control))
    (fresh / "HEAD").write_text(f"ref: refs/heads/{branch}\n" if branch else f"{commit}\n")
    (fresh / "config").write_text(_config(control, len(commit), sandboxed=sandboxed))
    refs = [*_shown(control), *([(f"refs/heads/{branch}", commit)] if branch else [])]
    for name, sha in refs:
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        (fresh / name).write_text(f"{sha}\n")
    shared = [path.name for path in tree.admin.glob("sharedindex.*")]
    for source in (tree.admin / name for name in ("index", *_UNDER_WAY, *shared)):
        if source.is_file():
            shutil.copy2(source, fresh / source.name)
    for common in ("info/exclude", "shallow"):
        if (control.own / common).is_file():
            shutil.copyfile(control.own / common, fresh / common)
    write_whole(tree.admin / NOTED, "".join(f"{sha}\n" for sha in {commit, *(sha for _, sha in refs)}))
    write_whole(tree.clone_mark, "")
    remove(tree.path / ".git")
    fresh.rename(tree.path / ".git")
    failpoints.hit("file/clones.furnish/clone")


def unfurnish(tree: Tree) -> None:
    """A linked worktree again, once it is linked. Only for trees whose work is kept."""
    remove(tree.path / ".git")
    tree.clone_mark.unlink(missing_ok=True)


def borrowed(control: Control) -> str:
    """What a clone's `objects/info/alternates` says."""
    return f"{control.path / 'objects'}\n"


def _config(control: Control, name_length: int, *, sandboxed: bool) -> str:
    abilities = b"".join(b"\t%s\n" % line.strip() for line in _ABILITIES.findall((control.own / "config").read_bytes()))
    branch = next((name.removeprefix("refs/remotes/origin/") for name, _ in _shown(control)), None)
    pushes = f"\tpush = {quoted(f'HEAD:refs/heads/{branch}')}\n" if branch else ""
    if sandboxed:
        pushes += f"\treceivepack = {quoted(NO_PUSH)}\n"
    return _CONFIG.format(
        abilities=abilities.decode(),
        format="sha256" if name_length == 64 else "sha1",
        gate=quoted(str(control.state / GATE)),
        upload=quoted(UPLOAD),
        pushes=pushes,
    )


def _shown(control: Control) -> Iterator[tuple[str, str]]:
    """The target as a fetch would bring it: agents compare with `origin/<branch>` before they ever fetch."""
    heads = control.state / GATE / SHOWN / "refs" / "heads"
    for path in sorted(heads.rglob("*")):
        if path.is_file() and not path.name.endswith(".ticketd"):
            yield f"refs/remotes/origin/{path.relative_to(heads)}", path.read_text().strip()
