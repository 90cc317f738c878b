"""Anthropic's Messages: Claude Code."""

from __future__ import annotations

from collections.abc import Iterator

from model_talk import Answer, Asked, Event, Json, Refusal, Turn, as_text, halves, text_of

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Anthropic:
    def read(self, body: Json, path: str) -> Asked:
        tools = {tool["name"]: tool.get("input_schema") or {} for tool in body.get("tools", [])}
        schema = (body.get("output_config") or {}).get("format", {}).get("schema")
        turns = tuple(turn for message in body.get("messages", []) for turn in _turns(message))
        return Asked(body["model"], text_of(body.get("system")), turns, tools, bool(body.get("stream")), schema)

    def whole(self, asked: Asked, answer: Answer) -> Json:
        content: list[Json] = [{"type": "text", "text": answer.text}]
        if answer.call:
            name, arguments = answer.call
            content.append({"type": "tool_use", "id": answer.name("toolu"), "name": name, "input": arguments})
        return {
            "id": answer.name("msg"),
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": content,
            "stop_reason": "tool_use" if answer.call else "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": answer.tokens.input - answer.tokens.cached,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": answer.tokens.cached,
                "output_tokens": answer.tokens.output,
            },
        }

    def events(self, asked: Asked, answer: Answer) -> Iterator[Event]:
        full = self.whole(asked, answer)
        begun = {**full, "content": [], "stop_reason": None, "usage": {**full["usage"], "output_tokens": 1}}
        yield _event("message_start", message=begun)
        for index, block in enumerate(full["content"]):
            if block["type"] == "text":
                empty: Json = {"type": "text", "text": ""}
                pieces = [{"type": "text_delta", "text": part} for part in halves(block["text"])]
            else:
                empty = {**block, "input": {}}
                parts = halves(as_text(block["input"]))
                pieces = [{"type": "input_json_delta", "partial_json": part} for part in parts]
            yield _event("content_block_start", index=index, content_block=empty)
            for piece in pieces:
                yield _event("content_block_delta", index=index, delta=piece)
            yield _event("content_block_stop", index=index)
        ended = {"stop_reason": full["stop_reason"], "stop_sequence": None}
        yield _event("message_delta", usage=full["usage"], delta=ended)
        yield _event("message_stop")

    def error(self, refusal: Refusal) -> Json:
        error = {"type": KINDS.get(refusal.status, "api_error"), "message": refusal.message}
        return {"type": "error", "request_id": "req_1", "error": error}

    def stream_error(self, refusal: Refusal) -> Event:
        return "error", self.error(refusal)


def _turns(message: Json) -> Iterator[Turn]:
    content = (
        message["content"] if isinstance(message["content"], list) else [{"type": "text", "text": message["content"]}]
    )
    if any(block.get("type") == "tool_result" for block in content):
        yield Turn("tool", "")
    calls = sum(block.get("type") == "tool_use" for block in content)
    yield Turn(message["role"], text_of(content), calls)


def _event(kind: str, **more: object) -> Event:
    return kind, {"type": kind, **more}
