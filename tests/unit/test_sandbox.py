"""What bubblewrap is told: whatever the settings and the places, what must be hidden is, and the rest is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketd.domain.sandbox import Sandbox, Shown, fault_of, is_within, isolation_of, render, render_probe
from ticketd.domain.settings import Isolation, SandboxHome, SandboxMode, Settings, WorktreeSettings
from ticketd.domain.settingsfile import parse_settings

STATE, ROOT, TREE = "/home/u/.local/state/ticketd/p-1", "/home/u/p", "/home/u/.local/state/ticketd/p-1/worktrees/1"
PARTS = st.sampled_from(["home", "u", "p", ".local", "state", "ticketd", "p-1", "worktrees", "1", "2", "src", "x"])
PATHS = st.lists(PARTS, min_size=1, max_size=7).map(lambda parts: "/" + "/".join(parts))
LATER = ("--bind", "--ro-bind", "--bind-try", "--ro-bind-try", "--tmpfs")


def mounts(argv: Sequence[str]) -> Iterator[tuple[str, str | None, str]]:
    """Option, source, and where it is seen, as far as the command to run."""
    words = iter(argv[: argv.index("--")])
    for word in words:
        if word == "--tmpfs":
            yield word, None, next(words)
        elif word in LATER:
            yield word, next(words), next(words)


def seen(argv: Sequence[str], path: str) -> tuple[str, str] | None:
    """What is seen at a path: the mount's option and the real path behind it; None for nothing of the outside. Mounts
    below it do not count."""
    found = None
    for option, source, at in mounts(argv):
        if is_within(path, at):
            found = None if source is None else (option.removesuffix("-try"), source.rstrip("/") + path[len(at) :])
    return found


def sandbox(shown: Sequence[Shown]) -> Sandbox:
    own = (Shown(f"{STATE}/control.git/objects", f"{STATE}/control.git/objects", False), Shown(TREE, TREE, True))
    return Sandbox(tuple(shown), (Shown(ROOT, ROOT, False),), (STATE,), own, TREE)


@given(st.lists(st.tuples(PATHS, st.booleans()), max_size=6), PATHS)
def test_of_the_state_directory_only_its_own_is_seen_and_the_checkout_is_not_written(
    named: list[tuple[str, bool]], asked: str
) -> None:
    shown = [Shown(path, path, writable) for path, writable in named if not fault_of(path, writable, ROOT, STATE)]
    argv = render(sandbox([Shown("/home/u", f"{STATE}/homes/1", True), *shown]), ["true"])
    found = seen(argv, asked)
    if is_within(asked, TREE):
        assert found == ("--bind", asked)
    elif is_within(asked, STATE):
        assert found is None
    if found and is_within(found[1], ROOT):
        assert found[0] == "--ro-bind"
    if found and found[0] == "--bind" and not is_within(found[1], f"{STATE}/homes/1"):
        assert is_within(asked, TREE) or any(writable and is_within(asked, path) for path, writable in named)


@given(st.lists(st.tuples(PATHS, st.booleans()), max_size=6))
def test_what_is_named_deeper_counts_and_of_two_at_one_place_the_one_that_only_reads(
    named: list[tuple[str, bool]],
) -> None:
    elsewhere = [(path, writable) for path, writable in named if not (is_within(path, STATE) or is_within(STATE, path))]
    outside = [each for each in elsewhere if not (is_within(each[0], ROOT) or is_within(ROOT, each[0]))]
    argv = render(sandbox([Shown(path, path, writable) for path, writable in outside]), ["true"])
    for path, _ in outside:
        only_reads = any(path == other and not writable for other, writable in outside)
        assert seen(argv, path) == ("--ro-bind" if only_reads else "--bind", path)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_the_command_is_run_as_it_is_whatever_its_words(argv: list[str]) -> None:
    told = render(sandbox([]), argv)
    assert list(told[-len(argv) :]) == argv
    assert told[told.index("--") :][:3] == ("--", "env", "--default-signal=TERM")


def test_what_is_separate_is_so_in_every_sandbox() -> None:
    for argv in (render_probe(), render(sandbox([]), ["true"])):
        assert {"--unshare-pid", "--die-with-parent", "--cap-drop"} <= set(argv)
        assert argv[:2] == ("env", "--ignore-signal=TERM")


@pytest.mark.parametrize(
    ("path", "writable", "refused"),
    [
        (STATE, False, True),
        (f"{STATE}/store.db", False, True),
        (ROOT, False, False),
        (ROOT, True, True),
        (f"{ROOT}/src", True, True),
        ("/home/u", True, True),
        ("/home/u", False, False),
        ("/home/u/p-of-another", True, False),
        ("/home/u/.cache", True, False),
    ],
)
def test_a_path_that_holds_what_is_to_be_safe_is_not_shown(path: str, writable: bool, refused: bool) -> None:
    assert (fault_of(path, writable, ROOT, STATE) is not None) == refused


def test_a_slot_is_a_clone_where_the_sandbox_is_on_unless_somebody_wants_otherwise() -> None:
    assert isolation_of(Settings(), sandboxed=True) is Isolation.CLONE
    assert isolation_of(Settings(), sandboxed=False) is Isolation.WORKTREE
    linked = Settings(worktrees=WorktreeSettings(isolation=Isolation.WORKTREE))
    assert isolation_of(linked, sandboxed=True) is Isolation.WORKTREE


def test_the_keys_are_read() -> None:
    text = b"""[sandbox]
mode = "auto"
home = "read-only"
read = ["~/.nvm", "/opt/x/"]
[worktrees]
isolation = "clone"
"""
    parsed = parse_settings("ticketd.toml", text).settings
    assert parsed is not None
    assert (parsed.sandbox.mode, parsed.sandbox.home) == (SandboxMode.AUTO, SandboxHome.READ_ONLY)
    assert parsed.sandbox.read == ("~/.nvm", "/opt/x")
    assert parsed.worktrees.isolation is Isolation.CLONE


@pytest.mark.parametrize("path", ["", "/", "~/", "~", "src", "~ada/x", "/a/../b", "/a\\n", "//", "-x", "../x"])
def test_what_is_no_path_to_show_is_a_fault(path: str) -> None:
    parsed = parse_settings("ticketd.toml", f'[sandbox]\nread = ["{path}"]\n'.encode())
    assert parsed.settings is None
    assert parsed.problems[0].line == 2
