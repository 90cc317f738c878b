"""The pre-push hook under real pushes between real repositories."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from ticketd.cli.hook import hook as hook_command
from ticketd.errors import NotSetUp, TicketdError
from ticketd.git import hook_main, hook_run
from ticketd.git.hook import LINE, HookState, install, status, uninstall
from ticketd.git.hook_main import hook_code, target_of
from ticketd.git.hook_run import HookAnswer, run_hook
from ticketd.git.push_command import PushCommand, parse_push_command, running_push

reads_the_command_line = pytest.mark.skipif(
    not Path("/proc/self/cmdline").exists(), reason="the hook reads the push's command line from /proc"
)
Done = subprocess.CompletedProcess[str]


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
    def hooks(self) -> Path:
        return self.mine / ".git" / "hooks"

    def git(self, *args: str, cwd: Path | None = None, fails: bool = False, env: dict[str, str] | None = None) -> Done:
        done = subprocess.run(
            ["git", *args], cwd=cwd or self.mine, capture_output=True, text=True, env={**os.environ, **(env or {})}
        )
        assert (done.returncode != 0) is fails, f"git {args} exited {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def sha(self, name: str, cwd: Path | None = None) -> str:
        return self.git("rev-parse", name, cwd=cwd).stdout.strip()

    def commit(self, path: str, text: str, cwd: Path | None = None) -> str:
        at = cwd or self.mine
        (at / path).parent.mkdir(parents=True, exist_ok=True)
        (at / path).write_text(text)
        self.git("add", "--", path, cwd=at)
        self.git("commit", "-qm", f"change {path}", cwd=at)
        return self.sha("HEAD", at)

    def somebody_pushes(self, path: str = "other.txt", text: str = "other\n") -> str:
        self.git("pull", "-q", "--ff-only", cwd=self.theirs)
        sha = self.commit(path, text, self.theirs)
        self.git("push", "-q", "origin", "main", cwd=self.theirs)
        return sha

    @property
    def main(self) -> str:
        """Where main is at the origin."""
        return self.sha("refs/heads/main", self.origin)

    def work_is_unchanged_by(self, *push: str, at: str = "work", cwd: Path | None = None) -> Done:
        """A push that is stopped and leaves the branch, the files and the origin alone."""
        before = self.sha(at), self.files(cwd), self.main
        done = self.git(*push, fails=True, cwd=cwd)
        assert (self.sha(at), self.files(cwd), self.main) == before
        assert not list((self.mine / ".git").glob("**/rebase-*"))
        return done

    def files(self, cwd: Path | None = None) -> str:
        return self.git("status", "--porcelain=v2", "--branch", "--show-stash", cwd=cwd).stdout.replace(
            "# branch.ab", ""
        )


def told(done: Done) -> str:
    """The one line that the hook said."""
    assert "ticketd" not in done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("ticketd: ")]
    assert len(lines) == 1, done.stderr
    return lines[0].removeprefix("ticketd: ")


def silent(done: Done) -> bool:
    return "ticketd: " not in done.stdout + done.stderr


def script(path: Path, text: str, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return path


@pytest.fixture
def bare_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Without the hook."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "TICKETD_", "PRE_COMMIT", "XDG_", "HUSKY"))]:
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


@pytest.fixture
def world(bare_world: World) -> World:
    install(bare_world.mine)
    return bare_world


# A branch that has fallen behind


def test_a_stale_branch_is_rebased_and_the_same_push_then_goes_through(world: World) -> None:
    theirs = world.somebody_pushes()
    first = world.git("push", "origin", "work:main", fails=True)
    assert told(first) == (
        f"rebased 1 commit of work onto origin/main ({theirs[:7]}); push again: the same command will now go through"
    )
    assert world.main == theirs
    assert silent(world.git("push", "origin", "work:main"))
    assert world.main == world.sha("work")
    assert world.sha("work~1") == theirs


def test_the_message_counts_the_commits(world: World) -> None:
    world.commit("more.txt", "more\n")
    world.somebody_pushes()
    assert told(world.git("push", "origin", "HEAD:main", fails=True)).startswith("rebased 2 commits of work onto ")


def test_a_push_that_is_right_as_it_is_passes_in_silence(world: World) -> None:
    (world.mine / "shared.txt").write_text("not committed\n")
    assert silent(world.git("push", "origin", "work:main"))
    assert world.main == world.sha("work")
    assert not (world.mine / ".git" / "FETCH_HEAD").exists()  # it did not even ask the network


def test_the_target_s_namesake_is_rebased_by_a_plain_push(world: World) -> None:
    world.git("switch", "-q", "main")
    world.commit("on-main.txt", "x\n")
    world.somebody_pushes()
    assert told(world.git("push", fails=True)).startswith("rebased 1 commit of main onto origin/main ")
    world.git("push")
    assert world.main == world.sha("main")


def test_nothing_else_of_the_person_s_repository_is_touched(world: World) -> None:
    for name in ("post-checkout", "post-rewrite", "pre-rebase", "post-commit"):
        script(world.hooks / name, f"echo {name} >> '{world.root}/ran'")
    for setting in ("rebase.autoStash", "rebase.updateRefs", "rebase.autoSquash", "rerere.enabled"):
        world.git("config", setting, "true")
    world.git("config", "core.editor", "false")
    (world.mine / "shared.txt").write_text("stashed\n")
    world.git("stash", "-q")
    world.git("branch", "stacked")
    (world.mine / "untracked.txt").write_text("mine\n")
    kept = world.sha("stash"), world.sha("stacked"), (world.mine / ".git" / "config").read_bytes()
    world.somebody_pushes()
    told(world.git("push", "origin", "work:main", fails=True))
    assert (world.sha("stash"), world.sha("stacked"), (world.mine / ".git" / "config").read_bytes()) == kept
    assert (world.mine / "untracked.txt").read_text() == "mine\n"
    assert not (world.root / "ran").exists()
    assert not (world.mine / ".git" / "rr-cache").exists()


def test_a_person_who_signs_gets_signed_commits_back(world: World) -> None:
    fake = script(world.root / "gpg", "cat >/dev/null; echo SIGNED; echo '[GNUPG:] SIG_CREATED ' >&2")
    world.git("config", "gpg.program", str(fake))
    world.git("config", "commit.gpgSign", "true")
    world.somebody_pushes()
    told(world.git("push", "origin", "work:main", fails=True))
    assert "gpgsig SIGNED" in world.git("cat-file", "commit", "work").stdout


def test_the_rebased_commits_keep_the_committer_that_the_environment_names(world: World) -> None:
    world.somebody_pushes()
    env = {"GIT_COMMITTER_NAME": "From Env", "GIT_COMMITTER_EMAIL": "env@example.invalid"}
    told(world.git("push", "origin", "work:main", fails=True, env=env))
    assert world.git("log", "-1", "--format=%cn|%an", "work").stdout.strip() == "From Env|A Person"


def test_commits_that_have_landed_already_are_dropped_and_nothing_is_left_to_push(world: World) -> None:
    world.somebody_pushes("mine.txt", "mine\n")
    assert "all commits of work are in origin/main" in told(world.git("push", "origin", "work:main", fails=True))
    assert world.sha("work") == world.main
    world.git("push", "origin", "work:main")


def test_a_branch_without_commits_of_its_own_is_not_moved(world: World) -> None:
    world.git("reset", "-q", "--hard", "origin/main")
    world.somebody_pushes()
    line = told(world.work_is_unchanged_by("push", "origin", "work:main"))
    assert "nothing that origin/main" in line
    assert "git merge --ff-only origin/main" in line


def test_all_refs_of_a_push_wait_when_the_target_among_them_is_stale(world: World) -> None:
    world.git("branch", "feature")
    world.somebody_pushes()
    told(world.git("push", "origin", "feature", "work:main", fails=True))
    world.git("rev-parse", "--verify", "refs/heads/feature", cwd=world.origin, fails=True)
    world.git("push", "origin", "feature", "work:main")


def test_the_output_of_a_porcelain_push_stays_clean(world: World) -> None:
    world.somebody_pushes()
    done = world.git("push", "--porcelain", "origin", "work:main", fails=True)
    assert done.stdout == ""
    assert told(done)


def test_a_push_by_address_is_a_push_to_the_target_too(world: World) -> None:
    world.somebody_pushes()
    assert told(world.git("push", str(world.origin), "work:main", fails=True)).startswith("rebased")
    world.git("push", str(world.origin), "work:main")


# The empty list: the newer target is known already


@reads_the_command_line
@pytest.mark.parametrize("refspec", ["work:main", "HEAD:main", "HEAD:refs/heads/main"])
def test_a_stale_branch_is_rebased_when_the_newer_target_was_fetched_already(world: World, refspec: str) -> None:
    world.somebody_pushes()
    world.git("fetch", "-q")
    assert told(world.git("push", "origin", refspec, fails=True)).startswith(
        "rebased 1 commit of work onto origin/main"
    )
    world.git("push", "origin", refspec)
    assert world.main == world.sha("work")


def test_with_an_empty_list_the_target_s_namesake_is_rebased(world: World) -> None:
    world.git("switch", "-q", "main")
    world.commit("on-main.txt", "x\n")
    world.somebody_pushes()
    world.git("fetch", "-q")
    assert told(world.git("push", fails=True)).startswith("rebased 1 commit of main")
    world.git("push")


@reads_the_command_line
def test_with_an_empty_list_a_commit_that_is_not_head_is_left_alone(world: World) -> None:
    world.commit("more.txt", "more\n")
    world.somebody_pushes()
    world.git("fetch", "-q")
    assert "is not the checked-out branch" in told(world.work_is_unchanged_by("push", "origin", "HEAD~1:main"))


@reads_the_command_line
@pytest.mark.parametrize("refspecs", [["feature"], ["v1"], ["--tags"], ["feature:feature", "v1"]])
def test_an_empty_list_because_something_else_is_up_to_date_passes(world: World, refspecs: list[str]) -> None:
    world.git("branch", "feature")
    world.git("tag", "v1")
    world.git("push", "-q", "origin", "feature", "v1")
    world.git("switch", "-q", "main")
    before = world.commit("on-main.txt", "x\n")
    world.somebody_pushes()
    world.git("fetch", "-q")
    assert silent(world.git("push", "origin", *refspecs))
    assert world.sha("main") == before


def test_everything_up_to_date_passes_without_asking_the_network(world: World) -> None:
    world.git("push", "-q", "origin", "work:main")
    world.git("switch", "-q", "main")
    world.git("merge", "-q", "--ff-only", "work")
    assert "up-to-date" in world.git("push").stderr
    assert not (world.mine / ".git" / "FETCH_HEAD").exists()


def test_without_the_command_line_an_empty_list_counts_for_an_unpublished_branch_that_follows_the_target(
    world: World,
) -> None:
    world.git("branch", "-q", "--set-upstream-to=origin/main")
    world.somebody_pushes()
    world.git("fetch", "-q")
    assert ask(world).message.startswith("rebased 1 commit of work")


def test_without_the_command_line_an_empty_list_leaves_a_published_branch_alone(world: World) -> None:
    world.git("push", "-q", "origin", "work")
    world.git("branch", "-q", "--set-upstream-to=origin/main")
    world.somebody_pushes()
    before = world.sha("work")
    assert ask(world) == HookAnswer()
    assert world.sha("work") == before


def test_without_the_command_line_an_empty_list_leaves_a_branch_that_does_not_follow_the_target_alone(
    world: World,
) -> None:
    world.somebody_pushes()
    before = world.sha("work")
    assert ask(world) == HookAnswer()
    assert world.sha("work") == before


def ask(world: World, lines: str = "", command: PushCommand | None = None) -> HookAnswer:
    return run_hook(world.mine, "origin", str(world.origin), lines, "origin", "main", command)


# What keeps the hook from rebasing


def test_a_conflict_leaves_the_branch_as_it_was_and_names_the_files_and_the_command(world: World) -> None:
    world.commit("shared.txt", "mine\n")
    theirs = world.somebody_pushes("shared.txt", "theirs\n")
    line = told(world.work_is_unchanged_by("push", "origin", "work:main"))
    assert f"work conflicts with origin/main ({theirs[:7]}) in shared.txt;" in line
    assert "git rebase origin/main" in line


@pytest.mark.parametrize("staged", [False, True])
def test_uncommitted_changes_stop_the_push(world: World, staged: bool) -> None:
    (world.mine / "shared.txt").write_text("not committed\n")
    if staged:
        world.git("add", "shared.txt")
    world.somebody_pushes()
    assert "uncommitted changes; commit or stash" in told(world.work_is_unchanged_by("push", "origin", "work:main"))


def test_an_untracked_file_that_is_in_the_way_is_kept_and_named(world: World) -> None:
    (world.mine / "other.txt").write_text("precious\n")
    world.somebody_pushes("other.txt")
    line = told(world.work_is_unchanged_by("push", "origin", "work:main"))
    assert line.startswith("could not rebase work")
    assert "other.txt" in line
    assert (world.mine / "other.txt").read_text() == "precious\n"


@pytest.mark.parametrize("source", ["HEAD~1", "elsewhere", "a commit"])
def test_a_commit_that_is_not_the_checked_out_branch_stops_the_push(world: World, source: str) -> None:
    world.git("branch", "elsewhere")  # the same commit as HEAD, but the rebase would not move this name
    world.commit("more.txt", "more\n")
    if source == "elsewhere":
        world.git("reset", "-q", "--hard", "HEAD~1")
    name = world.sha("HEAD") if source == "a commit" else source
    world.somebody_pushes()
    done = world.work_is_unchanged_by("push", "origin", f"{name}:refs/heads/main")
    assert "is not the checked-out branch" in told(done)


def test_a_detached_head_stops_the_push(world: World) -> None:
    world.git("checkout", "-q", "--detach")
    world.somebody_pushes()
    assert "HEAD is detached" in told(world.work_is_unchanged_by("push", "origin", "HEAD:main"))


def test_merge_commits_stop_the_push(world: World) -> None:
    world.git("switch", "-q", "-c", "side", "HEAD~1")
    world.commit("side.txt", "x\n")
    world.git("switch", "-q", "work")
    world.git("merge", "-q", "--no-ff", "--no-edit", "side")
    world.somebody_pushes()
    assert "contains merge commits" in told(world.work_is_unchanged_by("push", "origin", "work:main"))


def test_a_merge_in_progress_stops_the_push(world: World) -> None:
    world.git("switch", "-q", "-c", "side", "HEAD~1")
    world.commit("side.txt", "x\n")
    world.git("switch", "-q", "work")
    world.git("merge", "-q", "--no-ff", "--no-commit", "side")
    world.somebody_pushes()
    assert "a merge is in progress" in told(world.work_is_unchanged_by("push", "origin", "work:main"))


def test_a_history_without_anything_in_common_stops_the_push(world: World) -> None:
    world.git("checkout", "-q", "--orphan", "alien")
    world.git("commit", "-qm", "alien")
    world.somebody_pushes()
    done = world.work_is_unchanged_by("push", "origin", "alien:main", at="alien")
    assert "no history in common" in told(done)


# Pushes that are none of its business


@pytest.mark.parametrize("stale", ["known", "unknown"])
@pytest.mark.parametrize(
    "push", [["work"], ["work:new"], ["v1"], ["annotated"], ["--delete", "doomed"], ["work:feature"], ["--tags"]]
)
def test_other_branches_tags_deletions_and_new_branches_pass_untouched(
    world: World, push: list[str], stale: str
) -> None:
    world.git("push", "-q", "origin", "HEAD~1:refs/heads/doomed", "HEAD~1:refs/heads/feature")
    world.git("tag", "v1")
    world.git("tag", "-m", "annotated", "annotated")
    world.somebody_pushes()
    if stale == "known":
        world.git("fetch", "-q")
    before = world.sha("work")
    assert silent(world.git("push", "origin", *push))
    assert world.sha("work") == before


def test_deleting_the_target_passes_to_the_server(world: World) -> None:
    world.somebody_pushes()
    done = world.work_is_unchanged_by("push", "origin", ":main")  # the origin refuses to delete its HEAD
    assert silent(done)


def test_creating_the_target_passes(world: World) -> None:
    world.git("init", "-q", "--bare", str(world.root / "empty.git"))
    world.git("remote", "set-url", "origin", str(world.root / "empty.git"))
    assert silent(world.git("push", "origin", "work:main"))


def test_another_remote_passes(world: World) -> None:
    world.git("clone", "-q", "--bare", str(world.origin), str(world.root / "fork.git"))
    world.git("remote", "add", "fork", str(world.root / "fork.git"))
    world.somebody_pushes()
    before = world.sha("work")
    assert silent(world.git("push", "fork", "work:main"))
    assert world.sha("work") == before


def test_a_forced_push_is_the_person_s_own_decision(world: World) -> None:
    world.somebody_pushes()
    world.git("fetch", "-q")
    before = world.sha("work")
    assert silent(world.git("push", "--force", "origin", "work:main"))
    assert world.main == world.sha("work") == before


def test_without_a_remote_for_a_target_there_is_nothing_to_do(world: World) -> None:
    assert run_hook(world.mine, "origin", "", "", "", "main") == HookAnswer()


def test_when_the_target_cannot_be_fetched_the_push_goes_on_with_a_word(world: World) -> None:
    head, unknown = world.sha("work"), "1" * 40
    world.git("remote", "set-url", "origin", str(world.root / "gone.git"))
    answer = ask(world, f"refs/heads/work {head} refs/heads/main {unknown}\n")
    assert answer.code == 0
    assert answer.message.startswith("could not fetch origin/main")


def test_a_remote_that_is_pushed_to_elsewhere_is_left_to_git(world: World) -> None:
    answer = ask(world, f"refs/heads/work {world.sha('work')} refs/heads/main {'1' * 40}\n")
    assert answer.code == 0
    assert "pushed to another place" in answer.message


# Dry runs, --no-verify, the guard


def test_a_dry_run_never_pushes(world: World) -> None:
    theirs = world.somebody_pushes()
    world.git("push", "--dry-run", "origin", "work:main", fails=True)
    assert world.main == theirs


@reads_the_command_line
@pytest.mark.parametrize("fetched", [False, True])
@pytest.mark.parametrize("option", ["--dry-run", "-n"])
def test_a_dry_run_only_says_what_would_happen(world: World, option: str, fetched: bool) -> None:
    theirs = world.somebody_pushes()
    if fetched:
        world.git("fetch", "-q")
    line = told(world.work_is_unchanged_by("push", option, "origin", "work:main"))
    assert line == f"would rebase 1 commit of work onto origin/main ({theirs[:7]}); a dry run changes nothing"


def test_a_dry_run_of_a_right_push_passes(world: World) -> None:
    before = world.main
    assert silent(world.git("push", "--dry-run", "origin", "work:main"))
    assert world.main == before


def test_no_verify_goes_round_the_hook(world: World) -> None:
    world.somebody_pushes()
    assert silent(world.work_is_unchanged_by("push", "--no-verify", "origin", "work:main"))


def test_the_hook_stands_back_inside_ticketd_push(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.somebody_pushes()
    monkeypatch.setenv(hook_main.GUARD, "1")
    assert silent(world.work_is_unchanged_by("push", "origin", "work:main"))


# Other worktrees and other repositories


def test_a_linked_worktree_shares_the_hook_and_rebases_its_own_branch(world: World) -> None:
    linked = world.root / "linked"
    world.git("worktree", "add", "-q", "--no-track", "-b", "linked", str(linked), "origin/main")
    theirs = world.somebody_pushes()
    world.commit("linked.txt", "x\n", linked)
    mine = world.sha("work")
    assert status(linked).state is HookState.INSTALLED
    assert told(world.git("push", "origin", "HEAD:main", cwd=linked, fails=True)).startswith(
        "rebased 1 commit of linked"
    )
    world.git("push", "origin", "HEAD:main", cwd=linked)
    assert world.sha("linked~1") == theirs
    assert world.main == world.sha("linked")
    assert world.sha("work") == mine


def test_the_hook_can_be_installed_from_a_linked_worktree(bare_world: World) -> None:
    linked = bare_world.root / "linked"
    bare_world.git("worktree", "add", "-q", "--detach", str(linked))
    assert install(linked) == bare_world.hooks / "pre-push"
    bare_world.somebody_pushes()
    assert told(bare_world.git("push", "origin", "work:main", fails=True)).startswith("rebased")


def test_the_repository_that_the_working_directory_leads_to_is_not_mistaken_for_the_one_that_pushes(
    world: World,
) -> None:
    inner = world.root / "inner"
    world.git("clone", "-q", str(world.origin), str(inner))
    world.git("switch", "-q", "-c", "inner", cwd=inner)
    before = world.commit("inner.txt", "x\n", inner)
    world.somebody_pushes()
    options = (f"--git-dir={world.mine / '.git'}", f"--work-tree={inner}")
    done = world.git(*options, "push", "origin", "work:main", cwd=inner, fails=True)
    assert "--git-dir" in told(done)
    assert world.sha("inner", inner) == before


# The target and the installation


def test_the_target_is_read_from_ticketd_toml(world: World) -> None:
    world.git("push", "-q", "origin", "HEAD~1:refs/heads/trunk")
    world.git("clone", "-q", "-b", "trunk", str(world.origin), str(world.root / "third"))
    world.commit("trunk.txt", "x\n", world.root / "third")
    world.git("push", "-q", cwd=world.root / "third")
    (world.mine / "ticketd.toml").write_text('[target]\nremote = "origin"\nbranch = "trunk"\n')
    assert "onto origin/trunk" in told(world.git("push", "origin", "work:trunk", fails=True))
    assert silent(world.git("push", "origin", "work:main"))


@pytest.mark.parametrize("text", ["not toml", "target = 3\n", "[target]\nbranch = 3\n"])
def test_a_broken_ticketd_toml_means_the_defaults_and_a_word_on_stderr(
    world: World, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (world.mine / "ticketd.toml").write_text(text)
    assert target_of(world.mine) == ("origin", "main")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ticketd: ticketd.toml")
    assert len(captured.err.splitlines()) == 1


def test_a_subdirectory_finds_the_target_of_the_whole_tree(world: World) -> None:
    (world.mine / "ticketd.toml").write_text('[target]\nbranch = "trunk"\n')
    (world.mine / "deep" / "er").mkdir(parents=True)
    assert target_of(world.mine / "deep" / "er") == ("origin", "trunk")


def test_a_fault_of_the_hook_never_keeps_a_person_from_pushing(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> HookAnswer:
        raise RuntimeError("a bug")

    monkeypatch.setattr(hook_run, "run_hook", broken)
    assert hook_code(world.mine, "origin", "", "") == 0
    assert "a bug" in capsys.readouterr().err


@pytest.fixture
def path_without_ticketd(world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of links to what the hook needs, so that no installed `ticketd` is found."""
    folder = world.root / "bin"
    folder.mkdir()
    for name in ("git", "sh", "cat", "dirname", "grep", "basename"):
        (folder / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.mark.usefixtures("path_without_ticketd")
def test_a_ticketd_that_is_no_longer_installed_blocks_nothing(world: World) -> None:
    install(world.mine, python=str(world.root / "gone" / "python"))
    assert "not found" in told(world.git("push", "origin", "work:main"))


@pytest.mark.usefixtures("path_without_ticketd")
def test_an_interpreter_that_has_lost_its_ticketd_blocks_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_main, "__file__", str(world.root / "gone" / "hook_main.py"))
    install(world.mine)
    assert "not found" in told(world.git("push", "origin", "work:main"))


def test_the_hook_falls_back_to_the_ticketd_on_the_path(world: World, path_without_ticketd: Path) -> None:
    install(world.mine, python=str(world.root / "gone" / "python"))
    ticketd_on(path_without_ticketd)
    world.somebody_pushes()
    assert told(world.git("push", "origin", "work:main", fails=True)).startswith("rebased")


def ticketd_on(folder: Path) -> None:
    """A `ticketd` that knows `hook run pre-push`."""
    script(folder / "ticketd", f"shift 3; exec '{sys.executable}' -P -m ticketd.git.hook_main \"$@\"")


# A hook that was there before


def test_an_existing_hook_runs_first_with_the_same_arguments_and_list(bare_world: World) -> None:
    seen = bare_world.root / "seen"
    script(bare_world.hooks / "pre-push", f"echo \"$@\" > '{seen}'; cat >> '{seen}'")
    install(bare_world.mine)
    bare_world.somebody_pushes()
    before = bare_world.sha("work")
    told(bare_world.git("push", "origin", "work:main", fails=True))
    assert seen.read_text() == (
        f"origin {bare_world.origin}\nrefs/heads/work {before} refs/heads/main {bare_world.main}\n"
    )


def test_an_existing_hook_that_refuses_stops_the_push_before_anything_is_rebased(bare_world: World) -> None:
    script(bare_world.hooks / "pre-push", "echo refused >&2; exit 3")
    install(bare_world.mine)
    bare_world.somebody_pushes()
    done = bare_world.work_is_unchanged_by("push", "origin", "work:main")
    assert silent(done)
    assert "refused" in done.stderr


def test_an_existing_hook_that_does_not_read_the_list_is_fine_with_a_long_one(bare_world: World) -> None:
    script(bare_world.hooks / "pre-push", "exit 0")
    install(bare_world.mine)
    for number in range(3):
        bare_world.git("branch", f"b{number}")
    line = f"refs/heads/{'x' * 100} {bare_world.sha('work')} refs/heads/feature {'0' * 40}\n"
    done = subprocess.run(
        [str(bare_world.hooks / "pre-push"), "origin", "url"],
        input=line * 3000, text=True, capture_output=True, cwd=bare_world.mine,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("mode", [0o755, 0o700, 0o644])
def test_uninstall_brings_the_earlier_hook_back_byte_for_byte(bare_world: World, mode: int) -> None:
    path = script(bare_world.hooks / "pre-push", "exit 0 # \xff without a newline", mode)
    before = path.read_bytes()
    install(bare_world.mine)
    assert uninstall(bare_world.mine) == path
    assert path.read_bytes() == before
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert [entry.name for entry in path.parent.glob("pre-push*") if entry.suffix != ".sample"] == ["pre-push"]


def test_uninstall_brings_an_earlier_symbolic_link_back(bare_world: World) -> None:
    script(bare_world.hooks / "dispatch", "echo dispatched >&2")
    (bare_world.hooks / "pre-push").symlink_to("dispatch")
    install(bare_world.mine)
    assert "dispatched" in bare_world.git("push", "origin", "work:feature").stderr
    uninstall(bare_world.mine)
    assert (bare_world.hooks / "pre-push").readlink() == Path("dispatch")


def test_an_earlier_hook_that_is_not_executable_is_kept_but_not_run(bare_world: World) -> None:
    script(bare_world.hooks / "pre-push", "exit 1", 0o644)
    install(bare_world.mine)
    bare_world.git("push", "-q", "origin", "work:main")


def test_uninstall_without_an_earlier_hook_leaves_none(world: World) -> None:
    path = uninstall(world.mine)
    assert path is not None
    assert not path.exists()
    assert uninstall(world.mine) is None


def test_uninstall_leaves_somebody_else_s_hook_alone(bare_world: World) -> None:
    path = script(bare_world.hooks / "pre-push", "exit 0")
    assert uninstall(bare_world.mine) is None
    assert path.exists()


def test_installing_twice_changes_nothing(bare_world: World) -> None:
    script(bare_world.hooks / "pre-push", "echo earlier >&2")
    install(bare_world.mine)
    files = {path.name: path.read_bytes() for path in bare_world.hooks.glob("pre-push*")}
    install(bare_world.mine)
    assert {path.name: path.read_bytes() for path in bare_world.hooks.glob("pre-push*")} == files


def test_installing_again_brings_the_interpreter_and_the_mode_up_to_date(world: World) -> None:
    path = install(world.mine, python="/old python/bin/python's")
    assert b"old python" in path.read_bytes()
    path.chmod(0o644)
    assert status(world.mine).state is HookState.NONE
    install(world.mine)
    assert b"old python" not in path.read_bytes()
    assert status(world.mine).state is HookState.INSTALLED
    assert status(world.mine).chained is None


def test_a_second_earlier_hook_is_not_written_over_the_first(bare_world: World) -> None:
    script(bare_world.hooks / "pre-push", "echo first")
    install(bare_world.mine)
    script(bare_world.hooks / "pre-push", "echo second")
    with pytest.raises(TicketdError, match="an earlier one"):
        install(bare_world.mine)
    assert "first" in (bare_world.hooks / "pre-push.before-ticketd").read_text()
    assert "second" in (bare_world.hooks / "pre-push").read_text()


def test_the_hooks_directory_is_made_when_it_is_missing(bare_world: World) -> None:
    shutil.rmtree(bare_world.hooks)
    install(bare_world.mine)
    assert status(bare_world.mine).state is HookState.INSTALLED


def test_outside_a_repository_there_is_nothing_to_install_into(bare_world: World) -> None:
    with pytest.raises(NotSetUp):
        install(bare_world.root)


# pre-commit

PRE_COMMIT_HOOK = """
# File generated by pre-commit: https://pre-commit.com
HERE="$(cd "$(dirname "$0")" && pwd)"
if [ -n "$PRE_COMMIT_RUNNING_LEGACY" ]; then echo 'bug: installed in migration mode' >&2; exit 1; fi
lines=$(cat)
echo 'pre-commit ran' >&2
if [ -x "$HERE/pre-push.legacy" ]; then
    printf '%s\\n' "$lines" | PRE_COMMIT_RUNNING_LEGACY=1 "$HERE/pre-push.legacy" "$@" || exit 1
fi
"""


def install_pre_commit(hooks: Path) -> None:
    """The moves of `pre-commit install -t pre-push` (4.x): what is not its own becomes the legacy hook."""
    path = hooks / "pre-push"
    if path.exists() and "pre-commit.com" not in path.read_text().partition("ticketd-hook")[0]:
        path.replace(hooks / "pre-push.legacy")
    script(path, PRE_COMMIT_HOOK)


def pushes_with_pre_commit(world: World) -> None:
    world.somebody_pushes()
    first = world.git("push", "origin", "work:main", fails=True)
    assert told(first).startswith("rebased")
    assert first.stderr.count("pre-commit ran") == 1
    assert world.git("push", "origin", "work:main").stderr.count("pre-commit ran") == 1
    assert world.main == world.sha("work")


def test_pre_commit_on_top_runs_the_hook_and_status_sees_it(world: World) -> None:
    install_pre_commit(world.hooks)
    assert status(world.mine).state is HookState.INSTALLED
    assert status(world.mine).path.name == "pre-push.legacy"
    pushes_with_pre_commit(world)


def test_installing_again_under_pre_commit_changes_nothing(world: World) -> None:
    install_pre_commit(world.hooks)
    assert install(world.mine).name == "pre-push.legacy"
    assert not (world.hooks / "pre-push.before-ticketd").exists()
    pushes_with_pre_commit(world)


def test_uninstalling_under_pre_commit_leaves_pre_commit(world: World) -> None:
    install_pre_commit(world.hooks)
    uninstall(world.mine)
    assert not (world.hooks / "pre-push.legacy").exists()
    assert "pre-commit ran" in world.git("push", "origin", "work:main").stderr


def test_the_hook_on_top_of_pre_commit_runs_it_first(bare_world: World) -> None:
    install_pre_commit(bare_world.hooks)
    install(bare_world.mine)
    pushes_with_pre_commit(bare_world)


def test_pre_commit_installed_again_on_top_of_the_hook_on_top_of_it_runs_once(bare_world: World) -> None:
    install_pre_commit(bare_world.hooks)
    install(bare_world.mine)
    install_pre_commit(bare_world.hooks)
    assert status(bare_world.mine).state is HookState.INSTALLED
    pushes_with_pre_commit(bare_world)
    uninstall(bare_world.mine)
    assert [path.name for path in bare_world.hooks.glob("pre-push*") if path.suffix != ".sample"] == ["pre-push"]
    bare_world.git("push", "-q", "origin", "work:feature")


# husky and core.hooksPath


def install_husky(world: World) -> Path:
    """The layout of husky 9: hooks in `.husky/_`, ignored, that run what is in `.husky`, tracked."""
    folder = world.mine / ".husky"
    (folder / "_").mkdir(parents=True)
    (folder / "_" / ".gitignore").write_text("*")
    (folder / "_" / "h").write_text(
        's=$(dirname "$(dirname "$0")")/$(basename "$0")\n[ -f "$s" ] || exit 0\nsh -e "$s" "$@"\n'
    )
    script(folder / "_" / "pre-push", '. "$(dirname "$0")/h"')
    world.git("config", "core.hooksPath", ".husky/_")
    return folder


def test_husky_is_not_written_into_and_the_line_to_add_is_named(bare_world: World) -> None:
    folder = install_husky(bare_world)
    before = (folder / "_" / "pre-push").read_bytes()
    with pytest.raises(TicketdError) as refused:
        install(bare_world.mine)
    assert str(folder / "pre-push") in str(refused.value)
    assert LINE in str(refused.value)
    assert (folder / "_" / "pre-push").read_bytes() == before
    assert not (folder / "pre-push").exists()
    assert status(bare_world.mine).state is HookState.NONE


def test_the_line_in_husky_s_script_does_what_the_hook_does(world: World, path_without_ticketd: Path) -> None:
    folder = install_husky(world)
    (folder / "pre-push").write_text(LINE + "\n")
    world.git("push", "-q", "origin", "work:feature")  # without a ticketd on the PATH the line does nothing
    ticketd_on(path_without_ticketd)
    assert status(world.mine).state is HookState.BY_HAND
    assert install(world.mine) == folder / "pre-push"
    world.somebody_pushes()
    assert told(world.git("push", "origin", "work:main", fails=True)).startswith("rebased")
    world.git("push", "origin", "work:main")
    with pytest.raises(TicketdError, match="line of its own"):
        uninstall(world.mine)


def test_a_linked_worktree_without_husky_s_files_is_told_the_same(bare_world: World) -> None:
    install_husky(bare_world)
    linked = bare_world.root / "linked"
    bare_world.git("worktree", "add", "-q", "--detach", str(linked))
    assert status(linked).state is HookState.NONE
    assert "husky" in status(linked).obstacle


def test_a_tracked_hook_is_not_edited(bare_world: World) -> None:
    path = script(bare_world.mine / ".githooks" / "pre-push", "exit 0")
    bare_world.git("add", ".githooks")
    bare_world.git("commit", "-qm", "hooks")
    bare_world.git("config", "core.hooksPath", ".githooks")
    with pytest.raises(TicketdError, match="tracked") as refused:
        install(bare_world.mine)
    assert LINE in str(refused.value)
    assert path.read_text() == "#!/bin/sh\nexit 0\n"
    assert status(bare_world.mine).state is HookState.OTHER


def test_a_file_that_would_become_tracked_is_not_made(bare_world: World) -> None:
    script(bare_world.mine / ".githooks" / "pre-commit", "exit 0")
    bare_world.git("add", ".githooks")
    bare_world.git("commit", "-qm", "hooks")
    bare_world.git("config", "core.hooksPath", ".githooks")
    with pytest.raises(TicketdError, match="tracked"):
        install(bare_world.mine)
    assert not (bare_world.mine / ".githooks" / "pre-push").exists()


def test_a_personal_hooks_directory_in_the_tree_is_used(bare_world: World) -> None:
    script(bare_world.mine / "own-hooks" / "pre-push", "echo earlier >&2")
    bare_world.git("config", "core.hooksPath", "own-hooks")
    assert install(bare_world.mine) == bare_world.mine / "own-hooks" / "pre-push"
    assert not (bare_world.hooks / "pre-push").exists()
    bare_world.somebody_pushes()
    done = bare_world.git("push", "origin", "work:main", fails=True)
    assert "earlier" in done.stderr
    assert told(done).startswith("rebased")


def test_hooks_that_all_repositories_share_are_left_alone(bare_world: World) -> None:
    shared = bare_world.root / "home" / "hooks"
    bare_world.git("config", "--global", "core.hooksPath", "~/hooks")
    with pytest.raises(TicketdError, match="outside this repository") as refused:
        install(bare_world.mine)
    assert LINE in str(refused.value)
    assert not shared.exists()
    assert status(bare_world.mine).hooks_path == str(shared)


def test_hooks_that_are_turned_off_stay_off(bare_world: World) -> None:
    bare_world.git("config", "core.hooksPath", "/dev/null")
    with pytest.raises(TicketdError, match="turns hooks off"):
        install(bare_world.mine)


def test_a_hooks_path_that_names_the_usual_directory_is_no_obstacle(bare_world: World) -> None:
    bare_world.git("config", "core.hooksPath", str(bare_world.hooks))
    assert install(bare_world.mine) == bare_world.hooks / "pre-push"


# The command line


def call(world: World, *args: str, lines: str = "") -> tuple[int, str, str]:
    result = CliRunner().invoke(hook_command, list(args), obj={"repo": world.mine}, input=lines)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_status_says_what_a_push_would_run(bare_world: World) -> None:
    assert call(bare_world, "status") == (0, "not installed\n", "")
    script(bare_world.hooks / "pre-push", "exit 0")
    assert call(bare_world, "status")[1].startswith("not installed; another hook is there: ")
    assert "pre-push.before-ticketd runs first" in call(bare_world, "install")[1]
    assert call(bare_world, "status")[1].startswith("installed: ")
    assert "put the earlier hook back" in call(bare_world, "uninstall")[1]
    assert call(bare_world, "uninstall")[1] == "the hook is not installed\n"


def test_status_as_json_is_one_document(world: World) -> None:
    world.git("config", "core.hooksPath", str(world.hooks))
    assert json.loads(call(world, "status", "--json")[1]) == {
        "schema": 1,
        "state": "installed",
        "path": str(world.hooks / "pre-push"),
        "chained": None,
        "hooks_path": str(world.hooks),
        "obstacle": None,
        "gate": None,
    }


def test_hook_run_does_what_the_hook_does(world: World) -> None:
    world.git("switch", "-q", "main")
    before = world.commit("on-main.txt", "x\n")
    theirs = world.somebody_pushes()
    code, out, err = call(
        world, "run", "pre-push", "origin", str(world.origin),
        lines=f"refs/heads/main {before} refs/heads/main {theirs}\n",
    )  # fmt: skip
    assert (code, out) == (1, "")
    assert err.startswith("ticketd: rebased 1 commit of main onto origin/main")


# Reading the command line of the push


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("git push", PushCommand()),
        ("/usr/lib/git-core/git push origin work:main", PushCommand(("work:main",))),
        ("git -C there push -o x --repo y origin HEAD", PushCommand(("HEAD",))),
        ("git push -vn origin main", PushCommand(("main",), dry_run=True)),
        ("git push -on origin main", PushCommand(("main",))),
        ("git push origin +main", PushCommand(("+main",), forced=True)),
        ("git push --force-with-lease=main:1 origin main", PushCommand(("main",), forced=True)),
        ("git push --tags", PushCommand(("refs/tags/*",))),
        ("git push -- origin main", PushCommand(("main",))),
        ("git fetch origin", None),
        ("python -m push", None),
        ("", None),
    ],
)
def test_the_command_line_of_a_push_is_understood(argv: str, expected: PushCommand | None) -> None:
    assert parse_push_command(argv.split()) == expected


@pytest.mark.parametrize(
    ("refspecs", "sources"),
    [
        (("main",), ("main",)),
        (("work:main",), ("work",)),
        (("+work:refs/heads/main",), ("work",)),
        ((":main",), ()),
        ((":",), ()),
        (("work",), ()),
        (("HEAD",), ("HEAD",)),
        (("@:refs/heads/work",), ()),
        (("main:work", "HEAD:heads/main"), ("HEAD",)),
        (("refs/tags/*",), ()),
    ],
)
def test_what_a_command_sends_to_a_branch_is_read_off_its_refspecs(
    refspecs: tuple[str, ...], sources: tuple[str, ...]
) -> None:
    assert PushCommand(refspecs).sources_of("main", "main") == sources


def test_the_push_is_found_past_the_hook_managers_in_between(tmp_path: Path) -> None:
    def process(pid: int, parent: int, *argv: str) -> None:
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cmdline").write_bytes(b"".join(os.fsencode(word) + b"\0" for word in argv))
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a ) name) S {parent} 0 0")

    process(os.getppid(), 11, "sh", "pre-push.legacy", "origin")
    process(11, 12, "python", "-mpre_commit")
    process(12, 1, "git", "push", "origin", "work:main")
    assert running_push(tmp_path) == PushCommand(("work:main",))


def test_without_a_process_table_the_push_is_unknown(tmp_path: Path) -> None:
    assert running_push(tmp_path) is None
