"""A language model behind an OpenAI-compatible server: vLLM, SGLang, llama.cpp, or a hosted one."""

import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from threading import Event
from typing import Any, Literal

import torch
from torch import Tensor

from ialp.errors import UserError
from ialp.oracle.backends.base import JudgeBackend
from ialp.oracle.backends.server.answers import Answer, from_samples, label_of, read_log_probabilities, text_of
from ialp.oracle.backends.server.arrivals import Cancelled, as_they_arrive
from ialp.oracle.backends.server.budget import Meter
from ialp.oracle.backends.server.endpoint import Endpoint, check_url
from ialp.oracle.backends.server.format import RequestFormat
from ialp.oracle.backends.server.retries import InvalidAnswer, Transient, retrying
from ialp.oracle.questions import Questions

ENOUGH_ANSWERS = 100  # before it is believed that labels are missing


class ServerLM(JudgeBackend):
    """Any model that a server offers by OpenAI's API of completions or chats.

    The fingerprint has what can change an answer. The address is not in it: a server moves to another port or host
    with the same model. So `model` must tell one model from another; where it does not, because every llama.cpp
    server calls its model the same, or because a hosted one changed, `revision` does.

    Args:
        model: Its name on the server.
        base_url: Of the API, for example http://localhost:8000/v1. It holds no user and no password.
        api: `completions` continues the prompt as it is; `chat` sends it as a message, with a request for one letter.
        answers: `logprobs` reads the probabilities of the first token; `samples` counts answers, for servers that
            give no log-probabilities.
        constraint: What keeps the model to the labels: `structured_outputs` of vLLM, `regex` of SGLang, `grammar` of
            llama.cpp, or `none`.
        top_logprobs: How many tokens the server lists; vLLM and OpenAI's chats give 20 at most.
        samples: Answers per question, with `answers: samples`.
        temperature: Of the server's sampling.
        invalid: What becomes of an answer that is no label after all retries: `error` stops, `none` counts it as None.
        revision: A label of your own for what the model's name does not say.
        extra_body: Further fields of every request, such as {chat_template_kwargs: {enable_thinking: false}}.
        api_key_env: Name of the environment variable that holds the key; null where the server asks for none.
        concurrency: Requests under way at once, of each process.
        timeout: Seconds to wait for a reply.
        retries: How often a question is asked again after a fault or an invalid answer.
        backoff: Seconds before the first retry; they double each time, up to 60, with jitter.
        max_requests: Requests at most, repeated ones included; null for no limit. Cached answers are free. Of the
            processes of a run, each has an equal share.
        max_tokens: Tokens at most, read and written, as the server counts them; null for no limit. Shared likewise.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        api: Literal["completions", "chat"] = "completions",
        answers: Literal["logprobs", "samples"] = "logprobs",
        constraint: Literal["none", "structured_outputs", "regex", "grammar"] = "none",
        top_logprobs: int = 20,
        samples: int = 1,
        temperature: float = 0.0,
        invalid: Literal["error", "none"] = "error",
        revision: str | None = None,
        extra_body: dict[str, Any] | None = None,
        api_key_env: str | None = None,
        concurrency: int = 16,
        timeout: float = 60.0,
        retries: int = 8,
        backoff: float = 0.5,
        max_requests: int | None = None,
        max_tokens: int | None = None,
    ):
        check_url(base_url)
        check_least(1, top_logprobs=top_logprobs, samples=samples, concurrency=concurrency)
        check_least(0, temperature=temperature, retries=retries, backoff=backoff)
        check_least(0.001, timeout=timeout)
        if samples > 1 and temperature == 0:
            raise UserError(f"judge.samples is {samples}, but at temperature 0 all are the same: raise temperature")
        self.model, self.base_url, self.api_key_env = model, base_url, api_key_env
        self.answers, self.samples, self.invalid, self.revision = answers, samples, invalid, revision
        self.concurrency, self.timeout, self.retries, self.backoff = concurrency, timeout, retries, backoff
        self.max_requests, self.max_tokens = max_requests, max_tokens
        self._share = 0, 1
        listed = top_logprobs if answers == "logprobs" else None
        self._format = RequestFormat(model, api, constraint, listed, temperature, extra_body or {})
        self.invalid_answers = self.missing_labels = 0
        self._answered, self._mass = 0, 0.0

    @property
    def name(self) -> str:
        """The model, and how it is asked."""
        return f"{self.model} (server, {self._format.api}, {self.answers})"

    @property
    def fingerprint(self) -> str:
        """Hash of what can change an answer, as the class says.

        `invalid` is left out: it turns an error into an answer, so that a run it stopped can go on with `none`.
        """
        votes = self.samples if self.answers == "samples" else None
        parts = ["ServerLM", self.revision, votes, self._format.describe()]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def share(self, rank: int, ranks: int) -> None:
        """The limits are those of `ranks` processes together; this one takes its part."""
        self._share = rank, ranks

    @property
    def counts(self) -> dict[str, int]:
        """What was sent, what it took, and what was amiss."""
        taken = {"requests": self.requests, "tokens": self.tokens}
        return taken | {"invalid_answers": self.invalid_answers, "missing_labels": self.missing_labels}

    @property
    def requests(self) -> int:
        """Requests sent so far, failed ones included."""
        return self._endpoint.meter.requests if "_endpoint" in self.__dict__ else 0

    @property
    def tokens(self) -> int:
        """Tokens read and written so far, as the server counts them."""
        return self._endpoint.meter.tokens if "_endpoint" in self.__dict__ else 0

    @property
    def label_mass(self) -> float | None:
        """Mean probability on the labels that were listed, or None where answers are sampled."""
        return self._mass / self._answered if self._answered and self.answers == "logprobs" else None

    def log_probabilities(self, questions: Questions) -> Tensor:
        """(B, K + 1) of the labels, None's last.

        Raises:
            UserError: The server refuses, fails beyond all retries, or does not answer with a label.
            BudgetExceeded: A limit is reached.
        """
        found = torch.empty(len(questions), questions.num_candidates + 1)
        for rows, answers in self.stream(questions):
            found[rows] = answers
        return found

    def stream(self, questions: Questions) -> Iterator[tuple[list[int], Tensor]]:
        """Every answer as it arrives: its row, and (1, K + 1) log-probabilities.

        Raises: as log_probabilities, after all answers that were under way.
        """
        if not len(questions):
            return
        self._endpoint  # noqa: B018 - made here: a missing key is told before any thread starts
        stop, labels, prompts = Event(), questions.labels, questions.prompts

        def ask(row: int) -> Answer:
            return self._ask(prompts[row], labels, stop)

        for row, answer in as_they_arrive(ask, len(questions), self.concurrency, stop, lambda: self.interrupted):
            self._watch(answer)
            yield [row], answer.log_probabilities.unsqueeze(0)

    def _ask(self, prompt: str, labels: Sequence[str], stop: Event) -> Answer:
        """One question, as often as it takes."""
        try:
            return self._answer(prompt, labels, stop)
        except (Transient, InvalidAnswer) as error:
            last = error
        if stop.is_set():  # it may not have had all its retries
            raise Cancelled
        if isinstance(last, Transient):
            raise UserError(
                f"{self.base_url}: {last}, after {self.retries + 1} attempts; run again to go on, all answers so far "
                "are in the cache"
            )
        if self.invalid == "none":
            none = from_samples([len(labels) - 1] * self.samples, len(labels))
            return Answer(none.log_probabilities, valid=False)
        raise UserError(
            f"{self.model} answered {self._endpoint.redact(str(last))!r}, not with a label from {labels[0]} to "
            f"{labels[-1]}, {self.retries + 1} times; set constraint if the server has one, or invalid: none"
        )

    def _answer(self, prompt: str, labels: Sequence[str], stop: Event) -> Answer:
        attempt = retrying(self.retries, self.backoff, stop)
        if self.answers == "logprobs":
            return attempt(self._read_once, prompt, labels)
        votes: list[int] = []
        while len(votes) < self.samples:
            votes += attempt(self._sample_once, prompt, labels, self.samples - len(votes))
            if stop.is_set() and len(votes) < self.samples:
                raise Cancelled
        return from_samples(votes, len(labels))

    def _read_once(self, prompt: str, labels: Sequence[str]) -> Answer:
        [choice, *_] = self._post(prompt, labels, 1)
        return read_log_probabilities(choice, labels)

    def _sample_once(self, prompt: str, labels: Sequence[str], count: int) -> list[int]:
        """At least one valid answer, and `count` at most; the others are asked for again."""
        texts = [text_of(choice) for choice in self._post(prompt, labels, count)]
        votes = [label for text in texts if (label := label_of(text, labels)) is not None]
        if not votes:
            raise InvalidAnswer(texts[0])
        return votes[:count]

    def _post(self, prompt: str, labels: Sequence[str], count: int) -> list[dict[str, Any]]:
        body, most = self._format.body(prompt, labels, count)
        return self._endpoint.post(self._format.path, body, most)["choices"]

    @cached_property
    def _endpoint(self) -> Endpoint:
        meter = Meter(self.max_requests, self.max_tokens, *self._share)
        return Endpoint(self.base_url, self.api_key_env, self.timeout, meter)

    def _watch(self, answer: Answer) -> None:
        """Count what is amiss, and warn once if many labels are missing."""
        self._answered += 1
        self._mass += answer.mass or 0.0
        self.missing_labels += answer.missing
        self.invalid_answers += not answer.valid
        if self._answered == ENOUGH_ANSWERS and self.missing_labels > ENOUGH_ANSWERS:
            missing = self.missing_labels / self._answered
            warnings.warn(f"{self.base_url} does not list {missing:.1f} labels a question: their probability is an "
                          "upper bound; raise top_logprobs", stacklevel=3)  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        """Without the connection, whose client holds the key."""
        return {name: value for name, value in self.__dict__.items() if name != "_endpoint"}


def check_least(least: float, **arguments: float) -> None:
    """Refuse arguments below `least`."""
    for name, value in arguments.items():
        if value < least:
            raise UserError(f"judge.{name} is {value}: it must be at least {least}")
