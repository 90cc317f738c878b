"""Lines in the manner of Claude Code, which others have taken up: messages made of blocks."""

from __future__ import annotations

from collections.abc import Iterator

from ticketd.agents.actions import action_line
from ticketd.agents.jsonlines import Record, at, items_at, one_line, text_at
from ticketd.domain.report import Usage
from ticketd.ports import Said, SaidKind


def answer_in(record: Record, used: Usage, complains: bool) -> Iterator[Said]:
    """What the model answered, and what that used. `complains`: the text is the agent's own, of an error."""
    for block in items_at(record, "message", "content"):
        match at(block, "type"):
            case "text" if text := text_at(block, "text").strip():
                yield Said(SaidKind.TROUBLE, one_line(text)) if complains else Said(SaidKind.TEXT, text)
            case "tool_use":
                yield Said(SaidKind.ACTION, action_line(text_at(block, "name"), at(block, "input")))
    if used != Usage(used.model):
        yield Said(SaidKind.USAGE, text_at(record, "message", "id"), usage=used)


def results_in(record: Record) -> Iterator[Said]:
    for block in items_at(record, "message", "content"):
        if at(block, "type") == "tool_result":
            told = text_at(block, "content") or " ".join(
                text_at(each, "text") for each in items_at(block, "content")[:5]
            )
            yield Said(SaidKind.RESULT, one_line(told), failed=at(block, "is_error") is True)
