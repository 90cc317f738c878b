"""`ticketd init`: what it writes, what it leaves alone, and what it finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from hands_yard import Hands, git, make_repository

from ticketd.agents import PRESETS
from ticketd.agents.installed import find_installed, profiles_of
from ticketd.domain.settings import AgentHome, AgentProfile, Settings
from ticketd.domain.settingsfile import parse_settings
from ticketd.domain.template import agent_table, template
from ticketd.domain.ticketfile import parse_ticket
from ticketd.files import CheckoutFiles
from ticketd.git import hook
from ticketd.git.checkup import likely_branch, likely_remote


@pytest.fixture
def hands(tmp_path: Path) -> Hands:
    return make_repository(tmp_path)


def only_git_on_path(at: Path, monkeypatch: pytest.MonkeyPatch, *programs: str) -> None:
    """A PATH with nothing but what git needs, and these programs."""
    bin_ = at / "bin"
    bin_.mkdir()
    for name in programs:
        (bin_ / name).write_text("#!/bin/sh\n")
        (bin_ / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:/usr/bin:/bin")


def settings_of(hands: Hands) -> Settings:
    parsed = CheckoutFiles(hands.work, hands.work / "absent" / "x").settings()
    assert parsed.settings is not None, parsed.problems
    return parsed.settings


def test_a_fresh_repository_is_set_up(hands: Hands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_git_on_path(tmp_path, monkeypatch, "codex", "claude")
    for name in ("CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_AUTH_TOKEN", "CODEX_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-of-the-tests")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    said = hands.ok("init")
    settings = settings_of(hands)
    assert (settings.target.remote, settings.target.branch) == ("origin", "main")
    assert list(settings.agents) == ["default", "codex"]
    assert [profile.preset for profile in settings.agents.values()] == ["claude", "codex"]
    assert "ANTHROPIC_API_KEY" in settings.agents["default"].env
    assert "OPENAI_API_KEY" not in settings.agents["codex"].env  # it is not set: a name without a value is a fault
    assert "agent default: claude, with ANTHROPIC_API_KEY\nagent codex: codex, with the login that it has\n" in said
    assert hook.status(hands.work).state is hook.HookState.INSTALLED
    assert len(said.splitlines()[-3:]) == 3
    assert said.splitlines()[-3].startswith("next: ")
    assert hands.ok("lint") == "ok: 0 tickets, no faults\n"


def test_running_it_twice_overwrites_nothing(hands: Hands) -> None:
    hands.ok("init")
    (hands.work / "ticketd.toml").write_text("slots = 3\n")
    (hands.work / "tickets" / "README.md").write_text("ours\n")
    said = hands.ok("init")
    assert (hands.work / "ticketd.toml").read_text() == "slots = 3\n"
    assert (hands.work / "tickets" / "README.md").read_text() == "ours\n"
    assert "ticketd.toml is there; left as it is" in said
    assert "tickets/ is there; left as it is" in said
    assert "the pre-push hook is there" in said


def test_nothing_but_the_hook_changes_in_git(hands: Hands) -> None:
    before = git(hands.work, "for-each-ref"), (hands.work / ".git" / "config").read_bytes()
    hands.ok("init")
    assert before == (git(hands.work, "for-each-ref"), (hands.work / ".git" / "config").read_bytes())


def test_without_an_agent_on_the_path_it_says_what_start_needs(
    hands: Hands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_git_on_path(tmp_path, monkeypatch)
    assert "no agent found on PATH" in hands.ok("init")
    assert "# [agents.default]" in (hands.work / "ticketd.toml").read_text()
    assert settings_of(hands).agents == {}


def test_a_repository_without_a_remote_lands_on_its_branch(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "trunk", "alone")
    alone = Hands(tmp_path, tmp_path / "alone")
    assert "the local branch trunk" in alone.ok("init")
    assert (settings_of(alone).target.remote, settings_of(alone).target.branch) == ("", "trunk")


def test_a_hook_that_cannot_be_installed_does_not_stop_it(hands: Hands, tmp_path: Path) -> None:
    (tmp_path / "hooks").mkdir()
    git(hands.work, "config", "core.hooksPath", str(tmp_path / "hooks"))
    said = hands.ok("init")
    assert "no pre-push hook: " in said
    assert "outside this repository" in said
    assert list((tmp_path / "hooks").iterdir()) == []
    assert (hands.work / "ticketd.toml").exists()


def test_outside_of_a_repository_it_exits_3(tmp_path: Path) -> None:
    assert "is not in a git repository" in Hands(tmp_path, tmp_path).refused(3, "init")


def test_a_file_named_tickets_is_told(hands: Hands) -> None:
    (hands.work / "tickets").write_text("mine\n")
    done = hands.run("init")
    assert done.returncode == 2
    assert "tickets cannot be made" in done.stderr
    assert (hands.work / "tickets").read_text() == "mine\n"


def test_the_remotes_head_names_the_target(hands: Hands) -> None:
    git(hands.work, "push", "-q", "origin", "main:develop")
    git(hands.origin, "symbolic-ref", "HEAD", "refs/heads/develop")
    assert likely_branch(hands.work, "origin") == "develop"  # asked: a clone made when it was empty has no HEAD of it
    git(hands.work, "remote", "set-head", "origin", "main")
    assert likely_branch(hands.work, "origin") == "main"


def test_the_only_remote_is_taken_and_origin_before_others(hands: Hands) -> None:
    git(hands.work, "remote", "rename", "origin", "upstream")
    assert likely_remote(hands.work) == "upstream"
    git(hands.work, "remote", "add", "aaa", str(hands.origin))
    assert likely_remote(hands.work) == "upstream"  # the checked-out branch's
    git(hands.work, "remote", "add", "origin", str(hands.origin))
    assert likely_remote(hands.work) == "origin"


def test_every_preset_with_a_program_makes_a_sound_profile() -> None:
    programs = [agent.name for agent in PRESETS.values() if agent.program]
    assert len(programs) >= 10
    every_variable = {name: "set" for agent in PRESETS.values() for name in (*agent.keys, *agent.variables)}
    profiles = profiles_of(find_installed(lambda program: f"/bin/{program}"), every_variable)
    assert [profile.preset for profile in profiles] == programs
    parsed = parse_settings("ticketd.toml", template("origin", "main", profiles).encode())
    assert parsed.problems == ()
    assert parsed.settings is not None
    assert tuple(parsed.settings.agents.values()) == profiles


def test_a_profile_says_in_ticketd_toml_all_that_it_is() -> None:
    odd = AgentProfile(
        "fast.one", "command", ("./a b", '"'), ("-x",), "some/model", AgentHome.OWN, ("KEY",), "team", max_slots=3
    )
    parsed = parse_settings("ticketd.toml", agent_table(odd).encode())
    assert (parsed.problems, parsed.settings and parsed.settings.agents) == ((), {"fast.one": odd})


def test_the_example_in_the_readme_is_a_sound_ticket(hands: Hands) -> None:
    hands.ok("init")
    lines = (hands.work / "tickets" / "README.md").read_text().splitlines()
    example = "\n".join(line.removeprefix("    ") for line in lines if line.startswith("    "))
    parsed = parse_ticket("tickets/retry.md", example.encode(), Settings())
    assert parsed.problems == ()
