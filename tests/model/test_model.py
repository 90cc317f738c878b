"""The scripted model speaks four dialects, and its ledger knows what it has said."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from model_script import Fault, Part, Plan, Trouble, Write, place_of
from model_server import ModelServer, tokens_of
from model_talk import Tokens, Turn

PLAN = Plan((Part((Write("a.txt", "x"), "git commit -qam done"), say="Bye."), Part(("true",), heard="Landing failed")))
PARAMETERS = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
TOOL: dict[str, Any] = {"name": "bash", "parameters": PARAMETERS}
DIALECTS = ("messages", "chat/completions", "responses", "models/m:generateContent")


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer() as served:
        served.plans["one"] = PLAN
        yield served


def ask(model: ModelServer, path: str, body: dict[str, Any], key: str = "key") -> Any:
    request = urllib.request.Request(f"{model.url}/v1/{path}", json.dumps(body).encode(), {"x-api-key": key})
    with urllib.request.urlopen(request, timeout=10) as answered:
        text = answered.read().decode()
        return text if answered.headers["Content-Type"] == "text/event-stream" else json.loads(text)


def body(path: str, prompt: str, **more: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": prompt}]
    match path:
        case "messages":
            return {"model": "m", "messages": said, "tools": [{"name": "bash", "input_schema": PARAMETERS}], **more}
        case "chat/completions":
            return {"model": "m", "messages": said, "tools": [{"type": "function", "function": TOOL}], **more}
        case "responses":
            return {"model": "m", "input": said, "tools": [{"type": "function", **TOOL}], **more}
        case _:
            declared = [{"functionDeclarations": [TOOL]}]
            return {"contents": [{"role": "user", "parts": [{"text": prompt}]}], "tools": declared, **more}


@pytest.mark.parametrize("path", DIALECTS)
def test_each_dialect_calls_the_shell_for_the_first_step(model: ModelServer, path: str) -> None:
    said = json.dumps(ask(model, path, body(path, "Do it. TICKETD-RUN one")))
    assert "> a.txt" in said
    assert [(entry.run, entry.came, entry.side) for entry in model.ledger.entries()] == [("one", "answered", False)]


@pytest.mark.parametrize("path", DIALECTS)
def test_each_dialect_streams_the_same_answer(model: ModelServer, path: str) -> None:
    streamed = {"stream": True} if "generate" not in path else {}
    told = ask(model, path.replace("generate", "streamGenerate"), body(path, "TICKETD-RUN one", **streamed))
    data = [line.removeprefix("data: ") for line in told.splitlines() if line.startswith("data: {")]
    assert "a.txt" in "".join(data) and all(json.loads(line) for line in data)
    assert str(tokens_of(1, 1).output) in data[-1] + data[-2]


@pytest.mark.parametrize("path", DIALECTS)
def test_a_bad_key_and_a_fault_are_refused_in_each_dialect(model: ModelServer, path: str) -> None:
    model.plans["one"] = Plan(faults=(Fault(status=429, retry_after="3"),))
    for key, status, wait in (("bad", 401, None), ("good", 429, "3")):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(model, path, body(path, "TICKETD-RUN one"), key)
        assert (refused.value.code, refused.value.headers["Retry-After"]) == (status, wait)
        assert json.loads(refused.value.read())["error"]["message"]
        refused.value.close()
    assert "All done." in json.dumps(ask(model, path, body(path, "TICKETD-RUN one")))
    assert model.ledger.came("one") == ["401", "429", "answered"]


def test_a_storm_strikes_whoever_comes_and_then_is_over(model: ModelServer) -> None:
    model.storm([429, 529])
    for run, status in (("one", 429), ("other", 529)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(model, "messages", body("messages", f"TICKETD-RUN {run}"))
        assert refused.value.code == status
        refused.value.close()
    assert model.storm_left() == 0
    ask(model, "messages", body("messages", "TICKETD-RUN one"))


def test_what_the_ledger_says_is_what_was_reported(model: ModelServer) -> None:
    told = [ask(model, "messages", body("messages", "TICKETD-RUN one"))["usage"] for _ in range(3)]
    reported = sum(
        (
            Tokens(
                each["input_tokens"] + each["cache_read_input_tokens"],
                each["cache_read_input_tokens"],
                each["output_tokens"],
            )
            for each in told
        ),
        Tokens(),
    )
    assert model.ledger.tokens("one") == reported
    assert len(model.ledger.sessions("one")) == 3


def test_one_that_repeats_an_answer_goes_on_with_its_session(model: ModelServer) -> None:
    first = ask(model, "messages", body("messages", "TICKETD-RUN one"))
    asked = body("messages", "TICKETD-RUN one")
    asked["messages"] += [
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": [{"type": "tool_result", "content": ""}]},
    ]
    assert "git commit" in json.dumps(ask(model, "messages", asked))
    assert len(model.ledger.sessions("one")) == 1


def test_an_answer_belongs_to_the_run_that_a_refused_request_of_its_conversation_names(model: ModelServer) -> None:
    model.plans["one"] = Plan(faults=(Fault(),))
    first = ask(model, "messages", body("messages", "Read the file /brief and do what it says"))
    asked = body("messages", "Read the file /brief and do what it says")
    asked["messages"] += [
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": [{"type": "tool_result"}, {"type": "text", "text": "TICKETD-RUN one"}]},
    ]
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(model, "messages", asked)
    refused.value.close()
    assert model.ledger.tokens("one") == tokens_of(1, 1)


def test_a_side_request_gets_a_title_and_no_fault(model: ModelServer) -> None:
    model.plans["one"] = Plan(faults=(Fault(times=None),))
    asked = {**body("chat/completions", "TICKETD-RUN one"), "tools": []}
    assert "A title" in json.dumps(ask(model, "chat/completions", asked))
    assert model.ledger.tokens("one", side=True) == tokens_of(1, 1)
    assert model.ledger.tokens("one", side=False) == Tokens()


def test_a_cut_stream_ends_in_the_middle_and_one_with_an_error_says_so(model: ModelServer) -> None:
    model.plans["one"] = Plan(faults=(Fault(Trouble.CUT), Fault(Trouble.IN_STREAM, 529)))
    asked = body("messages", "TICKETD-RUN one", stream=True)
    cut, failed = ask(model, "messages", asked), ask(model, "messages", asked)
    assert "message_start" in cut and "message_stop" not in cut
    assert "overloaded_error" in failed and "message_stop" not in failed


def test_a_follow_up_begins_another_part_of_the_plan() -> None:
    begun = [Turn("user", "TICKETD-RUN one"), Turn("assistant", "", 2), Turn("tool", "")]
    assert place_of(PLAN, begun) == (PLAN.parts[0], 2)
    assert place_of(PLAN, [*begun, Turn("user", "## Landing failed: …")]) == (PLAN.parts[1], 0)
    assert place_of(PLAN, [*begun, Turn("user", "go on")]) == (PLAN.parts[0], 2)
