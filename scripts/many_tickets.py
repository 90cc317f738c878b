"""A repository whose store has as many tickets as one likes, a tenth of them over: what eyes are measured on."""

from __future__ import annotations

import random
from pathlib import Path

from bench_load import make_session, write_files

from ticketd.app.session import Session
from ticketd.app.tickets import sync
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.globs import NOTHING
from ticketd.domain.landing import Landed
from ticketd.domain.pool import TargetRecord
from ticketd.domain.report import Report, Usage
from ticketd.domain.scheduler.schedule import Start
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import Reason
from ticketd.domain.verdict import Fail, ToLanding
from ticketd.ports import Kept
from ticketd.store import SqliteStore

CONFIG = 'slots = 8\n[target]\nremote = ""\n[agents.default]\npreset = "scripted"\n'
SHA = "a" * 40
ONE_OVER_IN, ONE_FAILED_IN = 10, 20


def make_yard(yard: Path, count: int) -> Session:
    session = make_session(yard)
    (session.root / "ticketd.toml").write_text(CONFIG)
    write_files(session.root, count)
    sync(session, session.files.settings().settings or Settings())
    run(session, list(session.store.board().tickets)[: count // ONE_OVER_IN])
    return session


def run(session: Session, ids: list[str]) -> None:
    """Each by an agent that says what it cost; one in twenty fails."""
    store, rng = session.store, random.Random(2)
    assert isinstance(store, SqliteStore)
    store.connections.db.execute("PRAGMA synchronous=OFF")
    begin = session.clock.now() - 30.0 * len(ids)
    store.set_target(TargetRecord("", "main", SHA, begin), begin)
    for number, id_ in enumerate(ids):
        at = begin + 30.0 * number
        key = started(session, id_, 1, at)
        store.attempt_over(key, 0, "exited", "exit code 0", at + 20)
        usage = Usage(rng.choice(("opus", "haiku")), rng.randrange(9000), rng.randrange(3000), 0, 0, 0.25)
        fails = number % ONE_FAILED_IN == 0
        verdict = Fail(Reason.AGENT_FAILED, "the agent ended with exit code 3") if fails else ToLanding()
        report = Report(f"session-{number}", 0.25, (usage,), 3, "done")
        store.close_attempt(key, Kept(SHA, ("x",)), verdict, report, at + 21, retire=False)
        if not fails:
            store.land([Landed(key, SHA)], TargetRecord("", "main", SHA, at + 22), at + 22)


def started(session: Session, id_: str, slot: int, at: float) -> AttemptKey:
    store = session.store
    record = store.ticket(id_)
    assert record is not None
    key = store.dispatch(Start(id_, slot, "default"), record, SHA, NOTHING, at)
    assert isinstance(key, AttemptKey), key
    store.attempt_started(key, f"s{slot}", 1, at)
    return key
