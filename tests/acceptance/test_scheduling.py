"""Preemption, stalls and the shadow policy, by the real daemon and its scripted agents."""

from __future__ import annotations

from typing import Any

from acceptance_yard import Yard, wait_until

PREEMPT = 'slots = 1\n[scheduler]\npreempt = "critical"\n'


def events(yard: Yard, kind: str, ticket: str | None = None) -> list[Any]:
    found = yard.json("events")["events"]
    return [event for event in found if event["kind"] == kind and ticket in (None, event["ticket"])]


def assert_no_slot_was_given_twice_at_once(yard: Yard) -> None:
    taken: dict[int, tuple[str, int]] = {}
    for event in yard.json("events")["events"]:
        attempt = (event["ticket"], event["attempt"])
        if event["kind"] == "dispatched":
            assert event["slot"] not in taken
            taken[event["slot"]] = attempt
        elif event["kind"] == "agent-ended":
            taken = {slot: holder for slot, holder in taken.items() if holder != attempt}


def brief(yard: Yard, attempt: str) -> str:
    return next(yard.state.glob(f"ticketd/*/runs/{attempt}/brief.md")).read_text()


def test_a_ticket_that_makes_way_for_a_critical_one_goes_on_from_what_it_had_done(yard: Yard) -> None:
    begun, go = yard.root / "begun", yard.root / "go"
    yard.config(PREEMPT)
    steps = ("append long.txt one", "commit begun", "append long.txt half", f"write {begun} x", f"wait-for {go}")
    yard.ticket("long", touches="/long.txt", does=(*steps, "append long.txt two"))
    yard.start()
    wait_until(begun.exists, "the long one has done something")
    yard.ticket("urgent", touches="/urgent.txt", does=("append urgent.txt x",), priority="critical")
    yard.wait_for_state("urgent", "landed")
    wait_until(lambda: yard.ticket_line("long")["attempts"] == 2, "the long one runs again")
    assert [event["for"] for event in events(yard, "preempted", "long")] == ["urgent"]
    go.touch()
    yard.wait_for_state("long", "landed")
    assert yard.file("long.txt").split() == ["one", "half", "one", "half", "two"], (
        "the second began where the first was"
    )
    assert yard.subjects() == ["first", "urgent", "begun", "long", "begun", "long"]
    assert "You have begun this before" in brief(yard, "long/2")
    assert "You have begun this before" not in brief(yard, "long/1")
    shown = yard.json("show", "long")
    assert (shown["attempts"], shown["failures"], len(events(yard, "landed", "long"))) == (2, 0, 1)
    assert_no_slot_was_given_twice_at_once(yard)


def test_without_the_setting_a_critical_ticket_waits_for_its_slot(yard: Yard) -> None:
    begun, go = yard.root / "begun", yard.root / "go"
    yard.config("slots = 1\n")
    yard.ticket("long", touches="/long.txt", does=(f"write {begun} x", f"wait-for {go}", "append long.txt x"))
    yard.start()
    wait_until(begun.exists, "the long one runs")
    yard.ticket("urgent", touches="/urgent.txt", does=("append urgent.txt x",), priority="critical")
    wait_until(lambda: [each["ticket"] for each in yard.status()["queue"]] == ["urgent"], "the critical one waits")
    room = yard.json("explain", "urgent")["room"]
    assert [(each["ticket"], each["slot"]) for each in room] == [("long", 1)]
    go.touch()
    yard.wait_for_state("urgent", "landed")
    assert yard.subjects() == ["first", "long", "urgent"]


def test_a_stall_is_told_once_with_its_cause_and_a_retry_ends_it(yard: Yard) -> None:
    yard.ticket("bad", touches="/bad.txt", does=("fail-first 1", "append bad.txt x"), retries=0)
    yard.ticket("after", touches="/after.txt", does=("append after.txt x",), depends_on=["bad"])
    yard.start()
    wait_until(lambda: events(yard, "stalled"), "it is told that nothing can run")
    mend = "`ticketd logs bad` shows why; `ticketd retry bad` tries again"
    assert yard.status()["stalled"] == [{"ticket": "after", "why": "bad failed (agent-failed)", "mend": mend}]
    assert f"  after: bad failed (agent-failed); {mend}" in (yard.root / "daemon-0.out").read_text()
    assert "NOTHING RUNS AND NOTHING CAN" in yard.run("status").stdout
    assert yard.run("retry", "bad").returncode == 0
    yard.wait_for_state("after", "landed")
    assert yard.status()["stalled"] == []
    assert len(events(yard, "stalled")) == 1


def test_stopping_a_daemon_is_no_stall(yard: Yard) -> None:
    begun = yard.root / "begun"
    yard.ticket("one", touches="/x.txt", does=(f"write {begun} x", "append x.txt one"))
    yard.ticket("two", touches="/x.txt", does=("append x.txt two",))
    daemon = yard.start("--slots", "1")
    wait_until(begun.exists, "the first runs")
    assert yard.run("stop").returncode == 0
    daemon.wait(timeout=60)
    assert events(yard, "stalled") == []


def test_a_run_until_idle_ends_with_the_cause_of_each_ticket_that_has_not_landed(yard: Yard) -> None:
    yard.ticket("bad", touches="/bad.txt", does=("exit 3",), retries=0)
    yard.ticket("then", touches="/then.txt", depends_on=["bad"])
    yard.ticket("last", touches="/last.txt", depends_on=["then"])
    yard.ticket("kept", touches="/kept.txt")
    assert yard.run("hold", "kept").returncode == 0
    done = yard.until_idle()
    assert done.returncode == 1
    said = done.stdout.partition("0 of 4 tickets landed\n")[2].splitlines()
    assert said[0].startswith("  bad: failed (agent-failed): the agent ended with exit code 3")
    assert said[1:] == [
        "  last: queued: bad failed (agent-failed)",
        "  then: queued: bad failed (agent-failed)",
        "    `ticketd logs bad` shows why; `ticketd retry bad` tries again",
        "  kept: queued: kept is held by a person",
        "    `ticketd unhold kept`",
    ]
    assert "nothing runs and nothing can" not in done.stdout, "the end says it all"


def test_where_the_shadow_policy_would_start_another_ticket_it_is_noted(yard: Yard) -> None:
    begun, go = yard.root / "begun", yard.root / "go"
    yard.config('slots = 2\n[scheduler]\nshadow = "estimate"\n')
    does = (f"write {begun} x", f"wait-for {go}", "append a.txt x")
    yard.ticket("slow", touches="/a.txt", does=does, size="L")
    yard.start()
    wait_until(begun.exists, "the slow one runs")
    yard.ticket("wide", touches="/*.txt", does=("append b.txt wide",), priority="high")
    wait_until(lambda: [each["ticket"] for each in yard.status()["queue"]] == ["wide"], "the wide one waits")
    yard.ticket("quick", touches="/b.txt", does=("append b.txt quick",), size="S")
    wait_until(lambda: events(yard, "shadow-differed"), "the shadow would let it pass")
    assert [(event["starts"], event["shadow"]) for event in events(yard, "shadow-differed")] == [([], ["quick"])]
    assert "the shadow policy would start quick; started: nothing" in yard.run("events").stdout
    go.touch()
    yard.wait_for_state("quick", "landed")
    assert yard.file("b.txt").split() == ["wide", "quick"], "strict all the same"
