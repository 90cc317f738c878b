"""What of the target's history came from a ticket."""

from __future__ import annotations

from ticketd.git.commits import parse_commit
from ticketd.git.control import Control
from ticketd.git.objects import objects_of


def landed_commits(control: Control, ticket: str, base: str, tip: str) -> tuple[str, ...]:
    """The commits of a ticket that came onto the target after `base`, up to `tip`, the oldest first. They carry its
    trailer: what an agent writes there itself is taken out before they land."""
    shas = control.git.run(
        "rev-list", "--topo-order", "--reverse", tip, f"^{base}", f"--grep=^Ticket: {ticket}$"
    ).split()
    return tuple(sha for sha in shas if _is_of(control, sha, ticket))


def _is_of(control: Control, sha: str, ticket: str) -> bool:
    """By the last paragraph alone, as git reads trailers: the pattern may stand anywhere, and its dot is any letter."""
    (content,) = objects_of(control.git).load([sha])
    lines = parse_commit(sha, content or b"").message.rstrip(b"\n").split(b"\n\n")[-1].split(b"\n")
    return f"Ticket: {ticket}".encode() in lines


def runs(control: Control, commits: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Commits, oldest first, as ranges without a gap, oldest first: each what was there before it, and its last."""
    found: list[tuple[str, str]] = []
    for sha in commits:
        before = parent(control, sha)
        if found and found[-1][1] == before:
            found[-1] = (found[-1][0], sha)
        else:
            found.append((before, sha))
    return tuple(found)


def parent(control: Control, sha: str) -> str:
    """The first one: what the target was at before a merge."""
    return control.git.run("rev-parse", "--verify", f"{sha}^1^{{commit}}")


def commits_of(control: Control, ranges: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """The commits on the target's own line, oldest first: of a merge that is the merge."""
    lists = (
        control.git.run("rev-list", "--first-parent", "--reverse", last, f"^{before}").split()
        for before, last in ranges
    )
    return tuple(sha for shas in lists for sha in shas)


def subject(control: Control, sha: str) -> str:
    return control.git.run("rev-list", "--max-count=1", "--no-commit-header", "--format=%s", sha)


def is_merge(control: Control, sha: str) -> bool:
    return control.read_ref(f"{sha}^2") is not None


def touching(control: Control, since: str, tip: str, paths: tuple[str, ...]) -> tuple[str, ...]:
    """The commits after `since` that changed one of `paths`, the newest first: short name and subject."""
    told = ("rev-list", "--no-merges", "--no-commit-header", "--format=%h %s")
    lines = control.git.run("--literal-pathspecs", *told, tip, f"^{since}", "--", *paths)
    return tuple(lines.splitlines())
