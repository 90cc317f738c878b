"""A death at each durable step, then a daemon that finds what is left: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from failpoint_plays import PLAYS
from failpoint_scenes import Driver, driver, prove_supervisors, prove_together
from failpoint_stages import STAGED
from prove_failpoints import PAGE, page

from ticketd.failpoints import POINTS
from ticketd.git.door import writes

SOURCES = Path(__file__).parents[2] / "src" / "ticketd"
OF_SUPERVISORS = tuple(point for point in POINTS if point.startswith("supervisor/"))
# Steps that no play is made for: what puts right what only somebody's meddling leads to, mirrors what is read anew, or
# tells a sign of life. The tests of each pass it; a death after it leaves less to do.
UNSTAGED = {
    "git/conflicts.begin_merge/clean",
    "git/control.drop/update-ref",
    "gone/clones.unfurnish",
    "gone/ingest._mirror",
    "gone/ingest._mirror_index",
    "store/attempts.held_up",
    "gone/gate._link",
    "gone/gate._write_hook",
    "gone/gate.open_gate",
    "gone/tree.write_whole",
}


@pytest.fixture(scope="module")
def forks() -> Iterator[Driver]:
    with driver() as made:
        yield made


@pytest.mark.parametrize("play", [play for play in PLAYS if play.name in STAGED], ids=lambda play: play.name)
def test_killed_at_each_of_its_points_a_play_still_comes_to_its_end(play, tmp_path: Path, forks: Driver) -> None:
    assert prove_together(play, STAGED[play.name], tmp_path, forks) == []


def test_supervisors_killed_at_each_of_their_points_lose_no_ticket(tmp_path: Path, forks: Driver) -> None:
    assert prove_supervisors(OF_SUPERVISORS, tmp_path / "yard", forks) == []


def test_each_point_is_staged_or_a_supervisors() -> None:
    assert sorted([*OF_SUPERVISORS, *(point for points in STAGED.values() for point in points)]) == sorted(POINTS)


def test_each_way_through_a_door_has_its_point() -> None:
    assert set(ways()) - set(POINTS) <= UNSTAGED


def test_the_wiki_lists_them_all() -> None:
    assert PAGE.read_text() == page(), "write it anew: scripts/prove-failpoints --page"


def test_a_name_that_is_not_there_is_refused() -> None:
    environ = {**os.environ, "TICKETD_FAILPOINT": "store/nowhere:2"}
    done = subprocess.run([sys.executable, "-m", "ticketd", "list"], env=environ, capture_output=True, check=False)
    assert (done.returncode, b"there is no such point" in done.stderr) == (2, True)


def ways() -> Iterator[str]:
    """Through the store's transactions, the git commands that write, and the files that are put or taken away."""
    for path in SOURCES.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef):
                calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
                for way in (way for call in calls for way in door_of(call, path)):
                    yield way.replace("WHERE", f"{path.stem}.{function.name}")


def door_of(call: ast.Call, path: Path) -> Iterator[str]:
    match call.func:
        case ast.Attribute(attr="transaction"):
            yield "store/WHERE"
        case ast.Attribute(attr="ask" | "run") if call.args and path.parent.name == "git":
            yield from git_command(call)
        case ast.Name(id="write_whole") if path.parent.name == "git":
            yield "file/WHERE"
        case ast.Name(id="remove") | ast.Name(id="remove_below") if path.stem != "tree" or call.func.id == "remove":
            yield "gone/WHERE"
        case ast.Attribute(attr="must_move" | "move_refs") if path.stem not in ("control", "record"):
            yield "git/WHERE/update-ref"
        case ast.Attribute(value=ast.Name(id="failpoints"), attr="hit"):
            yield from (arg.value for arg in call.args if isinstance(arg, ast.Constant))
        case ast.Name(id="passed") if path.name == "supervisor.py":
            yield from (arg.value for arg in call.args if isinstance(arg, ast.Constant))


def git_command(call: ast.Call) -> Iterator[str]:
    """A list of words that begins with another (`*FETCH`) is named like its first word."""
    words = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    match call.args[0]:
        case ast.Starred(value=ast.Name(id=name)) if name in ("FETCH", "PUSH", "clean"):
            words = [name.lower(), *words]
        case ast.Starred(value=ast.Name(id="command")):
            words = ["clone"]
        case ast.Starred():
            return
    if words and isinstance(words[0], str) and writes(tuple(words)):
        yield f"git/WHERE/{words[0]}"
