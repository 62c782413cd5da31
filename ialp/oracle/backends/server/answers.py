"""What a server's reply says about the labels."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ialp.errors import UserError

# A label alone, with white space around it (as ▁ and Ġ, too, which some tokenizers print) and one closing mark.
LABEL = re.compile(r"[\s▁Ġ]*([a-z])\s*[.)]?[\s▁Ġ]*")
LOWEST = -100.0  # servers write a probability of 0 as −∞, as −9999 or as null


class BrokenReply(Exception):  # noqa: N818 - may pass
    """A reply that cannot be read; the next one may be better."""


class InvalidAnswer(BrokenReply):
    """The model said something that is not a label; the text is what it said."""


@dataclass(frozen=True)
class Answer:
    """One question's answer.

    Attributes:
        log_probabilities: (K + 1,) of the labels, normalised over them.
        missing: Labels that the server did not list, and that have an upper bound in place of their probability.
        mass: Probability of all listed labels together; None where the answer was sampled.
        valid: False where None stands for an answer that could not be read.
    """

    log_probabilities: Tensor
    missing: int = 0
    mass: float | None = None
    valid: bool = True


def label_of(text: str, labels: Sequence[str]) -> int | None:
    """The index of the label that `text` is, such as " a", "a." or "a)"; None if it is anything else."""
    match = LABEL.fullmatch(text)
    return labels.index(match[1]) if match and match[1] in labels else None


def text_of(choice: Mapping[str, Any]) -> str:
    """What was generated, of a completion or of a chat."""
    text = choice["text"] if "text" in choice else (choice.get("message") or {}).get("content")
    return text if isinstance(text, str) else ""


def read_votes(choices: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> list[int]:
    """The labels that were sampled, at least one; what is no label is left out.

    Raises:
        InvalidAnswer: None of the texts is a label.
    """
    texts = [text_of(choice) for choice in choices]
    votes = [label for text in texts if (label := label_of(text, labels)) is not None]
    if not votes:
        raise InvalidAnswer(texts[0])
    return votes


def read_log_probabilities(choices: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> Answer:
    """From the tokens listed for the first position of the first choice.

    " a" and "a" are one label, whose probabilities are added. A label that is not listed has at most the probability of
    the last one that is, and gets it.

    Raises:
        UserError: The reply has no log-probabilities.
        InvalidAnswer: None of the listed tokens is a label.
        BrokenReply: The log-probabilities are in neither format.
    """
    choice = choices[0]
    try:
        listed = listed_tokens(choice)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise BrokenReply("the reply's log-probabilities cannot be read") from None
    if listed is None:
        raise UserError("the server's reply has no log-probabilities; set judge.answers: samples")
    scores: dict[int, float] = {}
    for token, score in listed:
        if (label := label_of(token, labels)) is not None:
            scores[label] = float(np.logaddexp(scores.get(label, -math.inf), score))
    if not scores:
        raise InvalidAnswer(text_of(choice))
    bound = min(score for _, score in listed)
    complete = torch.tensor([scores.get(label, bound) for label in range(len(labels))])
    mass = min(sum(map(math.exp, scores.values())), 1.0)
    return Answer(complete.log_softmax(0), len(labels) - len(scores), mass)


def listed_tokens(choice: Mapping[str, Any]) -> list[tuple[str, float]] | None:
    """Tokens and log-probabilities at the first position, the generated one included; None if the reply has none.

    Both formats are read whatever was asked: {"top_logprobs": [{token: value}]} of completions, and {"content":
    [{"top_logprobs": [{"token": …, "logprob": …}]}]} of chats, which some servers use for completions, too.
    """
    found = choice.get("logprobs")
    if not isinstance(found, Mapping):
        return None
    if content := found.get("content"):
        entries = [*(content[0].get("top_logprobs") or []), content[0]]
        tops = {entry["token"]: entry.get("logprob") for entry in reversed(entries)}
    else:
        chosen = dict(zip((found.get("tokens") or [])[:1], (found.get("token_logprobs") or [])[:1], strict=False))
        tops = {**chosen, **((found.get("top_logprobs") or [{}])[0] or {})}
    return [(token, max(LOWEST, LOWEST if score is None else float(score))) for token, score in tops.items()]


def from_samples(votes: Sequence[int], num_labels: int) -> Answer:
    """Log of the labels' frequencies, smoothed by one more sample that is spread evenly over all labels."""
    counts = Counter(votes)
    shares = [(counts[label] + 1 / num_labels) / (len(votes) + 1) for label in range(num_labels)]
    return Answer(torch.tensor(shares).log())
