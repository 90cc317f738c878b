"""Claims that are held, and who is in the way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ticketd.domain.claims import Blocker, ClaimTable
from ticketd.domain.globs import NOTHING, PatternSet, overlap
from ticketd.domain.reach import Reaches

PATTERNS = ["/a", "/a/b.py", "/a/", "b.py", "*.py", "**", "!/a/b.py", "/c/**", "/c/d/e", "c", "/*/e", "!*.py"]
sets = st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=4).map(lambda listed: PatternSet(tuple(listed)))


@given(st.lists(sets, max_size=8), sets, sets | st.just(NOTHING))
def test_the_index_finds_exactly_what_asking_each_claim_finds(
    claims: list[PatternSet], wanted: PatternSet, shared: PatternSet
) -> None:
    table = ClaimTable(Reaches(shared))
    for number, claim in enumerate(claims):
        table.put(str(number), claim)
    asked = [(str(number), overlap(claim, wanted, shared)) for number, claim in enumerate(claims)]
    expected = [Blocker(ticket, path) for ticket, path in asked if path is not None]
    assert list(table.blockers(wanted)) == expected
    for ticket in [blocker.ticket for blocker in expected]:
        table.remove(ticket)
    assert not table.blockers(wanted)
