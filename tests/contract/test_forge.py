"""What every forge promises, asked of each by its program's stand-in."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from forge_yard import FakeForge, git, make_forge
from ticketd.domain.settings import ForgeName
from ticketd.forges import forge_of, slug
from ticketd.forges.program import Program
from ticketd.ports import Forge, Pull, PullState, Refused, Unreachable

VERBS = {"gh": ("pr list", "pr create"), "glab": ("mr list", "mr create")}


@pytest.fixture(params=["gh", "glab"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def fake(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> FakeForge:
    origin = tmp_path / "origin.git"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(origin))
    git(tmp_path, "clone", "-q", str(origin), str(tmp_path / "user"))
    user = tmp_path / "user"
    git(user, "commit", "-q", "--allow-empty", "-m", "first")
    git(user, "push", "-q", "origin", "HEAD:main", "HEAD:ticketd/one", "HEAD:ticketd/two")
    fake = make_forge(tmp_path / "bin", origin, name)
    monkeypatch.setenv("PATH", f"{fake.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FORGE_STATE", str(fake.state))
    return fake


@pytest.fixture
def forge(fake: FakeForge, tmp_path: Path) -> Forge:
    made = forge_of(ForgeName.AUTO, str(fake.origin), tmp_path / "user", os.environ)
    assert not isinstance(made, Refused), made
    return made


def the_pull(forge: Forge, branch: str = "ticketd/one") -> Pull:
    pulls = forge.pulls(branch, "main")
    assert isinstance(pulls, tuple), pulls
    (pull,) = pulls
    return pull


def test_what_was_opened_is_found_by_its_branch_and_only_by_that(forge: Forge, fake: FakeForge) -> None:
    assert forge.pulls("ticketd/one", "main") == ()
    assert forge.open("ticketd/one", "main", "One", "its body\n") is None
    assert forge.open("ticketd/two", "main", "Two", "") is None
    pull = the_pull(forge)
    head = git(fake.origin, "rev-parse", "main")
    assert pull == Pull(1, "https://forge.test/pull/1", PullState.OPEN, head, pull.merged_as)
    assert forge.pulls("ticketd/one", "other") == ()


def test_texts_come_through_as_they_are_and_are_no_options(forge: Forge, fake: FakeForge) -> None:
    title, body = "--base=elsewhere $(rm) 'x' ü", '--yes\n\n`x` "y" \\ /merge\n'
    assert forge.open("ticketd/one", "main", title, body) is None
    (pull,) = fake.pulls()
    assert (pull["title"], pull["body"], pull["base"]) == (title, body, "main")


def test_a_second_one_of_the_same_branch_is_not_opened(forge: Forge) -> None:
    assert forge.open("ticketd/one", "main", "One", "") is None
    assert isinstance(forge.open("ticketd/one", "main", "One", ""), Refused | Unreachable)
    the_pull(forge)


def test_merged_and_closed_ones_are_still_told(forge: Forge, fake: FakeForge) -> None:
    forge.open("ticketd/one", "main", "One", "")
    fake.close(1)
    assert the_pull(forge).state is PullState.CLOSED
    forge.open("ticketd/two", "main", "Two", "")
    sha = "d" * 40
    fake.change(2, state="merged", merged_as=sha)
    pull = the_pull(forge, "ticketd/two")
    assert (pull.state, pull.merged_as[0]) == (PullState.MERGED, sha)


def test_one_that_cannot_be_merged_as_it_is_is_told_as_stuck(forge: Forge, fake: FakeForge) -> None:
    forge.open("ticketd/one", "main", "One", "")
    assert not the_pull(forge).is_stuck
    fake.change(1, stuck=True)
    assert the_pull(forge).is_stuck


def test_a_fork_that_has_a_branch_of_that_name_is_passed_over(forge: Forge, fake: FakeForge) -> None:
    forge.open("ticketd/one", "main", "One", "")
    fake.change(1, cross=True)
    assert forge.pulls("ticketd/one", "main") == ()


@pytest.mark.parametrize("merged_as", ["--output=/tmp/x", "HEAD", "D" * 40])
def test_what_is_not_the_name_of_a_commit_does_not_come_to_git(forge: Forge, fake: FakeForge, merged_as: str) -> None:
    forge.open("ticketd/one", "main", "One", "")
    fake.change(1, state="merged", merged_as=merged_as)
    assert merged_as not in the_pull(forge).merged_as


@pytest.mark.parametrize(
    ("says", "code", "kind"),
    [
        ("error connecting to forge.test", 1, Unreachable),
        ("HTTP 502: Bad Gateway", 1, Unreachable),
        ("HTTP 403: API rate limit exceeded", 1, Unreachable),
        ("GraphQL: Something went wrong while executing your query", 1, Unreachable),
        ("HTTP 422: Validation Failed", 1, Refused),
        ("GraphQL: No commits between main and x (createPullRequest)", 1, Refused),
        ("To get started, please run:  auth login", 4, Refused),
        ("fatal: https://ada:secret@forge.test/x is gone", 1, Unreachable),
    ],
)
def test_a_failure_is_final_or_not_and_keeps_secrets(
    forge: Forge, fake: FakeForge, name: str, says: str, code: int, kind: type[Refused | Unreachable]
) -> None:
    for verb in VERBS[name]:
        fake.fail(verb, says, code)
        answer = forge.pulls("ticketd/one", "main") if "list" in verb else forge.open("ticketd/one", "main", "One", "")
        assert isinstance(answer, kind)
        assert says.split("ada:secret@")[0] in answer.detail
        assert "secret" not in answer.detail


def test_an_answer_that_is_none_is_not_believed(forge: Forge, fake: FakeForge, name: str) -> None:
    for answer in ("hello", '{"number": 1}', "[1]", '[{"number": 1}]', '[{"iid": 1}]'):
        (fake.folder / name).write_text(f"#!/bin/sh\necho '{answer}'\n")
        assert isinstance(forge.pulls("ticketd/one", "main"), Unreachable), answer


def test_a_program_that_hangs_is_ended_with_all_it_has_started(fake: FakeForge, name: str, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    (fake.folder / name).write_text(f"#!/bin/sh\nsleep 1000 &\necho $! > {alive}\nwait\n")
    program = Program(name, tmp_path, os.environ, timeout_s=3.0)
    assert isinstance(program.ask("pr", "list"), Unreachable)
    give_up_at = time.monotonic() + 30
    while not is_gone(int(alive.read_text())):  # a signal takes its time
        assert time.monotonic() < give_up_at


def is_gone(pid: int) -> bool:
    """Or dead, and not yet taken note of by its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


# --- which one ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://github.com/acme/shop.git", "github.com/acme/shop"),
        ("https://ada:token@gitlab.acme.com:8443/team/sub/shop", "gitlab.acme.com/team/sub/shop"),
        ("git@github.com:acme/shop.git", "github.com/acme/shop"),
        ("ssh://git@gitlab.com:2222/acme/shop.git", "gitlab.com/acme/shop"),
        ("git@work:acme/shop.git", None),
        ("/srv/git.d/shop.git", None),
        ("../shop.git", None),
    ],
)
def test_the_project_is_read_from_the_remote(url: str, told: str | None) -> None:
    assert slug(url) == told


def test_the_project_is_told_to_the_program(fake: FakeForge, name: str, tmp_path: Path) -> None:
    forge = forge_of(ForgeName(name), "git@forge.test:acme/shop.git", tmp_path, os.environ)
    assert not isinstance(forge, Refused)
    forge.pulls("ticketd/one", "main")
    where = {"gh": "--repo=forge.test/acme/shop", "glab": "--repo=https://forge.test/acme/shop"}[name]
    assert where in fake.read()["calls"][-1]


def test_the_host_chooses_the_program_and_one_that_is_missing_is_named(tmp_path: Path) -> None:
    both, none = make_forge(tmp_path / "both", tmp_path, "gh", "glab"), {"PATH": str(tmp_path / "nowhere")}
    here = {"PATH": str(both.folder)}
    hub, lab, plain = (f"https://{host}/a/b" for host in ("github.com", "gitlab.com", "git.acme.com"))
    assert type(forge_of(ForgeName.AUTO, hub, tmp_path, here)).__name__ == "Gh"
    assert type(forge_of(ForgeName.AUTO, lab, tmp_path, here)).__name__ == "Glab"
    assert type(forge_of(ForgeName.GLAB, plain, tmp_path, here)).__name__ == "Glab"
    neither = forge_of(ForgeName.AUTO, plain, tmp_path, here)
    assert isinstance(neither, Refused) and "both" in neither.detail
    for name, url, environ in ((ForgeName.AUTO, plain, here), (ForgeName.AUTO, plain, none), (ForgeName.GH, hub, none)):
        refused = forge_of(name, url, tmp_path, environ)
        assert isinstance(refused, Refused) and "gh" in refused.detail
