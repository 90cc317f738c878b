"""A forge's own program as a process: no prompt, no colour, a time limit."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ticketd.ports import Refused, Unreachable

QUIET = {
    "GH_PROMPT_DISABLED": "1",
    "GH_NO_UPDATE_NOTIFIER": "1",
    "GLAB_CHECK_UPDATE": "false",
    "GLAB_NO_PROMPT": "1",
    "NO_PROMPT": "1",
    "NO_COLOR": "1",
    "PAGER": "cat",
}
AUTHENTICATION = 4  # gh's exit code where nobody is logged in
MOST_TEXT = 60_000  # an argument may have 128 KiB; GitHub takes 65,536 characters

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SECRET = re.compile(r"(?<=://)[^/@\s]+@")
# What it would say again however often it is asked. Too many requests at once are a 403 or 429 as well.
_FINAL = re.compile(
    r"HTTP 4(?!03|08|29)\d\d|\b4(?!03|08|29)\d\d \{|GraphQL: |not logged in|auth login|unauthorized", re.I
)
_PASSING = re.compile(r"rate limit|abuse|try again|something went wrong|timed? ?out", re.I)


def commits(*named: object) -> tuple[str, ...]:
    """Those that are names of commits: they become arguments of git."""
    return tuple(name for name in named if isinstance(name, str) and _COMMIT.fullmatch(name))


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Program:
    """`cwd` is the user's checkout, by which the program finds its project where no `--repo` says it."""

    name: str
    cwd: Path
    environ: Mapping[str, str]
    timeout_s: float = 60.0

    def run(self, *args: str, stdin: str = "") -> Said | Refused | Unreachable:
        """What it said if it ended well."""
        env = {key: value for key, value in self.environ.items() if key != "GH_FORCE_TTY"} | QUIET
        try:
            process = subprocess.Popen(
                [self.name, *args],
                cwd=self.cwd,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            return Refused(f"`{self.name}` cannot be run: {error.strerror or error}")
        with process:
            try:
                out, err = process.communicate(stdin, timeout=self.timeout_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return Unreachable(f"`{self.name}` did not answer in {self.timeout_s:.0f} s")
        return Said(0, out, err) if process.returncode == 0 else self._failed(Said(process.returncode, out, err))

    def ask(self, *args: str) -> list[dict[str, Any]] | Refused | Unreachable:
        """A question whose answer is a JSON list of objects."""
        said = self.run(*args)
        if not isinstance(said, Said):
            return said
        try:
            answer = json.loads(said.out or "[]")
        except ValueError:
            answer = None
        if isinstance(answer, list) and all(isinstance(item, dict) for item in answer):
            return answer
        return Unreachable(f"`{self.name} {args[0]} {args[1]}` said something else than was asked for")

    def _failed(self, said: Said) -> Refused | Unreachable:
        words = "; ".join(line.strip() for line in (said.err or said.out).splitlines() if line.strip())[-500:]
        detail = f"`{self.name}` failed (exit {said.code}): {_SECRET.sub('***@', words)}"
        final = said.code == AUTHENTICATION or (_FINAL.search(words) and not _PASSING.search(words))
        return Refused(detail) if final else Unreachable(detail)
