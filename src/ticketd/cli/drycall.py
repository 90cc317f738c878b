"""What `ticketd doctor` asks agents themselves: which version they are; and with `--agents` a word of their model.

That is a ticket as any other, in a repository of its own: all that an attempt needs has worked once then.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ticketd.agents import PRESETS
from ticketd.app.doctor import Check
from ticketd.app.environment import ALLOWED
from ticketd.app.fitness import Known, Program, check_answer, program_of
from ticketd.boot.session import Opened, open_session
from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.settings import AgentProfile, SandboxMode, Settings
from ticketd.domain.template import agent_table, sandbox_table
from ticketd.git.door import Git

VERSION_LIMIT_S = 10.0
ANSWER_LIMIT_S = 180
MOST_AT_ONCE = 3
BUDGET_USD = 0.5
POLL_S = 0.2

_NUMBER = re.compile(r"\d+(?:\.\d+)+(?:[.+-]?\w+)*")

TICKET = """\
---
title: Say OK
agent: {agent}
touches: ["/nothing-{number}"]
timeout: {limit}s
budget_usd: {budget}
---
This is a trial of the set-up. Reply with the one word OK. Change no file, run no command, commit nothing.
"""


def look_at(profile: AgentProfile, environ: Mapping[str, str] = os.environ) -> Known:
    agent = PRESETS[profile.preset]
    keys = [name for name in agent.keys if name in profile.env and environ.get(name)]
    home = Path(environ.get("HOME") or Path.home())
    logins = [f"a login (~/{login})" for login in agent.logins if (home / login).exists()]
    access = " and ".join(keys) or next(iter(logins), "")
    command = profile.command or (agent.program,)
    if "/" in command[0] and not Path(command[0]).is_absolute():
        return Known("", access)  # the repository's own; it is asked nowhere else
    # mini-swe-agent knows no --version, and says it at the head of its help.
    asked = (_version((*command, flag), environ) for flag in ("--version", "--help"))
    return Known(next((said for said in asked if said is not None), None), access)


def _version(argv: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """None if it does not say one in time. It gets no key: it has no need of any."""
    given = {name: environ[name] for name in ALLOWED if name in environ}
    out, null = subprocess.PIPE, subprocess.DEVNULL
    with tempfile.TemporaryDirectory(prefix="ticketd-doctor-") as nowhere:
        try:
            asked = subprocess.Popen(
                argv, cwd=nowhere, env=given, stdin=null, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
        except OSError:
            return None
        with asked:
            try:
                said = asked.communicate(timeout=VERSION_LIMIT_S)[0].decode("utf-8", "replace")
            except subprocess.TimeoutExpired:
                return None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(asked.pid, signal.SIGKILL)
    number = _NUMBER.search(said)
    return None if asked.returncode != 0 else number[0] if number else ""


def dry_calls(settings: Settings, find: Callable[[str], Program]) -> list[Check]:
    """Of each profile whose program is there; those that are not have had their fault told."""
    asked = [profile for profile in settings.agents.values() if _can_be_asked(profile, find)]
    if not asked:
        return []
    call = DryCall(Path(tempfile.mkdtemp(prefix="ticketd-doctor-")).resolve(), settings, asked)
    checks = call.run()
    if all(check.ok for check in checks):
        shutil.rmtree(call.root, ignore_errors=True)
    return checks


def _can_be_asked(profile: AgentProfile, find: Callable[[str], Program]) -> bool:
    """A command of the repository's own is not there in another one."""
    program = program_of(profile.command or (PRESETS[profile.preset].program,))
    return not program or (find(program) is Program.FOUND and ("/" not in program or Path(program).is_absolute()))


@dataclass(frozen=True, slots=True)
class DryCall:
    """The throwaway repository, with a ticket for each profile. It stays where it is if one of them fails."""

    root: Path
    settings: Settings
    profiles: Sequence[AgentProfile]

    def run(self) -> list[Check]:
        self._make()
        command = [sys.executable, "-m", "ticketd", "--repo", str(self._work)]
        with (self.root / "daemon.out").open("wb") as out:
            daemon = subprocess.Popen([*command, "start", "--until-idle"], env=self._environ, stdout=out, stderr=out)
            try:
                self._wait(daemon)
            finally:
                subprocess.run([*command, "stop", "--now"], env=self._environ, capture_output=True, check=False)
                daemon.wait()
        opened = self._opened()
        return [self._check(opened, number, profile) for number, profile in enumerate(self.profiles)]

    @property
    def _work(self) -> Path:
        return self.root / "work"

    @property
    def _environ(self) -> dict[str, str]:
        return {**os.environ, "XDG_STATE_HOME": str(self.root / "state")}

    def _make(self) -> None:
        (self._work / "tickets").mkdir(parents=True)
        (self._work / "ticketd.toml").write_text(self._config(), encoding="utf-8")
        for number, profile in enumerate(self.profiles):
            told = TICKET.format(agent=profile.name, number=number, limit=ANSWER_LIMIT_S, budget=BUDGET_USD)
            (self._work / "tickets" / f"{_ticket(number)}.md").write_text(told, encoding="utf-8")
        git = Git(self._work).run
        git("init", "--quiet", "--initial-branch=main")
        git("add", "--all")
        git("-c", "user.name=ticketd", "-c", "user.email=ticketd@localhost", "commit", "--quiet", "--message=A trial")

    def _config(self) -> str:
        head = [f"slots = {min(MOST_AT_ONCE, len(self.profiles))}", "[target]", 'remote = ""', 'branch = "main"']
        head += ["[limits]", "retries = 0", "[landing]", "repairs = 0"]
        sandbox = self.settings.sandbox
        tables = [sandbox_table(sandbox)] if sandbox.mode is not SandboxMode.OFF else []
        return "\n".join([*head, *tables, *(agent_table(profile) for profile in self.profiles)])

    def _opened(self) -> Opened:
        return open_session(self._work, self._environ)

    def _wait(self, daemon: subprocess.Popen[bytes]) -> None:
        rounds = -(-len(self.profiles) // MOST_AT_ONCE)
        give_up_at = time.monotonic() + rounds * (ANSWER_LIMIT_S + 30)
        store = self._opened().session.store
        while time.monotonic() < give_up_at and daemon.poll() is None:
            first = [store.attempt(AttemptKey(_ticket(number), 1)) for number in range(len(self.profiles))]
            if all(each is not None and each.state is AttemptState.ENDED for each in first):
                return
            time.sleep(POLL_S)

    def _check(self, opened: Opened, number: int, profile: AgentProfile) -> Check:
        key = AttemptKey(_ticket(number), 1)
        attempt: Attempt | None = opened.session.store.attempt(key)
        record, log = opened.session.store.ticket(key.ticket), opened.session.places.log(key)
        why = (record.detail if record else "") or self._last_words()
        return check_answer(profile.name, attempt, why, str(log if log.exists() else self.root / "daemon.out"))

    def _last_words(self) -> str:
        lines = (self.root / "daemon.out").read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""


def _ticket(number: int) -> str:
    return f"dry-{number}"
