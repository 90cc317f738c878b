"""What goes to make room, in which order; and when nothing may be started."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketd.domain.keeping import (
    LOW,
    TOO_FEW_FILES,
    TOO_LITTLE_BYTES,
    Disk,
    Item,
    Sort,
    amount,
    choose,
    needed,
    past_their_time,
    why_short,
)
from ticketd.domain.scheduler.waits import WaitKind, no_slot
from ticketd.domain.settingsfile import parse_settings

PLENTY = 10**12
items = st.lists(
    st.builds(Item, st.sampled_from(Sort), st.text(min_size=1), st.integers(0, 10**6), st.floats(0, 1e9)), unique=True
)


@given(items, st.integers(0, 10**7))
def test_enough_goes_and_no_more_the_least_missed_first(found: list[Item], wanted: int) -> None:
    chosen = choose(found, wanted)
    made = sum(item.size for item in chosen)
    assert made >= wanted or len(chosen) == len(found)
    assert not chosen or made - chosen[-1].size < wanted
    for item in set(found) - set(chosen):
        assert all((one.sort, one.at) <= (item.sort, item.at) for one in chosen)


@given(st.integers(0, 10**10), st.none() | st.integers(10**6, 10**10), st.integers(0, 10**10), st.booleans())
def test_once_all_that_is_needed_has_gone_something_may_be_started(
    used: int, limit: int | None, free: int, before: bool
) -> None:
    disk = Disk(used, limit, free)
    gone = needed(disk)
    after = replace(disk, used=used - gone, free=free + gone)
    assert why_short(after, before=False) == ""
    assert gone == 0 or why_short(disk, before) or free < TOO_LITTLE_BYTES or used > (limit or 0) * LOW


def test_it_says_what_is_short_and_does_not_go_on_and_off() -> None:
    assert why_short(Disk(21 * 10**9, 20 * 10**9, PLENTY), False) == (
        "the disk limit of 20 GB is reached: 21 GB are in use"
    )
    assert "less than 300 MB are free" in why_short(Disk(0, None, 10**8), False)
    assert "room for less than 7500 more files" in why_short(Disk(0, None, PLENTY, 7), False)
    little, few = Disk(0, None, TOO_LITTLE_BYTES + 1), Disk(0, None, PLENTY, TOO_FEW_FILES + 1)
    assert [bool(why_short(disk, before)) for disk in (little, few) for before in (False, True)] == [False, True] * 2


def test_what_waits_for_the_disk_waits_for_a_slot_and_says_why() -> None:
    on = no_slot("", False, "the disk is nearly full: 1 MB are free")
    assert (on.kind, on.detail) == (WaitKind.SLOT, "the disk is nearly full: 1 MB are free")


def test_only_what_landed_long_ago_is_past_its_time() -> None:
    assert past_their_time({"old": 1.0, "new": 50.0}, 100.0, 60.0) == {"old": 1.0}


@pytest.mark.parametrize(
    ("text", "size"), [("20 GB", 20 * 10**9), ("1.5TB", 15 * 10**11), ("500 mb", 5 * 10**8), ("1000 kB", 10**6)]
)
def test_amounts_are_read_and_told_alike(text: str, size: int) -> None:
    settings = parse_settings("ticketd.toml", f'[limits]\ndisk = "{text}"\nkeep = "14d"\n'.encode()).settings
    assert settings is not None
    assert (settings.limits.disk, settings.limits.keep_s) == (size, 14 * 86400)
    assert amount(20 * 10**9) == "20 GB" and amount(15 * 10**11) == "1.5 TB" and amount(3000) == "3 kB"


@pytest.mark.parametrize("value", ["20", '"20"', '"-1 GB"', '"0 GB"', '"99999 TB"', '"5 parsecs"', '"1e9 GB"', "true"])
def test_what_is_no_amount_is_refused_with_its_mend(value: str) -> None:
    parsed = parse_settings("ticketd.toml", f"[limits]\ndisk = {value}\n".encode())
    assert parsed.settings is None
    assert "`limits.disk`" in parsed.problems[0].what and parsed.problems[0].mend
