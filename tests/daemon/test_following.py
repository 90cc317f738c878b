"""Logs that are read while they are written, and what is done about agents that get nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_slot_kept import KEY, running

from ticketd.agents.command import CommandAgent
from ticketd.app import following
from ticketd.app.following import Followed, Following
from ticketd.app.liveness import Liveness
from ticketd.app.places import Places
from ticketd.domain.attempt import EndedFor
from ticketd.domain.pool import TargetRecord
from ticketd.domain.report import Report, Usage
from ticketd.domain.settings import Limits, Settings
from ticketd.ports import AgentResult, Alive, Exited, Pulse, Said, SaidKind
from ticketd.store import SqliteStore


class Talker(CommandAgent):
    reads_lines = True

    def read(self, line: str) -> Iterable[Said]:
        told = json.loads(line)
        if "usage" in told:
            return [Said(SaidKind.USAGE, told.get("of", ""), usage=Usage("m", input=told["usage"]))]
        return [Said(SaidKind(told["kind"]), told["text"], told.get("failed", False))]


@dataclass
class Scene:
    """One running attempt. `now`: of both clocks; `written`: whether files of its tree have just been."""

    root: Path
    store: SqliteStore
    now: float = 1000.0
    pulse: Pulse = field(default_factory=lambda: Pulse(1.0, 10, 1.0, 1.0, 1))
    written: tuple[str, ...] = ()
    limits: Limits = field(default_factory=lambda: Limits(stall_s=90.0, same_failures=3))

    def __post_init__(self) -> None:
        self.store.set_target(TargetRecord("origin", "main", "0" * 40, 1.0), 1.0)
        self.log.parent.mkdir(parents=True)
        clock = SimpleNamespace(now=lambda: self.now, monotonic=lambda: self.now)
        session = SimpleNamespace(store=self.store, places=Places(self.root), clock=clock)
        self.works: Any = SimpleNamespace(
            session=session,
            settings=lambda: Settings(limits=self.limits),
            agent_of=lambda profile: Talker(),
            engine=SimpleNamespace(look=lambda run_dir: Alive(7, 1.0, self.pulse)),
            worktrees=SimpleNamespace(look=lambda *_: SimpleNamespace(touched=("x",)), fresh=lambda *_: self.written),
            bell=SimpleNamespace(ring=lambda: None),
        )
        self.following = Following(self.works)
        self.liveness = Liveness(self.works, lambda used: {})

    @property
    def log(self) -> Path:
        return Places(self.root).log(KEY)

    def says(self, text: str) -> None:
        with self.log.open("a") as log:
            log.write(text)

    def heard(self) -> Followed:
        return self.following.look(self.store.live_attempts())[KEY]

    def pass_by(self, seconds: int, every: int = 10) -> None:
        for _ in range(0, seconds, every):
            self.now += every
            self.liveness.step()

    @property
    def ended_for(self) -> EndedFor | None:
        attempt = self.store.attempt(KEY)
        assert attempt is not None
        return attempt.ended_for


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, running(tmp_path))


# --- what is read ---


def test_a_line_counts_once_it_is_whole_and_only_once(scene: Scene) -> None:
    scene.says('{"usage": 3}\n{"usa')
    assert scene.heard().usage == (Usage("m", input=3),)
    scene.says('ge": 4}\n')
    assert [scene.heard().usage for _ in range(2)] == [(Usage("m", input=7),)] * 2


def test_of_an_answer_that_is_told_several_times_the_last_word_counts(scene: Scene) -> None:
    scene.says("".join(f'{{"usage": {number}, "of": "{of}"}}\n' for number, of in ((3, "a"), (5, "a"), (7, "b"))))
    assert scene.heard().usage == (Usage("m", input=12),)


class Silent(Talker):
    """Writes what it has used into a file beside its log."""

    tells_usage = False
    asked = 0

    def read_result(self, exited: Exited | None, log: Path, home: Path) -> AgentResult:
        self.asked += 1
        return AgentResult("failed", report=Report(usage=(Usage("m", input=int((home / "used").read_text())),)))


@pytest.mark.parametrize("reads_lines", [True, False])
def test_what_an_agent_keeps_to_itself_is_asked_for_now_and_then(scene: Scene, reads_lines: bool) -> None:
    agent = Silent()
    agent.reads_lines = reads_lines
    scene.works.agent_of = lambda profile: agent
    home = Places(scene.root).agent_home(KEY.ticket, scene.store.live_attempts()[0].agent)
    home.mkdir(parents=True)
    seen = []
    for used in (5, 7, 9):
        (home / "used").write_text(str(used))
        seen.append(sum(each.input for each in scene.heard().usage))
        scene.now += 6.0
    assert (seen, agent.asked) == ([5, 5, 9], 2)


def test_a_line_without_an_end_is_passed_over_and_what_follows_is_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LONGEST_LINE", 100)
    scene.says('"' + "x" * 500)
    scene.heard()
    scene.says('x"\n{"usage": 4}\n')
    followed = scene.heard()
    assert (followed.usage, followed.is_mute) == ((Usage("m", input=4),), False)


def test_a_log_that_cannot_be_read_keeps_no_other_from_being_followed(scene: Scene) -> None:
    scene.says("no JSON\n")
    assert scene.heard().is_mute


def test_nothing_is_read_through_a_link(scene: Scene) -> None:
    (scene.root / "else").write_text('{"usage": 3}\n')
    scene.log.symlink_to(scene.root / "else")
    assert scene.heard().usage == ()


# --- what follows ---


def test_an_agent_without_a_sign_of_progress_is_shown_and_then_ended(scene: Scene) -> None:
    scene.pass_by(50)
    assert scene.liveness.words(KEY) == "no sign of progress for 40s"
    assert scene.ended_for is None
    scene.pass_by(50)
    assert scene.ended_for is EndedFor.STALL
    told = [event.data for event in scene.store.events() if event.kind == "end-asked"]
    assert told == [
        {"for": "stall", "why": "no sign of progress for 90s: no output, no change to a file, no CPU"},
    ]
    assert scene.store.disagreements() == []


def test_one_that_somebody_has_stopped_is_told_as_such(scene: Scene) -> None:
    scene.pulse = replace(scene.pulse, held_up="stopped by a signal: 7 (claude)")
    scene.pass_by(110)
    attempt = scene.store.attempt(KEY)
    assert attempt and "stopped by a signal: 7 (claude)" in attempt.detail


def test_files_that_others_write_for_it_are_a_sign_of_progress(scene: Scene) -> None:
    scene.written = ("x",)
    scene.pass_by(300)
    assert scene.ended_for is None


def test_a_person_may_switch_the_limit_off(scene: Scene) -> None:
    scene.limits = Limits(stall_s=None)
    scene.pass_by(1000)
    assert (scene.ended_for, scene.liveness.words(KEY)) == (None, "")


def failures(times: int) -> str:
    said = ({"kind": "action", "text": "make"}, {"kind": "result", "text": "red", "failed": True})
    return "".join(json.dumps(each) + "\n" for each in said) * times


def test_one_that_fails_at_the_same_thing_again_and_again_is_ended_though_it_speaks(scene: Scene) -> None:
    scene.says(failures(2))
    scene.pass_by(10)
    assert scene.ended_for is None
    scene.says(failures(1) + '{"kind": "text", "text": "I shall try something else"}\n')
    scene.pass_by(10)
    assert scene.ended_for is EndedFor.LOOP


def test_one_that_has_used_up_its_budget_is_ended_with_the_reason(scene: Scene) -> None:
    scene.liveness.exceeded = lambda used: {key: f"{usage[0].input} tokens are too many" for key, usage in used.items()}
    scene.says('{"usage": 3}\n')
    scene.pass_by(10)
    attempt = scene.store.attempt(KEY)
    assert attempt and (attempt.ended_for, attempt.detail) == (EndedFor.BUDGET, "3 tokens are too many")
    scene.store.attempt_over(KEY, None, "ended", "asked to end", 9.0)
    over = scene.store.attempt(KEY)
    assert over and over.detail == "3 tokens are too many"
