"""What a judge is worth: its answers to questions whose answer is known, and the figures drawn from them."""

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ialp.oracle.calibration import pick_calibrated
from ialp.oracle.oracle import Oracle
from ialp.oracle.questions import Questions

if TYPE_CHECKING:
    from ialp.oracle.questions import PromptBatch

BINS = 10  # of the reliability curve
ROUNDED = 4  # digits


@dataclass
class JudgeEvaluation:
    """The answers of one judge. n questions, K candidates; log-probabilities are (n, K + 1), None last.

    Attributes:
        judge: Name of the judge.
        labels: The K + 1 labels.
        answer: (n,) index of the true next item among the candidates of `held`.
        held: Answers where the true next item is among the candidates, the others drawn uniformly.
        bare: Answers where it is not: None is right.
        label_mass: Mean probability that the model gave to any label, if that has a meaning.
        none_threshold: Probability from which on None is the calibrated pick; None where none was fitted.
        popular: Answers where the other candidates are drawn by popularity.
        popular_answer: (n,) index of the true next item among those.
        turned: (2n, K + 1) the questions of `held` and `bare` in another order, put back into the first.
        none_share: Share of questions without the true item for which confidence is held against correctness.
        cost: What it took: prompts, seconds, tokens.
    """

    judge: str
    labels: list[str]
    answer: Tensor
    held: Tensor
    bare: Tensor
    label_mass: float | None = None
    none_threshold: float | None = None
    popular: Tensor | None = None
    popular_answer: Tensor | None = None
    turned: Tensor | None = None
    none_share: float = 0.1
    cost: dict[str, float | None] | None = None

    @property
    def none(self) -> int:
        """K, the index of None."""
        return self.held.shape[1] - 1

    def right(self, calibrated: bool = False, popular: bool = False) -> Tensor:
        """(n,) bool: the true next item is the pick, None being an answer, too."""
        if popular:
            assert self.popular is not None and self.popular_answer is not None
            return self.picks(self.popular, calibrated) == self.popular_answer
        return self.picks(self.held, calibrated) == self.answer

    def picks(self, answers: Tensor, calibrated: bool = False) -> Tensor:
        """(n,) labels picked: the most probable, or by the threshold for None."""
        if not calibrated:
            return answers.argmax(1)
        assert self.none_threshold is not None
        return pick_calibrated(answers, answers, self.none_threshold)

    def figures(self) -> dict[str, Any]:
        """All figures that the answers allow, ready for JSON.

        picked: share of true next items picked, None being an answer too; ranked_first: share of them above all other
        candidates, None aside; none_with, none_without: share of None where the true item is there, and where it is
        not; none_precision, none_recall: of None, over both kinds of question in equal numbers; labels: share of each
        label among all answers. With `_calibrated`: None by its threshold. With `_popular`: among popular others.
        """
        answers = torch.bincount(torch.cat([self.picks(self.held), self.picks(self.bare)]), minlength=self.none + 1)
        figures: dict[str, Any] = {
            "judge": self.judge,
            **self._picked(),
            "labels": dict(zip(self.labels, (answers / answers.sum()).tolist(), strict=True)),
            "label_mass": self.label_mass,
        }
        if self.none_threshold is not None:
            calibrated = self._picked(calibrated=True)
            figures["none_threshold"] = self.none_threshold
            figures |= {f"{name}_calibrated": value for name, value in calibrated.items() if name != "ranked_first"}
        if self.popular is not None:
            assert self.popular_answer is not None
            figures["picked_popular"] = share(self.right(popular=True))
            figures["ranked_first_popular"] = share(self.popular[:, :-1].argmax(1) == self.popular_answer)
        if self.turned is not None:
            figures["order_sensitivity"] = share(self.turned.argmax(1) != torch.cat([self.held, self.bare]).argmax(1))
        confidence, right = self.confidence()
        figures["calibration_error"] = round(calibration_error(confidence, right), ROUNDED)
        return figures | ({"cost": self.cost} if self.cost else {})

    def _picked(self, calibrated: bool = False) -> dict[str, float | None]:
        held, bare = self.picks(self.held, calibrated) == self.none, self.picks(self.bare, calibrated) == self.none
        said = int(held.sum() + bare.sum())
        return {
            "picked": share(self.right(calibrated)),
            "ranked_first": share(self.held[:, :-1].argmax(1) == self.answer),
            "none_with": share(held),
            "none_without": share(bare),
            "none_precision": round(int(bare.sum()) / said, ROUNDED) if said else None,
            "none_recall": share(bare),
        }

    def confidence(self) -> tuple[Tensor, Tensor]:
        """The probability of the most probable label, and whether it is right; `none_share` of all without the item."""
        count = min(round(self.none_share / (1 - self.none_share) * len(self.held)), len(self.bare))
        best = torch.cat([self.held, self.bare[:count]]).max(1)
        truth = torch.cat([self.answer, torch.full((count,), self.none)])
        return best.values.exp(), best.indices == truth

    def ranks(self) -> Tensor:
        """(K,) share of true next items that stand first, second, … among the candidates, None aside."""
        candidates = self.held[:, :-1]
        true = candidates.gather(1, self.answer[:, None])
        earlier = torch.arange(self.none) < self.answer[:, None]  # of equals the first shown stands above
        above = ((candidates > true) | ((candidates == true) & earlier)).sum(1)
        return torch.bincount(above, minlength=self.none) / len(above)


def examine(
    oracle: Oracle, held: "PromptBatch", bare: "PromptBatch", none_threshold: float | None = None
) -> JudgeEvaluation:
    """Ask what the log knows: questions with the true next item, and the same ones without it."""
    answers, answers_bare = (oracle.answers(batch.questions) for batch in (held, bare))
    judge = oracle.backend
    return JudgeEvaluation(
        judge=judge.name,
        labels=held.questions.labels,
        answer=held.answer,
        held=answers,
        bare=answers_bare,
        label_mass=judge.label_mass,
        none_threshold=none_threshold,
    )


def examine_in_full(
    oracle: Oracle,
    held: "PromptBatch",
    bare: "PromptBatch",
    popular: "PromptBatch",
    none_threshold: float | None,
    none_share: float,
    seed: int,
) -> JudgeEvaluation:
    """The same through the cache, with popular others and another order of the candidates besides."""
    start = perf_counter()
    answers = [oracle.answers(batch.questions) for batch in (held, bare, popular)]
    turned = torch.cat([answers_turned(oracle, batch.questions, seed) for batch in (held, bare)])
    seconds = perf_counter() - start
    judge = oracle.backend
    cost = {
        "asked": oracle.asked,
        "cached": oracle.hits,
        "seconds": round(seconds, 2),
        "judgements_per_second": round(oracle.asked / seconds, 2) if oracle.asked else None,
        "tokens": judge.tokens,
    }
    return JudgeEvaluation(
        judge=judge.name,
        labels=held.questions.labels,
        answer=held.answer,
        held=answers[0],
        bare=answers[1],
        label_mass=judge.label_mass,
        none_threshold=none_threshold,
        popular=answers[2],
        popular_answer=popular.answer,
        turned=turned,
        none_share=none_share,
        cost=cost,
    )


def answers_turned(oracle: Oracle, questions: Questions, seed: int) -> Tensor:
    """(B, K + 1) answers to the questions with candidates in an order drawn from `seed`, put back into theirs."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(len(questions), questions.num_candidates, generator=generator).argsort(1)  # (B, K)
    turned = [
        [row[place] for place in places] for row, places in zip(questions.candidates, order.tolist(), strict=True)
    ]
    answers = oracle.answers(Questions(questions.template, questions.history, turned))
    place = torch.cat([order, torch.full((len(order), 1), questions.num_candidates)], dim=1)
    return torch.empty_like(answers).scatter_(1, place, answers)


def reliability(confidence: Tensor, right: Tensor, bins: int = BINS) -> tuple[Tensor, Tensor, Tensor]:
    """Mean confidence, share of right answers and number, in `bins` equal steps of confidence; empty ones left out."""
    place = (confidence * bins).long().clamp(max=bins - 1)
    count = torch.bincount(place, minlength=bins)
    total = torch.bincount(place, confidence.double(), bins)
    hits = torch.bincount(place, right.double(), bins)
    there = count > 0
    return (total / count)[there], (hits / count)[there], count[there]


def calibration_error(confidence: Tensor, right: Tensor) -> float:
    """Expected calibration error: mean distance of confidence from the share of right answers, over all answers."""
    believed, happened, count = reliability(confidence, right)
    return float(((believed - happened).abs() * count).sum() / count.sum())


def share(flags: Tensor) -> float:
    """Mean of a bool tensor."""
    return round(float(flags.double().mean()), ROUNDED)
