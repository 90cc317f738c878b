"""A model on loopback that does what its script says, in the four dialects that agent CLIs speak.

`with ModelServer() as model: model.plans["ticket"] = Plan(…)`. No two of its answers report the same tokens, so that a
sum that is right proves which answers it is of.
"""

from __future__ import annotations

import json
import select
import threading
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Any, cast
from urllib.parse import urlsplit

from model_anthropic import Anthropic
from model_chat import Chat
from model_gemini import Gemini
from model_ledger import Entry, Ledger
from model_responses import Responses
from model_script import Fault, Plan, Trouble, is_main, place_of, run_of, speech
from model_talk import NONE, Answer, Asked, Dialect, Json, Tokens, least

DIALECTS: dict[str, Dialect] = {
    "/messages": Anthropic(),
    "/chat/completions": Chat(),
    "/responses": Responses(),
    "enerateContent": Gemini(),
}
BAD_KEY = "bad"
BEAT_S = 0.5


@dataclass(frozen=True, slots=True)
class Request:
    """One that is to be answered, and what has been found out about it."""

    dialect: Dialect
    asked: Asked
    run: str | None
    number: int

    @property
    def side(self) -> bool:
        return not is_main(self.asked)

    def entry(self, came: str, session: int | None = None, tokens: Tokens = NONE) -> Entry:
        name = type(self.dialect).__name__.lower()
        return Entry(self.run, came, name, self.asked.model, self.side, session, self.number, tokens)


class ModelServer:
    """`plans`: by run; a run without one does nothing and says that it is done."""

    def __init__(self) -> None:
        self.plans: dict[str, Plan] = {}
        self.ledger = Ledger()
        self.over = threading.Event()
        self._met: Counter[tuple[str, int]] = Counter()
        self._storm: deque[Fault] = deque()
        self._lock = threading.Lock()
        self._http = _Http(self)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> ModelServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.over.set()
        self._http.shutdown()
        self._http.server_close()

    def storm(self, statuses: Iterable[int], retry_after: str | None = None) -> None:
        """The next requests, whoever's, are refused, each with one of these."""
        with self._lock:
            self._storm.extend(Fault(status=status, retry_after=retry_after) for status in statuses)

    def storm_left(self) -> int:
        return len(self._storm)

    def fault_of(self, request: Request) -> Fault | None:
        """What this request meets; counted."""
        if request.side:
            return None
        with self._lock:
            if self._storm:
                return self._storm.popleft()
            if request.run is None:
                return None
            plan = self.plans.get(request.run, Plan())
            _, step = place_of(plan, request.asked.turns)
            for number, fault in enumerate(plan.faults):
                met = (request.run, number)
                if step >= fault.after and (fault.times is None or self._met[met] < fault.times):
                    self._met[met] += 1
                    return fault
        return None

    def answer(self, request: Request) -> Answer:
        plan = self.plans.get(request.run or "", Plan())
        asked, number = request.asked, request.number
        if asked.schema is not None:
            text, call = json.dumps(least(asked.schema)), None
        elif request.side:
            text, call = "A title", None
        else:
            text, call = speech(plan, asked)
            text = f"{text} (answer {number})"
        return Answer(number, text, tokens_of(number, 1 if request.side else plan.scale), call)


def tokens_of(number: int, scale: int) -> Tokens:
    """No two answers report the same."""
    return Tokens((1000 + 13 * number) * scale, (100 + 7 * number) * scale, (40 + 3 * number) * scale)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, model: ModelServer) -> None:
        self.model = model
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        """Without asking a name server who we are: that takes a second where there is none."""
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """One that is killed in the middle of its request is what tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def model(self) -> ModelServer:
        return cast("_Http", self.server).model

    def do_HEAD(self) -> None:
        self._send(200, {})

    def do_GET(self) -> None:
        models = [{"id": "scripted", "object": "model", "type": "model", "created": 0, "owned_by": "tests"}]
        found = urlsplit(self.path).path.endswith("/models")
        self._send(200 if found else 404, {"object": "list", "data": models, "models": []} if found else {"error": {}})

    def do_POST(self) -> None:
        path, raw = urlsplit(self.path).path, self._body()
        if "ount" in path and "okens" in path:
            self._send(200, {"input_tokens": 1000, "totalTokens": 1000})
            return
        dialect = next((each for ending, each in DIALECTS.items() if path.rstrip("/").endswith(ending)), None)
        if dialect is None:
            self._send(404, {"error": {"message": f"the scripted model knows no {path}"}})
            return
        asked = dialect.read(json.loads(raw), path)
        request = Request(dialect, asked, run_of(asked), self.model.ledger.number())
        if self._key().startswith(BAD_KEY):
            self._meet(request, Fault(status=401))
        elif (fault := self.model.fault_of(request)) is not None:
            self._meet(request, fault)
        else:
            self._answer(request)

    def _meet(self, request: Request, fault: Fault) -> None:
        came = f"{fault.status}" if fault.trouble is Trouble.REFUSED else fault.trouble
        # It may be the first of its conversation to say of which run it is, and the last that it asks.
        session = self.model.ledger.session_of(request.asked, request.number)
        self.model.ledger.write(request.entry(came, session))
        match fault.trouble:
            case Trouble.REFUSED:
                self._send(fault.status, request.dialect.error(fault.refusal), fault.retry_after)
            case Trouble.SILENT:
                self._wait(beats=False)
            case Trouble.PINGS:
                self._open_stream()
                self._wait(beats=True)
            case Trouble.IN_STREAM | Trouble.CUT:
                self._open_stream()
                begun = next(request.dialect.events(request.asked, self.model.answer(request)))
                self._event(*begun)
                if fault.trouble is Trouble.IN_STREAM:
                    self._event(*request.dialect.stream_error(fault.refusal))

    def _answer(self, request: Request) -> None:
        """Written down before it is sent: who asks may have gone on before this thread comes to anything else."""
        answer, ledger = self.model.answer(request), self.model.ledger
        session = ledger.session_of(request.asked, request.number)
        ledger.write(request.entry("answered", session, answer.tokens))
        try:
            if not request.asked.stream:
                self._send(200, request.dialect.whole(request.asked, answer))
                return
            self._open_stream()
            for name, data in request.dialect.events(request.asked, answer):
                self._event(name, data)
        except OSError:
            ledger.is_gone(request.number)
            raise

    def _key(self) -> str:
        bearer = self.headers.get("Authorization", "").partition(" ")[2]
        return self.headers.get("x-api-key") or self.headers.get("x-goog-api-key") or bearer or ""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, status: int, body: Json, retry_after: str | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _open_stream(self) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()

    def _event(self, name: str | None, data: Json | str) -> None:
        head = f"event: {name}\n" if name else ""
        self.wfile.write(f"{head}data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode())

    def _wait(self, *, beats: bool) -> None:
        """Until who has asked goes away, or the server."""
        self.close_connection = True
        while not self.model.over.is_set():
            readable, _, _ = select.select([self.connection], [], [], BEAT_S)
            if readable:  # nothing more is due from it: its end
                return
            if beats:
                self.wfile.write(b": alive\n\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""
