"""The lane where something changes under it: races of trains, settings, setups broken off, a damaged object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lane_yard import LaneYard, commit

from ticketd.domain.landing import Phase
from ticketd.errors import GitFailed, StoreTrouble
from ticketd.ports import Unreachable

GOOD = 'verify = ["true"]'
NO_BAD = 'verify = ["sh", "-c", "! grep -q BAD *.txt"]'
LINES = "".join(f"line {n}\n" for n in range(30))

# --- what has passed on an older target ---


def test_what_has_passed_with_another_is_verified_again_where_that_one_does_not_land(lane: LaneYard) -> None:
    only_with_a = 'verify = ["sh", "-c", "! test -e b.txt || grep -q A a.txt"]'
    lane.config(f"{only_with_a}\ntrain = 2\nreverify = 0\nreruns = 0")
    lane.outsider(**{"a.txt": "0\n"})
    lane.daemon.tracker.ask()
    lane.kept("a", **{"a.txt": "A\n"})
    lane.kept("b")
    lane.turn()
    lane.outsider(**{"a.txt": "theirs\n"})
    lane.daemon.tracker.ask()
    lane.until_quiet()
    assert lane.verified()[0] == (["a", "b"], True)
    assert lane.states("a", "b") == ["failed", "failed"]


def test_a_train_that_passed_lands_as_a_whole_though_others_were_faster(lane: LaneYard) -> None:
    lane.config(f"{GOOD}\ntrain = 2\nreverify = 0")
    lane.kept("a", "b")
    lane.turn()
    lane.outsider(o="x")
    lane.daemon.tracker.ask()
    lane.until_quiet()
    assert lane.states("a", "b") == ["landed", "landed"]
    assert lane.verified() == [(["a", "b"], True)]
    assert "touches none of its files" in lane.record("a").detail
    assert "touches none of its files" in lane.record("b").detail


def test_a_file_that_the_target_has_renamed_is_looked_for_by_its_new_name_too(lane: LaneYard) -> None:
    not_both = 'verify = ["sh", "-c", "! grep -q first new.txt || ! grep -q last new.txt"]'
    lane.config(f"{not_both}\nreverify = 0\nreruns = 0")
    base = lane.outsider(**{"old.txt": LINES})
    lane.daemon.tracker.ask()
    lane.kept("a", base=base, **{"old.txt": f"{LINES}last\n"})
    lane.outsider(**{"old.txt": None, "new.txt": LINES})
    lane.daemon.tracker.ask()
    lane.turn()
    lane.outsider(**{"new.txt": f"first\n{LINES}"})
    lane.daemon.tracker.ask()
    lane.until_quiet()
    assert lane.states("a") == ["failed"]


# --- worktrees ---


def test_a_setup_that_was_broken_off_is_made_anew(lane: LaneYard) -> None:
    setup = """\n[worktrees]\nsetup = ["sh", "-c", "cp lock made; ! grep bad lock"]\nsetup_inputs = ["lock"]"""
    lane.config(f'verify = ["cmp", "lock", "made"]\nreruns = 0{setup}')
    lane.outsider(**{"lock": "good\n", ".gitignore": "made\n"})
    lane.kept("a")
    lane.until_quiet()
    lane.kept("b", lock="bad\n")
    lane.kept("c")
    lane.until_quiet()
    assert lane.states("a", "b", "c") == ["landed", "failed", "landed"]


# --- what is outside ---


class Away:
    """A target that cannot be asked."""

    def tip(self) -> Unreachable:
        return Unreachable("away")


def test_a_target_that_answers_again_ends_the_patience_also_with_those_far_behind(lane: LaneYard) -> None:
    lane.config(GOOD)
    lane.kept("a", "b")
    target = lane.works.target
    object.__setattr__(lane.works, "target", Away())
    lane.turn()
    assert {each.phase for each in lane.works.session.store.landings()} == {Phase.WAITING}
    object.__setattr__(lane.works, "target", target)
    lane.all_is_due()
    lane.turn()
    assert (lane.landing("a").phase, lane.landing("b").phase) == (Phase.VERIFYING, Phase.QUEUED)
    assert {each.trouble_since for each in lane.works.session.store.landings()} == {None}


def test_a_push_whose_answer_was_lost_has_landed_though_others_have_pushed_on_top_of_it(lane: LaneYard) -> None:
    lane.config(GOOD)
    base = lane.target()
    # With a merge in it: of what lands as one commit no patch tells that it is on the target already.
    lane.kept("a", base=base, merges=lane.outsider(**{"other.txt": ""}), **{"shared.txt": "a\n", "other.txt": ""})
    lane.turn()
    target = lane.works.target

    class Mute:
        """Takes the push, and is away before it could say so; meanwhile somebody changes the same file."""

        tip = target.tip

        def push(self, candidate: str, onto: str) -> Unreachable:
            target.push(candidate, onto)
            lane.outsider(**{"shared.txt": "a, and theirs\n"})
            object.__setattr__(lane.works, "target", Away())
            return Unreachable("away")

    object.__setattr__(lane.works, "target", Mute())
    lane.go_on()
    object.__setattr__(lane.works, "target", target)
    lane.time_passes()
    assert lane.states("a") == ["landed"]
    assert lane.subjects() == ["From elsewhere", "Work of a", "From elsewhere"]


def test_what_lands_on_trust_says_so_though_the_answer_to_its_push_was_lost(lane: LaneYard) -> None:
    lane.config(f"{GOOD}\nreverify = 0")
    lane.kept("a")
    lane.turn()
    lane.outsider(o="x")
    target = lane.works.target

    class Mute:
        """Takes the push, and is away before it could say so."""

        tip = target.tip

        def push(self, candidate: str, onto: str) -> Unreachable:
            target.push(candidate, onto)
            object.__setattr__(lane.works, "target", Away())
            return Unreachable("away")

    object.__setattr__(lane.works, "target", Mute())
    lane.daemon.tracker.ask()
    lane.go_on()
    object.__setattr__(lane.works, "target", target)
    lane.time_passes()
    assert lane.states("a") == ["landed"]
    assert len(lane.verified()) == 1
    assert "touches none of its files" in lane.record("a").detail


def test_a_push_that_arrives_when_nobody_waits_for_it_any_more_has_landed(lane: LaneYard) -> None:
    lane.config(f"{GOOD}\nmemo = false")
    base = lane.target()
    lane.kept("a", base=base, merges=lane.outsider(**{"other.txt": ""}), **{"shared.txt": "a\n", "other.txt": ""})
    lane.turn()
    target = lane.works.target
    on_its_way: list[tuple[str, str]] = []

    class Slow:
        """Gives no answer in time."""

        tip = target.tip

        def push(self, candidate: str, onto: str) -> Unreachable:
            on_its_way.append((candidate, onto))
            return Unreachable("no answer")

    object.__setattr__(lane.works, "target", Slow())
    lane.go_on()
    object.__setattr__(lane.works, "target", target)
    lane.all_is_due()
    lane.turn()  # it is verified once more
    target.push(*on_its_way[0])
    lane.outsider(**{"shared.txt": "a, and theirs\n"})
    lane.daemon.tracker.ask()
    lane.until_quiet()
    assert lane.states("a") == ["landed"]
    assert lane.subjects() == ["From elsewhere", "Work of a", "From elsewhere"]


def test_work_that_is_damaged_keeps_no_other_from_landing(lane: LaneYard) -> None:
    lane.config(GOOD)
    lane.kept("a", "b", "c")
    tip = lane.landing("a").tip
    (lane.yard.control / "objects" / tip[:2] / tip[2:]).unlink()
    lane.anew()
    lane.until_quiet()
    assert lane.states("a", "b", "c") == ["landing", "landed", "landed"]
    assert tip in lane.landing("a").trouble


def test_a_store_that_refuses_in_the_middle_loses_no_verification(lane: LaneYard) -> None:
    lane.config(f"{GOOD}\nlanes = 2")
    lane.kept("a", "b")
    lane.turn()
    store = lane.works.session.store

    class Full:
        """No phase can be stored, and every verification ends without a verdict."""

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def set_phases(self, *_: Any) -> None:
            raise StoreTrouble("no room")

        def note_verification(self, *_: Any) -> None:
            raise StoreTrouble("no room")

    object.__setattr__(lane.works.session, "store", Full())
    for verification in lane.waiting:
        verification()
    lane.waiting.clear()
    with pytest.raises(StoreTrouble):
        lane.turn()
    object.__setattr__(lane.works.session, "store", store)
    lane.until_quiet()
    lane.time_passes()
    assert lane.states("a", "b") == ["landed", "landed"]


# --- settings that change meanwhile ---


def test_what_passed_together_is_verified_by_itself_once_it_goes_to_a_branch_of_its_own(lane: LaneYard) -> None:
    lane.config(f"{GOOD}\ntrain = 2")
    lane.kept("a", "b")
    lane.turn()
    lane.config(f'{GOOD}\ntrain = 2\nmode = "branch"')
    lane.until_quiet()
    assert lane.verified() == [(["a", "b"], True), (["a"], True), (["b"], True)]


def test_nobody_is_blamed_by_new_commands_for_a_target_that_passed_the_old_ones(lane: LaneYard) -> None:
    lane.config(f"{GOOD}\nreruns = 0")
    lane.outsider(**{"theirs.txt": "BAD\n"})
    lane.kept("a")
    lane.until_quiet()
    lane.config(f"{NO_BAD}\nreruns = 0")
    lane.kept("b")
    lane.until_quiet()
    assert "origin/main itself fails" in lane.record("b").detail


def test_what_other_commands_say_does_not_count(lane: LaneYard) -> None:
    lane.config(f"{GOOD}\nreruns = 0")
    lane.kept("a")
    lane.until_quiet()
    lane.kept("b", **{"b.txt": "BAD\n"})
    lane.turn()
    lane.config(f"{NO_BAD}\nreruns = 0")
    lane.until_quiet()
    assert lane.states("a", "b") == ["landed", "failed"]


def test_nor_do_those_that_a_ticket_had_before_it_was_edited(lane: LaneYard) -> None:
    lane.config(f"{GOOD}\nreruns = 0")
    lane.kept("a", front={"verify": ["true"]})
    lane.turn()
    lane.yard.ticket("a", touches="/a.txt", verify=["false"])
    lane.daemon.intake.sync(lane.daemon.current.settings)
    lane.until_quiet()
    assert lane.states("a") == ["failed"]


def test_a_target_that_nobody_asks_about_any_more_is_not_verified_on(lane: LaneYard) -> None:
    lane.config(f"{NO_BAD}\nreruns = 0")
    lane.kept("a", **{"a.txt": "BAD\n"})
    lane.turn()
    lane.go_on()  # it fails, and the target is to be verified
    lane.works.session.store.cancel("a", 2.0)
    lane.turn()
    lane.until_quiet()
    assert lane.verified() == [(["a"], False)]


# --- stacked on others ---


def test_nobody_is_blamed_for_files_that_cannot_be_made_on_top_of_another(lane: LaneYard) -> None:
    made = (
        '[[landing.regenerate]]\npaths = ["all.lock"]\nrun = ["sh", "-c", "! grep BAD *.part && cat *.part > all.lock"]'
    )
    lane.config(f'train = 2\nverify = ["sh", "-c", "! grep -q BAD *.part"]\nreruns = 0\n{made}')
    base = lane.outsider(**{"all.lock": "", "o.part": ""})
    lane.daemon.tracker.ask()
    lane.kept("first", **{"first.part": "first\n", "all.lock": "first\n"})
    lane.until_quiet()
    lane.kept("a", **{"a.part": "BAD\n"})
    lane.kept("b", base=base, **{"b.part": "b\n", "all.lock": "b\n"})
    lane.until_quiet()
    assert lane.states("first", "a", "b") == ["landed", "failed", "landed"]


def test_one_that_waits_for_those_below_is_not_tried_over_and_over(lane: LaneYard) -> None:
    lane.config(f"{GOOD}\ntrain = 2\nreruns = 0")
    other = commit(lane.yard.control, lane.target(), {}, "Other")
    lane.kept("a", **{"same.txt": "a\n"})
    lane.kept("b", merges=other, **{"same.txt": "b\n"})
    lane.turn()
    before = lane.works.session.store.moves()
    lane.turn()
    assert lane.works.session.store.moves() == before


# --- blame ---


def test_commands_that_have_passed_together_with_a_ticket_s_own_have_passed(lane: LaneYard) -> None:
    lane.config(f"{NO_BAD}\nreruns = 0")
    lane.kept("first", front={"verify": ["true"]})
    lane.until_quiet()
    lane.outsider(**{"theirs.txt": "BAD\n"})
    lane.kept("a")
    lane.until_quiet()
    assert lane.states("first", "a") == ["landed", "landing"]
    assert "origin/main itself fails verification" in lane.landing("a").trouble


def test_a_target_in_doubt_that_cannot_be_verified_just_now_is_not_asked_about_again_at_once(lane: LaneYard) -> None:
    lane.config(f"{NO_BAD}\nreruns = 0")
    lane.kept("first")
    lane.until_quiet()
    lane.outsider(**{"theirs.txt": "BAD\n"})
    lane.kept("a")
    lane.until_quiet()
    assert "itself fails verification" in lane.landing("a").trouble
    worktrees = lane.works.worktrees

    class Full:
        """No worktree can be made ready."""

        def __getattr__(self, name: str) -> Any:
            return getattr(worktrees, name)

        def prepare(self, *_: Any, **__: Any) -> bool:
            raise GitFailed("no space left on device")

    object.__setattr__(lane.works, "worktrees", Full())
    lane.all_is_due()
    lane.turn()
    lane.go_on()
    assert (lane.waiting, lane.landing("a").trouble) == ([], "no space left on device")
    object.__setattr__(lane.works, "worktrees", worktrees)
    lane.outsider(**{"theirs.txt": "good\n"})
    lane.time_passes()
    assert lane.states("a") == ["landed"]


def test_what_has_been_pushed_has_landed_though_that_could_not_be_stored_and_it_is_cancelled_then(
    lane: LaneYard,
) -> None:
    lane.config(GOOD)
    lane.kept("a")
    lane.turn()
    store = lane.works.session.store

    class Full:
        """What has landed cannot be stored."""

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def land(self, *_: Any) -> None:
            raise StoreTrouble("no room")

    object.__setattr__(lane.works.session, "store", Full())
    with pytest.raises(StoreTrouble):
        lane.go_on()
    object.__setattr__(lane.works.session, "store", store)
    store.cancel("a", 2.0)
    lane.until_quiet()
    assert lane.subjects() == ["Work of a"]
    assert lane.states("a") == ["landed"]


def test_a_command_that_ends_its_own_supervisor_keeps_no_other_from_landing(lane: LaneYard) -> None:
    lane.config('[[landing.regenerate]]\npaths = ["all.lock"]\nrun = ["sh", "-c", "kill -9 $PPID; sleep 9"]')
    base = lane.outsider(**{"all.lock": ""})
    lane.daemon.tracker.ask()
    lane.kept("a", base=base, **{"all.lock": "a\n"})
    lane.outsider(**{"all.lock": "theirs\n"})
    lane.kept("b")
    lane.until_quiet()
    assert lane.states("a", "b") == ["landing", "landed"]
    assert "ended from outside" in lane.landing("a").trouble


def test_a_verification_is_ended_before_the_lane_is_told_that_the_store_cannot_be_asked(lane: LaneYard) -> None:
    begun = lane.yard.root / "begun"
    lane.config(f'verify = ["sh", "-c", "echo $$ > {begun}; exec sleep 99"]')
    lane.kept("a")
    lane.turn()
    store = lane.works.session.store

    class Locked:
        """Nobody can say whether all is to stop, once it runs."""

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def pool(self) -> Any:
            if begun.exists() and begun.read_text():
                raise StoreTrouble("locked")
            return store.pool()

    object.__setattr__(lane.works.session, "store", Locked())
    lane.waiting.pop()()
    object.__setattr__(lane.works.session, "store", store)
    assert not Path(f"/proc/{begun.read_text().strip()}").exists()
    lane.turn()
    assert lane.landing("a").trouble.startswith("locked")
