"""What the command line of a running `git push` says.

git leaves a ref that it will reject out of the list that it hands to the hook, so an empty list may mean "main is
about to be rejected" or "all is up to date", and nothing tells the hook of `--dry-run`. The process that runs the hook
knows both. Read from /proc where there is one; elsewhere the hook has to do without.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

# Options of `git push` whose value is the next argument.
WITH_VALUE = {"-o", "--push-option", "--repo", "--receive-pack", "--exec"}
# What goes ahead although the remote has more, and what removes: no rebase is wanted there.
FORCING = ("-f", "--force", "--force-with-lease", "--mirror", "-d", "--delete")
GENERATIONS = 8


@dataclass(frozen=True, slots=True)
class PushCommand:
    """`refspecs` is empty when the configuration decides what is pushed. `where`: the directory that git works in."""

    refspecs: tuple[str, ...] = ()
    dry_run: bool = False
    forced: bool = False
    where: Path | None = None

    def sources_of(self, branch: str, checked_out: str) -> tuple[str, ...]:
        """What is pushed to `branch`, in the words of the command. A bare `HEAD` goes to its branch's namesake."""
        pairs = [spec.removeprefix("+").partition(":")[::2] for spec in self.refspecs]
        named = [(source, to or (checked_out if source in ("HEAD", "@") else source)) for source, to in pairs]
        return tuple(source for source, to in named if source and short(to) == branch)


def short(name: str) -> str:
    return name.removeprefix("refs/").removeprefix("heads/")


def parse_push_command(argv: list[str]) -> PushCommand | None:
    """None unless this is a `git push`."""
    if not argv or Path(argv[0]).name != "git" or "push" not in argv:
        return None
    options, words = _options_and_words(argv[argv.index("push") + 1 :])
    refspecs = (*words[1:], *(("refs/tags/*",) if "--tags" in options else ()))
    return PushCommand(
        refspecs=refspecs,
        dry_run=any(option in ("-n", "--dry-run") for option in options),
        forced=any(word.startswith("+") for word in refspecs)
        or any(option.split("=")[0] in FORCING for option in options),
    )


def _options_and_words(arguments: list[str]) -> tuple[list[str], list[str]]:
    options: list[str] = []
    words: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            words.extend(rest)
        elif argument.startswith("-"):
            options.extend(_apart(argument))
            if argument in WITH_VALUE:
                next(rest, "")
        else:
            words.append(argument)
    return options, words


def _apart(option: str) -> list[str]:
    """`-nv` is `-n -v`; but what follows an `o` is its value."""
    if option.startswith("--") or len(option) <= 2:
        return [option]
    return [f"-{letter}" for letter in option[1:].partition("o")[0]]


def running_push(proc: Path = Path("/proc")) -> PushCommand | None:
    """The nearest `git push` among the ancestors of this process: other hook managers may stand in between."""
    pid = os.getppid()
    for _ in range(GENERATIONS):
        try:
            argv = os.fsdecode((proc / str(pid) / "cmdline").read_bytes()).split("\0")[:-1]
            status = (proc / str(pid) / "stat").read_text(errors="replace")
        except OSError:
            return None
        if found := parse_push_command(argv):
            return replace(found, where=_directory(proc / str(pid)))
        pid = int(status.rpartition(")")[2].split()[1])
    return None


def _directory(process: Path) -> Path | None:
    try:
        return (process / "cwd").readlink()
    except OSError:
        return None
