"""A death at each durable step, then a daemon that finds what is left: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from failpoint_plays import PLAYS
from failpoint_scenes import Driver, driver, prove_supervisors, prove_together
from failpoint_stages import STAGED
from prove_failpoints import PAGE, page

from ticketd.failpoints import POINTS
from ticketd.git.door import THROUGH, WRITING, writes

SOURCES = Path(__file__).parents[2] / "src" / "ticketd"
OF_SUPERVISORS = tuple(point for point in POINTS if point.startswith("supervisor/"))
# Steps that no play comes by, and why.
MEDDLED = "only after somebody has put something of his own in the place; less is left to do after it"
UNSTAGED = {
    "file/ingest._link_objects": "hard links in a scratch directory",
    "file/ingest._mirror_index": "a mirror of a clone, which is read anew each time",
    "file/objects._write": "an object that no ref leads to yet is met by nobody",
    "file/tree.set_aside": "a tree that nothing can delete has another name; its place is as empty as before a launch",
    "file/watch._unreadable": MEDDLED,
    "git/conflicts.begin_merge/clean": "where what a setup has made is in the way of a merge; the tree is reset again",
    "gone/configuration.restore_config": MEDDLED,
    "gone/creation._clone": "where git refuses to copy files; the draft is nobody's, like that of any killed copy",
    "gone/creation.open_control": MEDDLED,
    "gone/gate._write_hook": MEDDLED,
    "gone/gate.open_gate": MEDDLED,
    "gone/ingest._mirror": "a mirror of a clone, which is read anew each time",
    "gone/ingest._mirror_index": "a mirror of a clone, which is read anew each time",
    "gone/own.open_own": MEDDLED,
    "gone/pipes._remove": MEDDLED,
    "gone/tree.lead": MEDDLED,
    "gone/tree.write_whole": MEDDLED,
    "gone/watch._odd_refs": MEDDLED,
    "store/attempts.held_up": "words for a person about an end that is tried again in any case",
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
    assert set(ways()) - set(POINTS) == set(UNSTAGED)


def test_the_wiki_lists_them_all() -> None:
    assert PAGE.read_text() == page(), "write it anew: scripts/prove-failpoints --page"


def test_a_name_that_is_not_there_is_refused() -> None:
    environ = {**os.environ, "TICKETD_FAILPOINT": "store/nowhere:2"}
    done = subprocess.run([sys.executable, "-m", "ticketd", "list"], env=environ, capture_output=True, check=False)
    assert (done.returncode, b"there is no such point" in done.stderr) == (2, True)


def ways() -> Iterator[str]:
    """Through the store's transactions, the git commands that write, the files that are put or taken away; and what is
    given its name by hand, past all doors."""
    for path in SOURCES.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef):
                for way in ways_of(function, path):
                    yield way.replace("WHERE", f"{path.stem}.{function.name}")


def ways_of(function: ast.FunctionDef, path: Path) -> Iterator[str]:
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    first = dict(first_words(function))
    found = {way for call in calls for way in door_of(call, path, first)}
    of_the_door = {f"git/WHERE/{word}" for word in WRITING} if function.name in THROUGH else {"gone/WHERE"}
    yield from found - of_the_door if function.name in (*THROUGH, "remove") else found
    if "failpoints" not in {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}:
        yield from (way for call in calls for way in named_by_hand(call, path))


def door_of(call: ast.Call, path: Path, first: Mapping[str, str]) -> Iterator[str]:
    in_git = path.parent.name == "git"
    match call.func:
        case ast.Attribute(attr="transaction"):
            yield "store/WHERE"
        case ast.Attribute(attr="ask" | "run") if call.args and in_git:
            yield from git_command(call, first)
        case ast.Name(id="write_whole") | ast.Name(id="lead") if in_git:
            yield "file/WHERE"
        case ast.Name(id="remove" | "remove_below") | ast.Attribute(value=ast.Name(id="tree"), attr="remove"):
            yield "gone/WHERE"
        case ast.Attribute(attr="must_move" | "move_refs" | "move") if in_git:
            yield "git/WHERE/update-ref"
        case ast.Attribute(value=ast.Name(id="failpoints"), attr="hit"):
            yield from (arg.value for arg in call.args if isinstance(arg, ast.Constant))
        case ast.Name(id="passed") if path.parent.name == "supervisor":
            yield from (arg.value for arg in call.args if isinstance(arg, ast.Constant))


def git_command(call: ast.Call, first: Mapping[str, str]) -> Iterator[str]:
    """A list of words is known by its first."""
    words = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    match call.args[0]:
        case ast.Starred(value=ast.Name(id=name)) if name in first:
            words = [first[name], *words]
        case ast.Starred():
            return
    if words and isinstance(words[0], str) and writes(tuple(words)):
        yield f"git/WHERE/{words[0]}"


def first_words(function: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """Of lists of words that have a name: in the module, by convention; or in the function."""
    yield from (("FETCH", "fetch"), ("PUSH", "push"), ("clean", "clean"))
    for node in ast.walk(function):
        match node:
            case ast.Assign([ast.Name(id=name)], ast.Tuple([ast.Constant(value=str() as word), *_])):
                yield name, word
            case ast.Assign([ast.Name(id=name)], ast.Tuple([ast.Starred(ast.Name(id="FETCH" | "PUSH" as word)), *_])):
                yield name, word.lower()


def named_by_hand(call: ast.Call, path: Path) -> Iterator[str]:
    """`Path.replace`, `Path.rename`, `os.rename` and `os.link`; the supervisor, and the programs of agents, have points
    of their own or none."""
    match call.func:
        case ast.Attribute(attr="replace" | "rename") if len(call.args) == 1 and not call.keywords:
            by_hand = True
        case ast.Attribute(value=ast.Name(id="os"), attr="rename" | "replace" | "link"):
            by_hand = True
        case _:
            by_hand = False
    if by_hand and path.parent.name not in ("agents", "domain", "sim", "supervisor"):
        yield "file/WHERE"
