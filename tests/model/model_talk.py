"""What a request to the scripted model asks, and what it answers, whatever the dialect."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Json = dict[str, Any]
Event = tuple[str | None, Json | str]
COMMANDS = ("command", "cmd", "commands")


@dataclass(frozen=True, slots=True)
class Turn:
    """`role`: user, assistant or tool; `calls`: how many tools the assistant has called in it."""

    role: str
    text: str
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """`tools`: what is offered, with the schema of its arguments; `schema`: of the answer, where one is wished."""

    model: str
    system: str
    turns: tuple[Turn, ...]
    tools: Mapping[str, Json]
    stream: bool
    schema: Json | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """`input`: with those that were `cached`, as most vendors count."""

    input: int = 0
    cached: int = 0
    output: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.input + other.input, self.cached + other.cached, self.output + other.output)


NONE = Tokens()


@dataclass(frozen=True, slots=True)
class Answer:
    """`number`: of all answers of this server; it is in `text` too, so that a conversation is known again by it."""

    number: int
    text: str
    tokens: Tokens
    call: tuple[str, Json] | None = None

    def name(self, prefix: str) -> str:
        return f"{prefix}_{self.number:06}"


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    message: str
    retry_after: str | None = None


class Dialect(Protocol):
    """One vendor's way to ask and to answer. `events`: the answer as a stream, each with its name where it has one."""

    def read(self, body: Json, path: str) -> Asked: ...

    def whole(self, asked: Asked, answer: Answer) -> Json: ...

    def events(self, asked: Asked, answer: Answer) -> Iterator[Event]: ...

    def error(self, refusal: Refusal) -> Json: ...

    def stream_error(self, refusal: Refusal) -> Event: ...


def text_of(content: object) -> str:
    """Of a string, or of a list of blocks of which some hold text."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    texts = [block if isinstance(block, str) else block.get("text") for block in blocks]
    return "\n".join(text for text in texts if isinstance(text, str))


def halves(text: str) -> list[str]:
    """A stream of one piece would prove nothing of who reads it."""
    cut = max(1, len(text) // 2)
    return [part for part in (text[:cut], text[cut:]) if part]


def least(schema: Json, name: str = "", command: str = "true") -> Any:
    """The smallest value of a JSON schema; what is named like a command gets this one."""
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "string")
    match str(kind[0] if isinstance(kind, list) else kind).lower():
        case "object":
            parts = schema.get("properties", {})
            wanted = [key for key in parts if key in schema.get("required", []) or key in COMMANDS]
            return {key: least(parts[key], key, command) for key in wanted}
        case "array" if name == "command":
            return ["bash", "-lc", command]
        case "array":
            return [least(schema.get("items") or {}, name, command)] if name == "commands" else []
        case "integer" | "number":
            return 1
        case "boolean":
            return False
        case _:
            return command if name in COMMANDS else "a scripted step"


def as_text(value: object) -> str:
    return json.dumps(value)
