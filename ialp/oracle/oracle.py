"""The oracle: a judge behind a cache, asked about shuffled candidates, and how its answers become picks."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ialp.data.catalogue import Catalogue
from ialp.errors import UserError
from ialp.oracle.backends.base import BudgetExceeded, JudgeBackend, checked, part_of
from ialp.oracle.cache import JudgeId, JudgementCache
from ialp.oracle.calibration import pick_calibrated
from ialp.oracle.prompt import PromptTemplate
from ialp.oracle.questions import Questions, latest
from ialp.types import Judgement


@dataclass
class Judging:
    """How answers become picks.

    Attributes:
        orders: Every question is asked in so many orders of its candidates, and the probabilities are averaged.
        none: `argmax`: None is picked where it is the most probable label (the paper); `calibrated`: where its
            probability reaches the threshold that OracleTuning fitted.
        temperature: 0 picks the most probable label; above it, labels are drawn from p^(1/temperature), with noise
            that depends on the question alone.
        reward: `accepted`: 1 for a pick, 0 for None (Eq. 3, the paper); `probability`: what the judge gave the action.
        shuffle_seed: Seeds the order in which candidates are shown. It depends on the question alone, so that the
            same question always gets the same order, whatever the order of its candidates or the batch around it.
    """

    orders: int = 1
    none: Literal["argmax", "calibrated"] = "argmax"
    temperature: float = 0.0
    reward: Literal["accepted", "probability"] = "accepted"
    shuffle_seed: int = 0

    def __post_init__(self) -> None:
        if self.orders < 1:
            raise UserError(f"judging.orders is {self.orders}: it must be at least 1")
        if self.temperature < 0:
            raise UserError(f"temperature is {self.temperature}: it must be 0 (the most probable label) or more")


class Oracle:
    """Judges which of K candidates a user would take next, through one persistent cache.

    Args:
        backend: The judge that is asked what the cache does not know.
        cache: Where judgements are kept; None keeps them in memory.
        budget: How many prompts the model may be asked in all, by all processes; None is no limit.
        none_threshold: Probability of None from which on it is the pick; None (the value): where it is the largest.

    Attributes:
        asked: Prompts that the model has answered.
        hits: Prompts that it did not have to answer: cached ones, and repeats within a batch.
        identity: As whom the cache knows the judge.
    """

    def __init__(
        self,
        backend: JudgeBackend,
        cache: JudgementCache | None,
        template: PromptTemplate,
        catalogue: Catalogue,
        judging: Judging | None = None,
        budget: int | None = None,
        none_threshold: float | None = None,
    ):
        self.backend, self.template, self.catalogue = backend, template, catalogue
        self.cache = JudgementCache() if cache is None else cache
        self.judging, self.budget, self.none_threshold = judging or Judging(), budget, none_threshold
        self._share = 0, 1
        self.asked = self.hits = 0
        backend.prepare(catalogue)
        # Once, and early: it may cover a source file, which somebody may edit while what was read of it still answers.
        self.identity = JudgeId(backend.fingerprint, backend.name)

    def share(self, rank: int, ranks: int) -> None:
        """From now on this is one of `ranks` processes that share budget and limits."""
        self._share = rank, ranks
        self.backend.share(rank, ranks)

    def judge(self, history: Tensor, length: Tensor, candidates: Tensor) -> Judgement:
        """The picks for history (B, T), right-padded, with length (B,), among candidates (B, K).

        Raises:
            BudgetExceeded: The budget ends within this batch; what it still covered is answered and stored.
        """
        device = candidates.device
        recent, kept = latest(history.cpu(), length.cpu(), self.template.max_history)
        orders = self.judging.orders
        seeds = [self.judging.shuffle_seed ^ (turn << 32) for turn in range(orders)]
        noises = [question_hash(seed, recent, candidates.cpu()) for seed in seeds]  # (B, K + 1) each, None's last
        order = torch.from_numpy(np.concatenate(noises)[:, :-1].argsort(1, kind="stable"))  # (orders·B, K)
        shown = candidates.cpu().repeat(orders, 1).gather(1, order)
        texts = self.catalogue.texts
        asked = Questions.from_items(self.template, texts, recent.repeat(orders, 1), kept.repeat(orders), shown)
        answers = self.answers(asked)  # (orders·B, K + 1), as shown
        restored = torch.cat([order, torch.full((len(order), 1), candidates.shape[1])], dim=1)
        turns = torch.empty_like(answers).scatter_(1, restored, answers).view(orders, len(recent), -1)
        log_probabilities = turns.logsumexp(0) - math.log(orders) if orders > 1 else turns[0]  # (B, K + 1)
        first = restored[: len(recent)]  # picks are made in an order shown, so that ties favour no place
        pick = first.gather(1, self._pick(log_probabilities.gather(1, first), noises[0]))
        return Judgement(pick.squeeze(1).to(device), log_probabilities.to(device))

    def reward(self, judgement: Judgement, pick: Tensor) -> Tensor:
        """(B,) r^p of the candidates (B,) that became actions: Eq. 3, or the probability that the judge gave them."""
        if self.judging.reward == "accepted":
            return judgement.accepted.float()
        return judgement.log_probabilities.gather(1, pick.unsqueeze(1)).squeeze(1).exp()

    def state_dict(self) -> dict[str, int]:
        """How much has been asked."""
        return {"asked": self.asked, "hits": self.hits}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes on counting where `state_dict` was taken; what was asked after it is in the cache."""
        self.asked, self.hits = state["asked"], state["hits"]

    def answers(self, questions: Questions) -> Tensor:
        """(B, K + 1) log-probabilities in the order shown, from the cache or else from the model; raises as `judge`."""
        keys = [question_key(self.identity.fingerprint, prompt) for prompt in questions.prompts]
        first = {key: row for row, key in reversed(list(enumerate(keys)))}  # where a key is met first
        known = self.cache.get_many(list(first), questions.num_candidates + 1)
        unknown = sorted(row for key, row in first.items() if key not in known)
        self.hits += len(keys) - len(unknown)
        budget = part_of(self.budget, *self._share)
        affordable = unknown if budget is None else unknown[: max(budget - self.asked, 0)]
        if affordable:
            known |= self._ask(questions, keys, affordable)
        if len(affordable) < len(unknown):
            shared = f", of which this one of {ranks} processes has {budget}," if (ranks := self._share[1]) > 1 else ""
            raise BudgetExceeded(
                f"the judgement budget of {self.budget} questions{shared} is spent: raise it, or train shorter; "
                f"all {self.asked} answers are in the cache {self.cache.path}"
            )
        return torch.stack([known[key] for key in keys])

    def _ask(self, questions: Questions, keys: Sequence[bytes], rows: Sequence[int]) -> dict[bytes, Tensor]:
        """Ask the model, and store every answer as soon as it is there."""
        found: dict[bytes, Tensor] = {}
        for answered, log_probabilities in self.backend.stream(questions.select(rows)):
            answers = checked(self.backend, log_probabilities, len(answered), questions.num_candidates + 1)
            fresh = {keys[rows[row]]: answer for row, answer in zip(answered, answers, strict=True)}
            self.cache.put_many(fresh, self.identity)
            self.asked += len(fresh)
            found |= fresh
        return found

    def _pick(self, log_probabilities: Tensor, noise: np.ndarray) -> Tensor:
        """(B, 1) the label picked: argmax, or a Gumbel-max draw at a temperature above 0."""
        scores = log_probabilities
        if self.judging.temperature > 0:
            uniform = torch.from_numpy((mix(noise) >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53
            scores = scores / self.judging.temperature - torch.log(-torch.log(uniform))
        if self.none_threshold is None:
            return scores.argmax(1, keepdim=True)
        return pick_calibrated(log_probabilities, scores, self.none_threshold).unsqueeze(1)


def question_key(fingerprint: str, prompt: str) -> bytes:
    """Under which the cache knows a judge's answer to a prompt: 32 bytes."""
    return hashlib.sha256(f"{fingerprint}\n{prompt}".encode()).digest()


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
