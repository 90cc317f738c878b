"""The store is locked, full, damaged, replaced or gone: nothing is begun anew in silence, and a person can go on."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest
from acceptance_yard import Yard, git, wait_until

from ticketd.errors import StoreLost, StoreTrouble
from ticketd.store import open_store
from ticketd.store.checkup import require_sound


def store_of(yard: Yard) -> Path:
    return next(yard.state.glob("ticketd/*")) / "store.db"


def landed_and_waiting(yard: Yard) -> None:
    """`a` has landed, and so has left a ref and a backup; `b` comes after it."""
    yard.ticket("a", touches="/a", does=("append a x",))
    assert yard.until_idle().returncode == 0
    yard.ticket("b", touches="/b", does=("append b x",))


def remove(store: Path) -> None:
    for path in store.parent.glob("store.db*"):
        path.unlink()


def test_a_store_that_is_gone_or_emptied_is_not_begun_anew_by_any_command(yard: Yard) -> None:
    landed_and_waiting(yard)
    remove(store_of(yard))
    for command in (["start", "--until-idle"], ["doctor", "--fix"]):
        told = yard.run(*command)
        assert told.returncode == 1, command
        assert "doctor --restore" in told.stdout + told.stderr
        assert "Traceback" not in told.stderr
        assert not store_of(yard).exists()
    store_of(yard).touch()
    assert "is empty" in yard.run("status").stderr
    assert store_of(yard).stat().st_size == 0
    assert "put back the backup" in yard.run("doctor", "--restore").stdout
    assert yard.state_of("a") == "landed"


def test_going_back_that_was_broken_off_is_not_run_on_and_is_done_once_more(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed_and_waiting(yard)
    remove(store_of(yard))
    monkeypatch.setenv("TICKETD_FAILPOINT", "file/restore.put_back")
    assert yard.run("doctor", "--restore").returncode == -9
    monkeypatch.delenv("TICKETD_FAILPOINT")
    told = yard.run("start", "--until-idle")
    assert (told.returncode, "doctor --restore" in told.stderr) == (1, True)
    assert "paused the pool" in yard.run("doctor", "--restore").stdout
    assert "is well" in yard.run("doctor", "--restore").stderr


def test_a_damaged_store_is_gone_back_for_and_nothing_lands_twice(yard: Yard) -> None:
    landed_and_waiting(yard)
    assert "is well" in yard.run("doctor", "--restore").stderr
    store = store_of(yard)
    with sqlite3.connect(store) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.write_bytes(bytes(byte ^ 0xFF for byte in store.read_bytes()))
    told = yard.run("start", "--until-idle")
    assert (told.returncode, "doctor --restore" in told.stderr) == (1, True)
    assert yard.run("doctor", "--restore").returncode == 0
    assert list(store.parent.glob("store.lost-*.db"))
    assert yard.status()["daemon"]["paused"]
    assert yard.run("resume").returncode == 0
    assert yard.until_idle().returncode == 0
    assert yard.subjects() == ["first", "a", "b"]


def test_numbers_of_attempts_go_on_after_those_that_an_older_store_does_not_know(yard: Yard) -> None:
    yard.config("[limits]\nretries = 0\n")
    yard.ticket("a", touches="/a", does=("append a x", "exit 1"))
    yard.until_idle()
    before = git(yard.control, "for-each-ref", "refs/ticketd/a")
    shutil.rmtree(store_of(yard).parent / "backups")
    remove(store_of(yard))
    assert "began a new store" in yard.run("doctor", "--restore").stdout
    yard.ticket("a", touches="/a", does=("append a y",))
    yard.run("resume")
    assert yard.until_idle().returncode == 0
    assert yard.ticket_line("a")["attempts"] == 2
    assert before in git(yard.control, "for-each-ref", "refs/ticketd/a")
    assert not set(yard.file("a").split()) - {"y"}


def test_what_was_open_in_a_backup_is_not_taken_up_and_what_landed_since_is_named(yard: Yard) -> None:
    go = yard.root / "go"
    yard.ticket("a", touches="/a", does=("append a x", f"wait-for {go}"))
    daemon = yard.start("--until-idle")
    yard.wait_for_state("a", "running")
    store = open_store(store_of(yard))
    store.back_up(1.0)
    store.close()
    go.touch()
    assert daemon.wait(timeout=60) == 0
    newest, *_ = sorted(store_of(yard).parent.glob("backups/*.db"), reverse=True)
    newest.unlink()
    remove(store_of(yard))
    told = yard.run("doctor", "--restore").stdout
    assert "attempt 1 was open" in told
    assert "`ticketd cancel` them: a" in told
    assert yard.state_of("a") == "queued"
    retired = sqlite3.connect(store_of(yard)).execute("SELECT COUNT(*) FROM worktrees WHERE NOT retired").fetchone()
    assert retired == (0,)


def test_a_daemon_whose_store_is_taken_from_under_it_ends_and_what_it_had_is_in_a_backup(yard: Yard) -> None:
    go = yard.root / "go"
    yard.ticket("a", touches="/a", does=("append a x", f"wait-for {go}"))
    daemon = yard.start()
    yard.wait_for_state("a", "running")
    remove(store_of(yard))
    assert daemon.wait(timeout=60) == 1
    said = (yard.root / "daemon-0.out").read_text()
    assert "is gone" in said
    assert "Traceback" not in said
    assert "agents still run: a/1" in yard.run("doctor", "--restore").stderr
    go.touch()
    wait_until(lambda: "agents still run" not in yard.run("doctor", "--restore").stderr, "the agent has ended")
    assert yard.run("events").stdout.count("starts in slot") == 1
    assert yard.state_of("a") == "queued"


@pytest.mark.parametrize("how", ["gone", "replaced", "foreign"])
def test_nothing_is_written_to_a_store_that_is_not_the_one_that_was_opened(tmp_path: Path, how: str) -> None:
    path = tmp_path / "store.db"
    store = open_store(path)
    store.set_slots(1, 1.0)
    match how:
        case "gone":
            path.unlink()
        case "replaced":
            shutil.copy(path, tmp_path / "copy.db")
            (tmp_path / "copy.db").rename(path)
        case "foreign":
            store.connections.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            path.write_bytes(b"not a database at all" * 5000)
            store.close()
    with pytest.raises(StoreLost) as lost:
        for slots in range(1, 1000):
            store.set_slots(slots, 1.0)
    assert "ticketd doctor" in lost.value.mend


@pytest.mark.parametrize("keeps", [5000, -4096])
def test_a_store_that_was_cut_is_not_run_on(tmp_path: Path, keeps: int) -> None:
    path = tmp_path / "store.db"
    store = open_store(path)
    require_sound(path)
    store.set_slots(1, 1.0)
    store.connections.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    os.truncate(path, keeps if keeps > 0 else path.stat().st_size + keeps)
    with pytest.raises(StoreLost):
        require_sound(path)


def test_a_store_that_another_process_locks_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = open_store(path)
    store.set_slots(1, 1.0)
    store.back_up(1.0)
    store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as another:
        another.execute("PRAGMA locking_mode = EXCLUSIVE")
        another.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreTrouble, match="locked"):
            require_sound(path)
        another.execute("ROLLBACK")


def test_a_store_put_back_by_hand_that_is_older_than_its_backup_is_not_run_on(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = open_store(path)
    for slots in (1, 2):
        store.set_slots(slots, 1.0)
        store.back_up(1.0)
    require_sound(path)
    store.close()
    shutil.copy(tmp_path / "backups" / "000001-19700101T000001Z.db", path)
    with pytest.raises(StoreLost, match="older than its backup"):
        require_sound(path)


def test_a_store_that_is_full_takes_all_of_a_change_or_nothing_and_goes_on_once_there_is_room(tmp_path: Path) -> None:
    """`max_page_count` is a disk that is full, for this connection."""
    store = open_store(tmp_path / "store.db")
    pages = store.connections.db.execute("PRAGMA page_count").fetchone()[0]
    store.connections.db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreTrouble, match="full") as full:
        for slots in range(1, 1000):
            store.set_slots(slots, 1.0)
    assert "Make room" in full.value.mend
    taken = len(store.events(limit=1000))
    assert (store.pool().slots or 0, store.disagreements()) == (taken, [])
    store.connections.db.execute("PRAGMA max_page_count = 100000")
    store.set_slots(7, 1.0)
    assert (len(store.events(limit=1000)), store.pool().slots) == (taken + 1, 7)


def test_a_thread_that_may_open_no_more_files_is_told_so_and_goes_on_once_it_may(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store.db")
    store.set_slots(1, 1.0)
    limits, held = resource.getrlimit(resource.RLIMIT_NOFILE), []
    with ThreadPoolExecutor(1) as another:
        another.submit(int).result()
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[0], 256), limits[1]))
        try:
            with suppress(OSError):
                while True:
                    held.append(os.open(os.devnull, os.O_RDONLY))
            with pytest.raises(StoreTrouble) as trouble:
                another.submit(store.pool).result()
        finally:
            for fd in held:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert "open more files" in trouble.value.mend
        assert another.submit(store.pool).result().slots == 1


def test_a_reader_that_keeps_its_snapshot_stops_no_writer_and_leaves_no_log_behind(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store.db")
    store.set_slots(1, 1.0)
    wal = tmp_path / "store.db-wal"
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT slots FROM pool").fetchone() == (1,)
        for slots in range(1, 400):
            store.set_slots(slots, 1.0)
        assert reader.execute("SELECT slots FROM pool").fetchone() == (1,)
        assert wal.stat().st_size > 1 << 20
    store.back_up(1.0)
    assert wal.stat().st_size == 0


def test_backups_are_few_private_and_only_of_what_has_changed(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store.db")
    for slots in (1, 2, 3, 4, 5):
        store.set_slots(slots, 1.0)
        store.back_up(1.0)
        store.back_up(1.0)
    found = sorted((tmp_path / "backups").iterdir())
    assert [path.name[:6] for path in found] == ["000003", "000004", "000005"]
    assert {path.stat().st_mode & 0o777 for path in (*found, tmp_path / "backups")} == {0o600, 0o700}
    assert open_store(found[-1]).pool().slots == 5
    (tmp_path / "store.db").unlink()
    store.back_up(1.0)
    store.close()
