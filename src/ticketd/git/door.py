"""The one door to git: GitPython's command layer, with an environment and a configuration that cannot surprise.

Arguments are lists, never shell text; an exit code is a value. Hooks, fsmonitor and background maintenance stay off
in every call: a hook that runs a test suite under an exported GIT_DIR has flipped `core.bare` in real repositories,
and maintenance beside a running agent makes its `git add` fail (measured on git 2.39).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from ticketd import failpoints
from ticketd.errors import GitFailed, NotSetUp
from ticketd.git.commandlayer import GitCommand, GitCommandNotFound
from ticketd.git.pipes import unblocked

SAFE_CONFIG = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.ext.allow=never",
    "submodule.recurse=false",
    "commit.gpgSign=false",
    "advice.detachedHead=false",
)

ENVIRONMENT = {
    # No program whose name stands in a URL (`ext::`, `x://`) is run; over what the configuration allows.
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "GIT_SEQUENCE_EDITOR": "true",
    "GIT_PAGER": "cat",
}

# `git rev-parse --local-env-vars` (2.39) and the like: what a hook or an alias exports, and what would bend every
# call to another repository. GitPython hands on os.environ whole, so they must leave it.
LOCAL_VARIABLES = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_QUARANTINE_PATH",
    "GIT_REFLOG_ACTION",
    "GIT_EXTERNAL_DIFF",
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_AUTHOR_DATE",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
    "GIT_COMMITTER_DATE",
)


# What leaves something behind that others see. Objects that no ref leads to, and an index of our own, nobody meets.
WRITING = frozenset(("clean", "clone", "fetch", "merge", "push", "rebase", "reset", "update-ref"))
WRITING_WITH = {"worktree": ("add",), "config": ("--add", "--unset", "--remove-section", "--local")}
# Functions that are of the door, too: a point is named after who calls them.
THROUGH = ("run", "move", "move_refs", "must_move")
READING = ("--dry-run", "--get", "--get-regexp")


def writes(args: tuple[str, ...]) -> bool:
    may = args[0] in WRITING or any(word in args for word in WRITING_WITH.get(args[0], ()))
    return may and not any(word in args for word in READING)


def leave_outer_repository(environ: dict[str, str] | os._Environ[str]) -> None:
    """Drop what ties this process to the repository whose hook or alias started it."""
    for name in LOCAL_VARIABLES:
        environ.pop(name, None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What git said. `out` keeps bytes that are not UTF-8 as surrogates, so paths survive."""

    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def line(self) -> str:
        return self.out.strip()

    def split0(self) -> tuple[str, ...]:
        """The fields of `-z` output."""
        return tuple(part for part in self.out.split("\0") if part)


@contextmanager
def _readable(content: bytes) -> Iterator[BinaryIO]:
    """A file, not a pipe: git may end before it has read everything."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield cast("BinaryIO", file)


@dataclass(frozen=True, slots=True)
class Git:
    """git in one directory. `config` and `env` come on top of the safe ones. `tree`: the worktree that it reads, in
    which an agent may have put what it would wait for."""

    cwd: Path
    config: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    tree: Path | None = None

    def ask(
        self,
        *args: str,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """Run `git *args` and return whatever it answers, failures too. A git that was killed has answered nothing, and
        is not to be taken for a "no"; but one with a time limit may end so.

        Raises:
            NotSetUp: there is no git.
            GitFailed: it was killed.
        """
        try:
            answer = self._ask(args, stdin, env, timeout_s)
        except GitCommandNotFound as error:
            if self.cwd.is_dir():
                raise NotSetUp("git is not on PATH", mend="Install git 2.38 or newer.") from error
            raise GitFailed(f"{self.cwd} is not there any more") from error
        if answer.code < 0 and timeout_s is None:
            raise GitFailed(f"git {args[0]} was killed in {self.cwd} (signal {-answer.code})")
        if writes(args):
            failpoints.passed("git", args[0], through=THROUGH)
        return answer

    def _ask(
        self, args: tuple[str, ...], stdin: bytes | None, env: Mapping[str, str] | None, timeout_s: float | None
    ) -> Answer:
        options = [part for item in (*SAFE_CONFIG, *self.config) for part in ("-c", item)]
        environment = {**ENVIRONMENT, **self.env, **(env or {})}
        with nullcontext() if stdin is None else _readable(stdin) as given, unblocked(self.tree):
            code, out, err = cast(
                "tuple[int, bytes, str | bytes]",
                GitCommand(self.cwd).execute(
                    ["git", *options, *args],
                    istream=given,
                    with_extended_output=True,
                    with_exceptions=False,
                    stdout_as_string=False,
                    strip_newline_in_stdout=False,
                    kill_after_timeout=timeout_s,
                    env=environment,
                ),
            )
        return Answer(code, os.fsdecode(out), os.fsdecode(err))

    def run(
        self,
        *args: str,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> str:
        """Run a git command that has to work and return its output, trimmed.

        Raises:
            GitFailed: it did not.
        """
        answer = self.ask(*args, stdin=stdin, env=env, timeout_s=timeout_s)
        if not answer.ok:
            raise GitFailed(f"git {args[0]} failed in {self.cwd} (exit {answer.code})", stderr=answer.err)
        return answer.line

    def with_config(self, *config: str) -> Git:
        return Git(self.cwd, (*self.config, *config), self.env, self.tree)
