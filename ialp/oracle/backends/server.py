"""A language model behind an OpenAI-compatible server: vLLM, SGLang, llama.cpp, or a hosted one."""

import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from ialp.errors import UserError
from ialp.oracle.backends.base import JudgeBackend, hash_of
from ialp.oracle.backends.endpoint import Endpoint, Limits, as_they_arrive
from ialp.oracle.questions import Questions

CHAT_ENDING = "\n\nAnswer with one letter from {first} to {last} and nothing else."
ENOUGH_ANSWERS = 100  # before it is believed that labels are missing
# A label alone, with white space around it (as ▁ and Ġ, too, which some tokenizers print) and one closing mark.
LABEL = re.compile(r"[\s▁Ġ]*([a-z])\s*[.)]?[\s▁Ġ]*")
LOWEST = -100.0  # servers write a probability of 0 as −∞, as −9999 or as null


class Answer(NamedTuple):
    """One question's answer."""

    log_probabilities: Tensor  # (K + 1,) of the labels, normalised over them
    missing: int  # labels that the server did not list: they have an upper bound in place of their probability
    mass: float  # of all listed labels together; 0: no label is listed, and the answer counts as None


class ServerLM(JudgeBackend):
    """Any model that a server offers by OpenAI's API of completions or chats, if it gives log-probabilities.

    The fingerprint has what can change an answer. The address is not in it: a server moves to another port or host
    with the same model. So `model` must tell one model from another; where it does not, because every llama.cpp
    server calls its model the same, or because a hosted one changed, `revision` does.

    Args:
        model: Its name on the server.
        base_url: Of the API, for example http://localhost:8000/v1. It holds no user and no password.
        api: `completions` continues the prompt as it is; `chat` sends it as a message, with a request for one letter.
        top_logprobs: How many tokens the server lists; vLLM and OpenAI's chats give 20 at most.
        invalid: Where no label is listed: `error` stops, `none` counts the answer as None.
        revision: A label of your own for what the model's name does not say.
        api_key_env: Name of the environment variable that holds the key; null where the server asks for none.
        extra_body: Further fields of every request, such as {chat_template_kwargs: {enable_thinking: false}}.
        limits: How much is asked at once and in all, and how patiently.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        api: Literal["completions", "chat"] = "completions",
        top_logprobs: int = 20,
        invalid: Literal["error", "none"] = "error",
        revision: str | None = None,
        api_key_env: str | None = None,
        extra_body: dict[str, Any] | None = None,
        limits: Limits | None = None,
    ):
        self.model, self.api, self.top_logprobs, self.invalid = model, api, top_logprobs, invalid
        self.revision, self.extra_body, self.limits = revision, extra_body or {}, limits or Limits()
        self.endpoint = Endpoint(base_url, api_key_env, self.limits)
        self.invalid_answers = self.missing_labels = 0

    def __reduce__(self) -> Any:
        """A copy has the same arguments, and a connection and counts of its own."""
        return partial(type(self), **self.init_args), ()

    @property
    @override
    def name(self) -> str:
        return f"{self.model} (server, {self.api})"

    @property
    @override
    def fingerprint(self) -> str:
        # Without `invalid`: it turns an error into an answer, so that a run it stopped can go on with `none`.
        return hash_of("ServerLM", self.revision, self.body("", ["a", "b"]))

    @override
    def share(self, rank: int, ranks: int) -> None:
        self.endpoint.share = rank, ranks

    @property
    @override
    def counts(self) -> dict[str, int]:
        taken = {"requests": self.endpoint.requests, "tokens": self.endpoint.tokens}
        return taken | {"invalid_answers": self.invalid_answers, "missing_labels": self.missing_labels}

    @override
    def log_probabilities(self, questions: Questions) -> Tensor:
        found = torch.empty(len(questions), questions.num_candidates + 1)
        for rows, answers in self.stream(questions):
            found[rows] = answers
        return found

    @override
    def stream(self, questions: Questions) -> Iterator[tuple[list[int], Tensor]]:
        if not len(questions):
            return
        self.endpoint.client  # noqa: B018 - made here: a missing key is told before any thread starts
        labels, prompts = questions.labels, questions.prompts
        answers = as_they_arrive(
            lambda row: self._ask(prompts[row], labels), len(prompts), self.limits.concurrency, lambda: self.interrupted
        )
        for row, answer in answers:
            self._watch(answer)
            yield [row], answer.log_probabilities.unsqueeze(0)

    def body(self, prompt: str, labels: Sequence[str]) -> dict[str, Any]:
        """The JSON of a request."""
        body: dict[str, Any] = {"model": self.model, "temperature": 0.0, "max_tokens": 1}
        if self.api == "chat":
            ending = CHAT_ENDING.format(first=labels[0], last=labels[-1])
            body["messages"] = [{"role": "user", "content": prompt + ending}]
            body |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        else:
            body |= {"prompt": prompt, "logprobs": self.top_logprobs}
        return body | self.extra_body

    def _ask(self, prompt: str, labels: Sequence[str]) -> Answer:
        path = "/chat/completions" if self.api == "chat" else "/completions"
        answer = read_answer(self.endpoint.post(path, self.body(prompt, labels)), labels)
        if not answer.mass and self.invalid == "error":
            raise UserError(
                f"{self.model} gives no probability to a label from {labels[0]} to {labels[-1]}; raise top_logprobs, "
                "set invalid: none, or take a model that answers with one letter"
            )
        return answer

    def _watch(self, answer: Answer) -> None:
        """Count what is amiss, and warn once if many labels are missing."""
        self._answered += 1
        self._mass += answer.mass
        self.missing_labels += answer.missing
        self.invalid_answers += not answer.mass
        if self._answered == ENOUGH_ANSWERS and self.missing_labels > ENOUGH_ANSWERS:
            missing = self.missing_labels / self._answered
            warnings.warn(f"{self.endpoint.base_url} does not list {missing:.1f} labels a question: their probability "
                          "is an upper bound; raise top_logprobs", stacklevel=3)  # fmt: skip


def read_answer(choice: Mapping[str, Any], labels: Sequence[str]) -> Answer:
    """From the tokens listed for the first position of a reply's choice.

    " a" and "a" are one label, whose probabilities are added. A label that is not listed has at most the probability of
    the last one that is, and gets it.

    Raises:
        UserError: The reply has no log-probabilities.
    """
    try:
        listed = listed_tokens(choice)
    except (AttributeError, LookupError, TypeError, ValueError):
        listed = []
    if not listed:
        raise UserError("the server's reply has no log-probabilities that can be read; ServerLM needs a server and "
                        "a model that give them")  # fmt: skip
    scores: dict[int, float] = {}
    for token, score in listed:
        found = LABEL.fullmatch(token)
        if found and found[1] in labels:
            label = labels.index(found[1])
            scores[label] = float(np.logaddexp(scores.get(label, -math.inf), score))
    if not scores:
        none = torch.tensor([0.0] * (len(labels) - 1) + [1.0])
        return Answer(((none + 1 / len(labels)) / 2).log(), 0, 0.0)
    bound = min(score for _, score in listed)
    complete = torch.tensor([scores.get(label, bound) for label in range(len(labels))])
    mass = min(sum(map(math.exp, scores.values())), 1.0)
    return Answer(complete.log_softmax(0), len(labels) - len(scores), mass)


def listed_tokens(choice: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Tokens and log-probabilities at the first position.

    Both formats are read whatever was asked: {"top_logprobs": [{token: value}]} of completions, and {"content":
    [{"top_logprobs": [{"token": …, "logprob": …}]}]} of chats, which some servers use for completions, too.
    """
    found = choice["logprobs"]
    if content := found.get("content"):
        tops = [(entry["token"], entry["logprob"]) for entry in content[0]["top_logprobs"]]
    else:
        tops = list(found["top_logprobs"][0].items())
    return [(token, max(LOWEST, LOWEST if score is None else float(score))) for token, score in tops]
