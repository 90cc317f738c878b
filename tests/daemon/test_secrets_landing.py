"""A commit that holds a secret never lands, and nothing of it is lost."""

from __future__ import annotations

import base64

import pytest
from acceptance_yard import SCRIPTED, git
from lane_yard import LaneYard, commit

VALUE = "hunter-two-three"


@pytest.fixture
def guarded(lane: LaneYard) -> LaneYard:
    (lane.yard.work / ".env").write_text(f"SHOP_TOKEN={VALUE}\n")
    lane.config('[secrets]\nfiles = [".env"]\n')
    return lane


def refused(lane: LaneYard, id_: str = "one") -> str:
    before = lane.target()
    lane.until_quiet()
    assert (lane.states(id_), lane.record(id_).reason, lane.target()) == (["failed"], "verify-failed", before)
    kept = lane.works.session.store.attempts(id_)[-1].tip
    assert kept and git(lane.yard.control, "cat-file", "-t", kept) == "commit"
    detail = lane.record(id_).detail
    assert "SHOP_TOKEN" in detail and VALUE not in detail
    return detail


@pytest.mark.parametrize("said", [VALUE, base64.b64encode(f"user:{VALUE}".encode()).decode()])
def test_a_file_that_holds_a_secret_does_not_land(guarded: LaneYard, said: str) -> None:
    guarded.kept("one", **{"config.py": f"token = '{said}'\n"})
    detail = refused(guarded)
    assert "config.py" in detail and "`except` in [secrets]" in detail


def test_what_a_later_commit_takes_out_again_does_not_land_either(guarded: LaneYard) -> None:
    guarded.kept("one", **{"config.py": "clean\n"})
    store, base = guarded.works.session.store, guarded.target()
    dirty = commit(guarded.yard.control, base, {"config.py": f"{VALUE}\n"}, "With it")
    clean = commit(guarded.yard.control, dirty, {"config.py": "clean\n"}, "Without it")
    with store.connections.transaction() as db:  # type: ignore[attr-defined]
        db.execute("UPDATE landings SET tip = ?", [clean])
    refused(guarded)


def test_nor_does_a_message_or_a_name_that_holds_one(guarded: LaneYard) -> None:
    guarded.kept("one", **{f"{VALUE}.txt": "x\n"})
    assert "the name of a file" in refused(guarded)
    guarded.kept("two", **{"two.txt": "x\n"})
    said = commit(guarded.yard.control, guarded.target(), {"two.txt": "x\n"}, f"Use {VALUE}")
    store = guarded.works.session.store
    with store.connections.transaction() as db:  # type: ignore[attr-defined]
        db.execute("UPDATE landings SET tip = ? WHERE ticket = 'two'", [said])
    assert "its message" in refused(guarded, "two")


def test_what_the_target_has_had_before_is_no_news(guarded: LaneYard) -> None:
    guarded.outsider(**{"config.py": f"{VALUE}\n"})
    guarded.kept("one", **{"config.py": f"{VALUE}\nmore\n"})
    guarded.until_quiet()
    assert guarded.states("one") == ["landed"]


def test_in_a_train_only_the_one_that_holds_it_is_left_behind(guarded: LaneYard) -> None:
    guarded.kept("one", "two", "three")
    dirty = commit(guarded.yard.control, guarded.target(), {"two.txt": VALUE}, "Work of two")
    with guarded.works.session.store.connections.transaction() as db:  # type: ignore[attr-defined]
        db.execute("UPDATE landings SET tip = ? WHERE ticket = 'two'", [dirty])
    guarded.until_quiet()
    assert guarded.states("one", "two", "three") == ["landed", "failed", "landed"]


def test_its_agent_gets_it_back_to_take_it_out(guarded: LaneYard) -> None:
    guarded.yard.config('[limits]\nretries = 0\n[landing]\nrepairs = 2\n[secrets]\nfiles = [".env"]\n', SCRIPTED)
    found = guarded.works.session.files.settings().settings
    assert found is not None
    guarded.daemon.current.settings = found
    guarded.kept("one", **{"config.py": VALUE})
    guarded.until_quiet()
    record = guarded.record("one")
    assert (str(record.state), record.repairs) == ("queued", 1)
    assert record.repair is not None and "SHOP_TOKEN" in record.repair.told


def test_what_no_configuration_calls_a_secret_lands(lane: LaneYard) -> None:
    lane.config("")
    lane.kept("one", **{"config.py": VALUE})
    lane.until_quiet()
    assert lane.states("one") == ["landed"]
