"""A table of what a tuning brought."""

from collections.abc import Mapping
from typing import Any


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
