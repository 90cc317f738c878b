"""A plan as a digraph for Graphviz. No rich here: it goes to `dot`, not to a person."""

from __future__ import annotations

from itertools import pairwise

from ticketd.cli.render.words import Document, safe


def dot(document: Document) -> str:
    """Dependencies from what lands first to what waits for it; overlaps dashed, with the path; longest chain bold."""
    longest = document["critical_path"]
    steps = set(pairwise(longest))
    lines = ["digraph plan {", "  rankdir=LR;", "  node [shape=box];"]
    for row in document["levels"]:
        lines += [f"  {_quoted(ticket)}{' [style=bold]' if ticket in longest else ''};" for ticket in row]
    for ticket, dependencies in document["depends_on"].items():
        for before in dependencies:
            bold = " [style=bold]" if (before, ticket) in steps else ""
            lines.append(f"  {_quoted(before)} -> {_quoted(ticket)}{bold};")
    for each in document["overlaps"]:
        label = f"[dir=none, style=dashed, constraint=false, label={_quoted(each['path'])}]"
        lines.append(f"  {_quoted(each['a'])} -> {_quoted(each['b'])} {label};")
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    escaped = safe(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
