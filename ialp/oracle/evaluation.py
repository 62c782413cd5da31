"""What a judge is worth: its answers to questions whose answer is known, and the figures drawn from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ialp.oracle.calibration import pick_calibrated
from ialp.oracle.oracle import Oracle
from ialp.oracle.prompt import LABELS
from ialp.oracle.questions import PromptBatch

BINS = 10  # of the calibration error
NONE_SHARE = 0.1  # share of the questions of the calibration error whose answer is None
ROUNDED = 4  # digits


@dataclass
class JudgeEvaluation:
    """The answers of one judge to n questions with K candidates; log-probabilities are (n, K + 1), None last."""

    judge: str
    answer: Tensor  # (n,) index of the true next item among the candidates of `with_target`
    with_target: Tensor  # where the true next item is among the candidates
    without_target: Tensor  # where it is not: None is right
    label_mass: float | None = None  # mean probability that the model gave to any label, if that has a meaning

    def figures(self, none_threshold: float | None = None) -> dict[str, Any]:
        """All figures, ready for JSON.

        picked: share of true next items picked, None being an answer too; ranked_first: share of them above all other
        candidates, None aside; none_with, none_without: share of None where the true item is there, and where it is
        not; none_precision, none_recall: of None, over both kinds of question in equal numbers; labels: share of each
        label among all answers; calibration_error: mean distance of the pick's probability from how often it is right.
        With `_calibrated`: None where its probability reaches the threshold, if one is given.
        """
        picks = self.with_target.argmax(1), self.without_target.argmax(1)
        won = torch.bincount(torch.cat(picks), minlength=self.with_target.shape[1]) / (2 * len(self.answer))
        figures: dict[str, Any] = {
            "judge": self.judge,
            **self._picked(*picks),
            "ranked_first": _share(self.with_target[:, :-1].argmax(1) == self.answer),
            "labels": dict(zip(LABELS, won.tolist(), strict=False)),
            "label_mass": self.label_mass,
            "calibration_error": self._calibration_error(),
        }
        if none_threshold is not None:
            answers = self.with_target, self.without_target
            calibrated = self._picked(*(pick_calibrated(each, each, none_threshold) for each in answers))
            figures["none_threshold"] = none_threshold
            figures |= {f"{name}_calibrated": value for name, value in calibrated.items()}
        return figures

    def _picked(self, with_target: Tensor, without_target: Tensor) -> dict[str, float | None]:
        none = self.with_target.shape[1] - 1
        right, wrong = (without_target == none).sum(), (with_target == none).sum()
        return {
            "picked": _share(with_target == self.answer),
            "none_with": _share(with_target == none),
            "none_without": _share(without_target == none),
            "none_precision": round(int(right) / int(right + wrong), ROUNDED) if right + wrong else None,
            "none_recall": _share(without_target == none),
        }

    def _calibration_error(self) -> float:
        from torchmetrics.functional.classification import multiclass_calibration_error

        count = round(NONE_SHARE / (1 - NONE_SHARE) * len(self.answer))
        answers = torch.cat([self.with_target, self.without_target[:count]])
        labels = answers.shape[1]
        truth = torch.cat([self.answer, torch.full((len(answers) - len(self.answer),), labels - 1)])
        return round(float(multiclass_calibration_error(answers.exp(), truth, labels, n_bins=BINS)), ROUNDED)


def evaluate(oracle: Oracle, with_target: PromptBatch, without_target: PromptBatch) -> JudgeEvaluation:
    """Ask what the log knows: questions with the true next item, and the same ones without it."""
    present, absent = (oracle.answers(batch.questions) for batch in (with_target, without_target))
    return JudgeEvaluation(oracle.backend.name, with_target.answer, present, absent, oracle.backend.label_mass)


def _share(flags: Tensor) -> float:
    return round(float(flags.double().mean()), ROUNDED)


def print_evaluations(rows: Mapping[str, Mapping[str, Any]], questions: int, num_candidates: int) -> None:
    """A table with one line of `figures` per judge, chance first, and how often each label wins."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Oracle on {questions} held-out questions, {num_candidates} candidates each")
    table.add_column("")
    for column in ("true item picked", "ranked first", "None: item there", "None: item missing", "mass on labels"):
        table.add_column(column, justify="right")
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
