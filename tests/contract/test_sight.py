"""Eyes that bring up what they saw before see what those see that look for the first time."""

from __future__ import annotations

from hypothesis import given, note, settings
from hypothesis import strategies as st
from store_walk import Walk, store

from ticketd.app.sight import Look, Sight
from ticketd.domain.settings import Settings
from ticketd.store import SqliteStore

__all__ = ["store"]


@given(st.binary(min_size=16, max_size=48), st.booleans())
@settings(max_examples=15)
def test_after_any_steps_what_is_brought_up_is_what_would_be_seen_anew(
    store: SqliteStore, choices: bytes, running: bool
) -> None:
    walk, sight, later = Walk(store), Sight(store), 0.0
    for number in range(0, len(choices) - 1, 2):
        note(walk.step(choices[number], choices[number + 1]))
        later += 60.0 * (choices[number] % 3)
        now = walk.at + later
        brought_up = sight.look(Settings(), running, now)
        assert told(brought_up) == told(Sight(store).look(Settings(), running, now))


def told(look: Look) -> object:
    """All that it says; what tickets wait on is found out here."""
    outlook = look.outlook
    waits = {id_: outlook.waits[id_] for id_ in outlook.order}
    assert list(outlook.waits) == [each.id for each in look.by_state["queued"]]
    return outlook.order, waits, outlook.idle_why(), outlook.is_at_rest, look.by_state
