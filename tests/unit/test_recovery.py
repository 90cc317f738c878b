"""Records against the world: nothing that lives, that is unknown, or that is the only copy is ever deleted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ticketd.domain.attempt import AttemptKey
from ticketd.domain.recovery import (
    EXTRA,
    Deed,
    Entry,
    FoundLock,
    FoundRef,
    FoundRun,
    FoundTree,
    Left,
    Mend,
    Records,
    World,
    reconcile,
)

KEYS = tuple(AttemptKey(ticket, number) for ticket in "ab" for number in (1, 2))
COMMITS = ("1" * 40, "2" * 40, "3" * 40)
NAMES = ("1", "2", "lane", "stray")
REFS = (
    *(key.ref for key in KEYS),
    *(f"refs/heads/ticketd/{key}" for key in KEYS),
    *("refs/ticketd/a", "refs/ticketd", "refs/heads/ticketd/a", "refs/ticketd/a/1/below", "refs/heads/own"),
    *(
        "refs/target/main",
        "refs/stash",
        f"refs/published/ticketd/a/{COMMITS[0]}",
        f"{EXTRA}/a/1/verified",
        f"{EXTRA}/a/1/1",
    ),
)

trees = st.lists(
    st.builds(
        FoundTree,
        name=st.sampled_from(NAMES),
        entry=st.sampled_from(Entry),
        files=st.booleans(),
        is_link=st.booleans(),
        lost_head=st.booleans(),
        branch=st.sampled_from(("", *(f"refs/heads/ticketd/{key}" for key in KEYS))),
    ),
    unique_by=lambda tree: tree.name,
)
refs = st.lists(
    st.builds(FoundRef, st.sampled_from(REFS), st.sampled_from(("", *COMMITS)), st.booleans()),
    unique_by=lambda ref: ref.name,
)
run_paths = st.sampled_from((*map(str, KEYS), "a/1-setup-0-5", "b/2-verify-0-7", "x/1", "x/1-setup-0-1", "odd/name"))
worlds = st.builds(
    World,
    trees=trees.map(tuple),
    refs=refs.map(tuple),
    runs=st.lists(st.builds(FoundRun, run_paths, st.booleans()), unique_by=lambda run: run.path).map(tuple),
    locks=st.lists(st.sampled_from([FoundLock("control.git/HEAD.lock", "s"), FoundLock("gate.git/x.lock", "t")])).map(
        tuple
    ),
    halves=st.sampled_from([(), ("objects/aa/tmp_obj_1",)]),
    scratch=st.sampled_from([(), ("trial-x",)]),
    here=st.frozensets(st.sampled_from(COMMITS)),
    git_lives=st.booleans(),
    at_rest=st.booleans(),
)


@st.composite
def records(draw: st.DrawFn) -> Records:
    live = draw(st.frozensets(st.sampled_from(KEYS)))
    others = draw(st.frozensets(st.sampled_from(KEYS))) - live
    ended = {key: draw(st.sampled_from((None, *COMMITS))) for key in sorted(others)}
    names = draw(st.frozensets(st.sampled_from(NAMES[:3])))
    outdated = frozenset({"a"} if draw(st.booleans()) and not any(key.ticket == "a" for key in live) else ())
    return Records(names, live, ended, draw(st.sampled_from((None, COMMITS[2]))), outdated)


def mends(records: Records, world: World) -> list[Mend]:
    return [each for each in reconcile(records, world) if isinstance(each, Mend)]


def commits_after(world: World, done: list[Mend]) -> dict[str, str]:
    """The refs once all of it is done."""
    at = {ref.name: ref.commit for ref in world.refs if ref.commit}
    for mend in done:
        match mend.deed:
            case Deed.DROP_REF:
                assert at.pop(mend.what) == mend.at
            case Deed.MOVE_REF:
                at[mend.to] = at.pop(mend.what)
            case Deed.RESTORE_REF:
                if mend.at:
                    at[f"{EXTRA}/in-the-way/{mend.at}"] = mend.at
                at[mend.what] = mend.to
            case _:
                pass
    return at


@given(records(), worlds)
def test_no_commit_is_without_a_ref_that_had_one_but_for_what_was_shown_of_a_ticket_that_landed_long_ago(
    records: Records, world: World
) -> None:
    done = mends(records, world)
    after = set(commits_after(world, done).values())
    for ref in world.refs:
        if ref.commit and not ref.safe and "published" not in ref.name and not ref.name.endswith("/verified"):
            assert ref.commit in after, ref


@given(refs)
def test_with_nobody_about_a_branch_is_dropped_only_where_its_commits_are_safe(found: list[FoundRef]) -> None:
    safe = {ref.name for ref in found if ref.safe}
    done = mends(Records(frozenset(), frozenset(), {}), World(refs=tuple(found)))
    assert {mend.what for mend in done if mend.deed is Deed.DROP_REF} <= safe


@given(records(), worlds)
def test_every_ref_of_a_live_attempt_stays_where_it_is(records: Records, world: World) -> None:
    after = commits_after(world, mends(records, world))
    for ref in world.refs:
        of_live = any(ref.name in (key.ref, f"refs/heads/ticketd/{key}") for key in records.live)
        if of_live and ref.commit:
            assert after[ref.name] == ref.commit


@given(records(), worlds)
def test_an_attempt_that_has_ended_stands_at_what_it_was_kept_as_or_it_is_told(records: Records, world: World) -> None:
    decided = reconcile(records, world)
    after = commits_after(world, [each for each in decided if isinstance(each, Mend)])
    told = {each.what for each in decided if isinstance(each, Left)}
    for key, tip in records.ended.items():
        assert tip is None or after.get(key.ref) == tip or key.ref in told


@given(records(), worlds)
def test_while_a_git_process_lives_nothing_goes_that_could_be_its_own(records: Records, world: World) -> None:
    own = {Deed.REMOVE_LOCK, Deed.REMOVE_HALVES, Deed.REMOVE_SCRATCH, Deed.REMOVE_TREE, Deed.REMOVE_ENTRY}
    done = {mend.deed for mend in mends(records, world)}
    assert not (world.git_lives and done & own)


@given(records(), worlds)
def test_files_go_only_of_worktrees_that_no_agent_was_ever_in(records: Records, world: World) -> None:
    found = {tree.name: tree for tree in world.trees}
    for mend in mends(records, world):
        if mend.deed is Deed.REMOVE_TREE:
            assert found[mend.what].entry is Entry.INITIALIZING
            assert mend.what in records.names and not found[mend.what].is_link


@given(records(), worlds)
def test_no_process_is_ended_but_of_an_attempt_that_has_and_no_step_while_a_daemon_runs(
    records: Records, world: World
) -> None:
    held = {run.path for run in world.runs if run.held}
    for mend in mends(records, world):
        if mend.deed in (Deed.END_RUN, Deed.REMOVE_RUN):
            ticket, _, rest = mend.what.partition("/")
            number, _, step = rest.partition("-")
            key = AttemptKey(ticket, int(number))
            assert key in records.ended or (step and world.at_rest and key in records.live)
            assert (mend.what in held) == (mend.deed is Deed.END_RUN)


@given(records(), worlds)
def test_done_once_there_is_nothing_more_to_do_about_refs(records: Records, world: World) -> None:
    at = commits_after(world, mends(records, world))
    safe = {ref.name: ref.safe for ref in world.refs}
    again = tuple(FoundRef(name, commit, safe.get(name, False)) for name, commit in at.items())
    there = World(world.trees, again, here=world.here, at_rest=world.at_rest)
    assert not [mend for mend in mends(records, there) if mend.deed in (Deed.MOVE_REF, Deed.DROP_REF, Deed.RESTORE_REF)]


def test_what_no_record_explains_is_told_with_what_to_do() -> None:
    world = World(
        trees=(FoundTree("stray", Entry.NONE), FoundTree("own"), FoundTree("1", is_link=True)),
        refs=(FoundRef(KEYS[0].ref, COMMITS[0]),),
        runs=(FoundRun("a/1", held=True),),
        locks=(FoundLock("control.git/HEAD.lock"),),
        git_lives=True,
    )
    left = reconcile(Records(frozenset({"1"}), frozenset(), {}), world)
    assert all(isinstance(each, Left) and each.why and each.mend for each in left)
    assert [each.what for each in left] == [
        *("control.git/HEAD.lock", "worktrees/stray", "control.git/worktrees/own", "worktrees/1"),
        *(KEYS[0].ref, "runs/a/1"),
    ]
