"""The body of a request, and what of it can change an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CHAT_ENDING = "\n\nAnswer with one letter from {first} to {last} and nothing else."
TEXT_TOKENS = 4  # of an answer that ends by itself: the further ones tell the label "a" from a sentence's first word


@dataclass(frozen=True)
class RequestFormat:
    """Makes the bodies of requests to one model.

    Attributes:
        model: Its name on the server.
        api: `completions` or `chat`.
        constraint: The server's way to keep the model to the labels, or `none`.
        top_logprobs: How many tokens to list; None for an answer in text alone.
        temperature: Of the server's sampling.
        extra: Further fields.
    """

    model: str
    api: str
    constraint: str
    top_logprobs: int | None
    temperature: float
    extra: dict[str, Any]

    @property
    def path(self) -> str:
        """Under the base URL."""
        return "/chat/completions" if self.api == "chat" else "/completions"

    @property
    def answer_tokens(self) -> int:
        """One where the first token is read, and where a completion would go on writing after its label."""
        first_alone = self.top_logprobs is not None or (self.api == "completions" and self.constraint == "none")
        return 1 if first_alone else TEXT_TOKENS

    def describe(self) -> dict[str, Any]:
        """A whole request about nothing: it differs where any request does."""
        return self.body("", ["a", "b"], 1)[0]

    def body(self, prompt: str, labels: Sequence[str], count: int) -> tuple[dict[str, Any], int]:
        """For `count` answers to one prompt, and the most tokens that they can take.

        No tokenizer makes more tokens than bytes, so that the prompt's bytes are a bound that holds for all of them.
        """
        body: dict[str, Any] = {"model": self.model, "temperature": self.temperature, "max_tokens": self.answer_tokens}
        if count > 1:
            body["n"] = count  # not all servers know it
        if self.api == "chat":
            prompt += CHAT_ENDING.format(first=labels[0], last=labels[-1])
            body["messages"] = [{"role": "user", "content": prompt}]
            if self.top_logprobs:
                body |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        else:
            body["prompt"] = prompt
            if self.top_logprobs:
                body["logprobs"] = self.top_logprobs
        body |= self._constrained(labels) | self.extra
        return body, len(prompt.encode()) + count * self.answer_tokens

    def _constrained(self, labels: Sequence[str]) -> dict[str, Any]:
        """The fields that keep the model to the labels; a completion's label follows a space, a chat's does not."""
        words = list(labels) if self.api == "chat" else [f" {label}" for label in labels]
        match self.constraint:
            case "structured_outputs":
                return {"structured_outputs": {"choice": words}}
            case "regex":
                return {"regex": f"({'|'.join(words)})"}
            case "grammar":
                return {"grammar": "root ::= " + " | ".join(f'"{word}"' for word in words)}
        return {}
