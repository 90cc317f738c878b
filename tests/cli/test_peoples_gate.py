"""The gate for people: `ticketd hook install --gate`, then plain pushes by real git."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ticketd.domain.pool import Stop
from ticketd.store import open_store

Done = subprocess.CompletedProcess[str]


@dataclass
class World:
    """A bare origin, a person's clone on main, and somebody else's."""

    root: Path

    @property
    def mine(self) -> Path:
        return self.root / "mine"

    @property
    def theirs(self) -> Path:
        return self.root / "theirs"

    @property
    def origin(self) -> Path:
        return self.root / "origin.git"

    def git(self, *args: str, where: Path | None = None, fails: bool = False, **environ: str) -> Done:
        done = subprocess.run(
            ["git", *args],
            cwd=where or self.mine,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode != 0) is fails, f"git {args} exited {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def ticketd(self, *args: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "ticketd", *args], cwd=self.mine, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout + done.stderr

    def commit(self, path: str, text: str = "x\n", where: Path | None = None) -> str:
        at = where or self.mine
        (at / path).write_text(text)
        self.git("add", "--", path, where=at)
        self.git("commit", "-qm", f"change {path}", where=at)
        return self.sha("HEAD", at)

    def somebody_pushes(self, path: str = "other", text: str = "other\n") -> str:
        self.git("pull", "-q", "--ff-only", where=self.theirs)
        sha = self.commit(path, text, self.theirs)
        self.git("push", "-q", "origin", "main", where=self.theirs)
        return sha

    def sha(self, name: str, where: Path | None = None) -> str:
        return self.git("rev-parse", name, where=where).stdout.strip()

    @property
    def main(self) -> str:
        return self.sha("refs/heads/main", self.origin)

    @property
    def subjects(self) -> list[str]:
        return self.git("log", "--reverse", "--format=%s", "main", where=self.origin).stdout.splitlines()

    @property
    def config(self) -> str:
        return (self.mine / ".git" / "config").read_text()

    def refuses(self, *push: str, **environ: str) -> str:
        """What it says; the remote and all refs here are as they were."""
        before = self.main, self.git("for-each-ref").stdout
        said = self.git("push", *push, fails=True, **environ).stderr
        assert (self.main, self.git("for-each-ref").stdout) == before
        return said


@pytest.fixture
def bare_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    world = World(tmp_path)
    world.git("init", "-q", "--bare", str(world.origin), where=tmp_path)
    world.git("clone", "-q", str(world.origin), str(world.theirs), where=tmp_path)
    world.commit("shared", "one\n", world.theirs)
    world.git("push", "-q", "origin", "main", where=world.theirs)
    world.git("clone", "-q", str(world.origin), str(world.mine), where=tmp_path)
    return world


@pytest.fixture
def world(bare_world: World) -> World:
    bare_world.ticketd("hook", "install", "--gate")
    return bare_world


# --- what lands ---


def test_a_plain_push_of_a_branch_that_is_behind_lands_and_moves_the_tracking_ref(world: World) -> None:
    mine = world.commit("mine")
    theirs = world.somebody_pushes()
    done = world.git("push")
    assert world.subjects == ["change shared", "change other", "change mine"]
    assert world.main == world.sha("origin/main") != mine
    assert f"{theirs[:7]}..{world.main[:7]}  main -> main" in done.stderr
    assert (world.sha("HEAD"), world.git("status", "--porcelain").stdout) == (mine, "")
    world.git("pull", "-q", "--rebase")
    assert world.sha("HEAD") == world.main


def test_a_push_that_only_goes_forward_lands_as_it_is(world: World) -> None:
    mine = world.commit("mine")
    world.git("push")
    assert world.main == mine == world.sha("origin/main")
    assert world.git("status", "-sb").stdout == "## main...origin/main\n"


def test_a_second_push_without_a_rebase_here_lands_only_what_is_new(world: World) -> None:
    world.commit("mine")
    world.somebody_pushes()
    world.git("push")
    world.git("push")
    world.commit("more")
    world.git("push", "--no-verify")
    assert world.subjects == ["change shared", "change other", "change mine", "change more"]


def test_the_other_branches_the_tags_and_what_is_named_go_to_the_remote_as_before(world: World) -> None:
    world.git("switch", "-q", "-c", "feature", "origin/main")
    tip = world.commit("mine")
    world.git("push", "-u", "origin", "feature")
    more = world.commit("more")
    world.git("push")
    world.git("tag", "v1")
    world.git("push", "origin", "v1")
    world.git("push", "origin", "HEAD~1:main")
    assert (world.sha("feature", world.origin), world.sha("v1", world.origin), world.main) == (more, more, tip)
    world.git("fetch", "--all", "-q")


def test_another_branch_lands_by_name(world: World) -> None:
    world.git("switch", "-q", "-c", "feature")
    tip = world.commit("mine")
    world.git("push", "ticketd", "HEAD:refs/for/main")
    assert world.main == tip


def test_what_was_landed_is_what_was_verified(world: World) -> None:
    (world.mine / "ticketd.toml").write_text('[landing]\nverify = [["test", "-f", "other"], ["test", "-f", "mine"]]\n')
    world.commit("mine")
    world.somebody_pushes()
    assert "verifying" in world.git("push").stderr
    assert world.subjects[-1] == "change mine"


def test_it_works_while_the_pool_is_told_to_stop(world: World) -> None:
    (world.mine / "ticketd.toml").write_text('[landing]\nverify = ["true"]\n')
    (world.mine / "tickets").mkdir()
    world.ticketd("status", "--json")
    store = open_store(next((world.root / "state" / "ticketd").glob("*/store.db")))
    store.ask_stop(Stop.NOW, 1.0)
    store.close()
    world.commit("mine")
    world.git("push")
    assert world.subjects[-1] == "change mine"


# --- what does not ---


def test_a_conflict_is_told_with_its_paths(world: World) -> None:
    world.somebody_pushes("shared", "theirs\n")
    world.commit("shared", "mine\n")
    assert "conflict with origin/main in shared: run git pull --rebase" in world.refuses()


def test_a_verification_that_fails_keeps_it_from_landing_and_shows_what_it_said(world: World) -> None:
    (world.mine / "ticketd.toml").write_text('[landing]\nverify = ["sh", "-c", "echo went wrong; exit 3"]\n')
    world.commit("mine")
    world.somebody_pushes()
    said = world.refuses()
    assert "remote: ticketd:   went wrong" in said
    assert "it fails: `sh -c echo went wrong; exit 3` failed: exit code 3" in said
    (world.mine / "ticketd.toml").write_text('[landing]\nverify = ["true"]\n')
    world.git("push")


def test_a_server_that_refuses_is_quoted(world: World) -> None:
    hook = world.origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho not today; exit 1\n")
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    world.commit("mine")
    said = world.refuses()
    assert "origin/main refuses it" in said and "not today" in said


def test_a_race_that_is_lost_is_run_again(world: World) -> None:
    """Somebody lands while the work is verified: once, by the verification itself."""
    race = world.root / "race.sh"
    race.write_text(
        f"test -e {world.root}/raced && exit 0\ntouch {world.root}/raced\ncd {world.theirs}\n"
        "git pull -q --ff-only && git commit -q --allow-empty -m faster && git push -q origin main\n"
    )
    (world.mine / "ticketd.toml").write_text(f'[landing]\nverify = ["sh", "{race}"]\n')
    world.commit("mine")
    done = world.git("push")
    assert world.subjects == ["change shared", "faster", "change mine"]
    assert done.stderr.count("verifying") == 2


@pytest.mark.parametrize(
    ("push", "why"),
    [
        (("--force",), "only fast-forwarded here"),
        (("ticketd", "+main:refs/for/main"), "only fast-forwarded here"),
        (("ticketd", "v1"), "tags go to the remote: git push origin v1"),
        (("ticketd", "main:refs/heads/main"), "only main lands here"),
        (("ticketd", "main:refs/for/other"), "only main lands here"),
    ],
)
def test_anything_else_is_refused_with_a_reason(world: World, push: tuple[str, ...], why: str) -> None:
    world.commit("mine")
    world.git("tag", "v1")
    assert why in world.refuses(*push)


def test_merges_are_not_flattened_behind_a_persons_back(world: World) -> None:
    world.commit("mine")
    world.somebody_pushes()
    world.git("pull", "-q", "--no-rebase", "--no-edit")
    world.somebody_pushes("again")
    assert "merge commits; make it linear first" in world.refuses()


def test_an_agent_does_not_land_by_this_gate(world: World) -> None:
    world.commit("mine")
    assert "this gate is for people" in world.refuses(TICKETD_TICKET="a", TICKETD_ATTEMPT="1")


def test_a_dry_run_changes_nothing(world: World) -> None:
    world.commit("mine")
    before = world.main
    world.git("push", "--dry-run")
    assert (world.main, world.sha("origin/main")) == (before, before)


def test_a_broken_configuration_and_a_remote_that_is_away_are_told(world: World) -> None:
    world.commit("mine")
    (world.mine / "ticketd.toml").write_text("slots = many\n")
    assert "ticketd.toml" in world.refuses()
    (world.mine / "ticketd.toml").write_text("")
    world.origin.rename(world.root / "away")
    said = world.git("push", fails=True).stderr
    assert "origin/main does not answer" in said


def test_a_gate_that_is_gone_takes_nothing_and_is_made_again(world: World) -> None:
    world.commit("mine")
    (gate,) = (world.root / "state" / "ticketd").glob("*/people.git")
    gate.rename(gate.with_name("moved"))
    world.refuses()
    world.ticketd("hook", "install", "--gate")
    world.git("push")
    assert world.subjects[-1] == "change mine"


# --- in and out ---


def test_it_is_taken_out_as_it_was_put_in(bare_world: World) -> None:
    before = bare_world.config
    bare_world.ticketd("hook", "install", "--gate")
    bare_world.ticketd("hook", "install", "--gate")
    assert json.loads(bare_world.ticketd("hook", "status", "--json"))["gate"].endswith("people.git")
    assert "people.git" in bare_world.ticketd("hook", "status")
    (control,) = (bare_world.root / "state" / "ticketd").glob("*/control.git")
    assert "removed the gate" in bare_world.ticketd("hook", "uninstall")
    assert bare_world.config == before
    assert bare_world.git("cat-file", "-t", bare_world.main, where=control).stdout == "commit\n"
    status = json.loads(bare_world.ticketd("hook", "status", "--json"))
    assert (status["gate"], status["state"]) == (None, "none")
    bare_world.commit("mine")
    bare_world.git("push")


def test_the_gate_goes_alone_where_only_that_is_asked(world: World) -> None:
    world.ticketd("hook", "uninstall", "--gate")
    status = json.loads(world.ticketd("hook", "status", "--json"))
    assert (status["gate"], status["state"]) == (None, "installed")
    assert "not installed" in world.ticketd("hook", "uninstall", "--gate")


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("remote.ticketd.url", "https://example.invalid/x", "there is a remote ticketd"),
        ("branch.main.pushRemote", "fork", "main is pushed to fork"),
    ],
)
def test_what_a_person_has_set_is_not_overwritten(bare_world: World, key: str, value: str, why: str) -> None:
    bare_world.git("config", key, value)
    before = bare_world.config
    assert why in bare_world.ticketd("hook", "install", "--gate", code=2)
    bare_world.ticketd("hook", "uninstall")
    assert bare_world.config == before


def test_without_a_remote_there_is_no_gate(bare_world: World) -> None:
    (bare_world.mine / "ticketd.toml").write_text('[target]\nremote = ""\n')
    assert "there is no remote" in bare_world.ticketd("hook", "install", "--gate", code=2)
