"""What an agent will be told can be read before it is, and framed anew."""

from __future__ import annotations

from pathlib import Path

from hands_yard import SCRIPTED, Hands, git, make_hands


def with_wiki(tmp_path: Path) -> Hands:
    hands = make_hands(tmp_path)
    for path, text in (("_global/style.md", "# Style\n\nNo tabs.\n"), ("acme/brand.md", "# Brand\n\nAlways green.\n")):
        (hands.work / "wiki" / path).parent.mkdir(parents=True, exist_ok=True)
        (hands.work / "wiki" / path).write_text(text)
    git(hands.work, "add", "wiki")
    git(hands.work, "commit", "-qm", "wiki")
    git(hands.work, "push", "-q")
    return hands


def test_the_next_brief_is_the_one_that_the_agent_then_gets(tmp_path: Path) -> None:
    """Shown before anything has run: with the pages of its scope, and without a daemon."""
    hands = with_wiki(tmp_path)
    hands.ticket("paint", "write paint.txt blue", scope="acme")
    shown = hands.ok("show", "paint", "--brief")
    assert shown.index("agent: write paint.txt blue") < shown.index("Always green.") < shown.index("No tabs.")
    assert hands.run("start", "--until-idle").returncode == 0
    assert (hands.state / "runs/paint/1/brief.md").read_text() == shown.removesuffix("\n")
    assert git(hands.origin, "show", "main:paint.txt") == "blue"


def test_the_brief_after_a_failure_tells_what_was_done_and_why_it_failed(tmp_path: Path) -> None:
    hands = make_hands(tmp_path)
    hands.ticket("paint", "write paint.txt blue", "commit Paint it", "exit 1", retries=0)
    assert hands.run("start", "--until-idle").returncode == 1
    told = hands.json("show", "paint", "--brief")["brief"]
    assert "- attempt 1: agent-failed: the agent ended with exit code 1" in told
    assert "Attempt 1 changed `paint.txt` (`Paint it`); `git diff " in told


def test_a_template_of_ones_own_frames_the_brief_and_a_faulty_one_is_told_before_anything_starts(
    tmp_path: Path,
) -> None:
    hands = make_hands(tmp_path)
    (hands.work / "ticketd.toml").write_text('[brief]\ntemplate = ".ticketd/brief.md"\n' + SCRIPTED)
    hands.ticket("paint", "write paint.txt blue")
    assert ".ticketd/brief.md, which `template` under [brief] names, cannot be read" in hands.refused(2, "start")
    template = hands.work / ".ticketd" / "brief.md"
    template.parent.mkdir()
    template.write_text("Ticket $id.\n\n$taks\n$mend\n")
    told = hands.run("lint")
    assert told.returncode == 1 and ".ticketd/brief.md:3: " in told.stdout and "did you mean `task`?" in told.stdout
    (config,) = (each for each in hands.json("doctor", code=1)["checks"] if each["name"] == "config")
    assert config["ok"] is False and "it has no `$task`" in config["what"]
    assert "$taks" in hands.refused(2, "start")
    template.write_text("Speak Latin. Ticket $id.\n\n$task\n\n$mend\n")
    assert hands.ok("show", "paint", "--brief").startswith(
        "Speak Latin. Ticket paint.\n\n## The task\n\n```ticket\n# paint"
    )
    assert hands.run("start", "--until-idle").returncode == 0


def test_a_text_that_leaves_no_room_for_anything_else_is_warned_of(tmp_path: Path) -> None:
    hands = make_hands(tmp_path)
    (hands.work / "ticketd.toml").write_text('[brief]\nlimit = "1 kB"\n' + SCRIPTED)
    hands.ticket("paint", "say " + "x" * 1000)
    assert "nothing else has room in the brief" in hands.ok("lint")
