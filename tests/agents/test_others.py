"""What is particular to OpenCode, aider, mini, pi, Kimi Code and Gemini: their start, and what their ends mean."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from recordings import Recording, exited, recordings

from ticketd.agents import PRESETS
from ticketd.domain.settings import AgentProfile
from ticketd.ports import AgentResult, Task

URL = "http://127.0.0.1:8411/v1"


def task(name: str, tmp_path: Path, model: str | None = "gpt-9", **environ: str) -> Task:
    profile = AgentProfile(name, name, model=model)
    return Task(profile, tmp_path / "brief", tmp_path / "home", own_home=True, environ=environ, fresh="aaaa")


def after(argv: tuple[str, ...], flag: str) -> str:
    return argv[argv.index(flag) + 1]


def recorded(name: str, case: str, tmp_path: Path) -> Recording:
    """A copy, to be changed."""
    (found,) = recordings(case, name)
    log, home = tmp_path / "log", tmp_path / "home"
    tmp_path.mkdir(exist_ok=True)
    shutil.copy(found.log, log)
    if found.home.exists():
        shutil.copytree(found.home, home)
    return replace(found, log=log, home=home)


def rewrite(path: Path, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    """Each line of JSON by what `change` makes of it."""
    lines = [change(json.loads(line)) for line in path.read_text().splitlines() if line.startswith("{")]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines if line is not None))


def read(recording: Recording) -> AgentResult:
    return PRESETS[recording.agent].read_result(exited(0), recording.log, recording.home)


# --- where its model is ----------------------------------------------------------------------------------------------


def test_opencode_is_told_of_another_endpoint_by_a_provider_of_its_own(tmp_path: Path) -> None:
    launched = PRESETS["opencode"].launch(task("opencode", tmp_path, OPENAI_API_KEY="k", OPENAI_BASE_URL=URL))
    provider = json.loads(launched.env["OPENCODE_CONFIG_CONTENT"])["provider"]["endpoint"]
    assert (provider["options"]["baseURL"], list(provider["models"])) == (URL, ["gpt-9"])
    assert after(launched.argv, "--model") == "endpoint/gpt-9"
    plain = PRESETS["opencode"].launch(task("opencode", tmp_path, model="openai/gpt-9"))
    assert after(plain.argv, "--model") == "openai/gpt-9"
    assert "provider" not in json.loads(plain.env["OPENCODE_CONFIG_CONTENT"])


def test_opencode_is_given_a_plugin_that_ends_its_waiting_and_that_lies_where_it_is_told(tmp_path: Path) -> None:
    given = task("opencode", tmp_path)
    launched = PRESETS["opencode"].launch(given)
    (plugin,) = json.loads(launched.env["OPENCODE_CONFIG_CONTENT"])["plugin"]
    (path,) = (path for path, text in launched.files.items() if "session.status" in text)
    assert plugin == (given.home / path).as_uri()


def test_pi_is_told_of_another_endpoint_by_its_files_and_never_to_try_again(tmp_path: Path) -> None:
    launched = PRESETS["pi"].launch(task("pi", tmp_path, OPENAI_API_KEY="k", OPENAI_BASE_URL=URL))
    files = {path: json.loads(text) for path, text in launched.files.items()}
    (provider,) = files["pi/models.json"]["providers"].values()
    assert (provider["baseUrl"], provider["models"]) == (URL, [{"id": "gpt-9"}])
    assert files["pi/settings.json"]["retry"]["enabled"] is False
    assert "pi/models.json" not in PRESETS["pi"].launch(task("pi", tmp_path, OPENAI_API_KEY="k")).files


@pytest.mark.parametrize("name", ["aider", "mini"])
def test_a_model_behind_another_endpoint_is_one_that_speaks_as_openai_does(name: str, tmp_path: Path) -> None:
    for given, wanted in (("gpt-9", "openai/gpt-9"), ("openai/gpt-9", "openai/gpt-9"), ("a/b", "openai/a/b")):
        launched = PRESETS[name].launch(task(name, tmp_path, given, OPENAI_BASE_URL=URL))
        assert after(launched.argv, "--model") == wanted
        assert URL in launched.env.values()
    assert after(PRESETS[name].launch(task(name, tmp_path, "anthropic/x")).argv, "--model") == "anthropic/x"


def test_kimi_takes_its_model_from_a_variable_where_its_key_is_one(tmp_path: Path) -> None:
    keyed = PRESETS["kimi"].launch(task("kimi", tmp_path, KIMI_MODEL_API_KEY="k"))
    assert (keyed.env["KIMI_MODEL_NAME"], "--model" in keyed.argv) == ("gpt-9", False)
    login = PRESETS["kimi"].launch(task("kimi", tmp_path))
    assert ("KIMI_MODEL_NAME" in login.env, after(login.argv, "--model")) == (False, "gpt-9")
    assert tomllib.loads(login.files["kimi/config.toml"]) == {"telemetry": False}


# --- sessions and side files -----------------------------------------------------------------------------------------


def test_aider_keeps_each_conversation_apart_and_takes_up_only_the_one_it_is_told(tmp_path: Path) -> None:
    given = task("aider", tmp_path)
    first, again = (PRESETS["aider"].launch(each) for each in (given, replace(given, session="bbbb")))
    assert Path(after(first.argv, "--chat-history-file")).name == "aaaa.md"
    assert Path(after(again.argv, "--chat-history-file")).name == "bbbb.md"
    assert ["--restore-chat-history" in launched.argv for launched in (first, again)] == [False, True]


def test_what_an_earlier_run_has_left_beside_its_log_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    for name, file in (("mini", "mini/trajectory.json"), ("aider", "aider/events.jsonl")):
        recording = recorded(name, "done", tmp_path / name)
        assert read(recording).report.usage
        assert PRESETS[name].launch(task(name, tmp_path)).files[file] == ""
        (recording.home / file).write_text("")
        assert (read(recording).outcome, read(recording).report.usage) == ("failed", ())


def test_mini_is_told_its_budget(tmp_path: Path) -> None:
    mini = PRESETS["mini"]
    assert after(mini.launch(replace(task("mini", tmp_path), budget_usd=0.25)).argv, "--cost-limit") == "0.2500"
    assert float(after(mini.launch(task("mini", tmp_path)).argv, "--cost-limit")) == 0  # none


def test_what_the_subagents_of_kimi_have_used_counts_too(tmp_path: Path) -> None:
    recording = recorded("kimi", "done", tmp_path)
    alone = read(recording).report.usage[0]
    (main,) = recording.home.glob("kimi/sessions/*/*/agents/main")
    shutil.copytree(main, main.with_name("agent-0"))
    (used,) = read(recording).report.usage
    assert (used.input, used.output, used.cache_read) == (2 * alone.input, 2 * alone.output, 2 * alone.cache_read)


def test_another_session_of_kimi_is_not_counted(tmp_path: Path) -> None:
    recording = recorded("kimi", "done", tmp_path)
    (session,) = recording.home.glob("kimi/sessions/*/session_*")
    shutil.copytree(session, session.with_name("session_00000000-0000-0000-0000-000000000000"))
    (found,) = recordings("done", "kimi")
    assert read(recording).report == read(found).report


# --- answers that broke off ------------------------------------------------------------------------------------------


def test_an_answer_of_pi_that_used_nothing_after_others_did_has_broken_off(tmp_path: Path) -> None:
    recording = recorded("pi", "done", tmp_path)

    def nothing_used(line: dict[str, Any]) -> dict[str, Any]:
        message = line.get("message", {})
        if message.get("stopReason") == "stop":
            message["usage"] = {"input": 0, "output": 0}
        return line

    rewrite(recording.log, nothing_used)
    assert (read(recording).outcome, "broke off" in read(recording).detail) == ("later", True)


def test_an_answer_of_kimi_that_has_no_end_of_its_providers_has_broken_off(tmp_path: Path) -> None:
    recording = recorded("kimi", "done", tmp_path)
    (wire,) = recording.home.glob("kimi/sessions/*/*/agents/main/wire.jsonl")

    def endless(line: dict[str, Any]) -> dict[str, Any]:
        if line.get("event", {}).get("finishReason") == "end_turn":
            line["event"] |= {"usage": {}, "providerFinishReason": ""}
        return line

    rewrite(wire, endless)
    assert (read(recording).outcome, "broke off" in read(recording).detail) == ("later", True)


def test_opencode_that_ends_in_the_middle_of_its_steps_is_not_done(tmp_path: Path) -> None:
    recording = recorded("opencode", "done", tmp_path)

    def still_calling(line: dict[str, Any]) -> dict[str, Any]:
        if line["type"] == "step_finish":
            line["part"]["reason"] = "tool-calls"
        return line

    rewrite(recording.log, still_calling)
    assert read(recording).outcome == "failed"


def test_aider_is_done_only_after_its_own_last_event(tmp_path: Path) -> None:
    recording = recorded("aider", "done", tmp_path)
    rewrite(recording.home / "aider" / "events.jsonl", lambda line: None if line["event"] == "exit" else line)
    assert read(recording).outcome == "failed"


def test_an_error_of_aiders_provider_before_a_good_answer_is_over_with_it(tmp_path: Path) -> None:
    recording = recorded("aider", "done", tmp_path)
    lines = recording.log.read_text().splitlines(keepends=True)
    trouble = "litellm.RateLimitError: RateLimitError: OpenAIException - slow down\nRetrying in 0.2 seconds...\n"
    recording.log.write_text("".join([trouble, *lines]))
    assert read(recording).outcome == "done"
    recording.log.write_text("".join([*lines, trouble]))
    assert read(recording).outcome == "later"


@pytest.mark.parametrize(("waits", "until"), [(29.9, 1795301748.306), (1.9, None)])
def test_opencode_says_until_when_only_where_its_provider_did(
    waits: float, until: float | None, tmp_path: Path
) -> None:
    recording = recorded("opencode", "rate-limited", tmp_path)

    def told(line: dict[str, Any]) -> dict[str, Any]:
        line["error"]["data"] |= {"next": 1795301748.306, "waits": waits}
        return line

    rewrite(recording.log, told)
    assert (read(recording).outcome, read(recording).until) == ("later", until)


def test_opencode_finds_its_configuration_installed_in_a_home_of_its_own(tmp_path: Path) -> None:
    given = task("opencode", tmp_path)
    launched = PRESETS["opencode"].launch(given)
    config = Path(launched.env["XDG_CONFIG_HOME"]).relative_to(given.home) / "opencode"
    lock = json.loads(launched.files[str(config / "package-lock.json")])
    assert "@opencode-ai/plugin" in lock["packages"][""]["dependencies"]
    assert any(Path(path).is_relative_to(config / "node_modules") for path in launched.files)
    assert not [path for path in PRESETS["opencode"].launch(replace(given, own_home=False)).files if "config" in path]


def test_gemini_that_was_stopped_in_a_loop_is_not_done(tmp_path: Path) -> None:
    """It calls that a success."""
    recording = recorded("gemini", "done", tmp_path)
    warning = {"type": "error", "severity": "warning", "message": "Loop detected, stopping execution"}
    *lines, result = recording.log.read_text().splitlines()
    recording.log.write_text("\n".join([*lines, json.dumps(warning), result, ""]))
    came_to = read(recording)
    assert (came_to.outcome, came_to.detail) == ("failed", "its model did the same again and again, and was stopped")
