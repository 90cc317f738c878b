"""`ticketd push` between real repositories."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from ticketd.cli.push import push as push_command
from ticketd.errors import BadInput, NotSetUp
from ticketd.git.hook import install
from ticketd.git.push import TRIES, PushAnswer, push


@dataclass
class World:
    """A bare origin, the person's clone on branch `work` with one commit of its own, and somebody else's clone."""

    root: Path

    @property
    def origin(self) -> Path:
        return self.root / "origin.git"

    @property
    def mine(self) -> Path:
        return self.root / "mine"

    @property
    def theirs(self) -> Path:
        return self.root / "theirs"

    @property
    def pre_push(self) -> Path:
        return self.mine / ".git" / "hooks" / "pre-push"

    @property
    def main(self) -> str:
        return self.sha("refs/heads/main", self.origin)

    def git(self, *args: str, cwd: Path | None = None) -> str:
        done = subprocess.run(["git", *args], cwd=cwd or self.mine, capture_output=True, text=True)
        assert done.returncode == 0, f"git {args}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def sha(self, name: str = "HEAD", cwd: Path | None = None) -> str:
        return self.git("rev-parse", name, cwd=cwd)

    def commit(self, path: str, text: str = "x\n", cwd: Path | None = None) -> str:
        ((cwd or self.mine) / path).write_text(text)
        self.git("add", "--", path, cwd=cwd)
        self.git("commit", "-qm", f"change {path}", cwd=cwd)
        return self.sha(cwd=cwd)

    def somebody_pushes(self, path: str = "other.txt", text: str = "other\n") -> str:
        self.git("pull", "-q", "--ff-only", cwd=self.theirs)
        sha = self.commit(path, text, self.theirs)
        self.git("push", "-q", "origin", "main", cwd=self.theirs)
        return sha

    def push(self, *options: str, cwd: Path | None = None, dry_run: bool = False) -> PushAnswer:
        return push(cwd or self.mine, "origin", "main", options, dry_run=dry_run)

    def is_refused(self) -> str:
        """A push that changes nothing, here or there; returns what it says."""
        before = (
            self.sha(),
            self.main,
            self.git("status", "--porcelain=v2", "--branch", "--show-stash").splitlines()[1:3],
        )
        answer = self.push()
        assert answer.code == 1
        assert "\n" not in answer.message
        after = (
            self.sha(),
            self.main,
            self.git("status", "--porcelain=v2", "--branch", "--show-stash").splitlines()[1:3],
        )
        assert after == before
        assert not list((self.mine / ".git").glob("rebase-*"))
        return answer.message


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    for name in [name for name in os.environ if name.startswith(("GIT_", "TICKETD_", "XDG_"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[user]\n\tname = A Person\n\temail = person@example.invalid\n[init]\n\tdefaultBranch = main\n"
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    world = World(tmp_path)
    world.git("init", "-q", "--bare", str(world.origin), cwd=tmp_path)
    world.git("clone", "-q", str(world.origin), str(world.theirs), cwd=tmp_path)
    world.git("config", "user.name", "Somebody Else", cwd=world.theirs)
    world.commit("shared.txt", "one\n", world.theirs)
    world.git("push", "-q", "origin", "main", cwd=world.theirs)
    world.git("clone", "-q", str(world.origin), str(world.mine), cwd=tmp_path)
    world.git("switch", "-q", "--no-track", "-c", "work", "origin/main")
    world.commit("mine.txt", "mine\n")
    return world


# What it does


def test_a_stale_branch_is_rebased_and_pushed_in_one_command(world: World) -> None:
    theirs = world.somebody_pushes()
    answer = world.push()
    assert answer.code == 0
    assert answer.message == f"pushed 1 commit to origin/main ({theirs[:7]}..{world.sha()[:7]})"
    assert world.main == world.sha("work") == world.sha("origin/main")
    assert world.sha("work~1") == theirs
    assert world.git("branch", "--show-current") == "work"


def test_a_branch_that_is_up_to_date_is_pushed_as_it_is(world: World) -> None:
    before = world.sha()
    assert world.push().code == 0
    assert world.main == world.sha() == before


def test_uncommitted_changes_do_not_keep_a_branch_that_needs_no_rebase(world: World) -> None:
    (world.mine / "shared.txt").write_text("not committed\n")
    assert world.push().code == 0
    assert (world.mine / "shared.txt").read_text() == "not committed\n"


def test_nothing_to_push_is_success(world: World) -> None:
    world.push()
    before = world.sha()
    world.somebody_pushes()
    answer = world.push()
    assert (answer.code, answer.message.partition(":")[0]) == (0, "nothing to push")
    assert world.sha() == before


def test_commits_that_somebody_else_has_landed_are_dropped(world: World) -> None:
    theirs = world.somebody_pushes("mine.txt", "mine\n")
    answer = world.push()
    assert (answer.code, answer.message.partition(":")[0]) == (0, "nothing to push")
    assert world.sha() == world.main == theirs


def test_it_works_from_a_subdirectory_and_from_a_linked_worktree(world: World) -> None:
    (world.mine / "deep").mkdir()
    world.somebody_pushes()
    assert world.push(cwd=world.mine / "deep").code == 0
    linked = world.root / "linked"
    world.git("worktree", "add", "-q", "-b", "linked", str(linked), "work")
    world.commit("linked.txt", cwd=linked)
    world.somebody_pushes("another.txt")
    assert world.push(cwd=linked).code == 0
    assert world.main == world.sha("linked")


def test_the_target_s_namesake_can_be_pushed_too(world: World) -> None:
    world.git("switch", "-q", "main")
    world.commit("on-main.txt")
    world.somebody_pushes()
    assert world.push().code == 0
    assert world.main == world.sha("main")


def test_a_remote_without_the_branch_gets_it(world: World) -> None:
    world.git("init", "-q", "--bare", str(world.root / "empty.git"))
    world.git("remote", "set-url", "origin", str(world.root / "empty.git"))
    assert world.push(dry_run=True).message == "would create origin/main"
    assert world.push().message.startswith("created origin/main")
    assert world.sha("refs/heads/main", world.root / "empty.git") == world.sha()


def test_stash_configuration_and_other_branches_stay_as_they_are(world: World) -> None:
    world.git("config", "rebase.autoStash", "true")
    world.git("config", "rebase.updateRefs", "true")
    world.git("config", "push.autoSetupRemote", "true")
    (world.mine / "shared.txt").write_text("stashed\n")
    world.git("stash", "-q")
    world.git("branch", "stacked")
    kept = world.sha("stash"), world.sha("stacked"), (world.mine / ".git" / "config").read_bytes()
    world.somebody_pushes()
    assert world.push().code == 0
    assert (world.sha("stash"), world.sha("stacked"), (world.mine / ".git" / "config").read_bytes()) == kept


# What keeps it from pushing


def test_a_conflict_leaves_everything_as_it_was(world: World) -> None:
    world.commit("shared.txt", "mine\n")
    world.somebody_pushes("shared.txt", "theirs\n")
    said = world.is_refused()
    assert "conflicts with origin/main" in said
    assert "in shared.txt;" in said
    assert "git rebase origin/main" in said


def test_uncommitted_changes_keep_a_stale_branch_from_being_pushed(world: World) -> None:
    (world.mine / "shared.txt").write_text("not committed\n")
    world.somebody_pushes()
    assert "uncommitted changes" in world.is_refused()


def test_a_detached_head_is_not_pushed(world: World) -> None:
    world.git("checkout", "-q", "--detach")
    assert "HEAD is detached" in world.is_refused()


@pytest.mark.parametrize("stale", [False, True])
def test_merge_commits_are_not_pushed(world: World, stale: bool) -> None:
    world.git("switch", "-q", "-c", "side", "HEAD~1")
    world.commit("side.txt")
    world.git("switch", "-q", "work")
    world.git("merge", "-q", "--no-ff", "--no-edit", "side")
    if stale:
        world.somebody_pushes()
    assert "merge commits" in world.is_refused()


def test_a_history_without_anything_in_common_is_not_pushed(world: World) -> None:
    world.git("checkout", "-q", "--orphan", "alien")
    world.git("commit", "-qm", "alien")
    assert "no history in common" in world.is_refused()


def test_a_remote_that_cannot_be_reached_is_named_with_git_s_own_word(world: World) -> None:
    world.git("remote", "set-url", "origin", str(world.root / "gone.git"))
    answer = world.push()
    assert answer.code == 1
    assert answer.message.startswith("could not fetch origin/main: fatal: ")


def test_a_server_that_refuses_is_quoted(world: World) -> None:
    script(world.origin / "hooks" / "pre-receive", "echo 'only on weekdays' >&2; exit 1")
    before = world.main
    answer = world.push()
    assert answer.code == 1
    assert answer.message == "origin/main was not pushed: remote: only on weekdays"
    assert "pre-receive hook declined" in answer.said
    assert world.main == before


def test_without_a_remote_there_is_nowhere_to_push(world: World) -> None:
    with pytest.raises(BadInput, match="local branch"):
        push(world.mine, "", "main")
    with pytest.raises(BadInput, match="no remote upstream"):
        push(world.mine, "upstream", "main")
    with pytest.raises(NotSetUp):
        push(world.root, "origin", "main")


# The truth about what happened


def test_a_push_that_landed_although_its_connection_broke_is_a_success(world: World) -> None:
    script(world.origin / "hooks" / "post-receive", "kill -9 $PPID")
    assert world.push().code == 0
    assert world.main == world.sha()


def test_a_server_that_accepts_without_moving_the_branch_is_a_failure(world: World) -> None:
    before = world.main
    script(world.origin / "hooks" / "post-receive", f"git update-ref refs/heads/main {before}")
    answer = world.push()
    assert answer.code == 1
    assert "does not contain HEAD" in answer.message


def somebody_is_faster(world: World, times: int) -> None:
    """Somebody else's commits land between our fetch and our push: a pre-push hook runs right there."""
    for number in range(times):
        world.git("branch", "-f", f"race{number}", "HEAD", cwd=world.theirs)
        world.commit(f"race{number}.txt", cwd=world.theirs)
    script(
        world.pre_push,
        f"""cd '{world.theirs}' && unset $(git rev-parse --local-env-vars)
next=$(git rev-list --reverse origin/main..main | head -n 1)
[ -z "$next" ] || git push -q --no-verify origin "$next:main" """,
    )


@pytest.mark.parametrize("races", [1, TRIES - 1])
def test_a_lost_race_is_run_again(world: World, races: int) -> None:
    somebody_is_faster(world, races)
    assert world.push().code == 0
    assert world.main == world.sha()
    assert world.git("rev-list", "--count", "--merges", "main", cwd=world.origin) == "0"
    assert world.git("rev-list", "--count", "main", cwd=world.origin) == str(2 + races)


def test_a_race_that_is_lost_again_and_again_ends_with_the_truth(world: World) -> None:
    somebody_is_faster(world, TRIES)
    answer = world.push()
    assert answer.code == 1
    assert "moved during each of" in answer.message
    assert world.main == world.sha("main", world.theirs)


# Hooks and options


def test_the_person_s_own_hook_runs_once_and_ours_stands_back(world: World) -> None:
    script(world.pre_push, f"echo ran with $TICKETD_PUSH >> '{world.root}/ran'; cat >> '{world.root}/ran'")
    install(world.mine)
    theirs = world.somebody_pushes()
    assert world.push().code == 0
    assert (world.root / "ran").read_text() == f"ran with 1\n{world.sha()} {world.sha()} refs/heads/main {theirs}\n"


def test_the_person_s_own_hook_can_refuse(world: World) -> None:
    script(world.pre_push, "echo tests are red >&2; exit 1")
    before = world.main
    answer = world.push()
    assert answer.code == 1
    assert "tests are red" in answer.said
    assert world.main == before
    assert world.push("--no-verify").code == 0
    assert world.main == world.sha()


def test_hooks_in_another_directory_run_too(world: World) -> None:
    script(world.mine / "own-hooks" / "pre-push", "exit 1")
    world.git("config", "core.hooksPath", "own-hooks")
    assert world.push().code == 1


@pytest.mark.parametrize("stale", [False, True])
def test_a_dry_run_changes_nothing(world: World, stale: bool) -> None:
    if stale:
        world.somebody_pushes()
    before = world.sha(), world.main
    answer = world.push(dry_run=True)
    assert answer.code == 0
    assert answer.message.startswith("would rebase 1 commit of work onto" if stale else "would push 1 commit to")
    assert (world.sha(), world.main) == before


# The command line


def call(world: World, *args: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(push_command, list(args), obj={"repo": world.mine})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_the_command_says_one_line_and_exits_with_the_truth(world: World) -> None:
    world.somebody_pushes()
    code, out, err = call(world)
    assert (code, err) == (0, "")
    assert out.startswith("ticketd: pushed 1 commit to origin/main (")
    assert len(out.splitlines()) == 1


def test_the_command_fails_on_stderr(world: World) -> None:
    world.git("checkout", "-q", "--detach")
    assert call(world) == (1, "", "ticketd: HEAD is detached; check out a branch first; nothing was pushed\n")


def test_options_reach_git_push(world: World) -> None:
    world.git("config", "receive.advertisePushOptions", "true", cwd=world.origin)
    script(world.origin / "hooks" / "pre-receive", f"echo $GIT_PUSH_OPTION_0 > '{world.root}/option'")
    script(world.pre_push, "exit 1")
    code, _, err = call(world, "--no-verify", "-v", "-o", "ci.skip")
    assert code == 0
    assert "-> main" in err
    assert (world.root / "option").read_text() == "ci.skip\n"


@pytest.mark.parametrize("words", [["origin"], ["origin", "work:main"], ["HEAD:other"]])
def test_a_remote_or_a_refspec_is_refused(world: World, words: list[str]) -> None:
    before = world.main
    with pytest.raises(BadInput, match="no remote and no refspec"):
        call(world, *words)
    assert world.main == before


@pytest.mark.parametrize("option", ["--force", "-f", "--delete", "--all", "--mirror", "--tags", "--set-upstream"])
def test_options_that_would_do_something_else_are_refused(world: World, option: str) -> None:
    before = world.main
    assert call(world, option)[0] == 2
    assert world.main == before


def test_the_command_reads_the_target_from_ticketd_toml(world: World) -> None:
    (world.mine / "ticketd.toml").write_text('[target]\nremote = ""\n')
    with pytest.raises(BadInput, match="local branch main"):
        call(world)
