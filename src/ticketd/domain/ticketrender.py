"""The ticket file that `ticketd add` writes."""

from __future__ import annotations

from collections.abc import Sequence

from ticketd.domain import frontmatter
from ticketd.domain.ticket import Priority, Size
from ticketd.domain.ticketfile import tidy
from ticketd.domain.values import quoted


def render_ticket(
    title: str,
    *,
    touches: Sequence[str] = (),
    depends_on: Sequence[str] = (),
    priority: Priority = Priority.NORMAL,
    size: Size = Size.M,
    scope: str | None = None,
    body: str = "",
) -> str:
    """A ticket file that `parse_ticket` reads back to the same values. What is default is left out."""
    lines = [frontmatter.FENCE, f"title: {quoted(title)}"]
    if scope is not None:
        lines.append(f"scope: {quoted(scope)}")
    if priority is not Priority.NORMAL:
        lines.append(f"priority: {priority.value}")
    if size is not Size.M:
        lines.append(f"size: {size.value}")
    for key, words in (("touches", touches), ("depends_on", depends_on)):
        if words:
            lines += [f"{key}:", *(f"  - {quoted(word)}" for word in words)]
    text = tidy(body.replace("\r\n", "\n").replace("\r", "\n"))
    return "\n".join([*lines, frontmatter.FENCE, *(["", text] if text else []), ""])
