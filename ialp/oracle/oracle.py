"""The oracle: candidates are shuffled, questions asked once, answers kept, and put back in order."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ialp.data.catalogue import Catalogue
from ialp.errors import UserError
from ialp.oracle.backends.base import JudgeBackend
from ialp.oracle.cache import JudgementCache
from ialp.oracle.prompt import PromptTemplate
from ialp.oracle.questions import Questions, latest
from ialp.types import Judgement

STORE_EVERY = 256  # questions; a killed run loses no more than these


class BudgetExceeded(UserError):  # noqa: N818 - a clean stop
    """The model would have to be asked more often than the budget allows; all answers so far are in the cache."""


class Oracle:
    """Judges which of K candidates a user would take next, through one persistent cache.

    Args:
        backend: The judge that is asked what the cache does not know.
        cache: Where judgements are kept; None keeps them in memory.
        template: What makes a prompt of a history and its candidates.
        catalogue: The items' texts.
        shuffle_seed: Seeds the order in which candidates are shown. It depends on the question alone, so that the
            same question always gets the same order, whatever the order of its candidates or the batch around it.
        budget: How many questions the model may be asked in all; None is no limit. Cached answers are free.
        temperature: 0 picks the most probable label; above it, labels are drawn from p^(1/temperature), with noise
            that depends on the question alone.

    Attributes:
        asked: Questions that the model has answered.
        hits: Questions that it did not have to answer: cached ones, and repeats within a batch.
    """

    def __init__(
        self,
        backend: JudgeBackend,
        cache: JudgementCache | None,
        template: PromptTemplate,
        catalogue: Catalogue,
        shuffle_seed: int = 0,
        budget: int | None = None,
        temperature: float = 0.0,
    ):
        if temperature < 0:
            raise UserError(f"temperature is {temperature}: it must be 0 (the most probable label) or more")
        self.backend = backend
        self.cache = JudgementCache() if cache is None else cache
        self.template = template
        self.catalogue = catalogue
        self.shuffle_seed = shuffle_seed
        self.budget = budget
        self.temperature = temperature
        self.asked = 0
        self.hits = 0
        backend.prepare(catalogue)

    def judge(self, history: Tensor, length: Tensor, candidates: Tensor) -> Judgement:
        """The picks for history (B, T), right-padded, with length (B,), among candidates (B, K).

        Raises:
            BudgetExceeded: The budget ends within this batch; what it still covered is answered and stored.
        """
        device = candidates.device
        recent, kept = latest(history.cpu(), length.cpu(), self.template.max_history)
        noise = question_hash(self.shuffle_seed, recent, candidates.cpu())  # (B, K + 1) uint64, the last is None's
        order = torch.from_numpy(noise[:, :-1].argsort(1, kind="stable"))  # (B, K)
        shown = candidates.cpu().gather(1, order)
        answers = self._answers(Questions.from_items(self.template, self.catalogue.texts, recent, kept, shown))
        pick = self._pick(answers, noise)  # in the order shown, so that ties favour no place in `candidates`
        restored = torch.cat([order, torch.full_like(pick, candidates.shape[1])], dim=1)  # (B, K + 1)
        log_probabilities = torch.empty_like(answers).scatter_(1, restored, answers)
        return Judgement(restored.gather(1, pick).squeeze(1).to(device), log_probabilities.to(device))

    def _answers(self, questions: Questions) -> Tensor:
        """(B, K + 1) log-probabilities in the order shown, from the cache or else from the model."""
        keys = [self._key(prompt) for prompt in questions.prompts]
        first = {key: row for row, key in reversed(list(enumerate(keys)))}  # where a key is met first
        known = self.cache.get_many(list(first))
        unknown = sorted(row for key, row in first.items() if key not in known)
        self.hits += len(keys) - len(unknown)
        affordable = unknown if self.budget is None else unknown[: max(self.budget - self.asked, 0)]
        for start in range(0, len(affordable), STORE_EVERY):
            known |= self._ask(questions, keys, affordable[start : start + STORE_EVERY])
        if len(affordable) < len(unknown):
            raise BudgetExceeded(
                f"the judgement budget of {self.budget} questions is spent: raise it, or train shorter; "
                f"all {self.asked} answers are in the cache {self.cache.path}"
            )
        return torch.stack([known[key] for key in keys])

    def _ask(self, questions: Questions, keys: Sequence[bytes], rows: Sequence[int]) -> dict[bytes, Tensor]:
        answers = self.backend.log_probabilities(questions.select(rows)).float().cpu()
        fresh = {keys[row]: answer for row, answer in zip(rows, answers, strict=True)}
        self.cache.put_many(fresh)
        self.asked += len(rows)
        return fresh

    def _key(self, prompt: str) -> bytes:
        return hashlib.sha256(f"{self.backend.fingerprint}\n{prompt}".encode()).digest()

    def _pick(self, log_probabilities: Tensor, noise: np.ndarray) -> Tensor:
        """(B, 1) the label picked: argmax, or a Gumbel-max draw at a temperature above 0."""
        if self.temperature == 0:
            return log_probabilities.argmax(1, keepdim=True)
        uniform = torch.from_numpy((mix(noise) >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53
        gumbel = -torch.log(-torch.log(uniform))
        return (log_probabilities / self.temperature + gumbel).argmax(1, keepdim=True)


def question_hash(seed: int, history: Tensor, candidates: Tensor) -> np.ndarray:
    """(B, K + 1) uint64 hashes of (seed, history in its order, candidates as a set) with each candidate, None last.

    Sorting by it shuffles the candidates in a way that their own order has no part in.
    """
    items, offered = history.numpy().astype(np.uint64), candidates.numpy().astype(np.uint64)
    state = mix(np.full(len(items), seed, np.uint64))
    for column in items.T:  # at most max_history columns
        state = mix(state ^ column)
    state = mix(state ^ mix(offered).sum(1, dtype=np.uint64))
    labels = np.concatenate([offered, np.zeros((len(items), 1), np.uint64)], axis=1)
    return mix(state[:, None] ^ mix(labels))


def mix(values: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64: neighbouring integers become unrelated ones."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
