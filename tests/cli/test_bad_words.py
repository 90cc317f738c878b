"""What a person may type, and where a repository may lie: told in words, and never run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hands_yard import Hands, git, make_hands


@pytest.fixture
def hands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hands:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return make_hands(tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ("status", "--jsn"),
        ("list", "--json="),
        ("shwo", "x"),
        ("show",),
        ("slots", "0"),
        ("slots", "-1"),
        ("slots", "1000000"),
        ("start", "--slots", "1e9"),
        ("logs", "x", "--attempt", "0"),
        ("bump", "one", "urgent"),
        ("show", "../../etc/passwd"),
        ("show", "--", "-x"),
        ("show", "a\x1b]0;evil\x07"),
        ("show", "a\nb"),
        ("review", "approve", "$(touch canary)"),
        ("checkout", "--", "--upload-pack=x"),
        ("retry", "one; touch canary"),
        ("lint", "/etc/passwd"),
    ],
)
def test_wrong_words_exit_2_and_do_nothing(hands: Hands, words: tuple[str, ...]) -> None:
    hands.ticket("one")
    done = hands.run(*words)
    assert done.returncode == 2 and done.stderr
    assert "\x1b" not in done.stderr
    assert git(hands.work, "branch", "--format=%(refname)") == "refs/heads/main"
    assert not list(hands.work.rglob("canary"))


@pytest.mark.parametrize("what", ["list", "lint"])
def test_a_reader_that_is_gone_and_a_closed_output_are_no_tracebacks(hands: Hands, what: str) -> None:
    for n in range(4):
        hands.ticket(f"ticket-{n}")
    command = " ".join(f"'{word}'" for word in hands.command(what))
    for line in (f"{command} | true", f"{command} >&-", f"{command} >/dev/full"):
        done = subprocess.run(["sh", "-c", line], capture_output=True, check=False)
        assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr, done.stderr


def test_a_repository_of_any_name_is_worked_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    strange = tmp_path / '-x; $(touch canary) it\'s "é" %s{}*?[ \\ '
    strange.mkdir()
    hands = make_hands(strange)
    hands.ticket("one", "write one.txt done")
    hands.ok("start", "--until-idle")
    assert git(hands.origin, "show", "main:one.txt") == "done"
    assert not list(tmp_path.rglob("canary"))


def test_a_line_break_in_a_remotes_path_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be another line of whatever git reads line by line."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "line\nbreak").mkdir()
    hands = make_hands(tmp_path / "line\nbreak")
    assert "is not a URL to land on" in hands.run("start", "--until-idle").stderr


def test_a_state_directory_inside_the_checkout_is_refused(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    """There `git clean -ffdx` would delete agents' work."""
    monkeypatch.setenv("XDG_STATE_HOME", str(hands.work / "state"))
    assert "lies inside the checkout" in hands.refused(2, "start", "--until-idle")


def test_no_daemon_starts_with_a_configuration_that_anybody_may_write(hands: Hands) -> None:
    config = hands.work / "ticketd.toml"
    config.chmod(0o666)
    said = hands.refused(2, "start", "--until-idle")
    assert "ticketd.toml" in said and "chmod o-w" in said


def test_doctor_names_secrets_that_are_too_short_or_not_there(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIN_TOKEN", "1234")
    monkeypatch.setenv("SHOP_TOKEN", "hunter-two")
    monkeypatch.delenv("AWAY", raising=False)
    with (hands.work / "ticketd.toml").open("a") as config:
        config.write('[secrets]\nenv = ["PIN_TOKEN", "SHOP_TOKEN", "AWAY"]\nfiles = [".env"]\n')
    checks = {check["name"]: check for check in hands.json("doctor")["checks"]}
    assert (checks["secrets"]["ok"], checks["secrets"]["what"].split("; ")) == (
        "warn",
        [
            "kept out of logs and commits: SHOP_TOKEN",
            "too short to be looked for: PIN_TOKEN",
            "without a value here: .env, AWAY",
        ],
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_doctor_names_the_owner_of_a_configuration_that_is_somebody_elses(hands: Hands) -> None:
    os.chown(hands.work / "ticketd.toml", 4242, -1)
    checks = {check["name"]: check for check in hands.json("doctor")["checks"]}
    assert (checks["config owner"]["ok"], "user 4242" in checks["config owner"]["what"]) == ("warn", True)


def test_an_error_is_told_without_secrets(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "hunter-two")
    with (hands.work / "ticketd.toml").open("a") as config:
        config.write('[secrets]\nenv = ["SHOP_TOKEN"]\n')
    said = hands.refused(2, "show", "hunter-two")
    assert "[SHOP_TOKEN]" in said and "hunter-two" not in said
