"""A worked example of a judge of one's own: a rule in place of a language model. Copy it, and put in your own `score`.

ialp fit --config configs/lfm_policyset.yaml --judge callbacks.loyal.Loyal --judge.init_args.memory 0.9
"""

import torch
from torch import Tensor

from ialp.oracle import JudgeBackend, Questions


class Loyal(JudgeBackend):
    """People stay with the artist they know, and with the latest one most of all.

    Args:
        memory: What an item of the history counts, as a share of the one that came after it.
        none: Score that a candidate must exceed to be picked; OracleTuning fits a better threshold.
        sharpness: How sure the judge is; it does not change the pick.
    """

    def __init__(self, memory: float = 0.8, none: float = 0.1, sharpness: float = 8.0) -> None:
        self.memory, self.none, self.sharpness = memory, none, sharpness

    def score(self, history: list[str], candidate: str) -> float:
        """0 to 1, from any Python you like. A text is "title; album; artist", the history's latest comes last."""
        weights = [self.memory**age for age in range(len(history))]
        same = (maker(text) == maker(candidate) for text in reversed(history))
        return sum(weight for weight, hit in zip(weights, same, strict=True) if hit) / max(sum(weights), 1.0)

    def log_probabilities(self, questions: Questions) -> Tensor:
        """(B, K + 1): a softmax over the candidates' scores and, last, None's."""
        pairs = zip(questions.history, questions.candidates, strict=True)
        scores = [[*(self.score(history, text) for text in texts), self.none] for history, texts in pairs]
        return (self.sharpness * torch.tensor(scores)).log_softmax(1)


def maker(text: str) -> str:
    """The last attribute of an item's text."""
    return text.rsplit("; ", 1)[-1]
