"""Requests to an OpenAI-compatible server: limits, faults, many at once, and errors that never show the key."""

import json
import os
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from ialp.errors import UserError
from ialp.oracle.backends.base import BudgetExceeded, part_of

if TYPE_CHECKING:
    from openai import OpenAI, OpenAIError

BUSY = (408, 409, 429)  # and all from 500: the client has asked again, and the same request may succeed later
SHOWN = 200  # characters of a server's message
KEY = re.compile(r"(?i)\b(bearer\s+|sk-)[\w.~+/=*-]{6,}")
SET_KEY = "set api_key_env to the name of the environment variable that holds the key"
AGAIN = "run again to go on, all answers so far are in the cache"
HINTS = {
    400: "if it names logprobs, lower top_logprobs",
    401: SET_KEY,
    403: SET_KEY,
    404: "base_url ends in /v1 on most servers; model must be a name that the server knows; api may be the other one",
}
# Seconds. A wait without a limit is deaf to Ctrl-C once a library, such as polars, lets system calls restart after it,
# and to an interrupt that comes from another thread.
WAKE_EVERY = 0.2

T = TypeVar("T")


@dataclass
class Limits:
    """How much is asked at once and in all, and how patiently. The processes of a run share both maxima equally.

    Attributes:
        concurrency: Requests under way at once, of each process.
        timeout: Seconds to wait for a reply.
        retries: How often a question is asked again after a fault, with growing pauses or those that the server asks
            for.
        max_requests: HTTP requests at most, repeated ones included; null for no limit. Cached answers are free.
        max_tokens: No request is sent once so many tokens were read and written, as the server counts them; null for
            no limit.
    """

    concurrency: int = 16
    timeout: float = 60.0
    retries: int = 8
    max_requests: int | None = None
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("concurrency", 1), ("retries", 0), ("timeout", 0.001)):
            if (value := getattr(self, name)) < least:
                raise UserError(f"judge.limits.{name} is {value}: it must be at least {least}")


class Endpoint:
    """Posts JSON to a server by OpenAI's client, which asks again after faults, with pauses that grow.

    No message of its errors holds the key, and none is chained to one that does. `requests` and `tokens` count what was
    sent, failures included; `share` is the rank of this process, and how many share the limits.
    """

    def __init__(self, base_url: str, api_key_env: str | None, limits: Limits):
        check_url(base_url)
        self.base_url, self.api_key_env, self.limits = base_url, api_key_env, limits
        self.requests = self.tokens = 0
        self.share = 0, 1
        self._key = ""
        self._lock = threading.Lock()

    @cached_property
    def client(self) -> "OpenAI":
        """OpenAI's client, made before the first request.

        Raises:
            UserError: The key's variable is not set, or the client library is not installed.
        """
        try:
            from openai import DefaultHttpxClient, OpenAI
        except ImportError:
            raise UserError("judge ServerLM needs the client of the API: pip install 'ialp[server]'") from None
        self._key = read_key(self.api_key_env)
        return OpenAI(
            base_url=self.base_url,
            # Without a key of ours the library would send that of OPENAI_API_KEY to a server that it is not meant for.
            api_key=self._key or "none",
            timeout=self.limits.timeout,
            max_retries=self.limits.retries,
            http_client=DefaultHttpxClient(event_hooks={"request": [self._count_request]}),
        )

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The first choice of the reply to a request.

        Raises:
            UserError: The server refuses the request, or has failed beyond all retries.
            BudgetExceeded: It was not sent, because a limit is reached.
        """
        for _ in range(self.limits.retries + 1):
            text = self._send(path, body)
            try:
                reply = json.loads(text)
                choice: dict[str, Any] = dict(reply["choices"][0])
            except (ValueError, LookupError, TypeError):
                continue  # cut off, or a proxy's page
            self._count_tokens(reply)
            return choice
        raise UserError(f"{self.base_url}: the reply is no JSON with choices: {self.redact(text)}; {AGAIN}")

    def redact(self, text: str) -> str:
        """`text` on one line, cut, without the key or what looks like one."""
        for form in {self._key, json.dumps(self._key)[1:-1], urllib.parse.quote(self._key, safe="")} - {""}:
            text = text.replace(form, "***")
        text = " ".join(KEY.sub(r"\1***", text).split())
        return text if len(text) <= SHOWN else text[:SHOWN] + "…"

    def _send(self, path: str, body: Mapping[str, Any]) -> str:
        from openai import OpenAIError

        try:
            return self.client.post(path, body=dict(body), cast_to=str)
        except OpenAIError as error:  # kept as a value: raised in here, ours would be chained to it, headers and all
            failure = self._explain(error)
        raise failure

    def _count_request(self, request: Any) -> None:
        from openai import OpenAIError

        with self._lock:
            for name, taken in (("max_requests", self.requests), ("max_tokens", self.tokens)):
                limit = getattr(self.limits, name)
                mine = part_of(limit, *self.share)
                if mine is not None and taken >= mine:
                    shared = f", shared by {self.share[1]} processes," if self.share[1] > 1 else ""
                    raise OpenAIError(  # any other error would be taken for a fault, and repeated
                        f"judge.limits.{name}: the limit of {limit}{shared} is reached; every answer so far is in the "
                        "cache, and the next run asks only what is left; raise the limit, or train shorter"
                    )
            self.requests += 1

    def _count_tokens(self, reply: Mapping[str, Any]) -> None:
        total = (reply.get("usage") or {}).get("total_tokens")
        if total is None and self.limits.max_tokens is not None:
            raise UserError("the server's replies do not say how many tokens they took, so that limits.max_tokens "
                            "cannot be kept; set limits.max_requests instead")  # fmt: skip
        with self._lock:
            self.tokens += total or 0

    def _explain(self, error: "OpenAIError") -> UserError:
        """What the user reads of a failed request."""
        from openai import APIError, APIStatusError

        if not isinstance(error, APIError):
            return BudgetExceeded(str(error))
        if not isinstance(error, APIStatusError):
            reason = self.redact(str(error.__cause__ or error))
            return UserError(f"{self.base_url}: no reply: {reason}, after {self.limits.retries + 1} attempts; {AGAIN}")
        busy = error.status_code in BUSY or error.status_code >= 500
        hint = AGAIN if busy else HINTS.get(error.status_code)
        return UserError(f"{self.base_url}: {self.redact(error.message)}{f'; {hint}' if hint else ''}")


def read_key(variable: str | None) -> str:
    """The key, or "" where none is needed."""
    key = os.environ.get(variable, "").strip() if variable else ""
    if variable and not key:
        raise UserError(f"judge.api_key_env: the environment variable {variable} is not set; export it with the key")
    if not (key.isascii() and key.isprintable()):  # the libraries below would quote it in their errors
        raise UserError(f"judge.api_key_env: the key in {variable} must be of printable ASCII characters")
    return key


def check_url(base_url: str) -> None:
    """Refuse what is no address, and what carries a secret; without repeating it."""
    try:
        parts = urllib.parse.urlsplit(base_url)
        is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise UserError("judge.base_url is no address; it is like http://localhost:8000/v1")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise UserError("judge.base_url must hold neither user, password nor query, since configs are written to "
                        "files: name the environment variable with the key in api_key_env")  # fmt: skip


def as_they_arrive(
    call: Callable[[int], T], count: int, threads: int, interrupted: Callable[[], bool] = lambda: False
) -> Iterator[tuple[int, T]]:
    """(i, call(i)) for all i below `count`, `threads` at a time, in the order in which they end.

    After the first error what is under way is awaited and yielded, the rest is not begun, and the error raised. An
    interrupt, Ctrl-C or `interrupted`, does not wait, but what has come in before it is yielded first. The threads are
    daemons, so that none of them keeps the program from ending.
    """
    rows = iter(range(count))  # shared: each call of next() takes one number
    stop = threading.Event()
    arrived: SimpleQueue[tuple[int, T] | Exception | None] = SimpleQueue()

    def work() -> None:
        try:
            while not stop.is_set() and (index := next(rows, None)) is not None:
                arrived.put((index, call(index)))
        except Exception as error:
            arrived.put(error)
            stop.set()
        arrived.put(None)  # this thread is done

    running, failure = min(threads, count), None
    for _ in range(running):
        threading.Thread(target=work, daemon=True).start()
    try:
        while running:
            if interrupted():
                raise KeyboardInterrupt
            try:
                result = arrived.get(timeout=WAKE_EVERY)
            except Empty:
                continue
            if result is None:
                running -= 1
            elif isinstance(result, Exception):
                failure = failure or result
            else:
                yield result
    except KeyboardInterrupt:
        while not arrived.empty():
            if isinstance(result := arrived.get(), tuple):
                yield result
        raise
    finally:
        stop.set()
    if failure is not None:
        raise failure
