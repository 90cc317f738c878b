"""`ticketd explain`: every "why not?" has its answer, and what would have to happen."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from eyes_yard import NOW, Terminal, Yard
from rich.cells import cell_len

from ticketd.app.explain import explain
from ticketd.app.tickets import settings_of
from ticketd.cli.render.explain import explanation
from ticketd.domain.landing import Landing, Phase
from ticketd.domain.pool import Stop
from ticketd.domain.report import NOTHING_REPORTED
from ticketd.domain.throttle import Limited
from ticketd.domain.ticket import Reason
from ticketd.domain.verdict import Fail, Requeue, ToLanding

Stage = Callable[[Yard], object]


def document_of(yard: Yard, id_: str) -> Any:
    return explain(yard.session, settings_of(yard.session)[0], yard.session.store.ticket(id_))


def told(yard: Yard, id_: str) -> str:
    answer = yard.run("explain", id_)
    assert (answer.code, answer.err) == (0, "")
    return answer.out


def part(text: str, heading: str) -> list[str]:
    """The lines under a heading, up to the next empty one."""
    return text.partition(f"{heading}\n")[2].partition("\n\n")[0].splitlines()


def configure(yard: Yard, text: str) -> None:
    (yard.root / "ticketd.toml").write_text(text)


def one(yard: Yard, **front: object) -> None:
    yard.ticket("one", touches=["/one"], **front)
    yard.sync()


def fail(yard: Yard, reason: Reason) -> None:
    yard.ticket("before", touches=["/before"], retries=0)
    one(yard, depends_on=["before"])
    yard.finish(yard.start("before", 1), Fail(reason, "it went wrong"))


def cancel(yard: Yard) -> None:
    yard.ticket("before", touches=["/before"])
    one(yard, depends_on=["before"])
    yard.session.store.cancel("before", NOW)


def delete(yard: Yard) -> None:
    yard.ticket("before", touches=["/before"])
    one(yard, depends_on=["before"])
    (yard.root / "tickets" / "before.md").unlink()
    yard.sync()


def hold(yard: Yard) -> None:
    yard.ticket("before", touches=["/before"])
    one(yard, depends_on=["before"])
    yard.session.store.hold("before", True, NOW)


def review(yard: Yard) -> None:
    """Its files are held by one that waits to land."""
    yard.ticket("other", touches=["/one"], gate="land")
    yard.sync()
    yard.finish(yard.start("other", 1), ToLanding(review=True))
    one(yard)


def ask(yard: Yard) -> None:
    yard.ticket("before", touches=["/before"], gate="start")
    one(yard, depends_on=["before"])
    yard.session.store.ask_to_start("before", NOW)


def lose_agent(yard: Yard) -> None:
    one(yard)
    store, now = yard.session.store, yard.session.clock.now()
    requeue = Requeue("its agent was lost with the machine", deferred=True, not_before=now + 600)
    store.close_attempt(yard.start("one", 1), None, requeue, NOTHING_REPORTED, now, retire=False)


def limit(yard: Yard) -> None:
    one(yard)
    store, now = yard.session.store, yard.session.clock.now()
    limited = Limited(("default",), now + 600.0, "exit code 75")
    store.close_attempt(
        yard.start("one", 1), None, Requeue("later"), NOTHING_REPORTED, now, retire=False, capacity=limited
    )


STAGES: dict[str, tuple[Stage, str, str]] = {
    "missing": (
        lambda yard: one(yard, depends_on=["no-such"]),
        "there is no ticket no-such",
        "add tickets/no-such.md, or take no-such out of `depends_on` in tickets/one.md",
    ),
    "failed": (
        lambda yard: fail(yard, Reason.AGENT_FAILED),
        "before failed (agent-failed): it went wrong",
        "`ticketd logs before` shows why; `ticketd retry before` tries again",
    ),
    "not verified": (
        lambda yard: fail(yard, Reason.VERIFY_FAILED),
        "before failed (verify-failed): it went wrong",
        "`ticketd logs before --verify` shows why; `ticketd retry before` tries again",
    ),
    "rejected": (
        lambda yard: fail(yard, Reason.REJECTED),
        "before failed (rejected): it went wrong",
        "put what is missing into tickets/before.md; `ticketd retry before` tries again",
    ),
    "conflict": (
        lambda yard: fail(yard, Reason.CONFLICT),
        "before failed (conflict): it went wrong",
        "`ticketd retry before` works anew from the new base",
    ),
    "refused push": (
        lambda yard: fail(yard, Reason.PUSH_REJECTED),
        "before failed (push-rejected): it went wrong",
        "mend what the target refuses; `ticketd retry before` lands the kept work",
    ),
    "cancelled": (cancel, "before is cancelled", "`ticketd retry before` queues it again"),
    "deleted": (delete, "before is cancelled: its file was deleted", "put tickets/before.md back"),
    "held": (hold, "before is held by a person", "`ticketd unhold before`"),
    "review": (
        review,
        "other waits for a person before it lands",
        "`ticketd review show other`, then `ticketd review approve other`",
    ),
    "gate": (
        ask,
        "before waits for a person before it runs",
        "`ticketd review show before`, then `ticketd review approve before`",
    ),
    "no agent": (
        lambda yard: (configure(yard, '[agents.a]\npreset = "scripted"\n[agents.b]\npreset = "scripted"\n'), one(yard)),
        "one has no agent: no agent profile `default` in ticketd.toml",
        "add the profile to ticketd.toml, or name another as `agent` of the ticket",
    ),
    "paused": (
        lambda yard: (one(yard), yard.session.store.pause("for lunch", NOW)),
        "the pool is paused: for lunch",
        "`ticketd resume`",
    ),
    "stopping": (
        lambda yard: (one(yard), yard.session.store.ask_stop(Stop.DRAIN, NOW)),
        "the daemon is stopping",
        "`ticketd start` when it has ended",
    ),
}


@pytest.mark.parametrize(("stage", "what", "mend"), STAGES.values(), ids=STAGES)
def test_what_needs_a_person_is_named_with_what_they_have_to_do(yard: Yard, stage: Stage, what: str, mend: str) -> None:
    with yard.daemon():
        stage(yard)
        text, document = told(yard, "one"), document_of(yard, "one")
    assert part(text, "what has to happen") == [f"  {what}", f"    {mend}"]
    assert [(root["mend"], root["passes"]) for root in document["roots"]] == [(mend, False)]
    assert part(text, "why it waits"), "and how it comes to that"


@pytest.mark.parametrize(
    ("stage", "what", "hint"),
    [
        (lose_agent, "one is put off: its agent was lost with the machine; passes by itself at", ""),
        (
            limit,
            "one is put off: default: rate limited: exit code 75; passes by itself at",
            "    or `ticketd resume` ends suspensions",
        ),
    ],
)
def test_what_only_waits_says_until_when(yard: Yard, stage: Stage, what: str, hint: str) -> None:
    with yard.daemon():
        stage(yard)
        lines = part(told(yard, "one"), "what has to happen")
    assert re.fullmatch(rf"  {re.escape(what)} \d\d:\d\d:\d\d \(in (10m00s|9m5\ds)\)", lines[0])
    assert lines[1:] == ([hint] if hint else [])


def test_a_chain_is_followed_to_its_end(yard: Yard) -> None:
    yard.ticket("db", touches=["/src/db/"])
    yard.ticket("table", touches=["/src/db/users"])
    yard.ticket("page", touches=["/page"], depends_on=["table"])
    yard.ticket("docs", touches=["/docs"], depends_on=["page", "no-such"])
    yard.sync()
    with yard.daemon():
        yard.start("db", 2)
        text = told(yard, "docs")
    assert text.startswith("docs  queued, rank 3 of 3\nAbout docs\n")
    assert part(text, "why it waits") == [
        "  after page (queued)",
        "    page: after table (queued)",
        "      table: overlaps db on src/db/users",
        "  after no-such (there is no such ticket)",
    ]
    happens = part(text, "what has to happen")
    assert happens[0] == "  there is no ticket no-such", "what needs a person comes first"
    assert re.fullmatch(r"  db: runs in slot 2 since \d\d:\d\d:\d\d \(.+\), .+", happens[2])
    assert happens[2].endswith("it lets go once it has landed"), "it is long overdue, so nothing is promised"


def test_a_circle_is_spelled_out_the_same_for_all_that_wait_on_it(yard: Yard) -> None:
    for id_, on in (("b", "c"), ("c", "a"), ("a", "b"), ("beyond", "c")):
        yard.ticket(id_, touches=[f"/{id_}"], depends_on=[on])
    yard.sync()
    with yard.daemon():
        for id_ in ("a", "b", "c", "beyond"):
            assert part(told(yard, id_), "what has to happen") == [
                "  `depends_on` goes round in a circle: a → b → c → a",
                "    break it, as by taking b out of `depends_on` in tickets/a.md",
            ]
        status = yard.run("status", "--json").document()
    assert {each["why"] for each in status["stalled"]} == {"`depends_on` goes round in a circle: a → b → c → a"}
    assert yard.run("lint").code == 1
    assert "a → b → c → a" in yard.run("lint").out
    stuck = {each["ticket"]: each["why"] for each in yard.run("plan", "--json").document()["stuck"]}
    assert stuck["a"] == "depends on b, in a circle: a → b → c → a"
    assert stuck["beyond"] == "depends on c, in a circle: a → b → c → a"


def test_a_skipped_ticket_names_what_it_was_skipped_for_and_that_it_must_be_queued_again(yard: Yard) -> None:
    yard.ticket("bad", touches=["/bad"], on_failure="skip", retries=0)
    yard.ticket("next", touches=["/next"], depends_on=["bad"])
    yard.ticket("last", touches=["/last"], depends_on=["next"])
    yard.sync()
    yard.finish(yard.start("bad", 1), Fail(Reason.AGENT_FAILED, "exit code 3"))
    yard.session.store.skip("next", "bad", NOW)
    yard.session.store.skip("last", "next", NOW)
    with yard.daemon():
        text = told(yard, "last")
    assert part(text, "why") == ["  after next (skipped)", "    next: after bad (failed)"]
    assert part(text, "what has to happen")[::2] == [
        "  bad failed (agent-failed): exit code 3",
        "  next was skipped",
        "  last was skipped",
    ]


def test_without_a_daemon_that_is_what_it_comes_down_to(yard: Yard) -> None:
    yard.ticket("other", touches=["/one"], priority="high")
    one(yard)
    assert part(told(yard, "one"), "why it waits")[0] == "  behind other (reserved) on one"
    assert part(told(yard, "one"), "what has to happen") == ["  no daemon runs", "    `ticketd start`"]
    yard.start("other", 1)
    assert part(told(yard, "one"), "what has to happen") == [
        "  other is running, and no daemon looks after it",
        "    `ticketd start` takes it up",
    ]


def test_who_has_the_room_is_told(yard: Yard) -> None:
    configure(
        yard,
        'slots = 2\n[agents.default]\npreset = "scripted"\nmax_slots = 2\n[agents.slow]\npreset = "scripted"\n'
        "max_slots = 1\n[scopes.acme]\nmax_slots = 1\n",
    )
    yard.ticket("a", touches=["/a"], scope="acme", agent="slow")
    yard.ticket("b", touches=["/b"])
    yard.ticket("in-scope", touches=["/c"], scope="acme")
    yard.ticket("by-profile", touches=["/d"], agent="slow")
    yard.ticket("any", touches=["/e"])
    yard.sync()
    store = yard.session.store
    with yard.daemon():
        store.close_attempt(yard.start("b", 2), None, Requeue("again"), NOTHING_REPORTED, NOW, retire=False)
        yard.start("a", 1, agent="slow")
        scoped, profiled = (told(yard, id_) for id_ in ("in-scope", "by-profile"))
        yard.start("b", 2)
        every = told(yard, "any")
    assert part(scoped, "why it waits") == ["  scope acme runs 1 at a time"]
    assert part(profiled, "why it waits") == ["  profile slow runs 1 at a time"]
    for text, holders in ((scoped, ["a"]), (profiled, ["a"])):
        happens = part(text, "what has to happen")
        assert "passes by itself" in happens[0] and "max_slots" in happens[1]
        assert [line.split(":")[0].strip() for line in happens[2:]] == holders
    happens = part(every, "what has to happen")
    assert [line.split(":")[0].strip() for line in happens[2:]] == ["a", "b"]


def test_one_that_nothing_holds_back_starts_next(yard: Yard) -> None:
    with yard.daemon():
        one(yard)
        assert told(yard, "one") == "one  queued, rank 1 of 1\nAbout one\n\n  nothing is in its way: it starts next\n"
        assert document_of(yard, "one")["starts"] is True


def test_a_running_ticket_says_where_since_when_and_for_how_long_yet(yard: Yard) -> None:
    one(yard)
    with yard.daemon():
        key = yard.start("one", 3)
        assert re.search(r"  runs in slot 3 since \d\d:\d\d:\d\d \(.+\), .+ more than expected", told(yard, "one"))
        yard.session.store.preempt(key, "urgent", NOW)
        assert "making way for urgent" in told(yard, "one")
        slot = yard.run("status", "--json").document()["slots"][2]
        assert slot["making_way_for"] == "urgent"
        assert "making way for urgent" in yard.run("status").out
        yard.session.store.attempt_over(key, None, "ended", "", NOW)
        assert "its agent has ended, its work is being kept" in told(yard, "one")


def test_a_landing_ticket_says_its_phase_and_its_trouble(yard: Yard) -> None:
    yard.ticket("first", touches=["/first"])
    one(yard)
    with yard.daemon():
        for number, id_ in enumerate(("first", "one"), start=1):
            yard.finish(yard.start(id_, number), ToLanding())
        assert re.search(r"  waits its turn, in the lane since .+, 1 ahead of it", told(yard, "one"))
        landing: Landing = yard.session.store.landings()[0]
        blocked = replace(landing, phase=Phase.BLOCKED, trouble="no space left", not_before=4e9)
        yard.session.store.set_phases([blocked], NOW)
        assert "blocked, in the lane since" in told(yard, "first")
        assert ": no space left; tried again in" in told(yard, "first")


def test_a_ticket_that_made_way_says_that_it_goes_on(yard: Yard) -> None:
    one(yard)
    with yard.daemon():
        yard.finish(yard.start("one", 1), Requeue("it made way for a critical ticket", preempted=True))
        assert "its next attempt goes on from what attempt 1 has done" in told(yard, "one")


def test_an_end_is_told_too(yard: Yard) -> None:
    one(yard)
    yard.session.store.cancel("one", NOW)
    with yard.daemon():
        assert told(yard, "one").splitlines()[3:] == [
            "  cancelled by a person",
            "",
            "what has to happen",
            "  one is cancelled",
            "    `ticketd retry one` queues it again",
        ]


def test_an_unknown_ticket_is_refused_with_what_was_meant(yard: Yard) -> None:
    one(yard)
    refused = yard.run("explain", "onne")
    assert (refused.code, refused.out) == (2, "")
    assert "Did you mean `one`?" in refused.err


def test_a_file_with_an_error_is_named(yard: Yard) -> None:
    (yard.root / "tickets" / "wrong.md").write_text("---\ntouchs: [x]\n---\n# Wrong\n")
    refused = yard.run("explain", "wrong")
    assert refused.code == 2
    assert "wrong is no ticket yet: tickets/wrong.md:2" in refused.err


def test_json_is_one_document_and_needs_no_terminal(yard: Yard) -> None:
    yard.busy()
    with yard.daemon():
        document = yard.run("explain", "client-docs", "--json").document()
    assert [(each["depth"], each["ticket"], each["kind"], each["on"]) for each in document["because"]] == [
        (0, "client-docs", "dependency", "client-cache"),
        (1, "client-cache", "overlap", "retry-uploader"),
    ]
    assert [root["ticket"] for root in document["roots"]] == ["retry-uploader"]
    assert document["roots"][0]["attempt"]["slot"] == 2


@pytest.mark.parametrize("width", [200, 80, 50, 30])
def test_lines_fit_and_nothing_is_obeyed_by_a_terminal(yard: Yard, width: int) -> None:
    evil = "\x1b[2J\x07 " + "long " * 30
    for number in range(60):
        depends_on = [f"t{number + 1:02}"] if number < 59 else ["a-ticket-that-is-nowhere-to-be-found-at-all"]
        yard.ticket(f"t{number:02}", touches=[f"/t{number:02}"], depends_on=depends_on)
    yard.sync()
    with yard.daemon():
        document = document_of(yard, "t00")
    document["title"] += evil
    for because in document["because"]:
        because["detail"] += evil
    for root in document["roots"]:
        root["what"] += evil
        root["mend"] += evil
    lines = [line.plain for line in explanation(document, width, cut=True)]
    assert max(map(cell_len, lines)) <= width
    assert not {"\x1b", "\x07", "\n"} & set("".join(lines))
    assert any("… and 20 more" in line for line in lines)


def test_a_real_terminal_gets_it_in_colour(yard: Yard) -> None:
    yard.busy()
    with yard.daemon():
        terminal = Terminal(yard, 60, 24, "explain", "client-docs")
        assert terminal.end() == 0
    assert "\x1b[" in terminal.raw
    assert max(cell_len(line) for line in terminal.lines()) <= 60
