"""Words of hostile people, at each door by which they reach git: nothing of theirs is run, read or written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from gitworld import KEY, World, git
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ticketd.domain import values
from ticketd.domain.settingsfile import parse_settings
from ticketd.domain.values import Fault
from ticketd.errors import BadInput
from ticketd.git import checkup, repository
from ticketd.git.door import Git
from ticketd.git.push import push
from ticketd.git.target import RemoteTarget, check_url
from ticketd.ports import Identity, Unreachable

COMMANDS = [
    "ext::sh -c 'touch% {canary}'",
    "fd::17/foo",
    "--upload-pack=touch {canary};",
    "--receive-pack=touch {canary};",
    "-oProxyCommand=touch {canary}",
    "ssh://-oProxyCommand=touch%20{canary}/x",
    "-oProxyCommand=x@host:path",
    "a@-oProxyCommand=touch {canary}:x",
    "--output={canary}",
    "--exec=touch {canary}",
    "-c core.sshCommand=touch {canary}",
    "$(touch {canary})",
    "`touch {canary}`",
    "; touch {canary}",
    "main\ntouch {canary}",
    "x://touch {canary}",
    "file://../x",
    "main:refs/heads/other",
    "+main",
    "refs/heads/main^{{commit}}",
    "@{{-1}}",
    "../../{canary}",
    "-",
    "--",
    "--all",
    "--mirror",
]


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A remote helper of that name is there to be run, and an ssh that takes commands as its options."""
    canary, programs = tmp_path / "canary", tmp_path / "bin"
    programs.mkdir()
    leave = f'echo "$0 $@" >> {canary}'
    (programs / "git-remote-x").write_text(f"#!/bin/sh\n{leave}\nexit 1\n")
    (programs / "ssh").write_text(f'#!/bin/sh\ncase "$1" in -oProxy*) {leave};; esac\nexit 1\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    yield [command.format(canary=canary) for command in COMMANDS]
    assert not canary.exists(), canary.read_text()


def test_a_remotes_address_runs_nothing(world: World, hostile: list[str]) -> None:
    """Also one that passes the first look: git itself refuses what is no transport of its own."""
    for url in hostile:
        try:
            target = RemoteTarget(world.control, url, url, "main", timeout_s=30)
        except BadInput as error:
            assert "is not a URL to land on" in error.what
        else:
            assert isinstance(target.tip(), Unreachable), url


def test_a_remotes_address_in_the_users_configuration_runs_nothing_for_doctor_and_push(
    world: World, hostile: list[str]
) -> None:
    for url in hostile:
        git(world.user, "config", "remote.origin.url", url)
        assert checkup.target_tip(world.user, "origin", "main").tip is None, url
        assert push(world.user, "origin", "main").code == 1, url


def test_a_name_of_the_configuration_is_refused_or_only_a_name(world: World, hostile: list[str]) -> None:
    before = git(world.user, "for-each-ref")
    for name in hostile:
        for key, check in (("remote", values.remote), ("branch", values.branch)):
            try:
                check(name)
            except Fault:
                problems = parse_settings(
                    "ticketd.toml", f"[target]\n{key} = {values.quoted(name)}\n".encode()
                ).problems
                assert [(p.file, p.line) for p in problems] == [("ticketd.toml", 2)]
        assert checkup.target_tip(world.user, name, name).tip is None
        assert repository.remote_url(world.user, name) is None
    assert git(world.user, "for-each-ref") == before


def test_a_commits_words_its_author_and_its_files_are_only_words(world: World, hostile: list[str]) -> None:
    """What agents and tickets name is kept, compared and pushed under just that name."""
    base = git(world.user, "rev-parse", "HEAD")
    world.pool.prepare("1", base, "ticketd/fix-it/1", keep_ignored=False)
    names = sorted(name.replace("/", "_") for name in hostile)
    for name in names:
        (world.pool.path("1") / name).write_text("x")
    assert sorted(world.pool.look("1", base, base).written) == names
    message, by = "\n".join(hostile), Identity(hostile[0], "ada@example.org")
    kept = world.pool.keep("1", KEY, base, message, by)
    assert sorted(kept.changed) == sorted(world.control.changed(base, kept.tip)) == names
    assert git(world.control.path, "log", "-1", "--format=%B", kept.tip).split() == message.split()
    assert sorted(each.path for each in world.control.added(base, kept.tip)) == ["", *names]
    world.target.push(kept.tip, base)
    assert world.target.tip() == kept.tip


@given(st.text(max_size=30))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_passes_as_an_id_or_a_branch_git_takes_for_a_name(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    here = Git(tmp_path_factory.getbasetemp())
    for check, ref in ((values.ticket_id, "refs/ticketd/{}/1"), (values.branch, "refs/heads/{}")):
        try:
            name = check(text)
        except Fault:
            continue
        assert here.ask("check-ref-format", ref.format(name)).ok, name
        assert not name.startswith("-")


@pytest.mark.parametrize(
    "url",
    [
        "host:path",
        "a@host:path",
        "/path",
        "../path",
        "https://a:b@host/x",
        "ssh://a@h/x",
        "file:///x",
        "c:/x",
        "https://[::1]/x",
    ],
)
def test_addresses_of_the_usual_kinds_pass(url: str) -> None:
    assert check_url(url) == url


def test_a_refused_address_is_told_without_its_password() -> None:
    with pytest.raises(BadInput) as refused:
        check_url("https://me:hunter-two@-host/x")
    assert "hunter-two" not in str(refused.value)
