"""A language model behind an OpenAI-compatible server: vLLM, SGLang, llama.cpp, or a hosted one."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from threading import Event
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor
from typing_extensions import override

from ialp.errors import UserError
from ialp.oracle.backends.base import JudgeBackend, hash_of
from ialp.oracle.backends.server.answers import (
    Answer,
    BrokenReply,
    InvalidAnswer,
    from_samples,
    read_log_probabilities,
    read_votes,
)
from ialp.oracle.backends.server.arrivals import as_they_arrive
from ialp.oracle.backends.server.endpoint import AGAIN, Endpoint, Meter, check_url
from ialp.oracle.backends.server.settings import Limits, RequestOptions, check_least
from ialp.oracle.questions import Questions

CHAT_ENDING = "\n\nAnswer with one letter from {first} to {last} and nothing else."
TEXT_TOKENS = 4  # of an answer that ends by itself: the further ones tell the label "a" from a sentence's first word
ENOUGH_ANSWERS = 100  # before it is believed that labels are missing

T = TypeVar("T")


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
        samples: Answers per question, with `answers: samples`.
        invalid: What becomes of an answer that is no label after all retries: `error` stops, `none` counts it as None.
        revision: A label of your own for what the model's name does not say.
        api_key_env: Name of the environment variable that holds the key; null where the server asks for none.
        request: How one request is made.
        limits: How much is asked at once and in all, and how patiently.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        api: Literal["completions", "chat"] = "completions",
        answers: Literal["logprobs", "samples"] = "logprobs",
        samples: int = 1,
        invalid: Literal["error", "none"] = "error",
        revision: str | None = None,
        api_key_env: str | None = None,
        request: RequestOptions | None = None,
        limits: Limits | None = None,
    ):
        check_url(base_url)
        check_least(1, samples=samples)
        self.request, self.limits = request or RequestOptions(), limits or Limits()
        if samples > 1 and self.request.temperature == 0:
            raise UserError(f"judge.samples is {samples}, but at temperature 0 all are the same: raise temperature")
        self.model, self.base_url, self.api_key_env, self.revision = model, base_url, api_key_env, revision
        self.api, self.answers, self.samples, self.invalid = api, answers, samples, invalid
        self._meter = Meter(self.limits)
        self.invalid_answers = self.missing_labels = 0
        self._answered, self._mass = 0, 0.0

    def __reduce__(self) -> Any:
        """A copy has the same arguments, and a connection and counts of its own."""
        return partial(type(self), **self.init_args), ()

    @property
    @override
    def name(self) -> str:
        return f"{self.model} (server, {self.api}, {self.answers})"

    @property
    @override
    def fingerprint(self) -> str:
        # Without `invalid`: it turns an error into an answer, so that a run it stopped can go on with `none`.
        votes = self.samples if self.answers == "samples" else None
        return hash_of("ServerLM", self.revision, votes, self.body("", ["a", "b"]))

    @override
    def share(self, rank: int, ranks: int) -> None:
        self._meter = Meter(self.limits, rank, ranks)

    @property
    @override
    def counts(self) -> dict[str, int]:
        taken = {"requests": self.requests, "tokens": self.tokens}
        return taken | {"invalid_answers": self.invalid_answers, "missing_labels": self.missing_labels}

    @property
    def requests(self) -> int:
        """Requests sent so far, failed ones included."""
        return self._meter.taken["requests"]

    @property
    @override
    def tokens(self) -> int:
        return self._meter.taken["tokens"]

    @property
    @override
    def label_mass(self) -> float | None:
        return self._mass / self._answered if self._answered and self.answers == "logprobs" else None

    @override
    def log_probabilities(self, questions: Questions) -> Tensor:
        found = torch.empty(len(questions), questions.num_candidates + 1)
        for rows, answers in self.stream(questions):
            found[rows] = answers
        return found

    @override
    def stream(self, questions: Questions) -> Iterator[tuple[list[int], Tensor]]:
        """Every answer as it arrives: its row, and (1, K + 1) log-probabilities.

        Raises, after all answers that were under way:
            UserError: The server refuses, fails beyond all retries, or does not answer with a label.
            BudgetExceeded: A limit is reached.
        """
        if not len(questions):
            return
        self._endpoint  # noqa: B018 - made here: a missing key is told before any thread starts
        stop, labels, prompts = Event(), questions.labels, questions.prompts
        answers = as_they_arrive(
            lambda row: self._ask(prompts[row], labels, stop),
            len(questions),
            self.limits.concurrency,
            stop,
            lambda: self.interrupted,
        )
        for row, answer in answers:
            self._watch(answer)
            yield [row], answer.log_probabilities.unsqueeze(0)

    def _ask(self, prompt: str, labels: Sequence[str], stop: Event) -> Answer:
        """The answer to one question; `invalid` says what stands for one that stays invalid."""
        repeat = partial(self._repeat, prompt=prompt, labels=labels, stop=stop)
        failure: BrokenReply
        try:
            if self.answers == "logprobs":
                return repeat(read_log_probabilities)
            votes: list[int] = []
            while (missing := self.samples - len(votes)) > 0:
                votes += repeat(read_votes, count=missing)
            return from_samples(votes[: self.samples], len(labels))
        except BrokenReply as error:  # kept as a value: the server's own words stay out of ours, which are redacted
            failure = error
        times = f"{self.limits.retries + 1} times"
        if not isinstance(failure, InvalidAnswer):
            raise UserError(f"{self.base_url}: {failure}, {times}; {AGAIN}")
        if self.invalid == "none" and not stop.is_set():  # after a stop it may not have had all its retries
            none = from_samples([len(labels) - 1] * self.samples, len(labels))
            return Answer(none.log_probabilities, valid=False)
        raise UserError(
            f"{self.model} answered {self._endpoint.redact(str(failure))!r}, not with a label from {labels[0]} to "
            f"{labels[-1]}, {times}; set request.constraint if the server has one, or invalid: none"
        )

    def _repeat(
        self,
        read: Callable[[list[dict[str, Any]], Sequence[str]], T],
        prompt: str,
        labels: Sequence[str],
        stop: Event,
        count: int = 1,
    ) -> T:
        """What `read` makes of a reply with `count` choices; asked again where it cannot, unless others have failed."""
        path = "/chat/completions" if self.api == "chat" else "/completions"
        body, left = self.body(prompt, labels, count), self.limits.retries
        while True:
            try:
                return read(self._endpoint.post(path, body), labels)
            except BrokenReply:
                if left == 0 or stop.is_set():
                    raise
                left -= 1

    def body(self, prompt: str, labels: Sequence[str], count: int = 1) -> dict[str, Any]:
        """The JSON of a request for `count` answers."""
        chat, listing, request = self.api == "chat", self.answers == "logprobs", self.request
        # One token where the first is read, and where a completion would go on writing after its label.
        first_alone = listing or (not chat and request.constraint == "none")
        body: dict[str, Any] = {"model": self.model, "temperature": request.temperature}
        body["max_tokens"] = 1 if first_alone else TEXT_TOKENS
        if count > 1:
            body["n"] = count  # not all servers know it
        if chat:
            ending = CHAT_ENDING.format(first=labels[0], last=labels[-1])
            body["messages"] = [{"role": "user", "content": prompt + ending}]
        else:
            body["prompt"] = prompt
        if listing:
            body |= (
                {"logprobs": True, "top_logprobs": request.top_logprobs} if chat else {"logprobs": request.top_logprobs}
            )
        return body | self._constrained(labels) | request.extra_body

    def _constrained(self, labels: Sequence[str]) -> dict[str, Any]:
        """The fields that keep the model to the labels; a completion's label follows a space, a chat's does not."""
        words = list(labels) if self.api == "chat" else [f" {label}" for label in labels]
        match self.request.constraint:
            case "structured_outputs":
                return {"structured_outputs": {"choice": words}}
            case "regex":
                return {"regex": f"({'|'.join(words)})"}
            case "grammar":
                return {"grammar": "root ::= " + " | ".join(f'"{word}"' for word in words)}
        return {}

    @cached_property
    def _endpoint(self) -> Endpoint:
        return Endpoint(self.base_url, self.api_key_env, self.limits, self._meter)

    def _watch(self, answer: Answer) -> None:
        """Count what is amiss, and warn once if many labels are missing."""
        self._answered += 1
        self._mass += answer.mass or 0.0
        self.missing_labels += answer.missing
        self.invalid_answers += not answer.valid
        if self._answered == ENOUGH_ANSWERS and self.missing_labels > ENOUGH_ANSWERS:
            missing = self.missing_labels / self._answered
            warnings.warn(f"{self.base_url} does not list {missing:.1f} labels a question: their probability is an "
                          "upper bound; raise request.top_logprobs", stacklevel=3)  # fmt: skip
