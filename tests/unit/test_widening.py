"""What an attempt has written joins its claim, and what others hold does not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ticketd.domain.claims import Claim
from ticketd.domain.globs import NOTHING, PatternSet, matches, overlap
from ticketd.domain.widening import MOST_PATHS, MOST_PATTERNS, Collision, Widening, collapsed, note_line, widen

NAMES = st.text("abc", min_size=1, max_size=2)
PATHS = st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), max_size=40)


def claim(ticket: str, *patterns: str) -> Claim:
    return Claim(ticket, 1, PatternSet(patterns))


OWN = claim("own", "/src/")


def test_what_the_claim_covers_and_what_is_shared_costs_nothing() -> None:
    assert widen(OWN, ["src/a.py", "CHANGELOG.md"], [], PatternSet(("*.md",))) == Widening()


def test_paths_outside_join_the_claim_by_their_exact_name() -> None:
    assert widen(OWN, ["b*.py", "doc/x"], [claim("other", "/lib/")], NOTHING).added == ("/b\\*.py", "/doc/x")


def test_a_path_that_another_holds_is_a_collision_with_each_holder_and_stays_out() -> None:
    others = [claim("x", "/lib/"), claim("y", "/doc/")]
    found = widen(OWN, ["lib/a", "doc/b", "new"], others, NOTHING)
    assert found == Widening(("/new",), (Collision("own", "x", "lib/a"), Collision("own", "y", "doc/b")))


def test_a_file_where_another_has_a_directory_stays_out() -> None:
    assert widen(OWN, ["lib"], [claim("x", "/lib/a.py")], NOTHING).added == ()


def test_a_path_that_no_pattern_can_name_stays_out() -> None:
    assert widen(OWN, ["a\nb", "a\udcffb"], [], NOTHING) == Widening()


def test_thousands_of_files_become_their_directory_and_leave_others_by_name() -> None:
    written = [f"gen/{n // 100}/{n}.txt" for n in range(10_000)]
    added = widen(OWN, [*written, "deep/down/here.py"], [], NOTHING).added
    assert "/deep/down/here.py" in added
    assert len(added) <= 200
    assert all(matches(PatternSet(added), path) for path in written)


def test_of_a_directory_that_another_can_reach_into_only_files_join() -> None:
    written = [f"gen/{n}.txt" for n in range(1000)]
    found = widen(OWN, written, [claim("x", "/gen/7.txt", "/gen/mine.txt")], NOTHING)
    assert found.collisions == (Collision("own", "x", "gen/7.txt"),)
    assert len(found.added) == MOST_PATTERNS - 1 and "/gen" not in found.added


def test_nothing_joins_beside_a_pattern_for_any_folder_since_that_reaches_below_every_path() -> None:
    found = widen(claim("own", "/src/", "!*.bak"), ["new", "old.bak"], [claim("x", "*.bak")], NOTHING)
    assert found == Widening((), (Collision("own", "x", "old.bak"),))


def test_a_directory_joins_once_though_the_claim_takes_out_what_was_written_there() -> None:
    full = claim("own", "!*.md", *(f"/{n}" for n in range(MOST_PATTERNS)))
    written = [f"gen/{n}.md" for n in range(50)]
    added = widen(full, written, [], NOTHING).added
    assert added == ("/gen",)
    assert widen(claim("own", *full.patterns.patterns, *added), written, [], NOTHING) == Widening()


def test_what_has_joined_by_its_directory_but_was_taken_out_joins_by_its_name() -> None:
    mine = claim("own", "/src/", "!*.md")
    written = [*(f"gen/{n}" for n in range(1000)), "gen/here.md"]
    added = widen(mine, written, [], NOTHING).added
    assert added == ("/gen", "/gen/here.md")


def test_a_full_claim_grows_by_directories_only() -> None:
    full = claim("own", *(f"/{n}" for n in range(MOST_PATTERNS)))
    assert widen(full, ["x", "y"], [], NOTHING).added == ()
    assert widen(full, [f"gen/{n}" for n in range(50)], [], NOTHING).added == ("/gen",)


def test_a_collision_keeps_some_of_its_paths() -> None:
    assert len(widen(OWN, [f"lib/{n}" for n in range(99)], [claim("x", "/lib/")], NOTHING).collisions) == MOST_PATHS


@given(PATHS, st.integers(1, 12))
def test_no_more_patterns_than_there_is_room_and_none_is_broader_than_it_must_be(paths: list[str], room: int) -> None:
    found = collapsed(paths, room)
    assert len(found) <= room
    missing = [path for path in paths if not matches(PatternSet(found), path)]
    # What has no room after all is at the root, or in a directory of it that has none.
    assert not missing or len({path.partition("/")[0] for path in paths}) > room
    if len(set(paths)) <= room:
        assert set(found) == {f"/{path}" for path in paths}


@given(PATHS, PATHS, PATHS)
def test_a_widened_claim_never_overlaps_a_held_one(paths: list[str], own: list[str], theirs: list[str]) -> None:
    other = claim("other", *(f"/{path}" for path in theirs if path not in own))
    mine = claim("own", *(f"/{path}" for path in own))
    if overlap(mine.patterns, other.patterns) is None:
        found = widen(mine, paths, [other], NOTHING)
        assert overlap(PatternSet((*mine.patterns.patterns, *found.added)), other.patterns) is None
        assert all(matches(other.patterns, each.path) for each in found.collisions)


def test_each_agent_is_told_from_its_own_side() -> None:
    collision = Collision("a", "b", "src/`x`.py")
    assert note_line(collision, "a").startswith("- You wrote `src/'x'.py`, which ticket b holds")
    assert note_line(collision, "b").startswith("- Ticket a wrote `src/'x'.py`, which you hold")
