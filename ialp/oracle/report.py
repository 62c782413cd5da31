"""How good a judge is: its picks on questions whose answer is known."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ialp.oracle.backends.base import JudgeBackend

if TYPE_CHECKING:
    from ialp.data.prompts import PromptBatch

QUESTIONS_AT_ONCE = 1000


def examine(judge: JudgeBackend, with_true: "PromptBatch", without_true: "PromptBatch") -> dict[str, Any]:
    """Ask the judge questions that hold the true next item, and questions that do not.

    Returns:
        judge: its name; picked: share of the true next item picked, None being an answer too; ranked_first: share of
        it above all other candidates, None aside; none_with and none_without: share of None where the true item is
        there, and where it is not; labels: share of each label among all answers; label_mass: mean probability that
        the model gave to any label.
    """
    held, bare = judge.log_probabilities(with_true.questions), judge.log_probabilities(without_true.questions)
    num_candidates = with_true.questions.num_candidates
    choice, choice_without = held.argmax(1), bare.argmax(1)
    answers = torch.bincount(torch.cat([choice, choice_without]), minlength=num_candidates + 1)
    return {
        "judge": judge.name,
        "picked": share(choice == with_true.answer),
        "ranked_first": share(held[:, :-1].argmax(1) == with_true.answer),
        "none_with": share(choice == num_candidates),
        "none_without": share(choice_without == num_candidates),
        "labels": dict(zip(with_true.questions.labels, (answers / answers.sum()).tolist(), strict=True)),
        "label_mass": judge.label_mass,
    }


def share(flags: Tensor) -> float:
    """Mean of a bool tensor."""
    return round(float(flags.double().mean()), 4)


def print_report(rows: Mapping[str, Mapping[str, Any]], questions: int, num_candidates: int) -> None:
    """A table with one line per judge examined, chance first, and how often each label wins."""
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
