"""What a judge is worth: its answers to questions whose answer is known, and the figures drawn from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from ialp.oracle.calibration import pick_calibrated
from ialp.oracle.oracle import Oracle
from ialp.oracle.prompt import LABELS
from ialp.oracle.questions import PromptBatch, Questions

BINS = 10  # of the reliability curve
ROUNDED = 4  # digits


@dataclass
class JudgeEvaluation:
    """The answers of one judge. n questions, K candidates; log-probabilities are (n, K + 1), None last.

    Attributes:
        judge: Name of the judge.
        answer: (n,) index of the true next item among the candidates of `with_target`.
        with_target: Answers where the true next item is among the candidates, the others drawn uniformly.
        without_target: Answers where it is not: None is right.
        label_mass: Mean probability that the model gave to any label, if that has a meaning.
        none_threshold: Probability from which on None is the calibrated pick; None where none was fitted.
        popular: Answers where the other candidates are drawn by popularity, and (n,) the index of the true item there.
        permuted: (2n, K + 1) the questions of `with_target` and `without_target` with their candidates in another
            order, put back into the first.
        none_share: Share of questions without the true item for which confidence is held against correctness.
        cost: What it took: prompts, seconds, tokens.
    """

    judge: str
    answer: Tensor
    with_target: Tensor
    without_target: Tensor
    label_mass: float | None = None
    none_threshold: float | None = None
    popular: tuple[Tensor, Tensor] | None = None
    permuted: Tensor | None = None
    none_share: float = 0.1
    cost: dict[str, float | None] | None = None

    @property
    def none(self) -> int:
        """K, the index of None."""
        return self.with_target.shape[1] - 1

    def right(self, calibrated: bool = False, popular: bool = False) -> Tensor:
        """(n,) bool: the true next item is the pick, None being an answer, too."""
        answers, truth = self.with_target, self.answer
        if popular:
            assert self.popular is not None
            answers, truth = self.popular
        return self.picks(answers, calibrated) == truth

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
        picks = torch.cat([self.picks(self.with_target), self.picks(self.without_target)])
        won = torch.bincount(picks, minlength=self.none + 1) / len(picks)
        figures: dict[str, Any] = {
            "judge": self.judge,
            **self._picked(),
            "labels": dict(zip(LABELS, won.tolist(), strict=False)),
            "label_mass": self.label_mass,
        }
        if self.none_threshold is not None:
            calibrated = self._picked(calibrated=True)
            figures["none_threshold"] = self.none_threshold
            figures |= {f"{name}_calibrated": value for name, value in calibrated.items() if name != "ranked_first"}
        if self.popular is not None:
            figures["picked_popular"] = share(self.right(popular=True))
            figures["ranked_first_popular"] = share(self.popular[0][:, :-1].argmax(1) == self.popular[1])
        if self.permuted is not None:
            figures["order_sensitivity"] = share(self.permuted.argmax(1) != picks)
        figures["calibration_error"] = round(calibration_error(*self.confidence()), ROUNDED)
        return figures | ({"cost": self.cost} if self.cost else {})

    def _picked(self, calibrated: bool = False) -> dict[str, float | None]:
        with_target = self.picks(self.with_target, calibrated) == self.none
        without_target = self.picks(self.without_target, calibrated) == self.none
        nones = int(with_target.sum() + without_target.sum())
        return {
            "picked": share(self.right(calibrated)),
            "ranked_first": share(self.with_target[:, :-1].argmax(1) == self.answer),
            "none_with": share(with_target),
            "none_without": share(without_target),
            "none_precision": round(int(without_target.sum()) / nones, ROUNDED) if nones else None,
            "none_recall": share(without_target),
        }

    def confidence(self) -> tuple[Tensor, Tensor]:
        """The probability of the most probable label, and whether it is right; `none_share` of all without the item."""
        count = min(round(self.none_share / (1 - self.none_share) * len(self.answer)), len(self.without_target))
        best = torch.cat([self.with_target, self.without_target[:count]]).max(1)
        truth = torch.cat([self.answer, torch.full((count,), self.none)])
        return best.values.exp(), best.indices == truth

    def ranks(self) -> Tensor:
        """(K,) share of true next items that stand first, second, … among the candidates, None aside."""
        candidates = self.with_target[:, :-1]
        true = candidates.gather(1, self.answer[:, None])
        earlier = torch.arange(self.none) < self.answer[:, None]  # of equals the first shown stands above
        above = ((candidates > true) | ((candidates == true) & earlier)).sum(1)
        return torch.bincount(above, minlength=self.none) / len(above)


def evaluate(
    oracle: Oracle, with_target: PromptBatch, without_target: PromptBatch, none_threshold: float | None = None
) -> JudgeEvaluation:
    """Ask what the log knows: questions with the true next item, and the same ones without it."""
    answers, answers_without = (oracle.answers(batch.questions) for batch in (with_target, without_target))
    judge = oracle.backend
    return JudgeEvaluation(judge.name, with_target.answer, answers, answers_without, judge.label_mass, none_threshold)


def evaluate_in_full(
    oracle: Oracle, batches: Sequence[PromptBatch], none_threshold: float | None, none_share: float, seed: int
) -> JudgeEvaluation:
    """The same, with popular others (the third of the batches) and another order of the candidates besides."""
    start = perf_counter()
    with_target, without_target, popular = batches
    found = evaluate(oracle, with_target, without_target, none_threshold)
    answers = oracle.answers(popular.questions)
    permuted = torch.cat([answers_permuted(oracle, batch.questions, seed) for batch in batches[:2]])
    seconds = perf_counter() - start
    cost = {
        "asked": oracle.asked,
        "cached": oracle.hits,
        "seconds": round(seconds, 2),
        "judgements_per_second": round(oracle.asked / seconds, 2) if oracle.asked else None,
        "tokens": oracle.backend.tokens,
    }
    found = replace(found, popular=(answers, popular.answer), permuted=permuted, none_share=none_share, cost=cost)
    return replace(found, label_mass=oracle.backend.label_mass)


def answers_permuted(oracle: Oracle, questions: Questions, seed: int) -> Tensor:
    """(B, K + 1) answers to the questions with candidates in an order drawn from `seed`, put back into theirs."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(len(questions), questions.num_candidates, generator=generator).argsort(1)  # (B, K)
    rows = zip(questions.candidates, order.tolist(), strict=True)
    permuted = [[row[place] for place in places] for row, places in rows]
    answers = oracle.answers(Questions(questions.template, questions.history, permuted))
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


def print_evaluations(rows: Mapping[str, Mapping[str, Any]], questions: int, num_candidates: int) -> None:
    """A table with one line of `figures` per judge, chance first, and how often each label wins."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Oracle on {questions} held-out questions, {num_candidates} candidates each")
    columns = ("", "true item picked", "ranked first", "None: item there", "None: item missing", "mass on labels")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    chance = f"{1 / (num_candidates + 1):.3f}"
    table.add_row("chance", chance, f"{1 / num_candidates:.3f}", chance, chance, "")
    for name, row in rows.items():
        figures = [f"{row[key]:.3f}" for key in ("picked", "ranked_first", "none_with", "none_without")]
        table.add_row(name, *figures, "" if row["label_mass"] is None else f"{row['label_mass']:.3f}")
    console = Console()
    console.print(table)
    for name, row in rows.items():
        shares = "  ".join(f"{label} {100 * won:.0f}" for label, won in row["labels"].items())
        console.print(f"how often each label wins, {name} (%): {shares}", soft_wrap=True, highlight=False)
