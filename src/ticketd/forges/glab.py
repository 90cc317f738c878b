"""GitLab, by `glab` 1.x. Its merge requests are called pull requests here, like all others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ticketd.forges.program import MOST_TEXT, Program, commits
from ticketd.ports import Pull, PullState, Refused, Unreachable

# `locked`: being merged at this moment.
STATES = {
    "opened": PullState.OPEN,
    "locked": PullState.OPEN,
    "merged": PullState.MERGED,
    "closed": PullState.CLOSED,
}


@dataclass(frozen=True, slots=True)
class Glab:
    """Satisfies `Forge`. Every value is part of its option's word, so that none is taken for an option."""

    program: Program
    slug: str | None

    def _repo(self) -> tuple[str, ...]:
        return (f"--repo=https://{self.slug}",) if self.slug else ()

    def pulls(self, branch: str, onto: str) -> tuple[Pull, ...] | Refused | Unreachable:
        options = (f"--source-branch={branch}", f"--target-branch={onto}", "--all", "--per-page=100", "--output=json")
        found = self.program.ask("mr", "list", *self._repo(), *options)
        if isinstance(found, Refused | Unreachable):
            return found
        try:
            own = (item for item in found if item.get("source_project_id") == item.get("target_project_id"))
            return tuple(_pull(item) for item in own)
        except (KeyError, TypeError, ValueError) as error:
            return Unreachable(f"`glab mr list` tells of no merge requests as they are known here: {error!r}")

    def open(self, branch: str, onto: str, title: str, body: str) -> Refused | Unreachable | None:
        # It reads no text from a file; a lone `-` would open an editor.
        text = body[:MOST_TEXT].replace("\0", "")
        options = (f"--source-branch={branch}", f"--target-branch={onto}", f"--title={title}", f"--description={text}")
        said = self.program.run("mr", "create", *self._repo(), *options, "--yes")
        return said if isinstance(said, Refused | Unreachable) else None


def _pull(item: Mapping[str, Any]) -> Pull:
    """A fast-forward has no merge commit: then the branch's own is on the target."""
    return Pull(
        number=int(item["iid"]),
        url=str(item["web_url"]),
        state=STATES[item["state"]],
        head=str(item["sha"]),
        merged_as=commits(item.get("merge_commit_sha"), item.get("squash_commit_sha"), item["sha"]),
        is_stuck=bool(item.get("has_conflicts")) or item.get("detailed_merge_status") in ("conflict", "need_rebase"),
    )
