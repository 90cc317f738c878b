"""The lane, turn by turn: trains, speculation, blame, races, crashes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acceptance_yard import git
from lane_yard import LaneYard, commit

from ticketd.domain.events import EventKind
from ticketd.domain.landing import Phase

GOOD = 'verify = ["true"]'
NO_BAD = 'verify = ["sh", "-c", "! grep -q BAD *.txt"]'


def subjects_of(*ids: str) -> list[str]:
    return [f"Work of {id_}" for id_ in ids]


# --- trains ---


def test_a_train_is_verified_once_and_pushed_at_once_each_ticket_with_its_own_commit(lane: LaneYard) -> None:
    lane.config(f"{GOOD}\ntrain = 3")
    lane.kept("a", "b", "c")
    lane.until_quiet()
    assert lane.subjects() == subjects_of("a", "b", "c")
    assert lane.verified() == [(["a", "b", "c"], True)]
    for id_ in "abc":
        landed = lane.record(id_).landed_sha
        assert f"Ticket: {id_}" in git(lane.yard.origin, "log", "-1", "--format=%B", str(landed))


def test_without_a_train_each_is_verified_by_itself(lane: LaneYard) -> None:
    lane.config(GOOD)
    lane.kept("a", "b")
    lane.until_quiet()
    assert lane.verified() == [(["a"], True), (["b"], True)]
    assert lane.states("a", "b") == ["landed", "landed"]


def test_where_there_is_nothing_to_verify_all_that_wait_are_pushed_together(lane: LaneYard) -> None:
    lane.kept(*"abcde")
    before = len(lane.told(EventKind.TARGET_MOVED))
    lane.until_quiet()
    assert lane.states(*"abcde") == ["landed"] * 5
    assert len(lane.told(EventKind.TARGET_MOVED)) == before + 1


def test_only_the_culprit_of_a_train_is_sent_back_with_its_log(lane: LaneYard) -> None:
    lane.config(f"{NO_BAD}\ntrain = 4\nreruns = 0")
    lane.kept("a", "b")
    lane.kept("c", **{"c.txt": "BAD\n"})
    lane.kept("d")
    lane.until_quiet()
    assert lane.subjects() == subjects_of("a", "b", "d")
    assert lane.states(*"abcd") == ["landed", "landed", "failed", "landed"]
    assert str(lane.record("c").reason) == "verify-failed"
    log = Path(lane.record("c").detail.rsplit(" ", 1)[1])
    assert log.name == "1.verify.log"
    assert log.is_file()
    assert lane.verified() == [
        (["a", "b", "c", "d"], False),
        (["a", "b"], True),
        (["c"], False),
        (["d"], True),
    ]


def test_lanes_verify_stacked_candidates_side_by_side_and_what_stood_on_a_failure_is_made_anew(lane: LaneYard) -> None:
    lane.config(f"{NO_BAD}\nlanes = 3\nreruns = 0")
    lane.kept("a")
    lane.kept("b", **{"b.txt": "BAD\n"})
    lane.kept("c")
    lane.turn()
    assert len(lane.waiting) == 3
    assert {each.phase for each in lane.works.session.store.landings()} == {Phase.VERIFYING}
    lane.until_quiet()
    assert lane.subjects() == subjects_of("a", "c")
    assert lane.states("a", "b", "c") == ["landed", "failed", "landed"]


def test_what_has_passed_does_not_wait_for_what_is_verified_on_top_of_it(lane: LaneYard) -> None:
    lane.config(f"{GOOD}\nlanes = 2")
    lane.kept("a", "b")
    lane.turn()
    lane.go_on()
    assert lane.states("a", "b") == ["landed", "landing"]
    lane.go_on()
    assert lane.subjects() == subjects_of("a", "b")
    assert lane.verified() == [(["a"], True), (["a", "b"], True)]


def test_a_ticket_in_conflict_with_one_ahead_waits_for_it_and_only_then_is_judged(lane: LaneYard) -> None:
    lane.config(f"{NO_BAD}\ntrain = 2\nreruns = 0")
    lane.kept("a", **{"same.txt": "BAD\n"})
    lane.kept("b", **{"same.txt": "b\n"})
    lane.turn()
    assert lane.landing("b").phase is Phase.QUEUED
    lane.until_quiet()
    assert lane.states("a", "b") == ["failed", "landed"]


def test_a_ticket_s_own_check_runs_for_its_train_too(lane: LaneYard) -> None:
    lane.config(f"{GOOD}\ntrain = 2\nreruns = 0")
    lane.kept("a")
    lane.kept("b", front={"verify": ["test", "-f", "missing"]})
    lane.until_quiet()
    assert lane.states("a", "b") == ["landed", "failed"]


# --- files that several tickets change ---


def test_a_shared_file_keeps_the_lines_of_both(lane: LaneYard) -> None:
    lane.config("\n[claims]\nshared = ['CHANGELOG.md']")
    lane.outsider(**{"CHANGELOG.md": "first\n"})
    lane.kept("a", **{"CHANGELOG.md": "first\nof a\n"})
    lane.kept("b", **{"CHANGELOG.md": "first\nof b\n"})
    lane.until_quiet()
    assert lane.states("a", "b") == ["landed", "landed"]
    assert git(lane.yard.origin, "show", "main:CHANGELOG.md").split("\n") == ["first", "of a", "of b"]


MADE = """
[[landing.regenerate]]
paths = ["all.lock"]
run = ["sh", "-c", "cat *.part > all.lock"]
"""


def test_a_file_that_a_command_makes_is_made_anew_and_not_merged(lane: LaneYard) -> None:
    lane.config(f'verify = ["sh", "-c", "cat *.part | cmp - all.lock"]\n{MADE}')
    lane.outsider(**{"all.lock": "", "o.part": ""})
    lane.kept("a", **{"a.part": "a\n", "all.lock": "a\n"})
    lane.kept("b", **{"b.part": "b\n", "all.lock": "b\n"})
    lane.until_quiet()
    assert lane.states("a", "b") == ["landed", "landed"]
    assert git(lane.yard.origin, "show", "main:all.lock") == "a\nb"
    assert lane.subjects() == ["From elsewhere", *subjects_of("a", "b")]


def test_a_command_that_cannot_make_the_file_sends_the_ticket_back(lane: LaneYard) -> None:
    lane.config('[[landing.regenerate]]\npaths = ["all.lock"]\nrun = ["false"]')
    lane.outsider(**{"all.lock": ""})
    lane.kept("a", **{"all.lock": "a\n"})
    lane.outsider(**{"all.lock": "theirs\n"})
    lane.until_quiet()
    assert lane.states("a") == ["failed"]
    assert "`false` failed" in lane.record("a").detail


# --- blame ---


def test_a_check_that_fails_and_then_passes_on_the_same_tree_is_told_as_flaky(lane: LaneYard) -> None:
    flag = lane.yard.root / "flag"
    lane.config(f'verify = ["sh", "-c", "test -e {flag} || (touch {flag}; exit 1)"]')
    lane.kept("a")
    lane.until_quiet()
    assert lane.states("a") == ["landed"]
    assert [each["flaky"] for each in lane.told(EventKind.VERIFIED)] == [False, True]
    assert [each["again"] for each in lane.told(EventKind.VERIFIED)] == [False, True]


def test_nobody_is_blamed_for_a_target_that_fails_by_itself(lane: LaneYard) -> None:
    lane.config(f"{NO_BAD}\nreruns = 0")
    lane.kept("first")
    lane.until_quiet()
    lane.outsider(**{"theirs.txt": "BAD\n"})
    lane.kept("a", "b")
    lane.until_quiet()
    assert lane.states("a", "b") == ["landing", "landing"]
    assert "origin/main itself fails verification" in lane.landing("a").trouble
    lane.outsider(**{"theirs.txt": "good\n"})
    lane.time_passes()
    assert lane.states("a", "b") == ["landed", "landed"]


def test_an_outage_is_blamed_on_no_ticket_and_all_goes_on_once_it_is_over(lane: LaneYard) -> None:
    service = lane.yard.root / "service"
    service.touch()
    lane.config(f'verify = ["test", "-e", "{service}"]')
    lane.kept("first")
    lane.until_quiet()
    service.unlink()
    lane.kept("a", "b")
    lane.until_quiet()
    lane.time_passes()
    assert lane.states("a", "b") == ["landing", "landing"]
    assert "origin/main itself still fails verification" in lane.landing("a").trouble
    ran = len(lane.verified())
    service.touch()
    lane.time_passes()
    assert lane.states("a", "b") == ["landed", "landed"]
    assert len(lane.verified()) == ran + 3


def test_the_same_commands_never_run_twice_on_the_same_tree(lane: LaneYard) -> None:
    lane.config(GOOD)
    lane.kept("a")
    lane.turn()
    lane.waiting.pop()()  # and then the daemon dies, before it could push
    lane.anew()
    lane.turn()
    assert lane.states("a") == ["landed"]
    assert len(lane.verified()) == 1


def test_a_time_limit_says_nothing_lasting_of_a_tree(lane: LaneYard) -> None:
    slow = lane.yard.root / "slow"
    slow.touch()
    lane.config(f'verify = ["sh", "-c", "test ! -e {slow} || sleep 60"]\nverify_timeout = "1s"\nreruns = 0')
    lane.kept("a")
    lane.turn()
    lane.waiting.pop()()
    assert lane.verified() == [(["a"], False)]
    slow.unlink()
    lane.anew()
    lane.until_quiet()
    assert lane.states("a") == ["landed"]


def test_with_memo_off_they_do(lane: LaneYard) -> None:
    lane.config(f"{GOOD}\nmemo = false")
    lane.kept("a")
    lane.turn()
    lane.waiting.pop()()
    lane.anew()
    lane.until_quiet()
    assert lane.states("a") == ["landed"]
    assert len(lane.verified()) == 2


@pytest.mark.parametrize("verify", ["no-such-program", "false"])
def test_commands_that_have_never_passed_are_a_persons_to_mend_and_cost_no_attempt(lane: LaneYard, verify: str) -> None:
    lane.config(f'verify = ["{verify}"]')
    lane.kept("a")
    lane.until_quiet()
    assert lane.states("a") == ["failed"]
    assert str(lane.record("a").reason) == "verify-failed"
    assert f"`{verify}` failed" in lane.record("a").detail
    assert lane.record("a").failures == 0


@pytest.mark.parametrize("restarted", [True, False])
def test_once_they_are_mended_outside_the_repository_a_person_lands_the_kept_work(
    lane: LaneYard, restarted: bool
) -> None:
    there = lane.yard.root / "database"
    lane.config(f'verify = ["test", "-e", "{there}"]')
    lane.kept("a")
    lane.until_quiet()
    assert lane.states("a") == ["failed"]
    there.touch()
    if restarted:
        lane.anew()
    assert lane.works.session.store.land_ahead("a", 3.0) == "failed"
    lane.until_quiet()
    assert lane.states("a") == ["landed"]


# --- races ---


def test_a_verification_that_others_have_outrun_begins_again_but_only_so_often(lane: LaneYard) -> None:
    lane.config(f"{GOOD}\nreverify = 1")
    lane.kept("a")
    lane.turn()
    lane.outsider(o1="1")
    lane.daemon.tracker.ask()
    lane.turn()
    lane.go_on()  # the first has run for nothing
    assert lane.verified() == []
    lane.outsider(o2="2")
    lane.daemon.tracker.ask()
    lane.turn()
    lane.go_on()
    assert lane.states("a") == ["landed"]
    assert "touches none of its files" in lane.record("a").detail
    assert lane.verified() == [(["a"], True)]
    assert git(lane.yard.origin, "rev-parse", "main~1") == git(
        lane.yard.origin, "log", "-1", "--format=%H", "--grep=elsewhere"
    )


@pytest.mark.parametrize("lost", [0, 3])
def test_verifications_are_bounded_however_fast_others_push(lane: LaneYard, lost: int) -> None:
    lane.config(f"{GOOD}\nreverify = {lost}")
    lane.kept("a")
    lane.turn()
    for number in range(20):
        lane.outsider(**{f"o{number}": "x"})
        lane.daemon.tracker.ask()
        lane.turn()
        if number % 5 == 4 and lane.waiting:
            lane.go_on()
    lane.until_quiet()
    assert lane.states("a") == ["landed"]
    assert len(lane.verified()) <= lost + 1


def test_it_is_a_persons_turn_once_others_have_changed_its_own_files_again_and_again(lane: LaneYard) -> None:
    lines = [f"{number}\n" for number in range(60)]
    lane.outsider(**{"long.txt": "".join(lines)})
    lane.config(f"{GOOD}\nreverify = 0")
    lane.kept("a", **{"long.txt": "".join([*lines, "last\n"])})
    lane.turn()
    for number in range(20):
        lines[number] = f"theirs {number}\n"
        lane.outsider(**{"long.txt": "".join(lines)})
        lane.daemon.tracker.ask()
        if lane.waiting:
            lane.go_on()
    assert lane.states("a") == ["failed"]
    assert "moved in its files each time" in lane.record("a").detail
    assert len(lane.verified()) <= 10
    lane.works.session.store.retry("a", 3.0)
    lane.until_quiet()
    assert lane.states("a") == ["landed"]


def test_what_has_passed_is_put_before_what_has_yet_to_be_verified(lane: LaneYard) -> None:
    lane.config(f"{GOOD}\ntrain = 2\nreverify = 0")
    lane.kept("b")
    lane.turn()
    lane.kept("a")
    lane.outsider(o="x")
    lane.daemon.tracker.ask()
    lane.go_on()
    assert lane.states("b") == ["landed"]
    assert "touches none of its files" in lane.record("b").detail
    lane.until_quiet()
    assert lane.states("a") == ["landed"]


def test_work_whose_own_files_others_change_is_verified_again_on_top_of_that(lane: LaneYard) -> None:
    lines = "".join(f"{n}\n" for n in range(30))
    lane.outsider(**{"long.txt": lines})
    lane.daemon.tracker.ask()
    lane.config(f"{GOOD}\nreverify = 0")
    lane.kept("a", **{"long.txt": f"{lines}last\n"})
    lane.turn()
    lane.outsider(**{"long.txt": f"first\n{lines}"})
    lane.daemon.tracker.ask()
    lane.go_on()
    assert lane.states("a") == ["landing"]
    lane.until_quiet()
    assert lane.states("a") == ["landed"]
    assert len(lane.verified()) == 2
    assert git(lane.yard.origin, "show", "main:long.txt").splitlines()[::31] == ["first", "last"]


def test_a_push_that_comes_too_late_is_tried_again_on_what_came_first(lane: LaneYard) -> None:
    lane.kept("a")
    works, target = lane.works, lane.works.target

    class Outrun:
        """The target moves just before the push."""

        def tip(self) -> Any:
            return target.tip()

        def push(self, candidate: str, onto: str) -> Any:
            if len(lane.subjects()) < 3:
                lane.outsider(**{f"o{len(lane.subjects())}": "x"})
            return target.push(candidate, onto)

    object.__setattr__(works, "target", Outrun())
    lane.anew()
    lane.until_quiet()
    assert lane.states("a") == ["landed"]
    assert lane.subjects() == [*["From elsewhere"] * 3, "Work of a"]


# --- nothing is landed twice, nothing is landed that is not the ticket's ---


def test_a_push_that_went_through_though_the_daemon_died_of_it_lands_once(lane: LaneYard) -> None:
    lane.config(f"{GOOD}\ntrain = 2")
    lane.kept("a", "b")
    target = lane.works.target

    class Deadly:
        def tip(self) -> Any:
            return target.tip()

        def push(self, candidate: str, onto: str) -> Any:
            target.push(candidate, onto)
            raise KeyboardInterrupt

    object.__setattr__(lane.works, "target", Deadly())
    lane.turn()
    with pytest.raises(KeyboardInterrupt):
        lane.go_on()
    assert {each.phase for each in lane.works.session.store.landings()} == {Phase.PUSHING}
    object.__setattr__(lane.works, "target", target)
    lane.outsider(o="x")
    lane.anew()
    lane.until_quiet()
    assert lane.states("a", "b") == ["landed", "landed"]
    assert lane.subjects() == [*subjects_of("a", "b"), "From elsewhere"]


def test_a_candidate_that_changes_what_its_ticket_did_not_is_never_pushed_and_stops_the_lane(lane: LaneYard) -> None:
    lane.kept("a")
    history = lane.works.history

    class Wrong:
        """A rebase that takes back what others have landed, as that of a large forge once did."""

        def __getattr__(self, name: str) -> Any:
            return getattr(history, name)

        def rebase(self, base: str, tip: str, onto: str, *rest: Any) -> Any:
            made = history.rebase(base, tip, onto, *rest)
            return replace(made, tip=commit(lane.yard.control, made.tip, {"theirs.txt": None}, "Work of a"))  # type: ignore[type-var]

    lane.outsider(**{"theirs.txt": "x"})
    lane.daemon.tracker.ask()
    before = lane.target()
    object.__setattr__(lane.works, "history", Wrong())
    lane.anew()
    lane.until_quiet()
    assert lane.target() == before
    assert "theirs.txt" in lane.works.session.store.pool().alarm
    assert len(lane.told(EventKind.ALARM)) == 1
    lane.until_quiet()
    assert len(lane.told(EventKind.ALARM)) == 1
    object.__setattr__(lane.works, "history", history)
    lane.works.session.store.resume(2.0)
    lane.anew()
    lane.until_quiet()
    assert lane.states("a") == ["landed"]


def test_work_whose_own_commits_undo_what_others_have_landed_is_sent_back_and_the_lane_goes_on(lane: LaneYard) -> None:
    """As after `git reset --soft origin/main`, or where another agent has moved its branch."""
    base = lane.target()
    theirs = lane.outsider(**{"theirs.txt": "x"})
    lane.daemon.tracker.ask()
    lane.kept("a", base=base, stands=theirs, **{"theirs.txt": None, "a.txt": "a\n"})
    lane.kept("b")
    lane.until_quiet()
    assert (lane.states("a", "b"), lane.works.session.store.pool().alarm) == (["failed", "landed"], "")
    assert "theirs.txt" in lane.record("a").detail
    assert "theirs.txt" in git(lane.yard.origin, "ls-tree", "--name-only", "main").split()


def test_a_file_that_the_target_has_renamed_meanwhile_is_the_same_file(lane: LaneYard) -> None:
    lines = "".join(f"line {n}\n" for n in range(30))
    base = lane.outsider(**{"old.txt": lines})
    lane.daemon.tracker.ask()
    lane.kept("a", base=base, **{"old.txt": f"{lines}last\n"})
    lane.outsider(**{"old.txt": None, "new.txt": lines})
    lane.until_quiet()
    assert lane.states("a") == ["landed"]
    assert lane.works.session.store.pool().alarm == ""
    assert git(lane.yard.origin, "show", "main:new.txt").endswith("last")


def test_of_a_train_that_the_remote_refuses_only_the_one_it_is_about_fails(lane: LaneYard) -> None:
    hook = lane.yard.origin / "hooks" / "pre-receive"
    hook.write_text('#!/bin/sh\nread old new ref\n! git ls-tree -r --name-only $new | grep -q "^b.txt"\n')
    hook.chmod(0o755)
    lane.kept("a", "b", "c")
    lane.until_quiet()
    assert "1 of 5 times" in lane.landing("b").trouble
    for _ in range(4):
        lane.time_passes()
    assert lane.states("a", "b", "c") == ["landed", "failed", "landed"]
    assert str(lane.record("b").reason) == "push-rejected"


def test_a_remote_that_only_stumbles_costs_no_ticket(lane: LaneYard) -> None:
    hook, flag = lane.yard.origin / "hooks" / "pre-receive", lane.yard.root / "stumbled"
    hook.write_text(f"#!/bin/sh\ntest -e {flag} || {{ touch {flag}; exit 1; }}\n")
    hook.chmod(0o755)
    lane.kept("a", "b")
    lane.until_quiet()
    assert lane.states("a", "b") == ["landing", "landing"]
    lane.time_passes()
    assert lane.states("a", "b") == ["landed", "landed"]


def test_a_merge_is_never_folded_in_silence(lane: LaneYard) -> None:
    other = commit(lane.yard.control, lane.target(), {}, "Other")
    lane.kept("a", merges=other)
    lane.until_quiet()
    assert lane.states("a") == ["landed"]
    assert len(lane.told(EventKind.FLATTENED)) == 1


@pytest.mark.parametrize("holds", ["refs/heads/ticketd/other/1", "refs/ticketd/other/1", "refs/ticketd/a/1"])
def test_a_commit_of_another_is_never_on_the_target_by_itself(lane: LaneYard, holds: str) -> None:
    lane.config(f"{NO_BAD}\nreruns = 0")
    before, theirs = lane.target(), commit(lane.yard.control, lane.target(), {"a.txt": "BAD\n"}, "Theirs")
    git(lane.yard.control, "update-ref", holds, theirs)
    lane.kept("a", stands=theirs)
    lane.until_quiet()
    assert lane.states("a") == ["landed"]
    is_others = "other" in holds
    assert git(lane.yard.origin, "rev-list", "--count", f"{before}..main") == ("1" if is_others else "2")
    assert [data["mixed"] for data in lane.told(EventKind.FLATTENED)] == [True] * is_others


def test_a_cancelled_ticket_leaves_the_train_and_the_others_go_on(lane: LaneYard) -> None:
    lane.config(f"{GOOD}\ntrain = 3")
    lane.kept("a", "b", "c")
    lane.turn()
    lane.works.session.store.cancel("b", 2.0)
    lane.turn()
    lane.until_quiet()
    assert lane.states("a", "b", "c") == ["landed", "cancelled", "landed"]
    assert lane.subjects() == subjects_of("a", "c")
