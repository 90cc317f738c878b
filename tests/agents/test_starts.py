"""What is particular to the start of one agent or another."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from ticketd.agents import PRESETS
from ticketd.domain import settingsfile
from ticketd.domain.settings import AgentProfile
from ticketd.ports import Task

URL = "http://127.0.0.1:8411/v1"


def task(name: str, tmp_path: Path, **environ: str) -> Task:
    return Task(AgentProfile(name, name), tmp_path / "brief", tmp_path / "home", own_home=True, environ=environ)


def test_what_ticketd_toml_may_name_is_there() -> None:
    assert set(settingsfile.PRESETS) == PRESETS.keys()


def test_codex_is_told_of_another_endpoint_by_its_file_or_by_arguments(tmp_path: Path) -> None:
    own = task("codex", tmp_path, OPENAI_API_KEY="k", OPENAI_BASE_URL=URL)
    launched = PRESETS["codex"].launch(own)
    (written,) = launched.files.values()
    provider = tomllib.loads(written)["model_providers"]["ticketd"]
    assert (provider["base_url"], provider["env_key"], provider["request_max_retries"]) == (URL, "OPENAI_API_KEY", 0)
    shared = PRESETS["codex"].launch(replace(own, own_home=False))
    told = [after for flag, after in zip(shared.argv, shared.argv[1:], strict=False) if flag == "--config"]
    assert tomllib.loads("\n".join(told)) == tomllib.loads(written)
    assert (dict(shared.env), dict(shared.files)) == ({}, {})


def test_codex_asks_an_endpoint_that_wants_no_key(tmp_path: Path) -> None:
    (written,) = PRESETS["codex"].launch(task("codex", tmp_path, OPENAI_BASE_URL=URL)).files.values()
    assert "env_key" not in tomllib.loads(written)["model_providers"]["ticketd"]


def test_codex_with_a_login_keeps_its_own_provider(tmp_path: Path) -> None:
    (written,) = PRESETS["codex"].launch(task("codex", tmp_path)).files.values()
    assert "model_provider" not in tomllib.loads(written)


def test_claude_may_work_as_root_and_does_not_ask_again_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for user, wanted in ((0, "1"), (1000, None)):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        env = PRESETS["claude"].launch(task("claude", tmp_path)).env
        assert env.get("IS_SANDBOX") == wanted
        assert env["CLAUDE_CODE_MAX_RETRIES"] == "0"


def test_what_a_profile_passes_wins_over_what_ticketd_would_set(tmp_path: Path) -> None:
    assert "DISABLE_TELEMETRY" not in PRESETS["claude"].launch(task("claude", tmp_path, DISABLE_TELEMETRY="0")).env


def test_claude_is_given_no_budget_that_it_takes_for_none(tmp_path: Path) -> None:
    argv = PRESETS["claude"].launch(replace(task("claude", tmp_path), budget_usd=0.0)).argv
    assert float(argv[argv.index("--max-budget-usd") + 1]) > 0


def test_gemini_asks_its_provider_once(tmp_path: Path) -> None:
    (written,) = PRESETS["gemini"].launch(task("gemini", tmp_path, GEMINI_API_KEY="k")).files.values()
    told = json.loads(written)
    assert told["general"]["maxAttempts"] == 1
    assert told["security"]["auth"]["selectedType"] == "gemini-api-key"


def test_qwen_is_run_without_the_launcher_that_would_die_alone(tmp_path: Path) -> None:
    package, programs = tmp_path / "package", tmp_path / "bin"
    for each in (package, programs):
        each.mkdir()
    (package / "cli-entry.js").touch(mode=0o755)
    (programs / "qwen").symlink_to(package / "cli-entry.js")
    found = task("qwen", tmp_path, PATH=str(programs))
    assert PRESETS["qwen"].launch(found).argv[0] == "qwen"
    (package / "cli.js").touch()
    assert PRESETS["qwen"].launch(found).argv[:3] == ("node", "--expose-gc", str(package / "cli.js"))


def test_copilot_asks_nobody_but_the_provider_it_is_told_of(tmp_path: Path) -> None:
    assert "COPILOT_OFFLINE" not in PRESETS["copilot"].launch(task("copilot", tmp_path)).env
    told = task("copilot", tmp_path, COPILOT_PROVIDER_BASE_URL=URL)
    assert PRESETS["copilot"].launch(told).env["COPILOT_OFFLINE"] == "true"


def test_opencode_asks_no_model_for_a_title_that_nobody_reads(tmp_path: Path) -> None:
    """It would not say what that has cost."""
    begins = task("opencode", tmp_path)
    assert "--title" in PRESETS["opencode"].launch(begins).argv
    assert "--title" not in PRESETS["opencode"].launch(replace(begins, session="ses_1")).argv
