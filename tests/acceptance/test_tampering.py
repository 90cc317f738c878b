"""An agent that reaches for what all share, with the real daemon: the others' work lands, and it is said who it was."""

from __future__ import annotations

import json

from acceptance_yard import Yard, git

TAMPERS = """\
[ "$TICKETD_TICKET" = b ] || { echo x > "$TICKETD_TICKET"; exit 0; }
git update-ref -d refs/ticketd/a/1
git update-ref refs/target/main "$(git commit-tree -m forged HEAD^{tree})"
git config core.hooksPath /elsewhere
git tag v1
truncate -s 1G huge
echo x > b
"""


def test_a_run_with_an_agent_that_tampers_lands_the_rest_and_names_it(yard: Yard) -> None:
    (yard.work / "agent.sh").write_text(TAMPERS)
    # A fetch in between would set the target's ref right, too, and nobody would be told.
    yard.config(
        '[target]\npoll = "1h"\n[limits]\nlargest_file = "1 MB"',
        f'[agents.default]\ncommand = ["sh", "{yard.work}/agent.sh"]',
    )
    yard.ticket("a", touches="/a")
    yard.ticket("b", touches="/b", depends_on=["a"], retries=0)
    yard.ticket("c", touches="/c", depends_on=["a"], priority="low")
    done = yard.until_idle("--slots", "1")
    assert done.returncode == 1
    assert [yard.state_of(id_) for id_ in "abc"] == ["landed", "failed", "landed"]
    assert "largest_file" in yard.ticket_line("b")["detail"]
    found = [event for event in yard.json("show", "b")["events"] if event["kind"] == "tampered"]
    assert [event["suspects"] for event in found] == [["b/1"]]
    said = json.dumps(found)
    assert all(what in said for what in ("refs/ticketd/a/1 put back", "refs/target/main put back", "core.hookspath"))
    assert "b/1 has changed what all worktrees share" in yard.run("events").stdout
    assert git(yard.control, "rev-parse", "refs/ticketd/a/1")
    assert git(yard.control, "tag") == ""
    assert (next(yard.state.glob("ticketd/*/worktrees/*/huge"))).stat().st_size == 2**30
    yard.assert_events_tell_all()
