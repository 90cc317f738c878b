"""GitHub, by `gh` 2.x."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ticketd.forges.program import MOST_TEXT, Program, commits
from ticketd.ports import Pull, PullState, Refused, Unreachable

FIELDS = "number,url,state,mergeCommit,headRefOid,isCrossRepository,mergeable,mergeStateStatus"
STATES = {"OPEN": PullState.OPEN, "MERGED": PullState.MERGED, "CLOSED": PullState.CLOSED}


@dataclass(frozen=True, slots=True)
class Gh:
    """Satisfies `Forge`. Every value is part of its option's word, so that none is taken for an option."""

    program: Program
    slug: str | None

    def _repo(self) -> tuple[str, ...]:
        return (f"--repo={self.slug}",) if self.slug else ()

    def pulls(self, branch: str, onto: str) -> tuple[Pull, ...] | Refused | Unreachable:
        options = (f"--head={branch}", f"--base={onto}", "--state=all", "--limit=100", f"--json={FIELDS}")
        found = self.program.ask("pr", "list", *self._repo(), *options)
        if isinstance(found, Refused | Unreachable):
            return found
        try:
            # A fork may have a branch of the same name.
            return tuple(_pull(item) for item in found if not item.get("isCrossRepository"))
        except (KeyError, TypeError, ValueError) as error:
            return Unreachable(f"`gh pr list` tells of no pull requests as they are known here: {error!r}")

    def open(self, branch: str, onto: str, title: str, body: str) -> Refused | Unreachable | None:
        options = (f"--head={branch}", f"--base={onto}", f"--title={title}", "--body-file=-")
        said = self.program.run("pr", "create", *self._repo(), *options, stdin=body[:MOST_TEXT])
        return said if isinstance(said, Refused | Unreachable) else None


def _pull(item: Mapping[str, Any]) -> Pull:
    return Pull(
        number=int(item["number"]),
        url=str(item["url"]),
        state=STATES[item["state"]],
        head=str(item["headRefOid"]),
        merged_as=commits((item["mergeCommit"] or {}).get("oid"), item["headRefOid"]),
        is_stuck=item.get("mergeable") == "CONFLICTING" or item.get("mergeStateStatus") in ("BEHIND", "DIRTY"),
    )
