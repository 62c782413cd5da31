"""Tables of words and estimates, written as Markdown and CSV; page.html shows them as HTML."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ialp.report.statistics import Estimate

BEST, SECOND = 1, 2
PAPER = "paper"  # heading of a column that repeats the paper's figure for the column before it


@dataclass(frozen=True)
class Cell:
    """One place of a table: words, a count, a figure, an estimate with its interval, or None for nothing."""

    value: str | int | float | Estimate | None
    rank: int = 0  # BEST, SECOND or 0

    @property
    def text(self) -> str:
        """The value, rounded."""
        if self.value is None:
            return "–"
        if isinstance(self.value, str):
            return self.value
        if isinstance(self.value, int):
            return f"{self.value:,}"
        return number(self.value.value if isinstance(self.value, Estimate) else self.value)

    @property
    def interval(self) -> str:
        """An estimate's "low, high"; "" without one."""
        if not isinstance(self.value, Estimate) or self.value.low is None or self.value.high is None:
            return ""
        return f"{number(self.value.low)}, {number(self.value.high)}"


@dataclass
class Table:
    """A table."""

    key: str  # stem of its files, and its anchor on the page
    title: str
    columns: list[str]  # the first one is of words, the others are of figures unless `words`
    sections: dict[str, list[list[Cell]]] = field(default_factory=dict)  # heading, such as a world -> rows
    notes: list[str] = field(default_factory=list)  # lines below it
    words: bool = False


def row(*values: Any) -> list[Cell]:
    """A row of cells from plain values; a Cell stays as it is."""
    return [value if isinstance(value, Cell) else Cell(value) for value in values]


def number(value: float) -> str:
    """Two decimals, one from 100 on, a true minus sign."""
    return f"{value:.{1 if abs(value) >= 99.995 else 2}f}".replace("-", "−")


def ranks(values: Mapping[Any, float]) -> dict[Any, int]:
    """Key -> BEST or SECOND, the highest first; equal values share the rank."""
    highest = sorted(set(values.values()), reverse=True)[:2]
    return {key: 1 + highest.index(value) for key, value in values.items() if value in highest}


def markdown(table: Table) -> str:
    """One GitHub table per section."""
    rule = ["---"] + ["---" if table.words else "---:"] * (len(table.columns) - 1)
    parts = [f"**{table.title}**"]
    for heading, rows in table.sections.items():
        shown = [[_markdown(cell) for cell in cells] for cells in rows]
        parts += [f"*{heading}*"] if heading else []
        parts.append("\n".join(f"| {' | '.join(cells)} |" for cells in [table.columns, rule, *shown]))
    return "\n\n".join([*parts, *table.notes]) + "\n"


def comma_separated(table: Table) -> str:
    """The rows with unrounded figures: an estimate has columns for the ends of its interval, and "n" for its seeds."""
    names = [f"{table.columns[i - 1]} {name}" if name == PAPER else name for i, name in enumerate(table.columns)]
    records: list[dict[str, Any]] = []
    for heading, rows in table.sections.items():
        for cells in rows:
            records.append({"section": heading})
            for name, cell in zip(names, cells, strict=True):
                each = cell.value
                known = {name: each}
                if isinstance(each, Estimate):
                    known = {name: each.value, f"{name} low": each.low, f"{name} high": each.high, f"{name} n": each.n}
                records[-1] |= known
    out = io.StringIO()
    fields = list(dict.fromkeys(key for record in records for key in record)) or names
    writer = csv.DictWriter(out, fields, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def _markdown(cell: Cell) -> str:
    text = {BEST: "**{}**", SECOND: "<ins>{}</ins>"}.get(cell.rank, "{}").format(cell.text)
    return (text + (f" [{cell.interval}]" if cell.interval else "")).replace("|", r"\|")
