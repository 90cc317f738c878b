"""`ticketd doctor`: each fault is named with its mend, and what is safe is mended."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hands_yard import SCRIPTED, Hands, git, make_hands, make_repository

from forge_yard import make_forge
from ticketd.agents import PRESETS
from ticketd.app import doctor as judge
from ticketd.app.fitness import program_of
from ticketd.doorbell import DaemonLock, Doorbell
from ticketd.git import checkup, hook
from ticketd.git.creation import open_control
from ticketd.git.repository import find


@pytest.fixture
def hands(tmp_path: Path) -> Hands:
    hands = make_hands(tmp_path)
    hands.ticket("paint", "say hi")
    hook.install(hands.work)
    return hands


def checks(hands: Hands, *args: str, code: int = 0) -> dict[str, Any]:
    document = hands.json("doctor", *args, code=code)
    assert document["ok"] == (code == 0)
    return {check["name"]: check for check in document["checks"]}


def config(hands: Hands, text: str) -> None:
    (hands.work / "ticketd.toml").write_text(text)


def test_a_sound_set_up_has_nothing_to_say_and_makes_no_state(hands: Hands) -> None:
    found = checks(hands)
    assert {check["ok"] for check in found.values()} == {True}
    assert set(found) >= {
        *("git", "python", "repository", "identity", "config", "tickets", "agent default", "target", "push", "hook"),
        *("state", "disk", "store", "leftovers"),
    }
    assert not hands.state.exists()
    assert "→" not in hands.ok("doctor")


def test_nothing_of_the_repository_is_changed(hands: Hands) -> None:
    def everything() -> tuple[object, ...]:
        files = ("config", "index", "FETCH_HEAD", "packed-refs")
        contents = [p.read_bytes() if (p := hands.work / ".git" / name).exists() else None for name in files]
        return git(hands.work, "for-each-ref"), git(hands.origin, "for-each-ref"), contents

    before = everything()
    checks(hands)
    checks(hands, "--fix")
    assert everything() == before


def test_outside_of_a_repository_it_exits_3(tmp_path: Path) -> None:
    assert "is not in a git repository" in Hands(tmp_path, tmp_path).refused(3, "doctor")


def test_without_a_set_up_it_checks_what_it_can(tmp_path: Path) -> None:
    found = checks(make_repository(tmp_path), code=1)
    assert (found["repository"]["ok"], found["repository"]["mend"]) == (False, "Run `ticketd init`.")
    assert found["git"]["ok"] is True
    assert "target" not in found


def test_a_broken_configuration_and_broken_tickets_are_faults(hands: Hands) -> None:
    config(hands, "slotz = 3\n")
    (hands.work / "tickets" / "bad.md").write_text("---\nnonsense: 1\n---\ntext\n")
    found = checks(hands, code=1)
    assert found["config"]["what"].startswith("ticketd.toml:1: error: ")
    assert found["tickets"]["what"].startswith("tickets/bad.md:2: error: ")


def test_a_warning_about_a_ticket_is_no_fault(hands: Hands) -> None:
    (hands.work / "tickets" / "vague.md").write_text("# Do it\n\ntext\n")
    assert checks(hands)["tickets"]["ok"] == "warn"


# --- the target -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ('remote = "upstream"', "no remote `upstream`"),
        ('branch = "develop"', "origin has no branch develop"),
        ('remote = ""\nbranch = "develop"', "there is no branch develop"),
    ],
)
def test_a_target_that_is_not_there_is_a_fault(hands: Hands, target: str, said: str) -> None:
    config(hands, f"[target]\n{target}\n{SCRIPTED}")
    found = checks(hands, code=1)
    assert said in found["target"]["what"]
    assert found["target"]["mend"]
    assert "push" not in found


def test_a_remote_that_does_not_answer_is_a_fault(hands: Hands) -> None:
    hands.origin.rename(hands.origin.with_name("away.git"))
    assert "origin did not answer" in checks(hands, code=1)["target"]["what"]


def test_the_local_branch_is_a_target_like_any_other(hands: Hands) -> None:
    config(hands, f'[target]\nremote = ""\n{SCRIPTED}')
    assert "the local branch main" in checks(hands)["target"]["what"]


def test_a_remote_that_takes_no_push_is_a_fault(hands: Hands) -> None:
    git(hands.work, "remote", "set-url", "--push", "origin", str(hands.origin.with_name("nowhere.git")))
    assert "refuses pushes" in checks(hands, code=1)["push"]["what"]


def test_whether_a_tip_that_is_not_here_can_be_pushed_is_unknown(hands: Hands, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", str(hands.origin), "other")
    git(tmp_path / "other", "commit", "-q", "--allow-empty", "-m", "theirs")
    git(tmp_path / "other", "push", "-q", "origin", "main")
    found = checks(hands)["push"]
    assert (found["ok"], found["mend"]) == ("warn", "Run `git fetch origin`, then `ticketd doctor` again.")


def test_the_program_that_opens_pull_requests_is_looked_for(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "forge" not in checks(hands)
    config(hands, f'[landing]\nmode = "pr"\nforge = "gh"\n{SCRIPTED}')
    bare = hands.work.parent / "bare"
    bare.mkdir()
    (bare / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(bare))
    found = checks(hands, code=1)["forge"]
    assert "`gh` is not on PATH" in found["what"] and found["mend"]
    forge = make_forge(hands.work.parent / "bin", hands.origin, "gh")
    monkeypatch.setenv("PATH", f"{forge.folder}{os.pathsep}{bare}")
    assert checks(hands)["forge"]["ok"] is True


# --- agents ---------------------------------------------------------------------------------------------------------


def test_without_an_agent_there_is_a_fault(hands: Hands) -> None:
    config(hands, "")
    assert checks(hands, code=1)["agents"]["ok"] is False


def test_each_profiles_program_is_looked_for(hands: Hands) -> None:
    for name, mode in (("tracked.sh", 0o755), ("copied.sh", 0o755), ("untracked.sh", 0o755), ("plain.sh", 0o644)):
        (hands.work / name).write_text("#!/bin/sh\n")
        (hands.work / name).chmod(mode)
    git(hands.work, "add", "tracked.sh")
    programs = ("sh", "no-such-program", "./tracked.sh", "./copied.sh", "./untracked.sh", "./plain.sh", "./gone.sh")
    tables = [f'[agents.a{n}]\ncommand = ["{program}"]' for n, program in enumerate(programs)]
    config(hands, "\n".join(['[worktrees]\ncopy = ["copied.sh"]', *tables, '[agents.default]\ncommand = ["sh"]\n']))
    found = checks(hands, code=1)
    assert [found[f"agent a{n}"]["ok"] for n in range(len(programs))] == [True, False, True, True, "warn", False, False]
    assert "[worktrees]" in found["agent a4"]["mend"]


@pytest.mark.parametrize(
    ("command", "program"),
    [
        (("claude", "-p"), "claude"),
        (("env", "A=b", "C=d", "gemini", "-x"), "gemini"),
        (("env",), "env"),
        (("sh", "-c", 'exec aider "$X"'), "aider"),
        (("sh", "-c", "a && b"), "sh"),
    ],
)
def test_the_program_of_a_command_is_what_it_comes_to(command: tuple[str, ...], program: str) -> None:
    assert program_of(command) == program


RECORDED = Path(__file__).parents[1] / "agents" / "logs" / "pi"


def program(at: Path, name: str, version: str, answer: str = "") -> None:
    """On PATH first. It says its version, and else what another one of its name has once said."""
    at.mkdir(exist_ok=True)
    cat = f"exec cat {RECORDED / answer}.log" if answer else "exit 1"
    (at / name).write_text(f'#!/bin/sh\n[ "$1" = --version ] && {{ {version}; exit; }}\n{cat}\n')
    (at / name).chmod(0o755)


@pytest.fixture
def bin_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for name in {key for agent in PRESETS.values() for key in agent.keys}:
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "bin"


def test_an_agent_is_asked_for_its_version_and_its_key_or_login_looked_for(
    hands: Hands, bin_: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(bin_, "pi", "echo pi v0.73.1")
    program(bin_, "codex", "echo codex-cli 0.169.0")
    program(bin_, "gemini", "exit 3")
    program(bin_, "qwen", "echo 0.24.4")
    program(bin_, "copilot", "echo GitHub Copilot CLI 1.0.102-2.")
    (bin_ / "mini").write_text("#!/bin/sh\n[ $1 = --help ] && echo This is mini-swe-agent version 2.4.6.\n")
    (bin_ / "mini").chmod(0o755)
    (tmp_path / ".qwen").mkdir()
    (tmp_path / ".qwen" / "oauth_creds.json").write_text("{}")
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-the-tests")
    keyed = '[agents.default]\npreset = "pi"\nenv = ["OPENAI_API_KEY"]\n'
    asked = ("codex", "gemini", "qwen", "kimi", "copilot", "mini")
    config(hands, keyed + "\n".join(f'[agents.{name}]\npreset = "{name}"' for name in asked))
    found = checks(hands, code=1)
    said = {
        name: (found[f"agent {name}"]["ok"], found[f"agent {name}"]["what"]) for name in ("default", "qwen", "kimi")
    }
    assert said == {
        "default": (True, "pi 0.73.1, with OPENAI_API_KEY"),
        "qwen": (True, "qwen 0.24.4, with a login (~/.qwen/oauth_creds.json)"),
        "kimi": (False, "there is no program `kimi`"),
    }
    assert found["agent copilot"]["what"].startswith("copilot 1.0.102-2, ")
    assert found["agent mini"]["what"].startswith("mini 2.4.6, ")  # it knows no --version, but says it in its help
    assert found["agent codex"]["ok"] == "warn"  # the key is set, and not in its `env`
    assert "OPENAI_API_KEY" in found["agent codex"]["mend"]
    assert found["agent gemini"] == {
        "name": "agent gemini",
        "ok": False,
        "what": "`gemini --version` does not answer",
        "mend": "Install it anew, or mend its `command`.",
    }


def test_only_if_asked_to_it_has_each_agent_answer_by_a_real_attempt(hands: Hands, bin_: Path, tmp_path: Path) -> None:
    program(bin_, "pi", "echo 0.73.1", "done")
    program(bin_, "no-key", "echo 0.73.1", "auth")
    program(bin_, "limited", "echo 0.73.1", "rate-limited")
    tables = (
        '[agents.default]\npreset = "pi"\n[agents.try]\npreset = "scripted"\n[agents.own]\ncommand = ["./agent.sh"]\n'
    )
    tables += "".join(f'[agents.{name}]\npreset = "pi"\ncommand = ["{name}"]\n' for name in ("no-key", "limited"))
    config(hands, tables)
    assert not [name for name in checks(hands, code=1) if name.startswith("dry call")]
    found = {name: check for name, check in checks(hands, "--agents", code=1).items() if name.startswith("dry call")}
    assert {name.removeprefix("dry call "): check["ok"] for name, check in found.items()} == {
        "default": True,
        "try": True,
        "no-key": False,
        "limited": False,
    }
    assert found["dry call default"]["what"].startswith("answered “All done.” (in ")
    assert "2468 tokens" in found["dry call default"]["what"]
    assert "Incorrect API key" in found["dry call no-key"]["what"]
    assert "429" in found["dry call limited"]["what"]
    log = Path(found["dry call no-key"]["mend"].removeprefix("Its output: "))
    assert log.is_relative_to(tmp_path)
    assert log.read_text() == (RECORDED / "auth.log").read_text()
    assert not hands.state.exists()


# --- the hook and the identity --------------------------------------------------------------------------------------


def test_a_missing_hook_is_a_warning_and_mended(hands: Hands) -> None:
    hook.uninstall(hands.work)
    assert checks(hands)["hook"]["ok"] == "warn"
    assert hook.status(hands.work).state is hook.HookState.NONE
    document = hands.json("doctor", "--fix")
    assert "installed the pre-push hook" in document["mended"][0]
    assert hook.status(hands.work).state is hook.HookState.INSTALLED
    assert hands.json("doctor", "--fix")["mended"] == []


def test_a_hooks_path_outside_is_named_and_not_written_to(hands: Hands, tmp_path: Path) -> None:
    (tmp_path / "hooks").mkdir()
    git(hands.work, "config", "core.hooksPath", str(tmp_path / "hooks"))
    found = checks(hands, "--fix")["hook"]
    assert found["ok"] == "warn"
    assert str(tmp_path / "hooks") in found["what"]
    assert "outside this repository" in found["mend"]
    assert list((tmp_path / "hooks").iterdir()) == []


def test_a_missing_identity_is_a_warning(hands: Hands, hermetic_home: Path) -> None:
    (hermetic_home / ".gitconfig").write_text("")
    assert checks(hands)["identity"]["ok"] == "warn"


# --- the state directory --------------------------------------------------------------------------------------------


@pytest.fixture
def used(hands: Hands) -> Hands:
    """With a store and a control repository."""
    hands.ok("slots")
    open_control(hands.state, find(hands.work))
    return hands


def test_a_damaged_store_is_a_fault(used: Hands) -> None:
    (used.state / "store.db").write_bytes(b"nothing of a database" * 100)
    found = checks(used, code=1)["store"]
    assert found["ok"] is False
    assert "control.git" in found["mend"]


def test_damage_inside_of_the_store_is_found(used: Hands) -> None:
    with used.store() as store:
        store.connections.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db = sqlite3.connect(used.state / "store.db")
    page = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()[0]
    size = db.execute("PRAGMA page_size").fetchone()[0]
    db.close()
    with (used.state / "store.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    assert checks(used, code=1)["store"]["ok"] is False


def test_a_store_that_its_events_do_not_tell_of_is_a_fault_and_what_differs_is_named(used: Hands) -> None:
    used.ok("status")
    assert checks(used)["history"]["ok"] is True
    with used.store() as store, store.connections.transaction() as db:
        db.execute("UPDATE tickets SET failures = 3, held = 1 WHERE id = 'paint'")
    found = checks(used, code=1)["history"]
    assert found["ok"] is False
    assert "tickets paint held is True, by the events False; and 1 more" in found["what"]


def test_an_event_that_lacks_what_its_kind_must_say_is_named(used: Hands) -> None:
    used.ok("status")
    with used.store() as store, store.connections.transaction() as db:
        db.execute("INSERT INTO events (at, kind, ticket) VALUES (9.0, 'bumped', 'paint')")
    assert "(bumped) does not say `priority`" in checks(used, code=1)["history"]["what"]


def test_a_state_directory_that_others_can_read_is_closed(used: Hands) -> None:
    used.state.chmod(0o755)
    assert checks(used)["state"]["ok"] == "warn"
    assert checks(used, "--fix")["state"]["ok"] is True
    assert used.state.stat().st_mode & 0o777 == 0o700


def leave_a_lock(hands: Hands) -> Path:
    lock = hands.state / "control.git" / "packed-refs.lock"
    lock.touch()
    return lock


def test_leftovers_of_a_crash_are_named_and_cleared(used: Hands) -> None:
    lock, bell = leave_a_lock(used), Doorbell(used.state)
    found = checks(used)["leftovers"]
    assert (found["ok"], found["mend"]) == ("warn", "Run `ticketd doctor --fix`.")
    assert lock.exists()
    document = used.json("doctor", "--fix")
    assert len(document["mended"]) == 2
    assert not lock.exists()
    assert not bell.path.exists()
    assert "mended: " not in used.ok("doctor", "--fix")
    bell.close()


def test_what_no_record_explains_is_left_alone_and_told_with_its_mend(used: Hands) -> None:
    git(used.state / "control.git", "update-ref", "refs/ticketd/unheard-of/1", git(used.work, "rev-parse", "HEAD"))
    (used.state / "worktrees" / "notes").mkdir(parents=True)
    before = used.json("doctor", "--fix")
    left = [check for check in before["checks"] if check["name"] == "left alone"]
    assert [check["what"].partition(":")[0] for check in left] == ["worktrees/notes", "refs/ticketd/unheard-of/1"]
    assert all(check["ok"] == "warn" and check["mend"] for check in left)
    assert (before["mended"], (used.state / "worktrees" / "notes").is_dir()) == ([], True)
    after = used.json("doctor")
    assert [check for check in after["checks"] if check["name"] == "left alone"] == left
    assert after["mended"] == []


def test_what_a_crash_left_among_refs_is_put_right(used: Hands) -> None:
    tip = git(used.work, "rev-parse", "HEAD")
    git(used.state / "control.git", "update-ref", "refs/heads/ticketd/gone/1", tip)
    (used.state / "control.git" / "refs" / "heads" / "empty").touch()
    assert len(used.json("doctor", "--fix")["mended"]) == 2
    assert git(used.state / "control.git", "for-each-ref", "refs/heads") == ""
    assert used.json("doctor", "--fix")["mended"] == []


def test_while_a_daemon_runs_nothing_of_its_own_is_touched(used: Hands) -> None:
    lock = leave_a_lock(used)
    daemon = DaemonLock(used.state)
    daemon.take()
    assert checks(used, "--fix")["leftovers"]["ok"] is True
    assert lock.exists()
    daemon.release()


def test_an_attempt_without_a_daemon_is_named(used: Hands) -> None:
    used.dispatch("paint")
    found = checks(used)["leftovers"]
    assert "paint/1" in found["what"]
    assert "`ticketd start`" in found["mend"]


# --- judgements that cannot be staged -------------------------------------------------------------------------------


def test_old_programs_are_faults() -> None:
    assert judge.check_git((2, 37, 9)).ok is False
    assert judge.check_git(()).ok is False
    assert judge.check_git((2, 38, 0)).ok is True
    assert judge.check_python((3, 10, 1), (3, 40, 0)).ok is False
    assert judge.check_python((3, 11, 0), (3, 36, 0)).ok is False


def test_a_full_disk_and_a_network_are_faults() -> None:
    assert [judge.check_disk(free).ok for free in (10 * 2**20, 2**30, 2**40)] == [False, "warn", True]
    assert judge.check_state(Path("/s"), True, True, "nfs4").ok is False
    assert judge.check_state(Path("/s"), False, True, "ext4").ok is False


def test_what_is_asked_of_the_machine_has_an_answer(tmp_path: Path) -> None:
    assert checkup.git_version() >= judge.OLDEST_GIT
    assert checkup.free_bytes(tmp_path / "not" / "there") > 0
    assert checkup.file_system(tmp_path / "not" / "there") not in judge.NETWORKS
