"""Where agents keep their sessions: never through a link that an agent has put there, and gone with the ticket."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ticketd.agents.command import CommandAgent
from ticketd.app.homes import has_own, make_home
from ticketd.app.places import Places
from ticketd.domain.settings import AgentHome, AgentProfile


class Keyed(CommandAgent):
    keys = ("A_KEY", "B_KEY")


def test_a_home_is_the_agents_own_where_there_is_a_key_or_the_profile_says_so() -> None:
    auto = AgentProfile("a")
    assert [has_own(auto, Keyed(), env) for env in ({"B_KEY": "k"}, {"B_KEY": ""}, {"HOME": "/h"})] == [
        *(True, False, False)
    ]
    assert has_own(AgentProfile("a", home=AgentHome.OWN), Keyed(), {})
    assert not has_own(AgentProfile("a", home=AgentHome.SHARED), Keyed(), {"A_KEY": "k"})


def test_what_a_home_needs_is_written_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    places = Places(tmp_path)
    make_home(places, "t", "claude", {"conf/deep/settings.json": "{}", "top": "1"})
    home = places.agent_home("t", "claude")
    assert (home / "conf/deep/settings.json").read_text() == "{}"
    assert {stat.S_IMODE(each.stat().st_mode) & 0o077 for each in home.rglob("*")} == {0}


def test_what_an_agent_keeps_there_stays_from_attempt_to_attempt(tmp_path: Path) -> None:
    places = Places(tmp_path)
    make_home(places, "t", "claude", {"settings": "1"})
    (places.agent_home("t", "claude") / "session").write_text("kept")
    make_home(places, "t", "claude", {"settings": "2"})
    assert (places.agent_home("t", "claude") / "session").read_text() == "kept"
    assert (places.agent_home("t", "claude") / "settings").read_text() == "2"


@pytest.mark.parametrize("link", ["agents/t", "agents/t/claude", "agents/t/claude/conf", "agents/t/claude/conf/file"])
def test_a_link_in_the_way_is_replaced_and_what_it_leads_to_stays(tmp_path: Path, link: str) -> None:
    places, victim = Places(tmp_path), tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("mine")
    at = tmp_path / link
    at.parent.mkdir(parents=True)
    at.symlink_to(victim / "file" if link.endswith("file") else victim)
    make_home(places, "t", "claude", {"conf/file": "ours"})
    assert [each.name for each in victim.iterdir()] == ["file"]
    assert (victim / "file").read_text() == "mine"
    assert (places.agent_home("t", "claude") / "conf/file").read_text() == "ours"


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../../out"])
def test_nothing_is_written_outside_of_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is not below"):
        make_home(Places(tmp_path), "t", "claude", {name: "x"})
