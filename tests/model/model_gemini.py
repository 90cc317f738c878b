"""Google's generateContent: Gemini CLI."""

from __future__ import annotations

from collections.abc import Iterator

from model_talk import Answer, Asked, Event, Json, Refusal, Turn, text_of

KINDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


class Gemini:
    def read(self, body: Json, path: str) -> Asked:
        turns = tuple(turn for content in body.get("contents", []) for turn in _turns(content))
        functions = [each for tool in body.get("tools") or [] for each in tool.get("functionDeclarations") or []]
        tools = {each["name"]: each.get("parametersJsonSchema") or each.get("parameters") or {} for each in functions}
        wished = body.get("generationConfig") or {}
        schema = wished.get("responseJsonSchema") or wished.get("responseSchema")
        system = text_of((body.get("systemInstruction") or {}).get("parts"))
        model = path.rsplit("/", 1)[-1].partition(":")[0]
        return Asked(model, system, turns, tools, ":stream" in path, schema)

    def whole(self, asked: Asked, answer: Answer) -> Json:
        parts: list[Json] = [{"text": answer.text}]
        if answer.call:
            parts.append({"functionCall": {"name": answer.call[0], "args": answer.call[1]}})
        return self._piece(asked, answer, parts, finish="STOP")

    def events(self, asked: Asked, answer: Answer) -> Iterator[Event]:
        yield None, self._piece(asked, answer, [{"text": answer.text}])
        last = self.whole(asked, answer)["candidates"][0]["content"]["parts"][1:]
        yield None, self._piece(asked, answer, last or [{"text": ""}], finish="STOP")

    def _piece(self, asked: Asked, answer: Answer, parts: list[Json], **finish: str) -> Json:
        tokens = answer.tokens
        reason = {"finishReason": finish["finish"]} if finish else {}
        return {
            "candidates": [{"index": 0, "content": {"role": "model", "parts": parts}, **reason}],
            "usageMetadata": {
                "promptTokenCount": tokens.input,
                "candidatesTokenCount": tokens.output,
                "cachedContentTokenCount": tokens.cached,
                "totalTokenCount": tokens.input + tokens.output,
            },
            "modelVersion": asked.model,
            "responseId": answer.name("gem"),
        }

    def error(self, refusal: Refusal) -> Json:
        kind = KINDS.get(refusal.status, "INTERNAL")
        error: Json = {"code": refusal.status, "message": refusal.message, "status": kind}
        if refusal.retry_after:
            hint = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{refusal.retry_after}s"}
            error["details"] = [hint]
        return {"error": error}

    def stream_error(self, refusal: Refusal) -> Event:
        return None, self.error(refusal)


def _turns(content: Json) -> Iterator[Turn]:
    parts = content.get("parts", [])
    if any("functionResponse" in part for part in parts):
        yield Turn("tool", "")
    calls = sum("functionCall" in part for part in parts)
    yield Turn("assistant" if content.get("role") == "model" else "user", text_of(parts), calls)
