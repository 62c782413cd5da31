"""One HTTP request to an OpenAI-compatible server, and what its failure means."""

import email.utils
import json
import os
import re
import time
import urllib.parse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ialp.errors import UserError
from ialp.oracle.backends.server.budget import Meter
from ialp.oracle.backends.server.retries import Transient

if TYPE_CHECKING:
    from openai import APIError

BUSY = (408, 409, 425, 429)  # and all from 500: the same request may succeed later
LONGEST_WAIT = 600.0  # seconds; a server that asks for more is not waited for
SHOWN = 200  # characters of a server's message
KEY = re.compile(r"(?i)\b(bearer\s+|sk-)[\w.~+/=*-]{6,}")
HINTS = {
    400: "if it names logprobs, lower top_logprobs or set answers: samples",
    401: "set api_key_env to the name of the environment variable that holds the key",
    403: "set api_key_env to the name of the environment variable that holds the key",
    404: "base_url ends in /v1 on most servers; model must be a name that the server knows; api may be the other one",
}


class Endpoint:
    """Posts JSON to a server. No message of its errors holds the key, and none is chained to one that does.

    Args:
        base_url: Of the API.
        api_key_env: Name of the environment variable with the key; None where the server asks for none.
        timeout: Seconds to wait for a reply.
        meter: What counts every request.

    Raises:
        UserError: The variable is not set, or the client library is not installed.
    """

    def __init__(self, base_url: str, api_key_env: str | None, timeout: float, meter: Meter):
        try:
            from openai import OpenAI
        except ImportError:
            raise UserError("judge ServerLM needs the client of the API: pip install 'ialp[server]'") from None
        self.base_url, self.timeout, self.meter = base_url, timeout, meter
        self._key = read_key(api_key_env)
        # Without a key of ours the library would send that of OPENAI_API_KEY to a server that it is not meant for.
        self._client = OpenAI(base_url=base_url, api_key=self._key or "none", timeout=timeout, max_retries=0)

    def post(self, path: str, body: Mapping[str, Any], most: int) -> dict[str, Any]:
        """The reply to one request, which takes `most` tokens at most.

        Raises:
            Transient: It may succeed when it is repeated.
            UserError: It never will.
            BudgetExceeded: It was not sent, because it could pass a limit.
        """
        from openai import APIError

        self.meter.admit(most)
        used = 0
        failure: Exception | None = None
        try:
            reply = self._read(self._client.post(path, body=dict(body), cast_to=str))
            used = self._tokens(reply)
        except APIError as error:  # kept as a value: raised in here, ours would be chained to it, headers and all
            failure = self._explain(error)
        finally:
            self.meter.settle(most, used)
        if failure is not None:
            raise failure
        return reply

    def redact(self, text: str) -> str:
        """`text` on one line, cut, without the key or what looks like one."""
        for form in {self._key, json.dumps(self._key)[1:-1], urllib.parse.quote(self._key, safe="")} - {""}:
            text = text.replace(form, "***")
        text = " ".join(KEY.sub(r"\1***", text).split())
        return text if len(text) <= SHOWN else text[:SHOWN] + "…"

    def _explain(self, error: "APIError") -> Exception:
        """What the user reads of a failed request, and whether to repeat it."""
        from openai import APIStatusError, APITimeoutError

        if isinstance(error, APITimeoutError):
            return Transient(f"no reply within {self.timeout:g} s")
        if not isinstance(error, APIStatusError):
            return Transient(f"no connection: {self.redact(str(error.__cause__ or error))}")
        status, said = error.status_code, self.redact(error.message)
        if status in BUSY or status >= 500:
            wait = retry_after(error.response.headers)
            if wait <= LONGEST_WAIT:
                return Transient(said, wait)
            return UserError(f"{self.base_url}: {said}; it asks to wait {wait:.0f} s: run again then, all answers "
                             "so far are in the cache")  # fmt: skip
        hint = HINTS.get(status)
        return UserError(f"{self.base_url}: {said}{f'; {hint}' if hint else ''}")

    def _read(self, text: str) -> dict[str, Any]:
        """A reply with at least one choice; anything else is Transient."""
        try:
            reply = json.loads(text)
        except ValueError:
            raise Transient(f"the reply of {len(text)} characters is no JSON: {self.redact(text)}") from None
        choices = reply.get("choices") if isinstance(reply, dict) else None
        if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
            raise Transient(f"the reply holds no choices: {self.redact(text)}")
        return reply

    def _tokens(self, reply: Mapping[str, Any]) -> int:
        """What the reply says that it took."""
        usage = reply.get("usage")
        total = usage.get("total_tokens") if isinstance(usage, Mapping) else None
        if isinstance(total, int):
            return total
        if self.meter.max_tokens is not None:
            raise UserError(f"{self.base_url}: its replies do not say how many tokens they took, so that max_tokens "
                            "cannot be kept; set max_requests instead")  # fmt: skip
        return 0


def read_key(variable: str | None) -> str:
    """The key, or "" where none is needed."""
    key = os.environ.get(variable, "").strip() if variable else ""
    if variable and not key:
        raise UserError(f"judge.api_key_env: the environment variable {variable} is not set; export it with the key")
    if not (key.isascii() and key.isprintable()):  # the libraries below would quote it in their errors
        raise UserError(f"judge.api_key_env: the key in {variable} must be of printable ASCII characters")
    return key


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that a server asks to wait, given as a number or as a date; 0 where it does not say."""
    value = headers.get("retry-after", "")
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max(email.utils.parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except ValueError:
        return 0.0


def check_url(base_url: str) -> None:
    """Refuse what is no address, and what carries a secret; without repeating it.

    Raises:
        UserError: It is one of these.
    """
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
