"""What a user may set of the requests to a server."""

from dataclasses import dataclass, field
from typing import Any, Literal

from ialp.errors import UserError


def check_least(least: float, **arguments: float) -> None:
    """Refuse arguments below `least`."""
    for name, value in arguments.items():
        if value < least:
            raise UserError(f"judge.{name.replace('__', '.')} is {value}: it must be at least {least}")


@dataclass
class RequestOptions:
    """How one request is made.

    Attributes:
        constraint: What keeps the model to the labels: `structured_outputs` of vLLM, `regex` of SGLang, `grammar` of
            llama.cpp, or `none`.
        top_logprobs: How many tokens the server lists; vLLM and OpenAI's chats give 20 at most.
        temperature: Of the server's sampling.
        extra_body: Further fields of every request, such as {chat_template_kwargs: {enable_thinking: false}}.
    """

    constraint: Literal["none", "structured_outputs", "regex", "grammar"] = "none"
    top_logprobs: int = 20
    temperature: float = 0.0
    extra_body: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_least(1, request__top_logprobs=self.top_logprobs)
        check_least(0, request__temperature=self.temperature)


@dataclass
class Limits:
    """How much is asked at once and in all, and how patiently. The processes of a run share both maxima equally.

    Attributes:
        concurrency: Requests under way at once, of each process.
        timeout: Seconds to wait for a reply.
        retries: How often a question is asked again after a fault (with growing pauses, or those that the server asks
            for) or after an answer that is no label.
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
        check_least(1, limits__concurrency=self.concurrency)
        check_least(0, limits__retries=self.retries)
        check_least(0.001, limits__timeout=self.timeout)
