"""Tables of words and estimates, written as Markdown, LaTeX and CSV; page.html shows them as HTML."""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ialp.report.statistics import Estimate

BEST, SECOND = 1, 2
PAPER = "paper"
"""Heading of a column that repeats the paper's figure for the column before it."""
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "ε": r"$\epsilon$", "α": r"$\alpha$", "–": "--",
    "−": "$-$", "×": r"$\times$", "≥": r"$\geq$", "†": r"$\dagger$", "Σ": r"$\Sigma$", "…": r"\dots{}", "·": r"$\cdot$",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One place of a table.

    Attributes:
        value: Words, a count, a figure, an estimate with its interval, or None where there is nothing.
        rank: BEST, SECOND or 0.
        signed: Positive figures have a plus sign.
    """

    value: str | int | float | Estimate | None
    rank: int = 0
    signed: bool = False

    @property
    def text(self) -> str:
        """The value, rounded."""
        if self.value is None:
            return "–"
        if isinstance(self.value, Estimate):
            return number(self.value.value, self.signed)
        if isinstance(self.value, str):
            return self.value
        return f"{self.value:,}" if isinstance(self.value, int) else number(self.value, self.signed)

    @property
    def interval(self) -> str:
        """An estimate's "low, high"; "" without one."""
        if not isinstance(self.value, Estimate) or self.value.low is None or self.value.high is None:
            return ""
        return f"{number(self.value.low, self.signed)}, {number(self.value.high, self.signed)}"


@dataclass
class Section:
    """Rows under one heading, such as a world; `apart` are rows shown for orientation, in italics and not ranked."""

    heading: str
    rows: list[list[Cell]] = field(default_factory=list)
    apart: list[list[Cell]] = field(default_factory=list)


@dataclass
class Table:
    """A table; `key` is the stem of its files and its anchor on the page.

    Attributes:
        columns: The first one is of words, the others are of figures unless `words`.
        notes: Lines below it.
    """

    key: str
    title: str
    columns: list[str]
    sections: list[Section] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    words: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is no row."""
        return not any(section.rows or section.apart for section in self.sections)


def row(*values: Any) -> list[Cell]:
    """A row of cells from plain values; a Cell stays as it is."""
    return [value if isinstance(value, Cell) else Cell(value) for value in values]


def number(value: float, signed: bool = False) -> str:
    """Two decimals, one from 100 on, a true minus sign."""
    places = 1 if abs(value) >= 99.995 else 2
    return f"{value:{'+' if signed else ''}.{places}f}".replace("-", "−")


def ranks(values: Mapping[Any, float]) -> dict[Any, int]:
    """Key -> BEST or SECOND, the highest first; equal values share the rank."""
    highest = sorted(set(values.values()), reverse=True)[:2]
    return {key: 1 + highest.index(value) for key, value in values.items() if value in highest}


def markdown(table: Table) -> str:
    """One GitHub table per section."""
    rule = ["---"] + ["---" if table.words else "---:"] * (len(table.columns) - 1)
    parts = [f"**{table.title}**"]
    for section in table.sections:
        shown = [[_markdown(cell) for cell in cells] for cells in section.rows]
        shown += [[_markdown(cell, "*{}*") for cell in cells] for cells in section.apart]
        parts += [f"*{section.heading}*"] if section.heading else []
        parts.append("\n".join(f"| {' | '.join(cells)} |" for cells in [table.columns, rule, *shown]))
    return "\n\n".join([*parts, *table.notes]) + "\n"


def latex(table: Table) -> str:
    """A table environment with booktabs rules, for a paper to input; the title is its caption."""
    width = len(table.columns)
    lines = [
        r"\begin{table}", r"\centering", rf"\caption{{{escaped(table.title)}}}", rf"\label{{tab:{table.key}}}",
        rf"\begin{{tabular}}{{{'l' * width if table.words else 'l' + 'r' * (width - 1)}}}", r"\toprule",
        " & ".join(map(escaped, table.columns)) + r" \\",
    ]  # fmt: skip
    for section in table.sections:
        lines.append(r"\midrule")
        if section.heading:
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\textit{{{escaped(section.heading)}}}}} \\")
        lines += [" & ".join(map(_latex, cells)) + r" \\" for cells in section.rows]
        lines += [rf"\cmidrule{{1-{width}}}"] if section.rows and section.apart else []
        lines += [" & ".join(map(_latex, cells)) + r" \\" for cells in section.apart]
    notes = [rf"\\{{\footnotesize {escaped(note)}}}" for note in table.notes]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *notes, r"\end{table}"]) + "\n"


def comma_separated(table: Table) -> str:
    """The rows with unrounded figures: an estimate has columns for the ends of its interval, and "n" for its seeds."""
    names = [f"{table.columns[i - 1]} {name}" if name == PAPER else name for i, name in enumerate(table.columns)]
    records: list[dict[str, Any]] = []
    for section in table.sections:
        for cells in [*section.rows, *section.apart]:
            records.append({"section": section.heading})
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


def escaped(text: str) -> str:
    """Text for LaTeX."""
    return re.sub("|".join(map(re.escape, LATEX)), lambda found: LATEX[found[0]], text)


def _markdown(cell: Cell, style: str = "{}") -> str:
    style = {BEST: "**{}**", SECOND: "<ins>{}</ins>"}.get(cell.rank, style)
    text = style.format(cell.text) if cell.text else ""
    return (text + (f" [{cell.interval}]" if cell.interval else "")).replace("|", r"\|")


def _latex(cell: Cell) -> str:
    text = escaped(cell.text)
    marked = {BEST: rf"\textbf{{{text}}}", SECOND: rf"\underline{{{text}}}"}.get(cell.rank, text)
    return marked + (rf" {{\scriptsize [{escaped(cell.interval)}]}}" if cell.interval else "")
