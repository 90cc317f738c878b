"""The world around a run misbehaves: remote, target, disk, files, user. Nothing is lost, and it is told."""

from __future__ import annotations

from acceptance_yard import Yard, git, wait_until

# --- the target ---


def test_ones_own_branch_may_be_amended_but_not_without_a_word_where_it_loses_what_has_landed(yard: Yard) -> None:
    yard.config('[target]\nremote = ""\n')
    daemon = yard.start()
    wait_until(lambda: yard.status()["target"]["sha"], "it has been asked for")
    git(yard.work, "commit", "-q", "--amend", "-m", "first, but better")
    yard.ticket("a", touches="/a", does=("append a x",))
    yard.wait_for_state("a", "landed")
    assert yard.status()["daemon"]["alarm"] == ""
    git(yard.work, "reset", "-q", "--hard", "HEAD^")
    wait_until(lambda: yard.status()["daemon"]["alarm"], "it is told")
    assert "what a had landed" in yard.status()["daemon"]["alarm"]
    assert "went from" in yard.run("events").stdout
    assert yard.run("stop").returncode == 0
    assert daemon.wait(timeout=60) == 0
