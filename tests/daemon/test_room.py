"""The state directory while a daemon works: what goes and what stays, and what happens where the disk is short."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from acceptance_yard import Yard, git, make_yard, wait_until

from ticketd.app.keeping import Keeping
from ticketd.app.trees import Trees
from ticketd.boot.daemon import open_daemon
from ticketd.boot.session import open_session
from ticketd.daemon.main import Daemon
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.events import EventKind
from ticketd.domain.settings import Limits
from ticketd.engines.local import LocalEngine
from ticketd.ports import Alive, Exited, RunSpec, Store
from ticketd.store import open_store

PLENTY = (10**12, None)


@dataclass
class Used:
    """After a run in which `good` has landed and `bad` has failed, in the worktrees 1 and 2 or the other way round."""

    yard: Yard
    daemon: Daemon
    free: tuple[int, int | None] = PLENTY

    @property
    def store(self) -> Store:
        return self.daemon.works.session.store

    @property
    def state(self) -> Path:
        return self.daemon.works.session.places.state

    def limit(self, **limits: float) -> None:
        settings = self.daemon.current.settings
        self.daemon.current.settings = replace(settings, limits=replace(Limits(), **limits))  # type: ignore[arg-type]

    def keeping(self) -> Keeping:
        known = {name for name in self.store.worktree_setups() if name.isdigit()}
        trees = Trees(free=known, taken=(), used_names=known)
        return Keeping(self.daemon.works, trees, self.daemon.recovering, free=lambda _: self.free)

    def round(self, keeping: Keeping) -> None:
        """All places are counted once."""
        for _ in range(30):
            keeping._count_at = 0.0
            keeping.step()

    def there(self) -> set[str]:
        kinds = ("runs/*/*", "logs/*/*", "worktrees/*")
        return {str(path.relative_to(self.state)) for kind in kinds for path in self.state.glob(kind)}


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Used]:
    yard = make_yard(tmp_path, monkeypatch)
    yard.config("[limits]\nretries = 0")
    yard.ticket("good", touches="/good", does=("append good x",))
    yard.ticket("bad", touches="/bad", does=("append bad x", "exit 3"))
    with open_daemon(open_session(yard.work)) as daemon:
        daemon.run(os.getpid(), 2, until_idle=True)
        yield Used(yard, daemon)
    yard.assert_events_tell_all()


def test_after_a_run_nothing_is_left_that_no_record_explains(used: Used) -> None:
    assert [used.daemon.recovering.look(at_rest) for at_rest in (True, False)] == [(), ()]


def test_over_the_limit_what_is_least_missed_goes_and_what_failed_stays_for_a_person(used: Used) -> None:
    used.limit(disk=1)
    used.round(used.keeping())
    assert {name for name in used.there() if "/." not in name} == {"runs/bad/1", "logs/bad/1.agent.log"}
    assert git(used.yard.control, "for-each-ref", "--format=%(refname)", "refs/ticketd") == (
        "refs/ticketd/bad/1\nrefs/ticketd/good/1"
    )
    (cleared,) = [event.data for event in used.store.events() if event.kind is EventKind.CLEARED]
    assert "2 worktrees" in str(cleared["what"])
    assert used.store.pool().short.startswith("the disk limit of 0 kB is reached")


def test_a_worktree_with_work_that_is_nowhere_else_stays_and_doctor_says_why(used: Used) -> None:
    (used.state / "worktrees" / "1" / "mine").write_text("put there by a person")
    used.limit(disk=1)
    used.round(used.keeping())
    assert {"worktrees/1"} == {name for name in used.there() if name.startswith("worktrees/") and "/." not in name}
    used.yard.config('[limits]\ndisk = "1 MB"')
    (used.state / "big").write_bytes(os.urandom(2 * 10**6))
    checks = {check["name"]: check for check in used.yard.json("doctor")["checks"]}
    assert checks["disk limit"]["ok"] == "warn"
    assert "worktree 1: it holds an untracked file" in checks["disk limit"]["what"]
    assert "big (2 MB)" in checks["disk limit"]["what"]


def test_records_of_what_landed_long_ago_go_without_any_limit_and_its_work_stays(used: Used) -> None:
    commit = git(used.yard.control, "rev-parse", "refs/ticketd/good/1")
    for ref in (f"refs/published/ticketd/good/{commit}", "refs/ticketd-extra/good/1/verified"):
        git(used.yard.control, "update-ref", ref, commit)
    before = used.there()
    used.round(used.keeping())
    assert used.there() == before
    used.limit(keep_s=0.0)
    used.round(used.keeping())
    assert before - used.there() == {name for name in before if name.split("/")[1] == "good"}
    assert git(used.yard.control, "for-each-ref", "--format=%(refname)", "refs/published", "refs/ticketd-extra") == ""
    assert git(used.yard.control, "rev-parse", "refs/ticketd/good/1") == commit


def test_keys_in_the_records_of_a_run_go_also_where_a_killed_daemon_had_not_come_to_them(used: Used) -> None:
    spec = used.state / "runs/bad/1/spec.json"
    before = json.loads(spec.read_text())
    spec.write_text(json.dumps({**before, "env": {"KEY": "a-key"}}))
    used.keeping().step()
    assert json.loads(spec.read_text()) == before == {**before, "env": {}}


def test_where_there_is_no_room_for_files_one_thing_goes_at_a_time(used: Used) -> None:
    keeping = used.keeping()
    used.free = (10**12, 100)
    before = len(used.there())
    keeping.step()
    assert len(used.there()) == before - 1
    assert "room for less than 7500 more files" in used.store.pool().short


def test_a_disk_that_is_nearly_full_is_told_once_and_so_is_its_end(used: Used) -> None:
    keeping = used.keeping()
    used.free = (10**8, None)
    keeping.step()
    assert used.store.pool().short == "the disk is nearly full: less than 300 MB are free"
    used.free = PLENTY
    keeping.step()
    assert used.store.pool().short == ""
    kinds = [event.kind for event in used.store.events()]
    assert kinds[-2:] == [EventKind.DISK_SHORT, EventKind.DISK_EASED]


def test_a_process_of_an_attempt_that_has_ended_is_ended_and_one_of_no_record_is_left(
    used: Used, tmp_path: Path
) -> None:
    engine = LocalEngine()
    run_dirs = [used.daemon.works.session.places.run_dir(AttemptKey(id_, 1)) for id_ in ("good", "nobodys")]
    for run_dir in run_dirs:
        shutil.rmtree(run_dir, ignore_errors=True)
        sleeper = (sys.executable, "-c", "import signal; signal.pause()")
        spec = RunSpec(run_dir, sleeper, tmp_path, {}, None, tmp_path / f"{run_dir.parent.name}.log", None)
        assert isinstance(engine.start(spec), Alive)
    found = used.daemon.recovering.look(at_rest=False)
    assert [each.what for each in found] == ["good/1", "runs/nobodys/1"]
    assert used.daemon.recovering.mend(found) == ("ended what good/1 still ran, though it is closed",)
    assert isinstance(engine.wait(run_dirs[0], 30.0), Exited)
    assert isinstance(engine.look(run_dirs[1]), Alive)
    engine.end(run_dirs[1], 0.0)
    assert isinstance(engine.wait(run_dirs[1], 30.0), Exited)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 MB, which is less than ticketd wants free."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_daemon_on_a_full_disk_says_so_and_goes_on_by_itself_once_there_is_room(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = make_yard(tmp_path, monkeypatch)
    monkeypatch.setenv("XDG_STATE_HOME", str(small_disk))
    yard.state = small_disk
    yard.ticket("a", touches="/a", does=("append a x",))
    daemon = yard.start()
    wait_until(lambda: list(small_disk.glob("ticketd/*/store.db")), "there is a store")
    store = open_store(next(small_disk.glob("ticketd/*/store.db")))
    wait_until(lambda: store.pool().short and store.has_queued(), "the daemon has seen that its disk is full")
    status = yard.status()
    assert {slot["why"] for slot in status["slots"]} == {status["daemon"]["short"]}
    assert status["queue"][0]["waits_on"] == [{"kind": "slot", "detail": status["daemon"]["short"]}]
    subprocess.run(["mount", "-o", "remount,size=1g", str(small_disk)], check=True)
    wait_until(store.landed, "it has landed")
    store.close()
    assert yard.run("stop").returncode == 0
    assert daemon.wait(60) == 0
