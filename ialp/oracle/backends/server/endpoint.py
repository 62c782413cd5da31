"""Requests to an OpenAI-compatible server, what they may take, and errors that never show the key."""

import json
import os
import re
import threading
import urllib.parse
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ialp.errors import UserError
from ialp.oracle.backends.base import BudgetExceeded, part_of
from ialp.oracle.backends.server.answers import BrokenReply
from ialp.oracle.backends.server.settings import Limits

if TYPE_CHECKING:
    from openai import OpenAIError

BUSY = (408, 409, 429)  # and all from 500: the client has asked again, and the same request may succeed later
SHOWN = 200  # characters of a server's message
KEY = re.compile(r"(?i)\b(bearer\s+|sk-)[\w.~+/=*-]{6,}")
SET_KEY = "set api_key_env to the name of the environment variable that holds the key"
AGAIN = "run again to go on, all answers so far are in the cache"
HINTS = {
    400: "if it names logprobs, lower request.top_logprobs or set answers: samples",
    401: SET_KEY,
    403: SET_KEY,
    404: "base_url ends in /v1 on most servers; model must be a name that the server knows; api may be the other one",
}


class Meter:
    """Counts requests and tokens of all threads, up to this process's part of the limits.

    Attributes:
        taken: "requests" and "tokens" so far.
    """

    def __init__(self, limits: Limits, rank: int = 0, ranks: int = 1):
        self.taken: Counter[str] = Counter()
        self._limits = {"requests": limits.max_requests, "tokens": limits.max_tokens}
        self._mine = {kind: part_of(limit, rank, ranks) for kind, limit in self._limits.items()}
        self._parts = f", of which this one of {ranks} processes has its share" if ranks > 1 else ""
        self._lock = threading.Lock()

    def count_request(self) -> None:
        """Count one HTTP request.

        Raises:
            BudgetExceeded: There may be no further one.
        """
        with self._lock:
            for kind, limit in self._mine.items():
                if limit is not None and self.taken[kind] >= limit:
                    raise BudgetExceeded(
                        f"judge.limits.max_{kind}: the limit of {self._limits[kind]} {kind}{self._parts} is reached; "
                        "every answer so far is in the cache, and the next run asks only what is left; raise the "
                        "limit, or train shorter"
                    )
            self.taken["requests"] += 1

    def count_tokens(self, reply: Mapping[str, Any]) -> None:
        """Count what a reply says that it took.

        Raises:
            UserError: It does not say so, and there is a limit to keep.
        """
        usage = reply.get("usage")
        total = usage.get("total_tokens") if isinstance(usage, Mapping) else None
        if not isinstance(total, int):
            if self._limits["tokens"] is not None:
                raise UserError("the server's replies do not say how many tokens they took, so that "
                                "limits.max_tokens cannot be kept; set limits.max_requests instead")  # fmt: skip
            return
        with self._lock:
            self.taken["tokens"] += total


class Endpoint:
    """Posts JSON to a server by OpenAI's client, which asks again after faults, with pauses that grow.

    No message of its errors holds the key, and none is chained to one that does.

    Args:
        base_url: Of the API.
        api_key_env: Name of the environment variable with the key; None where the server asks for none.
        limits: Timeout and retries.
        meter: What counts every request.

    Raises:
        UserError: The variable is not set, or the client library is not installed.
    """

    def __init__(self, base_url: str, api_key_env: str | None, limits: Limits, meter: Meter):
        try:
            from openai import DefaultHttpxClient, OpenAI
        except ImportError:
            raise UserError("judge ServerLM needs the client of the API: pip install 'ialp[server]'") from None
        self.base_url, self.limits, self.meter = base_url, limits, meter
        self._key = read_key(api_key_env)
        self._client = OpenAI(
            base_url=base_url,
            # Without a key of ours the library would send that of OPENAI_API_KEY to a server that it is not meant for.
            api_key=self._key or "none",
            timeout=limits.timeout,
            max_retries=limits.retries,
            http_client=DefaultHttpxClient(event_hooks={"request": [self._count]}),
        )

    def post(self, path: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The choices of the reply to a request.

        Raises:
            BrokenReply: The reply cannot be read.
            UserError: The server refuses the request, or has failed beyond all retries.
            BudgetExceeded: It was not sent, because a limit is reached.
        """
        from openai import OpenAIError

        try:
            text = self._client.post(path, body=dict(body), cast_to=str)
        except OpenAIError as error:  # kept as a value: raised in here, ours would be chained to it, headers and all
            failure = self._explain(error)
        else:
            return self._read(text)
        raise failure

    def redact(self, text: str) -> str:
        """`text` on one line, cut, without the key or what looks like one."""
        for form in {self._key, json.dumps(self._key)[1:-1], urllib.parse.quote(self._key, safe="")} - {""}:
            text = text.replace(form, "***")
        text = " ".join(KEY.sub(r"\1***", text).split())
        return text if len(text) <= SHOWN else text[:SHOWN] + "…"

    def _count(self, request: Any) -> None:
        from openai import OpenAIError

        try:
            self.meter.count_request()
        except BudgetExceeded as error:
            raise OpenAIError(str(error)) from None  # any other error would be taken for a fault, and repeated

    def _explain(self, error: "OpenAIError") -> UserError:
        """What the user reads of a failed request."""
        from openai import APIError, APIStatusError

        if not isinstance(error, APIError):
            return BudgetExceeded(str(error))
        if not isinstance(error, APIStatusError):
            said = f"no reply: {self.redact(str(error.__cause__ or error))}"
            return UserError(f"{self.base_url}: {said}, after {self.limits.retries + 1} attempts; {AGAIN}")
        busy = error.status_code in BUSY or error.status_code >= 500
        hint = AGAIN if busy else HINTS.get(error.status_code)
        return UserError(f"{self.base_url}: {self.redact(error.message)}{f'; {hint}' if hint else ''}")

    def _read(self, text: str) -> list[dict[str, Any]]:
        try:
            reply = json.loads(text)
        except ValueError:
            raise BrokenReply(f"the reply of {len(text)} characters is no JSON: {self.redact(text)}") from None
        choices = reply.get("choices") if isinstance(reply, dict) else None
        if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
            raise BrokenReply(f"the reply holds no choices: {self.redact(text)}")
        self.meter.count_tokens(reply)
        return choices


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
        parts.port  # noqa: B018 - parsed when it is read
    except ValueError:
        raise UserError("judge.base_url is no address; it is like http://localhost:8000/v1") from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise UserError("judge.base_url must hold neither user, password nor query, since configs are written to "
                        "files: name the environment variable with the key in api_key_env")  # fmt: skip
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError("judge.base_url must begin with http:// or https:// and name a host, like "
                        "http://localhost:8000/v1")  # fmt: skip
