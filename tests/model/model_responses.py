"""OpenAI's Responses: Codex."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from model_talk import Answer, Asked, Event, Json, Refusal, Turn, as_text, halves, text_of

KINDS = {
    401: ("invalid_request_error", "invalid_api_key"),
    429: ("tokens", "rate_limit_exceeded"),
    503: ("server_error", "server_is_overloaded"),
    529: ("server_error", "server_is_overloaded"),
}


class Responses:
    def read(self, body: Json, path: str) -> Asked:
        items = body.get("input") or []
        items = [{"role": "user", "content": items}] if isinstance(items, str) else items
        turns = tuple(turn for item in items for turn in _turns(item))
        system = [body.get("instructions") or ""]
        system += [text_of(item.get("content")) for item in items if item.get("role") in ("system", "developer")]
        tools = {tool["name"]: tool.get("parameters") or {} for tool in body.get("tools") or [] if "name" in tool}
        schema = ((body.get("text") or {}).get("format") or {}).get("schema")
        return Asked(body["model"], "\n".join(system), turns, tools, bool(body.get("stream")), schema)

    def whole(self, asked: Asked, answer: Answer) -> Json:
        tokens = answer.tokens
        return {
            "id": answer.name("resp"),
            "object": "response",
            "created_at": 1,
            "model": asked.model,
            "status": "completed",
            "output": _items(answer),
            "error": None,
            "incomplete_details": None,
            "parallel_tool_calls": False,
            "tools": [],
            "tool_choice": "auto",
            "metadata": {},
            "usage": {
                "input_tokens": tokens.input,
                "input_tokens_details": {"cached_tokens": tokens.cached},
                "output_tokens": tokens.output,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": tokens.input + tokens.output,
            },
        }

    def events(self, asked: Asked, answer: Answer) -> Iterator[Event]:
        full, number = self.whole(asked, answer), count()

        def event(kind: str, **more: object) -> Event:
            return kind, {"type": kind, "sequence_number": next(number), **more}

        yield event("response.created", response={**full, "status": "in_progress", "output": [], "usage": None})
        for index, item in enumerate(full["output"]):
            at = {"output_index": index, "item_id": item["id"]}
            if item["type"] == "message":
                part, content = item["content"][0], {**at, "content_index": 0}
                begun = {**item, "content": [], "status": "in_progress"}
                yield event("response.output_item.added", output_index=index, item=begun)
                yield event("response.content_part.added", **content, part={**part, "text": ""})
                for piece in halves(part["text"]):
                    yield event("response.output_text.delta", **content, delta=piece)
                yield event("response.output_text.done", **content, text=part["text"])
                yield event("response.content_part.done", **content, part=part)
            else:
                begun = {**item, "arguments": "", "status": "in_progress"}
                yield event("response.output_item.added", output_index=index, item=begun)
                for piece in halves(item["arguments"]):
                    yield event("response.function_call_arguments.delta", **at, delta=piece)
                yield event("response.function_call_arguments.done", **at, arguments=item["arguments"])
            yield event("response.output_item.done", output_index=index, item=item)
        yield event("response.completed", response=full)

    def error(self, refusal: Refusal) -> Json:
        kind, code = KINDS.get(refusal.status, ("server_error", "server_error"))
        return {"error": {"message": refusal.message, "param": None, "type": kind, "code": code}}

    def stream_error(self, refusal: Refusal) -> Event:
        error = self.error(refusal)["error"]
        failed = {"code": error["code"], "message": error["message"]}
        response = {"id": "resp_1", "object": "response", "status": "failed", "output": [], "error": failed}
        return "response.failed", {"type": "response.failed", "sequence_number": 1, "response": response}


def _turns(item: Json) -> Iterator[Turn]:
    match item.get("type", "message"):
        case "message" if item["role"] in ("user", "assistant"):
            yield Turn(item["role"], text_of(item.get("content")))
        case "function_call" | "custom_tool_call" | "local_shell_call":
            yield Turn("assistant", "", 1)
        case "function_call_output" | "custom_tool_call_output" | "local_shell_call_output":
            yield Turn("tool", "")
        case _:
            pass


def _items(answer: Answer) -> list[Json]:
    part = {"type": "output_text", "text": answer.text, "annotations": []}
    message = {"type": "message", "role": "assistant", "status": "completed", "content": [part]}
    items: list[Json] = [{"id": answer.name("msg"), **message}]
    if answer.call:
        name, arguments = answer.call
        call = {"call_id": answer.name("call"), "status": "completed", "name": name, "arguments": as_text(arguments)}
        items.append({"type": "function_call", "id": answer.name("fc"), **call})
    return items
