"""The events alone give what the store holds, whatever happens in whatever order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from store_walk import Walk, store

from ticketd.domain.replay import replay
from ticketd.domain.ticket import FINAL
from ticketd.store import SqliteStore, open_store

__all__ = ["store"]


@given(st.binary(min_size=32, max_size=96))
def test_at_each_step_of_any_walk_the_events_give_what_the_tables_hold(store: SqliteStore, choices: bytes) -> None:
    """Two bytes choose a step: one draw for a whole walk is ten times as fast as a draw for each rule."""
    walk = Walk(store)
    for number in range(0, len(choices) - 1, 2):
        note(walk.step(choices[number], choices[number + 1]))
    assert replay(store.events()) == walk.standing
    assert store.disagreements() == []
    walk.wind_up()
    assert all(record.state in FINAL for record in walk.standing.tickets.values())


@pytest.fixture(scope="module")
def redacting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    """Every `o` is a secret: hardly a text, a reason or an id is without one."""
    store = open_store(tmp_path_factory.mktemp("walk") / "store.db", lambda text: text.replace("o", "0"))
    store.connections.db.execute("PRAGMA synchronous=OFF")
    yield store
    store.close()


@given(st.binary(min_size=32, max_size=64))
@settings(max_examples=15)
def test_what_is_taken_out_of_texts_is_taken_out_of_tables_and_events_alike(
    redacting: SqliteStore, choices: bytes
) -> None:
    walk = Walk(redacting)
    for number in range(0, len(choices) - 1, 2):
        note(walk.step(choices[number], choices[number + 1]))
    assert redacting.disagreements() == []
    details = redacting.connections.db.query("SELECT detail FROM tickets UNION SELECT detail FROM attempts")
    assert not any("o" in (row["detail"] or "") for row in details)
    walk.wind_up()
