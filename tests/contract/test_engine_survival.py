"""What outlives what: a supervisor, a machine, a stop, a bomb; and who is never touched. With real processes, as in
`test_engine.py`, once with a control group where one can be had and once without."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from test_engine import (
    DAEMONISE,
    PATIENCE_S,
    PATIENT,
    STUBBORN,
    Altered,
    Tie,
    altered,
    eventually,
    linux_only,
    outcome,
    python,
    shell,
    spec,
    supervisor_of,
    take_away,
    tie,
)

from ticketd.doorbell import Doorbell, ring
from ticketd.engines import run
from ticketd.engines.local import LocalEngine
from ticketd.engines.supervisor import cgroups, processes
from ticketd.ports import Alive, Exited, LostRun, RunSpec

__all__ = ["altered", "spec", "tie"]
pytestmark = linux_only

NO_CGROUP = ("    for mount in CGROUPS:", "    for mount in ():")


@pytest.fixture(params=["with a control group", "without"])
def grouped(request: pytest.FixtureRequest, altered: Altered) -> bool:
    if request.param == "without":
        altered(NO_CGROUP)
        return False
    made = cgroups.make_cgroup()
    cgroups.remove_cgroup(made)
    if made is None:
        pytest.skip("no control group (v2) can be made here")
    return True


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    it = LocalEngine(heartbeat_s=0.02)
    yield it
    for run_dir in (tmp_path / "runs").glob("*"):
        it.end(run_dir, 0)
        it.wait(run_dir, PATIENCE_S)


def kill_supervisor(engine: LocalEngine, spec: RunSpec) -> None:
    os.kill(supervisor_of(spec), signal.SIGKILL)
    assert isinstance(engine.wait(spec.run_dir, PATIENCE_S), LostRun)


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# --- a supervisor that is killed ---

# Only the control group or the last heartbeat tells of it: no mark, a session of its own, a parent that is gone.
SCRUBBED = """
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    code = "import os, signal; signal.signal(15, signal.SIG_IGN); os.write(3, b'child\\\\n'); signal.sigwait([10])"
    os.execve(sys.executable, [sys.executable, '-I', '-S', '-c', code], {})
os.wait()
"""


def pulse_names(engine: LocalEngine, spec: RunSpec, count: int) -> Callable[[], bool]:
    return lambda: isinstance(engine.look(spec.run_dir), Alive) and len(run.read_kin(spec.run_dir)) >= count


def test_what_hid_its_mark_ends_with_a_lost_run(engine: LocalEngine, spec: RunSpec, tie: Tie, grouped: bool) -> None:
    engine.start(python(spec, SCRUBBED + STUBBORN))
    seen = b""
    while seen.count(b"\n") < 2:
        seen += tie.read()
    eventually(pulse_names(engine, spec, 2))
    kill_supervisor(engine, spec)
    state = engine.settle(spec.run_dir)
    tie.wait_for_cut()
    assert isinstance(state, LostRun) and (state.left, state.with_machine) == ("", False)


def test_what_stayed_in_the_agents_session_without_mark_ends_with_a_lost_run(
    spec: RunSpec, tie: Tie, altered: Altered
) -> None:
    altered(NO_CGROUP)
    engine = LocalEngine(heartbeat_s=3600)
    child = f"env -i {sys.executable} -I -S -c 'import os, signal; os.write(3, bytes(1)); signal.pause()' &"
    engine.start(shell(spec, f'exec 3>"$TIE"; {child} wait'))
    assert tie.read() == b"\0"
    kill_supervisor(engine, spec)
    engine.settle(spec.run_dir)
    tie.wait_for_cut()


def test_a_persons_shell_in_the_worktree_is_left_alone_and_named(
    engine: LocalEngine, spec: RunSpec, tie: Tie, grouped: bool
) -> None:
    engine.start(python(spec, PATIENT))
    tie.read()
    with subprocess.Popen(["cat"], cwd=spec.cwd, stdin=subprocess.PIPE) as person:
        kill_supervisor(engine, spec)
        state = engine.settle(spec.run_dir)
        tie.wait_for_cut()
        assert isinstance(state, LostRun) and f"left alone: {person.pid} (cat)" in state.detail
        assert person.poll() is None
        assert person.stdin
        person.stdin.close()
        assert person.wait(PATIENCE_S) == 0


def test_a_number_that_has_passed_to_another_is_not_the_runs(
    engine: LocalEngine, spec: RunSpec, tie: Tie, tmp_path: Path
) -> None:
    """Of the supervisor, of the agent and in the heartbeat: each names a bystander's pid, with another's start."""
    engine.start(python(spec, PATIENT))
    tie.read()
    eventually((spec.run_dir / "heartbeat.json").exists)
    kill_supervisor(engine, spec)
    with subprocess.Popen(["cat"], cwd=spec.cwd, stdin=subprocess.PIPE, start_new_session=True) as bystander:
        start = processes.start_of(bystander.pid)
        assert start
        pids = {"pid": bystander.pid, "supervisor_pid": bystander.pid}
        rewrite(spec.run_dir / "started.json", **pids, pid_start=start - 1, supervisor_start=start - 1)
        rewrite(spec.run_dir / "heartbeat.json", kin=f"{bystander.pid}:{start - 1}")
        engine.end(spec.run_dir, 0)
        state = engine.settle(spec.run_dir)
        assert isinstance(state, LostRun) and f"{bystander.pid} (cat)" in state.detail
        assert bystander.poll() is None
        assert bystander.stdin
        bystander.stdin.close()
        assert bystander.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(
    "path", ["/sys/fs/cgroup", "/sys/fs/cgroup/user.slice", "/tmp/ticketd-0123456789abcdef", "/sys/fs/cgroup/../x", 7]
)
def test_no_control_group_but_a_supervisors_own_is_believed(spec: RunSpec, path: object) -> None:
    spec.run_dir.mkdir(parents=True)
    record = {"pid": 1, "started_at": 1.0, "supervisor_pid": 1, "cgroup": path}
    (spec.run_dir / "started.json").write_text(json.dumps(record))
    started = run.read_started(spec.run_dir)
    assert started and started.cgroup is None


def test_without_proc_a_lost_run_says_that_nobody_has_looked(
    engine: LocalEngine, spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.start(shell(spec, "kill -9 $PPID; exec sleep 1000"))
    assert isinstance(engine.wait(spec.run_dir, PATIENCE_S), LostRun)
    monkeypatch.setattr(processes, "everyone", list)
    state = engine.settle(spec.run_dir)
    assert isinstance(state, LostRun) and "without /proc" in state.detail


# --- a machine that goes down ---


def test_after_a_restart_of_the_machine_every_run_is_lost_with_it_and_nothing_is_signalled(
    engine: LocalEngine, spec: RunSpec, tie: Tie, altered: Altered
) -> None:
    """What lives under its mark and numbers by then is somebody else's, as far as can be known."""
    altered(NO_CGROUP)
    engine.start(python(spec, DAEMONISE + STUBBORN))
    tie.read()
    kill_supervisor(engine, spec)
    rewrite(spec.run_dir / "started.json", boot_id="another")
    engine.end(spec.run_dir, 0)
    state = engine.settle(spec.run_dir)
    assert isinstance(state, LostRun) and state.with_machine and "machine" in state.detail
    [left] = processes.marked(spec.mark)
    rewrite(spec.run_dir / "started.json", boot_id=processes.boot_id())
    assert isinstance(engine.settle(spec.run_dir), LostRun)
    tie.wait_for_cut()
    assert not processes.stat(left) or processes.stat(left)[0] == b"Z"


# --- what does not end, or does not go on ---


def test_an_agent_that_is_stopped_is_shown_and_still_answers_when_it_is_to_end(
    engine: LocalEngine, spec: RunSpec, tie: Tie
) -> None:
    code = "import os, signal\nsignal.signal(15, lambda *_: os._exit(3))\nos.write(3, b'up\\n')\nsignal.pause()\n"
    agent = engine.start(python(spec, code))
    assert isinstance(agent, Alive)
    tie.read()
    os.kill(agent.pid, signal.SIGSTOP)

    def is_told() -> bool:
        state = engine.look(spec.run_dir)
        assert isinstance(state, Alive)
        return bool(state.pulse and f"kill -CONT {agent.pid}" in state.pulse.held_up)

    eventually(is_told)
    engine.end(spec.run_dir, PATIENCE_S)
    state = engine.wait(spec.run_dir, PATIENCE_S)
    assert isinstance(state, Exited) and (state.code, state.reason) == (3, "ended")


def test_a_stopped_agent_runs_into_its_time_limit_like_any_other(engine: LocalEngine, spec: RunSpec, tie: Tie) -> None:
    state = outcome(engine, replace(python(spec, "import os\nos.kill(os.getpid(), 19)\n"), timeout_s=0.1, grace_s=0.0))
    assert (state.reason, state.code) == ("timeout", None)


def test_a_supervisor_that_is_stopped_still_ends_its_run(engine: LocalEngine, spec: RunSpec, tie: Tie) -> None:
    engine.start(python(spec, PATIENT))
    tie.read()
    os.kill(supervisor_of(spec), signal.SIGSTOP)
    engine.end(spec.run_dir, 0)
    state = engine.wait(spec.run_dir, PATIENCE_S)
    assert isinstance(state, Exited) and state.reason == "ended"


def test_a_supervisor_that_was_stopped_and_is_missed_is_woken_by_a_look(
    engine: LocalEngine, spec: RunSpec, tie: Tie, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ticketd.engines.local.SILENT_S", -1.0)
    engine.start(python(spec, PATIENT))
    tie.read()
    pid = supervisor_of(spec)
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: processes.stat(pid)[0] == b"T")
    engine.look(spec.run_dir)
    eventually(lambda: processes.stat(pid)[0] != b"T")


def test_a_run_whose_supervisor_cannot_be_verified_is_shown_and_ends_by_file(
    engine: LocalEngine, spec: RunSpec, tie: Tie
) -> None:
    engine.start(python(spec, PATIENT))
    tie.read()
    own = supervisor_of(spec)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as bystander:
        rewrite(spec.run_dir / "started.json", supervisor_pid=bystander.pid)
        state = engine.look(spec.run_dir)
        assert isinstance(state, Alive)
        assert state.pulse and f"pid {bystander.pid} is not its supervisor's" in state.pulse.held_up
        engine.end(spec.run_dir, 0)
        over = engine.wait(spec.run_dir, PATIENCE_S)
        assert isinstance(over, Exited) and over.reason == "ended"
        assert bystander.poll() is None
        bystander.kill()
    eventually(lambda: processes.stat(own)[:1] in ([], [b"Z"]))


def test_a_run_whose_record_cannot_be_read_is_left_alone_and_shown_and_ends_by_file(
    engine: LocalEngine, spec: RunSpec, tie: Tie
) -> None:
    engine.start(python(spec, PATIENT))
    tie.read()
    (spec.run_dir / "started.json").write_bytes(b"{")
    state = engine.look(spec.run_dir)
    assert isinstance(state, Alive) and state.pulse
    assert (state.pid, state.pulse.held_up) == (0, "it runs, but its record of the start cannot be read")
    engine.end(spec.run_dir, 0)
    over = engine.wait(spec.run_dir, PATIENCE_S)
    assert isinstance(over, Exited) and over.reason == "ended"


def test_to_settle_a_run_that_had_begun_and_has_no_records_ends_it_at_once(
    engine: LocalEngine, spec: RunSpec, tie: Tie, altered: Altered
) -> None:
    altered(("TICK_S = 1.0", "TICK_S = 1000.0"))  # its supervisor looks too late
    engine.start(python(replace(spec, mark="marked/1"), STUBBORN))
    tie.read()
    take_away(spec.run_dir)
    state = engine.settle(spec.run_dir, "marked/1")
    tie.wait_for_cut()
    assert isinstance(state, LostRun) and not state.left


def test_a_run_whose_records_are_deleted_ends_itself(engine: LocalEngine, spec: RunSpec, tie: Tie) -> None:
    engine.start(python(spec, DAEMONISE + STUBBORN))
    tie.read()
    take_away(spec.run_dir)
    tie.wait_for_cut()


def test_what_cannot_be_ended_keeps_its_run_alive_and_is_named_until_it_is_gone(
    spec: RunSpec, tie: Tie, altered: Altered
) -> None:
    altered(NO_CGROUP, ("signal.pidfd_send_signal(fd, number)", "pass"), ("os.kill(pid, number)", "pass"))
    altered(("HELD_UP_S = 2.0", "HELD_UP_S = 0.0"))
    engine = LocalEngine(heartbeat_s=0.02)
    engine.start(python(spec, DAEMONISE))

    def named() -> int:
        state = engine.look(spec.run_dir)
        assert isinstance(state, Alive)
        words = state.pulse.held_up if state.pulse else ""
        return int(words.split()[3]) if words.startswith("cannot be ended: ") else 0

    eventually(lambda: named() > 0)
    os.kill(named(), signal.SIGKILL)
    tie.wait_for_cut()
    state = engine.wait(spec.run_dir, PATIENCE_S)
    assert isinstance(state, Exited) and (state.code, state.stragglers) == (0, 1)


def test_what_cannot_be_ended_of_a_lost_run_is_named_until_it_is_gone(
    engine: LocalEngine, spec: RunSpec, tie: Tie, altered: Altered, monkeypatch: pytest.MonkeyPatch
) -> None:
    altered(NO_CGROUP)
    engine.start(python(spec, DAEMONISE + STUBBORN))
    tie.read()
    kill_supervisor(engine, spec)
    with monkeypatch.context() as patch:
        patch.setattr("ticketd.engines.survivors.SWEEP_LIMIT_S", 0.05)
        patch.setattr(processes, "strike", lambda *_: None)
        state = engine.settle(spec.run_dir)
    assert isinstance(state, LostRun)
    [pid] = processes.marked(spec.mark)
    assert state.left.startswith(f"{pid} (")
    state = engine.settle(spec.run_dir)
    assert isinstance(state, LostRun) and state.left == ""
    tie.wait_for_cut()


# --- what multiplies ---

BOMB = """
import os, signal, time
signal.signal(15, signal.SIG_IGN)
os.write(3, b'up\\n')
until = time.monotonic() + 60
def live(depth):
    while time.monotonic() < until:
        if depth < 5:
            for _ in range(2):
                if os.fork() == 0:
                    if depth % 2: os.setsid()
                    live(depth + 1)
        try:
            os.wait()
        except ChildProcessError:
            time.sleep(0.001)
    os._exit(0)
live(0)
"""


def test_a_bomb_of_processes_that_put_each_other_back_is_ended(
    engine: LocalEngine, spec: RunSpec, tie: Tie, grouped: bool
) -> None:
    engine.start(python(spec, BOMB))
    tie.read()
    eventually(lambda: len(processes.marked(spec.mark)) > 20)
    engine.end(spec.run_dir, 0)
    state = engine.wait(spec.run_dir, PATIENCE_S)
    tie.wait_for_cut()
    assert isinstance(state, Exited) and (state.signal, state.reason) == (signal.SIGKILL, "ended")
    assert processes.marked(spec.mark) == []


def test_a_bomb_that_lost_its_supervisor_is_ended(engine: LocalEngine, spec: RunSpec, tie: Tie, grouped: bool) -> None:
    engine.start(python(spec, BOMB))
    tie.read()
    eventually(lambda: len(processes.marked(spec.mark)) > 20)
    kill_supervisor(engine, spec)
    state = engine.settle(spec.run_dir)
    tie.wait_for_cut()
    assert isinstance(state, LostRun) and state.left == ""


def test_no_control_group_is_left(engine: LocalEngine, spec: RunSpec, tie: Tie, tmp_path: Path) -> None:
    outcome(engine, python(spec, DAEMONISE))
    lost = replace(python(spec, STUBBORN), run_dir=spec.run_dir.with_name("2"))
    engine.start(lost)
    eventually(lambda: b"up" in tie.read())
    kill_supervisor(engine, lost)
    engine.settle(lost.run_dir)
    records = [run.read_started(each.run_dir) for each in (spec, lost)]
    groups = [record.cgroup for record in records if record and record.cgroup]
    if not groups:
        pytest.skip("no control group (v2) can be made here")
    eventually(lambda: not any(Path(group).exists() for group in groups))


# --- where memory runs out ---


def test_the_kernel_takes_the_agent_before_its_supervisor(engine: LocalEngine, spec: RunSpec) -> None:
    outcome(engine, shell(spec, "cat /proc/$PPID/oom_score_adj /proc/self/oom_score_adj"))
    ours, agents = map(int, spec.log.read_text().split())
    assert ours == int(Path("/proc/self/oom_score_adj").read_text())
    assert agents == min(1000, ours + cgroups.OOM_STEP)


# --- many at once ---


def test_a_thousand_that_end_together_are_all_seen_though_the_bell_holds_not_so_many_rings(
    engine: LocalEngine, spec: RunSpec, tmp_path: Path
) -> None:
    """Their records; the supervisors are not real."""
    over = outcome(engine, spec)
    record = (spec.run_dir / "exit.json").read_bytes()
    dirs = [tmp_path / "many" / str(number) for number in range(1000)]
    for each in dirs:
        each.mkdir(parents=True, mode=0o700)
        (each / "lock").touch()
        (each / "exit.json").write_bytes(record)
    with closing(Doorbell(tmp_path)) as bell:
        for _ in dirs:
            ring(tmp_path)
        assert bell.wait(PATIENCE_S)
        assert all(engine.look(each) == over for each in dirs)
        assert not bell.wait(0)


# --- a supervisor that is killed while it begins ---


def test_killed_between_its_record_and_the_gate_the_agent_never_runs(spec: RunSpec, altered: Altered) -> None:
    altered(("        os.write(opener, READY)", "        os.kill(os.getpid(), 9)"))
    engine = LocalEngine()
    assert isinstance(engine.start(shell(spec, "echo ran")), Alive)
    state = engine.settle(spec.run_dir)
    assert isinstance(state, LostRun) and state.left == ""
    assert processes.marked(spec.mark) == []
    assert spec.log.read_bytes() == b""
