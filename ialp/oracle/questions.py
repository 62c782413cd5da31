"""Questions for a judge: histories and candidates as texts, and the prompts made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ialp.oracle.prompt import PromptTemplate


@dataclass
class Questions:
    """B questions with K candidates each, in the order in which the judge reads them."""

    template: PromptTemplate
    history: list[list[str]]  # B lists of item texts, oldest first, already cut to the template's latest items
    candidates: list[list[str]]  # B lists of K item texts

    @classmethod
    def from_items(
        cls, template: PromptTemplate, texts: Sequence[str], history: Tensor, length: Tensor, candidates: Tensor
    ) -> "Questions":
        """From ids: history (B, T), right-padded, with length (B,), candidates (B, K); `texts` is the catalogue's.

        Ids past the catalogue stand for users, and the prompt speaks of items only: they are left out.
        """
        recent, kept = latest(history, length, template.max_history)
        rows = zip(recent.tolist(), kept.tolist(), strict=True)
        shown = [[texts[item] for item in row[:count] if item < len(texts)] for row, count in rows]
        return cls(template, shown, [[texts[item] for item in row] for row in candidates.tolist()])

    def __len__(self) -> int:
        return len(self.history)

    @property
    def num_candidates(self) -> int:
        """K, the number of items to choose from."""
        return len(self.candidates[0])

    @property
    def labels(self) -> list[str]:
        """The K + 1 answers, None's last."""
        return self.template.labels(self.num_candidates)

    @cached_property
    def prompts(self) -> list[str]:
        """B prompts that end where the answer is due."""
        return [self.template.render(*pair) for pair in zip(self.history, self.candidates, strict=True)]

    def select(self, indices: Sequence[int]) -> "Questions":
        """The questions at `indices`, in that order."""
        chosen = Questions(self.template, [self.history[i] for i in indices], [self.candidates[i] for i in indices])
        if "prompts" in self.__dict__:
            chosen.__dict__["prompts"] = [self.prompts[i] for i in indices]
        return chosen


def latest(history: Tensor, length: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The latest `count` items of every history (B, T): (B, count) right-padded with 0, and how many they are (B,)."""
    kept = length.clamp(max=count)
    position = (length - kept)[:, None] + torch.arange(count, device=history.device)
    valid = position < length[:, None]
    return history.gather(1, position.clamp(max=history.shape[1] - 1)) * valid, kept


@dataclass
class PromptBatch:
    """B questions with K candidates whose answer is known."""

    questions: Questions
    answer: Tensor  # (B,) index of the true next item among the candidates, K where it is not among them

    def select(self, indices: Sequence[int]) -> "PromptBatch":
        """The questions at `indices` with their answers."""
        return PromptBatch(self.questions.select(indices), self.answer[list(indices)])
