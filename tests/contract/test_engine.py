"""What every engine promises, shown with real processes. `tie` is a pipe that a whole process tree holds: it is cut
when the last of them is dead, which no scan of processes could prove."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ticketd.engines import local, run
from ticketd.engines.local import LocalEngine
from ticketd.engines.supervisor.conducting import VOIDED
from ticketd.ports import Alive, Engine, Exited, LostRun, NeverStarted, NoCapacity, RunSpec

PATIENCE_S = 30.0
SH = "/bin/sh"
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs a subreaper")

# A child in a session of its own, its parent gone, that does not mind SIGTERM.
DAEMONISE = """
import os, signal
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork():
        os._exit(0)
    while True:
        signal.pause()
os.wait()
"""
PATIENT = "import os, signal\nos.write(3, b'up\\n')\nwhile True: signal.pause()\n"
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + PATIENT


Altered = Callable[..., None]


@pytest.fixture
def altered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Altered:
    """A supervisor in which some text is replaced by another; a second time, what has been altered is altered again."""

    def alter(*changes: tuple[str, str]) -> None:
        own = tmp_path / "altered" / "supervisor"
        if not own.exists():
            shutil.copytree(local.SUPERVISOR_IN / own.name, own, ignore=shutil.ignore_patterns("__pycache__"))
        for old, new in changes:
            [module] = [each for each in own.glob("*.py") if old in each.read_text(encoding="utf-8")]
            module.write_text(module.read_text(encoding="utf-8").replace(old, new))
        monkeypatch.setattr(local, "SUPERVISOR_IN", own.parent)

    return alter


class Tie:
    """A named pipe. The test holds it too, until it waits for the cut: so a process that dies early is no deadlock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.own = os.fdopen(os.open(path, os.O_WRONLY), "wb")

    def close(self) -> None:
        self.own.close()
        os.close(self.fd)

    def read(self) -> bytes:
        """What has been written since; empty once everybody who held it is dead."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN | select.POLLHUP)
        assert poll.poll(PATIENCE_S * 1000), "nothing happened on the pipe"
        return os.read(self.fd, 4096)

    def wait_for_cut(self) -> None:
        self.own.close()
        while self.read():
            pass


@pytest.fixture
def tie(tmp_path: Path) -> Iterator[Tie]:
    it = Tie(tmp_path / "tie")
    yield it
    it.close()


@pytest.fixture(params=["local"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    it = LocalEngine(heartbeat_s=0.02)
    yield it
    for run_dir in (tmp_path / "runs").glob("*"):
        it.end(run_dir, 0)
        it.wait(run_dir, PATIENCE_S)


@pytest.fixture
def spec(tmp_path: Path) -> RunSpec:
    """`true`, to be changed by `replace`."""
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    env = {"PATH": os.environ["PATH"], "TIE": str(tmp_path / "tie"), "GATE": str(tmp_path / "gate")}
    run_dir, log = tmp_path / "runs" / "1", tmp_path / "log"
    return RunSpec(run_dir, ("true",), cwd, env, None, log, timeout_s=None, grace_s=PATIENCE_S, mark=f"m-{tmp_path}")


def shell(spec: RunSpec, script: str) -> RunSpec:
    return replace(spec, argv=(SH, "-c", script))


def python(spec: RunSpec, code: str) -> RunSpec:
    """`code` with the tie as file descriptor 3, in every process that comes of it."""
    return replace(spec, argv=(SH, "-c", 'exec 3>"$TIE"; exec "$0" -I -S -c "$1"', sys.executable, code))


def outcome(engine: Engine, spec: RunSpec) -> Exited:
    engine.start(spec)
    state = engine.wait(spec.run_dir, PATIENCE_S)
    assert isinstance(state, Exited)
    return state


def eventually(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, "it never came true"
        time.sleep(0.005)


def take_away(run_dir: Path) -> None:
    """Deletes the records of a run, as often as it takes: who is deleted under still writes."""

    def gone() -> bool:
        shutil.rmtree(run_dir, ignore_errors=True)
        return not run_dir.exists()

    eventually(gone)


# --- how it ended ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 75, 255])
def test_the_exit_code_is_kept(engine: Engine, spec: RunSpec, code: int) -> None:
    state = outcome(engine, shell(spec, f"exit {code}"))
    assert (state.code, state.signal, state.reason, state.stragglers) == (code, None, "exited", 0)
    assert state.started_at is not None
    assert state.started_at <= state.ended_at


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGPIPE, signal.SIGINT])
def test_the_signal_is_kept_and_none_is_ignored(engine: Engine, spec: RunSpec, number: signal.Signals) -> None:
    state = outcome(engine, shell(spec, f"kill -{number.value} $$; exit 3"))
    assert (state.code, state.signal, state.reason) == (None, number, "exited")


def test_cpu_and_memory_are_counted(engine: Engine, spec: RunSpec) -> None:
    state = outcome(engine, replace(spec, argv=(sys.executable, "-I", "-S", "-c", "b = b'x' * 50_000_000; sum(b)")))
    assert (state.cpu_s or 0) > 0
    assert (state.max_rss_bytes or 0) > 50_000_000


def test_a_missing_program_is_named(engine: Engine, spec: RunSpec) -> None:
    state = engine.start(replace(spec, argv=("no-such-program", "x")))
    assert isinstance(state, Exited)
    assert (state.code, state.reason) == (None, "cannot-run")
    assert "no-such-program" in state.detail
    assert engine.look(spec.run_dir) == state


def test_a_program_that_may_not_be_executed_is_told_from_one_that_is_just_being_written(
    engine: Engine, spec: RunSpec, tmp_path: Path
) -> None:
    program = tmp_path / "agent"
    shutil.copy("/bin/true", program)
    program.chmod(0o600)
    refused = engine.start(replace(spec, argv=(str(program),)))
    program.chmod(0o700)
    with program.open("r+b"):
        busy = engine.start(replace(spec, run_dir=spec.run_dir.with_name("2"), argv=(str(program),)))
    assert isinstance(refused, Exited) and refused.reason == "cannot-run"
    assert isinstance(busy, Exited) and busy.reason == "spawn-failed"


STARVED = """
import os, resource, sys
from pathlib import Path
from ticketd.engines.local import LocalEngine
from ticketd.ports import RunSpec
run_dir, log = sys.argv[1:]
spec = RunSpec(Path(run_dir), ("true",), Path("/"), {}, None, Path(log), None)
engine = LocalEngine()
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
for _ in range(int(sys.stdin.readline())):
    os.close(held.pop())
print(type(engine.start(spec)).__name__)
"""


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_start_without_descriptors_left_is_refused_and_begins_nothing(spec: RunSpec, left: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARVED, str(spec.run_dir), str(spec.log)],
        input=f"{left}\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "NoCapacity\n"
    assert isinstance(LocalEngine().settle(spec.run_dir), NeverStarted)


def test_without_a_process_to_be_had_a_start_is_refused_and_can_be_asked_again(
    spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object, **__: object) -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr("ticketd.engines.local.os.posix_spawn", none_left)
        refused = LocalEngine().start(spec)
    assert isinstance(refused, NoCapacity) and "temporarily unavailable" in refused.detail
    shutil.rmtree(spec.run_dir)
    assert outcome(LocalEngine(), spec).code == 0


def test_a_supervisor_that_finds_no_process_for_its_agent_is_a_refused_start(spec: RunSpec, altered: Altered) -> None:
    altered(("    pid = os.fork()\n", '    raise OSError(11, "none left")\n'))
    assert isinstance(LocalEngine().start(spec), NoCapacity)


def test_a_missing_working_directory_is_named(engine: Engine, spec: RunSpec) -> None:
    state = engine.start(replace(spec, cwd=spec.cwd / "gone"))
    assert isinstance(state, Exited)
    assert state.reason == "spawn-failed"
    assert str(spec.cwd / "gone") in state.detail


# --- what it is given ------------------------------------------------------------------------------------------------


def test_the_environment_is_as_given_and_no_more(
    engine: Engine, spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "must not leak")
    program = shutil.which("env")
    assert program
    env = {"A": "ä\n=b", "EMPTY": ""}
    outcome(engine, replace(spec, argv=(program, "-0"), env=env))
    assert (
        spec.log.read_bytes()
        == "".join(f"{key}={value}\0" for key, value in (env | {"TICKETD_RUN": spec.mark}).items()).encode()
    )


def test_standard_input_is_the_file(engine: Engine, spec: RunSpec, tmp_path: Path) -> None:
    brief = tmp_path / "brief"
    brief.write_bytes(b"do\0this\n" * 100_000)
    outcome(engine, replace(spec, argv=("cat",), stdin=brief))
    assert spec.log.read_bytes() == brief.read_bytes()


def test_without_a_file_standard_input_is_empty(engine: Engine, spec: RunSpec) -> None:
    assert outcome(engine, replace(spec, argv=("cat",))).code == 0
    assert spec.log.read_bytes() == b""


def test_open_files_of_the_daemon_do_not_reach_the_agent(engine: Engine, spec: RunSpec, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(fd, True)
    try:
        outcome(engine, shell(spec, "ls /dev/fd/ | cat"))
    finally:
        os.close(fd)
    assert {int(name) for name in spec.log.read_text().split()} <= {0, 1, 2, 3}  # 3: the directory that ls reads


def test_the_agent_leads_a_session_in_its_directory_with_the_daemons_umask(engine: Engine, spec: RunSpec) -> None:
    code = "import os; print(os.getpid() == os.getsid(0) == os.getpgid(0), os.getcwd(), os.umask(0))"
    umask = os.umask(0o027)
    try:
        outcome(engine, replace(spec, argv=(sys.executable, "-I", "-c", code)))
    finally:
        os.umask(umask)
    assert spec.log.read_text() == f"True {spec.cwd} {0o027}\n"


def test_both_outputs_are_appended_to_a_private_log(engine: Engine, spec: RunSpec) -> None:
    spec.log.touch(mode=0o600)
    spec.log.write_text("before\n")
    outcome(engine, shell(spec, "echo out; echo err >&2"))
    assert spec.log.read_text() == "before\nout\nerr\n"
    outcome(engine, shell(replace(spec, run_dir=spec.run_dir.with_name("2"), log=spec.run_dir / "new"), "true"))
    assert (spec.run_dir / "new").stat().st_mode & 0o777 == 0o600
    assert spec.run_dir.stat().st_mode & 0o777 == 0o700


def test_a_log_that_is_a_link_is_refused(engine: Engine, spec: RunSpec, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    spec.log.symlink_to(victim)
    state = engine.start(shell(spec, "echo theirs"))
    assert isinstance(state, Exited)
    assert state.reason == "spawn-failed"
    assert victim.read_text() == "mine"


def test_a_log_that_is_a_pipe_is_refused(engine: Engine, spec: RunSpec, tie: Tie) -> None:
    state = engine.start(replace(spec, log=tie.path))
    assert isinstance(state, Exited)
    assert state.reason == "spawn-failed"


# --- while it runs ---------------------------------------------------------------------------------------------------


def test_a_running_agent_is_alive_and_shows_a_pulse(engine: Engine, spec: RunSpec, tie: Tie) -> None:
    state = engine.start(python(spec, "print('hello', flush=True)\n" + STUBBORN))
    assert isinstance(state, Alive)
    assert tie.read() == b"up\n"

    def pulses_with_output() -> bool:
        now = engine.look(spec.run_dir)
        assert isinstance(now, Alive)
        return now.pulse is not None and now.pulse.log_bytes == len("hello\n") and bool(now.pulse.rss_bytes)

    eventually(pulses_with_output)
    after = engine.wait(spec.run_dir, 0)
    assert isinstance(after, Alive)
    assert (after.pid, after.started_at) == (state.pid, state.started_at)


def test_a_directory_serves_one_run_only(engine: Engine, spec: RunSpec, tie: Tie) -> None:
    first = engine.start(python(spec, STUBBORN))
    second = engine.start(shell(spec, "echo second"))
    assert isinstance(first, Alive)
    assert isinstance(second, Exited)
    assert second.reason == "spawn-failed"
    assert isinstance(engine.look(spec.run_dir), Alive)


def test_the_doorbell_rings_when_it_is_over(engine: Engine, spec: RunSpec) -> None:
    home = Path(os.path.realpath("/tmp")) / f"ticketd-bell-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.bind(str(home))
        try:
            bell.settimeout(PATIENCE_S)
            engine.start(replace(spec, doorbell=home))
            assert bell.recv(100)
        finally:
            home.unlink()
    assert isinstance(engine.look(spec.run_dir), Exited)


def test_a_doorbell_that_nobody_hears_does_no_harm(engine: Engine, spec: RunSpec, tmp_path: Path) -> None:
    assert outcome(engine, replace(spec, doorbell=tmp_path / ("x" * 200))).code == 0


# --- ending it -------------------------------------------------------------------------------------------------------


@linux_only
def test_a_timeout_ends_an_agent_that_ignores_sigterm_and_all_it_started(
    engine: Engine, spec: RunSpec, tie: Tie
) -> None:
    state = outcome(engine, replace(python(spec, DAEMONISE + STUBBORN), timeout_s=1.0, grace_s=0.1))
    tie.wait_for_cut()
    assert (state.code, state.signal, state.reason) == (None, signal.SIGKILL, "timeout")
    assert state.stragglers == 1


def test_an_agent_asked_to_end_may_end_in_its_own_way(engine: Engine, spec: RunSpec, tie: Tie) -> None:
    code = "import os, signal\nsignal.signal(15, lambda *_: os._exit(3))\nos.write(3, b'up\\n')\nsignal.pause()\n"
    engine.start(python(spec, code))
    tie.read()
    engine.end(spec.run_dir, PATIENCE_S)
    state = engine.wait(spec.run_dir, PATIENCE_S)
    tie.wait_for_cut()
    assert isinstance(state, Exited)
    assert (state.code, state.reason) == (3, "ended")


@linux_only
def test_a_second_request_to_end_shortens_the_grace(engine: Engine, spec: RunSpec, tie: Tie) -> None:
    engine.start(python(spec, DAEMONISE + STUBBORN))
    tie.read()
    engine.end(spec.run_dir, 3600)
    assert isinstance(engine.look(spec.run_dir), Alive)
    engine.end(spec.run_dir, 0)
    state = engine.wait(spec.run_dir, PATIENCE_S)
    tie.wait_for_cut()
    assert isinstance(state, Exited)
    assert (state.signal, state.reason) == (signal.SIGKILL, "ended")


def test_to_end_what_is_over_or_never_was_changes_nothing(engine: Engine, spec: RunSpec) -> None:
    engine.end(spec.run_dir, 0)
    state = outcome(engine, spec)
    engine.end(spec.run_dir, 0)
    assert engine.look(spec.run_dir) == state


@linux_only
def test_what_a_successful_agent_leaves_alive_is_ended_and_counted(engine: Engine, spec: RunSpec, tie: Tie) -> None:
    state = outcome(engine, python(spec, DAEMONISE))
    tie.wait_for_cut()
    assert (state.code, state.reason, state.stragglers) == (0, "exited", 1)


@linux_only
def test_a_background_child_in_the_agents_own_session_is_ended_and_counted(
    engine: Engine, spec: RunSpec, tie: Tie
) -> None:
    state = outcome(engine, shell(spec, 'exec 3>"$TIE"; sleep 1000 & exit 4'))
    tie.wait_for_cut()
    assert (state.code, state.reason, state.stragglers) == (4, "exited", 1)


@linux_only
def test_a_chain_of_ever_new_sessions_is_ended(engine: Engine, spec: RunSpec, tie: Tie) -> None:
    respawn = "import os\nif os.fork() == 0:\n    while True:\n        os.setsid()\n        if os.fork(): os._exit(0)\n"
    state = outcome(engine, python(spec, respawn))
    tie.wait_for_cut()
    assert state.code == 0
    assert state.stragglers >= 1


def test_an_agent_that_floods_its_log_is_ended(engine: Engine, spec: RunSpec, tie: Tie) -> None:
    code = "import os, signal\nos.write(1, b'x' * 5000)\nsignal.pause()\n"
    state = outcome(engine, replace(python(spec, code), log_limit=4096))
    tie.wait_for_cut()
    assert (state.signal, state.reason) == (signal.SIGTERM, "log-limit")
    assert "log" in state.detail


# --- when the daemon dies --------------------------------------------------------------------------------------------

STARTER = """
import sys
from pathlib import Path
from ticketd.engines.local import LocalEngine
from ticketd.ports import RunSpec
run_dir, cwd, log, tie, die, *argv = sys.argv[1:]
engine = LocalEngine()
engine.start(RunSpec(Path(run_dir), tuple(argv), Path(cwd), {"TIE": tie}, None, Path(log), None, 30.0, "starter",
                     die_with_parent=die == "die"))
print("started", flush=True)
sys.stdin.read()
"""


def start_in_a_process_that_is_killed(spec: RunSpec, tie: Tie) -> None:
    argv = [spec.run_dir, spec.cwd, spec.log, spec.env["TIE"], "die" if spec.die_with_parent else "live", *spec.argv]
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, *map(str, argv)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout
        assert starter.stdout.readline() == b"started\n"
        assert tie.read() == b"up\n"
        starter.kill()


def test_a_run_outlives_its_daemon_and_the_next_one_gets_the_exit_code(
    engine: Engine, spec: RunSpec, tie: Tie, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    code = f"import os\nos.write(3, b'up\\n')\nopen({str(gate)!r}).read()\nraise SystemExit(7)\n"
    start_in_a_process_that_is_killed(python(spec, code), tie)
    assert isinstance(engine.settle(spec.run_dir), Alive)
    gate.write_text("go")
    state = engine.wait(spec.run_dir, PATIENCE_S)
    assert isinstance(state, Exited)
    assert (state.code, state.reason) == (7, "exited")
    assert engine.settle(spec.run_dir) == state


def test_a_run_that_is_to_die_with_its_daemon_does(engine: Engine, spec: RunSpec, tie: Tie) -> None:
    start_in_a_process_that_is_killed(replace(python(spec, PATIENT), die_with_parent=True), tie)
    state = engine.wait(spec.run_dir, PATIENCE_S)
    tie.wait_for_cut()
    assert isinstance(state, Exited)
    assert (state.signal, state.reason) == (signal.SIGTERM, "ended")


def test_settled_before_it_began_it_never_begins(engine: Engine, spec: RunSpec) -> None:
    assert isinstance(engine.settle(spec.run_dir), NeverStarted)
    state = engine.start(shell(spec, "echo ran"))
    assert isinstance(state, Exited)
    assert state.reason == "spawn-failed"
    assert isinstance(engine.settle(spec.run_dir), NeverStarted)
    assert not spec.log.exists()


def test_what_nobody_started_has_never_started(engine: Engine, spec: RunSpec) -> None:
    assert isinstance(engine.look(spec.run_dir), NeverStarted)
    assert isinstance(engine.wait(spec.run_dir, None), NeverStarted)


# --- the local engine's own ------------------------------------------------------------------------------------------


def supervisor_of(spec: RunSpec) -> int:
    started = run.read_started(spec.run_dir)
    assert started
    return started.supervisor_pid


def test_a_supervisor_that_comes_late_finds_the_run_void(spec: RunSpec) -> None:
    run.make_directory(spec.run_dir)
    run.write_spec(shell(spec, "echo ran"), heartbeat_s=5)
    with run.locked(spec.run_dir) as held:
        assert held
        late = subprocess.Popen(local.command(spec.run_dir), stdout=subprocess.PIPE)
        run.void(spec.run_dir)
    late.communicate(timeout=PATIENCE_S)
    assert late.returncode == VOIDED
    assert isinstance(LocalEngine().settle(spec.run_dir), NeverStarted)
    assert not spec.log.exists()


def test_a_lock_without_records_is_a_run_about_to_begin(spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ticketd.engines.local.SETTLE_LIMIT_S", 0.0)
    run.make_directory(spec.run_dir)
    with run.locked(spec.run_dir):
        for state in (LocalEngine().look(spec.run_dir), LocalEngine().settle(spec.run_dir)):
            assert isinstance(state, Alive)
            assert state.pid == 0
    assert isinstance(LocalEngine().look(spec.run_dir), NeverStarted)


def test_a_run_that_ends_while_it_is_looked_at_is_not_lost(
    spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, gate = LocalEngine(), tmp_path / "gate"
    os.mkfifo(gate)
    engine.start(shell(spec, 'read -r line <"$GATE"; exit 5'))

    def ends_meanwhile(run_dir: Path) -> bool:
        gate.write_text("go\n")
        with (run_dir / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
        return False

    monkeypatch.setattr(run, "is_held", ends_meanwhile)
    state = engine.look(spec.run_dir)
    assert isinstance(state, Exited)
    assert state.code == 5


@linux_only
def test_the_agent_dies_with_a_killed_supervisor_and_the_run_is_lost(spec: RunSpec, tie: Tie) -> None:
    engine = LocalEngine()
    engine.start(python(spec, STUBBORN))
    tie.read()
    os.kill(supervisor_of(spec), signal.SIGKILL)
    assert isinstance(engine.wait(spec.run_dir, PATIENCE_S), LostRun)
    tie.wait_for_cut()
    assert isinstance(engine.settle(spec.run_dir), LostRun)


@linux_only
def test_a_supervisor_killed_before_it_could_report_has_begun_all_the_same(spec: RunSpec, altered: Altered) -> None:
    altered(("    report_ready()\n", "    while True:\n        bedside.wait(9)\n"))
    engine = LocalEngine()
    assert isinstance(engine.start(shell(spec, "kill -9 $PPID")), Alive)
    assert isinstance(engine.look(spec.run_dir), LostRun)
    assert isinstance(engine.settle(spec.run_dir), LostRun)


@linux_only
def test_to_settle_a_lost_run_ends_what_hid_in_a_session_of_its_own(spec: RunSpec, tie: Tie) -> None:
    engine = LocalEngine()
    engine.start(python(spec, DAEMONISE + STUBBORN))
    tie.read()
    os.kill(supervisor_of(spec), signal.SIGKILL)
    engine.wait(spec.run_dir, PATIENCE_S)
    assert isinstance(LocalEngine().settle(spec.run_dir), LostRun)
    tie.wait_for_cut()


@linux_only
def test_without_a_subreaper_the_mark_finds_them(spec: RunSpec, tie: Tie, altered: Altered) -> None:
    altered(('if sys.platform != "linux":', "if option == PR_SET_CHILD_SUBREAPER:"))
    state = outcome(LocalEngine(), python(spec, DAEMONISE))
    tie.wait_for_cut()
    assert (state.code, state.stragglers) == (0, 1)


def test_a_supervisor_that_falls_over_is_reported(spec: RunSpec, altered: Altered) -> None:
    altered(("    os._exit(main(run_dir))", "    raise SystemExit('out of luck')"))
    state = LocalEngine().start(spec)
    assert isinstance(state, Exited)
    assert (state.reason, state.detail) == ("spawn-failed", "out of luck")
    assert isinstance(LocalEngine().look(spec.run_dir), NeverStarted)


def test_a_supervisor_that_hangs_before_it_begins_is_dismissed(spec: RunSpec, tie: Tie, altered: Altered) -> None:
    hang = f"    import signal\n    held = open({str(tie.path)!r}, 'w')\n    signal.pause()\n"
    altered(("    os._exit(main(run_dir))", hang))
    state = LocalEngine(start_limit_s=0.2).start(spec)
    assert isinstance(state, Exited)
    assert state.reason == "spawn-failed"
    tie.wait_for_cut()
    assert isinstance(LocalEngine().look(spec.run_dir), NeverStarted)


GARBAGE = {
    "empty": b"",
    "torn": b'{"code": 0, "sig',
    "list": b"[]",
    "wrong types": b'{"code": "0", "signal": null, "reason": "exited"}',
    "deep": b"[" * 60_000,
    "huge": b" " * 1_000_000,
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_an_exit_record_that_makes_no_sense_is_a_lost_run(spec: RunSpec, garbage: bytes) -> None:
    spec.run_dir.mkdir(parents=True, mode=0o700)
    (spec.run_dir / "exit.json").write_bytes(garbage)
    for state in (LocalEngine().look(spec.run_dir), LocalEngine().settle(spec.run_dir)):
        assert isinstance(state, LostRun)
        assert "unreadable" in state.detail


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_a_request_to_end_that_makes_no_sense_still_ends_it(spec: RunSpec, tie: Tie, garbage: bytes) -> None:
    engine = LocalEngine()
    engine.start(python(spec, PATIENT))
    tie.read()
    (spec.run_dir / "end").write_bytes(garbage)
    os.kill(supervisor_of(spec), signal.SIGTERM)
    state = engine.wait(spec.run_dir, PATIENCE_S)
    assert isinstance(state, Exited)
    assert (state.signal, state.reason) == (signal.SIGTERM, "ended")


def test_no_zombies_are_kept(spec: RunSpec) -> None:
    engine = LocalEngine()
    outcome(engine, spec)
    pid = supervisor_of(spec)

    def is_reaped() -> bool:
        engine.look(spec.run_dir)
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    eventually(is_reaped)


def test_a_run_directory_that_is_a_link_is_refused(spec: RunSpec, tmp_path: Path) -> None:
    spec.run_dir.parent.mkdir()
    spec.run_dir.symlink_to(tmp_path)
    state = LocalEngine().start(spec)
    assert isinstance(state, Exited)
    assert state.reason == "spawn-failed"


def test_records_are_private_and_whole(spec: RunSpec) -> None:
    outcome(LocalEngine(heartbeat_s=0.0), spec)
    for path in spec.run_dir.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
        if path.suffix == ".json":
            assert json.loads(path.read_bytes())


def test_what_a_run_was_given_is_kept_private_and_is_forgotten_once_it_is_over(
    engine: Engine, spec: RunSpec, tie: Tie
) -> None:
    keyed = replace(shell(spec, 'exec 3>"$TIE"; read line <"$GATE"'), env={**spec.env, "KEY": "a-key-of-mine"})
    os.mkfifo(spec.env["GATE"])
    engine.start(keyed)
    path = spec.run_dir / "spec.json"
    engine.forget(spec.run_dir)
    assert "a-key-of-mine" in path.read_text(), "another daemon may have to know what to keep out of its log"
    assert (path.stat().st_mode & 0o777, spec.run_dir.stat().st_mode & 0o777) == (0o600, 0o700)
    Path(spec.env["GATE"]).write_text("on\n")
    over = engine.wait(spec.run_dir, PATIENCE_S)
    engine.forget(spec.run_dir)
    assert not [each for each in spec.run_dir.iterdir() if b"a-key-of-mine" in each.read_bytes()]
    assert engine.settle(spec.run_dir) == over
    assert json.loads(path.read_text())["mark"] == spec.mark
    engine.forget(spec.run_dir)


def test_the_supervisor_holds_the_lock_for_as_long_as_it_lives(spec: RunSpec, tie: Tie) -> None:
    engine = LocalEngine()
    engine.start(python(spec, STUBBORN))
    tie.read()
    with (spec.run_dir / "lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    engine.end(spec.run_dir, 0)
    with (spec.run_dir / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    tie.wait_for_cut()
