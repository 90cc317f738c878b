"""OpenAI's Chat Completions: OpenCode, Qwen Code, Copilot, aider, mini-swe-agent, pi, Kimi Code."""

from __future__ import annotations

from collections.abc import Iterator

from model_talk import Answer, Asked, Event, Json, Refusal, Tokens, Turn, as_text, halves, text_of

KINDS = {401: ("invalid_request_error", "invalid_api_key"), 429: ("tokens", "rate_limit_exceeded")}


class Chat:
    def read(self, body: Json, path: str) -> Asked:
        messages = body.get("messages", [])
        system = "\n".join(text_of(each.get("content")) for each in messages if each["role"] in ("system", "developer"))
        turns = tuple(
            Turn(each["role"], text_of(each.get("content")), len(each.get("tool_calls") or []))
            for each in messages
            if each["role"] in ("user", "assistant", "tool")
        )
        functions = [tool["function"] for tool in body.get("tools") or [] if tool.get("type") == "function"]
        tools = {function["name"]: function.get("parameters") or {} for function in functions}
        form = body.get("response_format") or {}
        schema = form.get("json_schema", {}).get("schema") if form.get("type") == "json_schema" else None
        return Asked(body["model"], system, turns, tools, bool(body.get("stream")), schema)

    def whole(self, asked: Asked, answer: Answer) -> Json:
        calls = {"tool_calls": _calls(answer)} if answer.call else {}
        message = {"role": "assistant", "content": answer.text, **calls}
        choice = {"index": 0, "message": message, "finish_reason": _finish(answer)}
        return {
            "id": answer.name("chatcmpl"),
            "object": "chat.completion",
            "created": 1,
            "model": asked.model,
            "usage": _usage(answer.tokens),
            "choices": [choice],
        }

    def events(self, asked: Asked, answer: Answer) -> Iterator[Event]:
        base = {"id": answer.name("chatcmpl"), "object": "chat.completion.chunk", "created": 1, "model": asked.model}

        def chunk(delta: Json, finish: str | None = None) -> Event:
            return None, {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

        yield chunk({"role": "assistant", "content": ""})
        for part in halves(answer.text):
            yield chunk({"content": part})
        if answer.call:
            yield chunk({"tool_calls": [{**call, "index": index} for index, call in enumerate(_calls(answer))]})
        yield chunk({}, _finish(answer))
        yield None, {**base, "choices": [], "usage": _usage(answer.tokens)}
        yield None, "[DONE]"

    def error(self, refusal: Refusal) -> Json:
        kind, code = KINDS.get(refusal.status, ("server_error", None))
        return {"error": {"message": refusal.message, "param": None, "type": kind, "code": code}}

    def stream_error(self, refusal: Refusal) -> Event:
        return None, self.error(refusal)


def _finish(answer: Answer) -> str:
    return "tool_calls" if answer.call else "stop"


def _calls(answer: Answer) -> list[Json]:
    assert answer.call is not None
    name, arguments = answer.call
    function = {"name": name, "arguments": as_text(arguments)}
    return [{"id": answer.name("call"), "type": "function", "function": function}]


def _usage(tokens: Tokens) -> Json:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached},
    }
