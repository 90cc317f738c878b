"""What agents cost: `ticketd cost`, `show`, `status`, and who is over a budget."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from eyes_yard import NOW, TIP, Yard

from ticketd.app.spending import Spending
from ticketd.app.tickets import settings_of
from ticketd.domain.attempt import AttemptKey, EndedFor
from ticketd.domain.report import Report, Usage
from ticketd.domain.ticket import Reason
from ticketd.domain.verdict import Fail, Requeue
from ticketd.ports import AgentResult, Kept

DAY_S = 86400.0
MONEY = '[budget]\nday = 10\n[prices."own-"]\ninput = 2\noutput = 8\n'


def config(yard: Yard, more: str) -> None:
    (yard.root / "ticketd.toml").write_text(f'slots = 4\n{more}[agents.default]\npreset = "scripted"\n')


def spending(yard: Yard) -> Spending:
    works: Any = SimpleNamespace(session=yard.session, settings=lambda: settings_of(yard.session)[0])
    return Spending(works)


def pay(yard: Yard, key: AttemptKey, report: Report, at: float) -> None:
    store = yard.session.store
    store.attempt_over(key, 0, "exited", "", at)
    store.close_attempt(key, Kept(TIP, ("x",)), Requeue("again"), report, at, retire=False)


@pytest.fixture
def paid(yard: Yard) -> Yard:
    """Three tickets of two scopes have run, one of them twice, on three days."""
    config(yard, MONEY)
    for id_, scope in (("one", "acme"), ("two", "acme"), ("three", "bell")):
        yard.ticket(id_, scope=scope, touches=[f"/{id_}"])
    yard.sync()
    now = yard.session.clock.now()
    used = Usage("own-big", input=1000, output=500, cache_read=100, cache_write=10)
    priced = spending(yard)._works.settings().price_list.priced(Report("s1", usage=(used,)))
    assert priced.cost_usd == 0.00622
    pay(yard, yard.start("one", 1), priced, now - 3 * DAY_S)
    pay(yard, yard.start("one", 1), Report("s1", 1.25, (Usage("said", 10, 20, cost_usd=1.25),)), now)
    pay(yard, yard.start("two", 1), Report(usage=(Usage("mystery", 7, 7),)), now)
    yard.session.store.seen_to_cost({yard.start("three", 1, "other"): 0.5})
    return yard


def rows(yard: Yard, *options: str) -> dict[str, Any]:
    return {row["name"]: row for row in yard.run("cost", "--json", *options).document()["rows"]}


def test_costs_are_summed_by_whatever_is_asked(paid: Yard) -> None:
    by_ticket = rows(paid)
    assert list(by_ticket) == ["one", "three", "two"]
    assert by_ticket["one"] == {
        "name": "one",
        "attempts": 2,
        "tokens": {"input": 1010, "output": 520, "cache_read": 100, "cache_write": 10},
        "cost_usd": 1.25622,
        "unpriced": 0,
    }
    assert (by_ticket["two"]["cost_usd"], by_ticket["two"]["unpriced"]) == (0.0, 1)
    assert {name: row["cost_usd"] for name, row in rows(paid, "--by", "scope").items()} == {
        "acme": 1.25622,
        "bell": 0.5,
    }
    assert {name: row["attempts"] for name, row in rows(paid, "--by", "profile").items()} == {"default": 3, "other": 1}
    by_model = {name: row["cost_usd"] for name, row in rows(paid, "--by", "model").items()}
    assert by_model == {"said": 1.25, "": 0.5, "own-big": 0.00622, "mystery": 0.0}
    days = [row["cost_usd"] for row in rows(paid, "--by", "day").values()]
    assert days[0] == 0.00622
    assert sum(row["attempts"] for row in rows(paid, "--since", "1d").values()) == 3


def test_the_total_is_told_everywhere_alike(paid: Yard) -> None:
    assert paid.run("cost", "--json").document()["total"]["cost_usd"] == 1.75622
    assert paid.run("status", "--json").document()["cost_usd"] == 1.75622
    shown = paid.run("show", "--json", "one").document()
    assert [each["cost_usd"] for each in shown["attempt_list"]] == [0.00622, 1.25]
    assert [each["tokens"]["output"] for each in shown["attempt_list"]] == [500, 20]
    assert (shown["cost_usd"], shown["budget_usd"]) == (1.25622, None)


def test_what_has_no_price_is_said_once(paid: Yard) -> None:
    document = paid.run("cost", "--json").document()
    assert document["unpriced_models"] == ["mystery"]
    told = paid.run("cost").out
    assert told.count("mystery") == 2  # its name, and the key to set
    assert '[prices."mystery"]' in told
    assert "$1.76+" in told


def test_a_budget_that_does_not_count_all_says_so(paid: Yard) -> None:
    said = [each["what"] for each in paid.run("status", "--json").document()["problems"]]
    assert said == ["no budget has what was used today of `mystery`"]
    config(paid, "[budget]\nday = 10\n[prices.mystery]\ninput = 0\noutput = 0\n")
    assert paid.run("status", "--json").document()["problems"] == []
    config(paid, "")
    assert paid.run("status", "--json").document()["problems"] == []


def test_a_duration_that_is_none_is_refused(yard: Yard) -> None:
    answer = yard.run("cost", "--since", "yesterday")
    assert answer.code == 2
    assert "--since" in answer.err


def test_a_ticket_whose_budget_is_used_up_says_how_to_raise_it(yard: Yard) -> None:
    config(yard, "[budget]\nticket = 1\n")
    yard.ticket("dear", touches=["/x"])
    yard.sync()
    pay(yard, yard.start("dear", 1), Report(cost_usd=1.5), yard.session.clock.now())
    (queued,) = yard.run("status", "--json").document()["queue"]
    assert [on["kind"] for on in queued["waits_on"]] == ["budget"]
    assert "raise `ticket` under [budget]" in yard.run("explain", "dear").out
    config(yard, "[budget]\nticket = 2\n")
    (queued,) = yard.run("status", "--json").document()["queue"]
    assert [on["kind"] for on in queued["waits_on"]] == ["slot"]


def test_running_agents_are_over_a_budget_that_they_use_up_together(paid: Yard) -> None:
    one, three = paid.start("one", 2), AttemptKey("three", 1)
    cheap = [Usage("own-big", output=1_000_000)]
    assert spending(paid).exceeded({one: cheap, three: []}) == {}  # 8.00 + 0.50 + 1.25 of 10
    over = spending(paid).exceeded({one: cheap, three: [Usage("own-big", output=100_000)]})
    assert set(over) == {one, three}
    assert "today has cost" in over[one]
    assert {each.key: each.spent_usd for each in paid.session.store.live_attempts()} == {one: 8.0, three: 0.8}


def test_one_that_has_used_nothing_is_ended_where_others_have_used_up_the_day(paid: Yard) -> None:
    config(paid, "[budget]\nday = 1.2\n")
    pay(paid, AttemptKey("three", 1), Report(), paid.session.clock.now())
    idle = paid.start("two", 2)
    assert set(spending(paid).exceeded({})) == {idle}


def test_only_the_ticket_whose_own_budget_is_used_up_is_ended(paid: Yard) -> None:
    config(paid, '[budget]\nticket = 1.5\n[prices."own-"]\ninput = 2\noutput = 8\n')
    one, three = paid.start("one", 2), AttemptKey("three", 1)
    used = [Usage("own-big", output=50_000)]
    over = spending(paid).exceeded({one: used, three: used})  # 1.256 + 0.4; 0.5
    assert set(over) == {one}
    assert "of $1.50" in over[one]


def test_what_an_agent_was_seen_to_use_is_not_lost_with_it(paid: Yard) -> None:
    three = paid.session.store.attempt(AttemptKey("three", 1))
    assert spending(paid).report(three, AgentResult("failed")).cost_usd == 0.5
    said = AgentResult("done", report=Report(cost_usd=0.4))
    assert spending(paid).report(three, said).cost_usd == 0.4


def test_an_agent_that_does_not_tell_its_model_used_that_of_its_profile(yard: Yard) -> None:
    config(yard, '[prices."own-"]\ninput = 2\noutput = 8\n')
    with (yard.root / "ticketd.toml").open("a") as file:
        file.write('model = "own-big"\n')
    yard.ticket("one", touches=["/x"])
    yard.sync()
    key, used = yard.start("one", 1), (Usage("", output=1000),)
    report = spending(yard).report(yard.session.store.attempt(key), AgentResult("done", report=Report(usage=used)))
    assert (report.usage[0].model, report.cost_usd) == ("own-big", 0.008)
    spending(yard).exceeded({key: used})
    assert yard.session.store.attempt(key).spent_usd == 0.008


def test_a_session_that_goes_on_is_not_paid_for_twice(paid: Yard) -> None:
    key = paid.start("one", 2)
    whole = Report("s1", 2.0, (Usage("said", 15, 20, cost_usd=1.5),))
    attempt = paid.session.store.attempt(key)
    assert spending(paid).report(attempt, AgentResult("done", report=whole)).cost_usd == 2.0
    alone = spending(paid).report(attempt, AgentResult("done", report=whole, whole_session=True))
    assert alone.cost_usd == 0.74378
    assert alone.usage == (Usage("said", 5, cost_usd=0.74378),)


def test_a_retry_goes_on_from_what_was_paid_for(yard: Yard) -> None:
    yard.ticket("dear", touches=["/x"])
    yard.sync()
    store = yard.session.store
    key = yard.start("dear", 1)
    store.end_for(key, EndedFor.BUDGET, "its budget is used up", NOW)
    store.attempt_over(key, None, "ended", "", NOW)
    store.close_attempt(key, Kept(TIP, ("x",)), Fail(Reason.BUDGET, "no"), Report(), NOW, retire=False)
    store.retry("dear", NOW)
    assert store.ticket("dear").resume == 1
