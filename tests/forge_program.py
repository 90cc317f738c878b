#!/usr/bin/env python3
"""Stands in for `gh` or `glab`, by the name it is called by: as much of them as ticketd uses, with all they know in the
file that FORGE_STATE names. Not a line of their own code; by what their manuals say."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

STATE = Path(os.environ["FORGE_STATE"])
GH_FIELDS = "number,url,state,mergeCommit,headRefOid,isCrossRepository,mergeable,mergeStateStatus"


def main() -> None:
    name, words = Path(sys.argv[0]).name, sys.argv[1:]
    lock = STATE.with_suffix(".lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    state = json.loads(STATE.read_text())
    state["calls"].append(words)
    save(state)
    if fault := state["faults"].get(" ".join(words[:2])):
        sys.stderr.write(fault["says"])
        sys.exit(fault["code"])
    options = dict(re.fullmatch(r"--([a-z-]+)(?:=(.*))?", word, re.DOTALL).groups() for word in words[2:])  # type: ignore[union-attr]
    answer = {"gh": gh, "glab": glab}[name](words[:2], options, state)
    save(state)
    print(answer)


def save(state: dict[str, Any]) -> None:
    """Whole, for it is read at any moment."""
    fresh = STATE.with_suffix(".fresh")
    fresh.write_text(json.dumps(state))
    fresh.replace(STATE)


def gh(verb: list[str], options: dict[str, Any], state: dict[str, Any]) -> str:
    if verb == ["pr", "list"]:
        assert set(options) <= {"repo", "head", "base", "state", "limit", "json"} and options["state"] == "all", options
        assert set(options["json"].split(",")) == set(GH_FIELDS.split(","))
        return json.dumps([as_gh(pull, state) for pull in found(state, options["head"], options["base"])])
    assert verb == ["pr", "create"] and set(options) <= {"repo", "head", "base", "title", "body-file"}, (verb, options)
    assert options["body-file"] == "-"
    return create(state, options["head"], options["base"], options["title"], sys.stdin.read())


def glab(verb: list[str], options: dict[str, Any], state: dict[str, Any]) -> str:
    if verb == ["mr", "list"]:
        known = {"repo", "source-branch", "target-branch", "all", "per-page", "output"}
        assert set(options) <= known and options["output"] == "json" and "all" in options, options
        return json.dumps(
            [as_glab(pull, state) for pull in found(state, options["source-branch"], options["target-branch"])]
        )
    known = {"repo", "source-branch", "target-branch", "title", "description", "yes"}
    assert verb == ["mr", "create"] and set(options) <= known and "yes" in options, (verb, options)
    return create(state, options["source-branch"], options["target-branch"], options["title"], options["description"])


def create(state: dict[str, Any], head: str, base: str, title: str, body: str) -> str:
    if any(pull["state"] == "open" for pull in found(state, head, base)):
        sys.exit("a pull request for this branch already exists")
    if not head_of(state, head):
        sys.exit(f"HTTP 422: no commits on {head}")
    number = len(state["pulls"]) + 1
    url = f"https://forge.test/pull/{number}"
    made = {"number": number, "url": url, "head": head, "base": base, "title": title, "body": body, "state": "open"}
    state["pulls"].append(made | {"merged_as": None, "stuck": False, "cross": False})
    return url


def found(state: dict[str, Any], head: str, base: str) -> list[dict[str, Any]]:
    """The newest first."""
    return [pull for pull in reversed(state["pulls"]) if (pull["head"], pull["base"]) == (head, base)]


def head_of(state: dict[str, Any], branch: str) -> str:
    command = ["git", "--git-dir", state["origin"], "rev-parse", "--quiet", "--verify", f"refs/heads/{branch}"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def as_gh(pull: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    return {
        "number": pull["number"],
        "url": pull["url"],
        "state": pull["state"].upper(),
        "mergeCommit": pull["merged_as"] and {"oid": pull["merged_as"]},
        "headRefOid": head_of(state, pull["head"]),
        "isCrossRepository": pull["cross"],
        "mergeable": "CONFLICTING" if pull["stuck"] else "MERGEABLE",
        "mergeStateStatus": "DIRTY" if pull["stuck"] else "CLEAN",
    }


def as_glab(pull: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    return {
        "iid": pull["number"],
        "web_url": pull["url"],
        "state": {"open": "opened"}.get(pull["state"], pull["state"]),
        "merge_commit_sha": pull["merged_as"],
        "squash_commit_sha": None,
        "sha": head_of(state, pull["head"]),
        "source_project_id": 2 if pull["cross"] else 1,
        "target_project_id": 1,
        "has_conflicts": pull["stuck"],
        "detailed_merge_status": "conflict" if pull["stuck"] else "mergeable",
    }


if __name__ == "__main__":
    main()
