"""An HTTP server that speaks OpenAI's API of completions and chats, with faults to order, and keeps a log."""

import json
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

STALL = 30.0  # seconds
NAMES = "abcdefghijk"


def favourite(prompt: str, labels: str = NAMES) -> str:
    """The label that the server answers: it depends on the prompt alone."""
    return labels[zlib.crc32(prompt.encode()) % len(labels)]


def likes(prompt: str) -> dict[str, float]:
    """Log-probabilities of a server that lists all labels, the favourite first, and some other tokens."""
    first = favourite(prompt)
    return {f" {first}": -0.5} | {f" {label}": -4.0 for label in NAMES if label != first} | {" the": -5.0}


@dataclass
class Plan:
    """How a server behaves.

    Attributes:
        fault: Of (prompt, how often it was asked before): the name of a fault, or None for an answer.
        listed: Of a prompt: the first token's candidates.
        text: Of a prompt: what is generated; None for the likeliest token.
        usage: Whether replies say how many tokens they took: one per word of the prompt, and those generated.
        headers: Further ones of replies with an error; a client is to ask again soon.
        message: Text of an error; {key} is the key that the client sent.
        delay: Seconds before each reply.
    """

    fault: Callable[[str, int], str | None] = lambda prompt, before: None
    listed: Callable[[str], dict[str, float]] = likes
    text: Callable[[str], str] | None = None
    usage: bool = True
    headers: dict[str, str] = field(default_factory=lambda: {"Retry-After-Ms": "10"})
    message: str = "out of order"
    delay: float = 0.0


class FakeServer(ThreadingHTTPServer):
    """Serves one plan; `asked`, `answered` and `bodies` say what came.

    Attributes:
        asked: Requests per prompt, in all.
        answered: Whole and valid replies per prompt.
        again: Prompts asked after they were answered.
        most: Requests under way at once, at most.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, plan: Plan):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan = plan
        self.asked: Counter[str] = Counter()
        self.counted: Counter[str] = Counter()
        self.again: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.authorisations: list[str | None] = []
        self.times: list[float] = []
        self.under_way = self.most = 0
        self.closing = threading.Event()
        self.lock = threading.Lock()

    @property
    def answered(self) -> Counter[str]:
        """What was counted, once the replies on their way are: a client can be done with one before it is counted."""
        patience = time.monotonic() + 2
        while self.under_way and time.monotonic() < patience:
            time.sleep(0.005)
        return self.counted

    @property
    def url(self) -> str:
        """For a client's base_url."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the tests."""


@contextmanager
def serving(plan: Plan | None = None) -> Iterator[FakeServer]:
    """A server on a free port."""
    server = FakeServer(plan or Plan())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together
    disable_nagle_algorithm = True
    server: FakeServer

    def log_message(self, format: str, *args: Any) -> None:
        """The tests look at what was asked, not at lines."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        chat = self.path.endswith("/chat/completions")
        prompt = body["messages"][0]["content"] if chat else body["prompt"]
        server, plan = self.server, self.server.plan
        with server.lock:
            before = server.asked[prompt]
            server.asked[prompt] += 1
            server.bodies.append(body)
            server.authorisations.append(self.headers["Authorization"])
            server.times.append(time.monotonic())
            if server.counted[prompt]:
                server.again.append(prompt)
            server.under_way += 1
            server.most = max(server.most, server.under_way)
        try:
            if plan.delay:
                server.closing.wait(plan.delay)
            fault = plan.fault(prompt, before)
            if fault is None:
                self._send(200, self._reply(body, prompt, chat))
                with server.lock:
                    server.counted[prompt] += 1
            else:
                self._fail(fault, body, prompt, chat)
        finally:
            with server.lock:
                server.under_way -= 1

    def _reply(self, body: dict[str, Any], prompt: str, chat: bool) -> dict[str, Any]:
        plan = self.server.plan
        listed = sorted(plan.listed(prompt).items(), key=lambda pair: -pair[1])
        text = plan.text(prompt) if plan.text else listed[0][0]
        logprobs: dict[str, Any] | None = None
        if chat and body.get("logprobs"):
            tops = [{"token": token, "logprob": value} for token, value in listed[: body["top_logprobs"]]]
            logprobs = {"content": [{**tops[0], "top_logprobs": tops}]}
        elif body.get("logprobs"):
            tops = dict(listed[: body["logprobs"]])
            logprobs = {"tokens": [text], "token_logprobs": [listed[0][1]], "top_logprobs": [tops]}
        content = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        choices = [{"index": 0, "logprobs": logprobs, **content}]
        read, written = len(prompt.split()), 1
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        return {"choices": choices, "model": body["model"]} | ({"usage": usage} if plan.usage else {})

    def _fail(self, fault: str, body: dict[str, Any], prompt: str, chat: bool) -> None:
        reply = self._reply(body, prompt, chat)
        if fault.isdigit():
            key = self.headers.get("Authorization", "")
            message = self.server.plan.message.format(key=key)
            self._send(int(fault), {"error": {"message": message}}, self.server.plan.headers)
        elif fault == "stall":
            self.server.closing.wait(STALL)
            self.close_connection = True
        elif fault == "cut":
            self._head(200, 1000)
            self.wfile.write(b'{"choices": [{"te')
            self.close_connection = True
        elif fault == "half":
            raw = json.dumps(reply).encode()
            self._write(200, raw[: len(raw) // 2])
        elif fault == "outside":
            for choice in reply["choices"]:
                choice |= {"message": {"content": "perhaps z"}} if chat else {"text": "perhaps z"}
                choice["logprobs"] = {"tokens": [" z"], "token_logprobs": [-0.1], "top_logprobs": [{" z": -0.1}]}
            self._send(200, reply)
        elif fault == "no_logprobs":
            for choice in reply["choices"]:
                choice["logprobs"] = None
            self._send(200, reply)
        else:
            raise ValueError(fault)

    def _send(self, status: int, reply: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._write(status, json.dumps(reply).encode(), headers)

    def _write(self, status: int, raw: bytes, headers: dict[str, str] | None = None) -> None:
        self._head(status, len(raw), headers)
        self.wfile.write(raw)
        self.wfile.flush()

    def _head(self, status: int, length: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()


def in_turn(faults: Sequence[str | None]) -> Callable[[str, int], str | None]:
    """The faults of every prompt's first, second, … request; then none."""
    return lambda prompt, before: faults[before] if before < len(faults) else None


def one_in_five(faults: Sequence[str]) -> Callable[[str, int], str | None]:
    """One of the faults for every fifth request, by a hash of the prompt and how often it was asked."""

    def fault(prompt: str, before: int) -> str | None:
        chance = zlib.crc32(f"{before}/{prompt}".encode())
        return faults[chance // 5 % len(faults)] if chance % 5 == 0 else None

    return fault
