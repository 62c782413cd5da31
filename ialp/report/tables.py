"""A table, and how it is written: Markdown, LaTeX, CSV; the page has a template of its own for it."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ialp.report.statistics import Estimate

BEST, SECOND = 1, 2
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "ε": r"$\epsilon$", "α": r"$\alpha$", "–": "--",
    "−": "$-$", "×": r"$\times$", "≥": r"$\geq$", "†": r"$\dagger$", "Σ": r"$\Sigma$", "…": r"\dots{}", "·": r"$\cdot$",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table.

    Attributes:
        text: The figure or the word.
        interval: "low, high", smaller beside it; "" without.
        rank: BEST, SECOND or 0.
    """

    text: str
    interval: str = ""
    rank: int = 0


@dataclass
class Section:
    """Rows under one heading, such as a world; `apart` are those that are shown for orientation and not ranked."""

    heading: str
    rows: list[list[Cell]] = field(default_factory=list)
    apart: list[list[Cell]] = field(default_factory=list)


@dataclass
class Table:
    """A table in all its forms.

    Attributes:
        key: Stem of its files, and its anchor on the page.
        title: One line.
        columns: The first one is of words, the others of figures unless `words`.
        notes: Lines below it.
        records: The same figures, one a row, unrounded: the CSV.
        words: The table is one of words throughout.
    """

    key: str
    title: str
    columns: list[str]
    sections: list[Section] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    words: bool = False

    @property
    def empty(self) -> bool:
        """Nothing to show."""
        return not any(section.rows or section.apart for section in self.sections)


def cell(estimate: Estimate | None, rank: int = 0, signed: bool = False) -> Cell:
    """An estimate, three digits or two decimals, with its interval."""
    if estimate is None:
        return Cell("–")
    interval = ""
    if estimate.low is not None and estimate.high is not None:
        interval = f"{number(estimate.low, signed)}, {number(estimate.high, signed)}"
    return Cell(number(estimate.value, signed), interval, rank)


def number(value: float, signed: bool = False) -> str:
    """Two decimals, one from 100 on, a true minus sign."""
    places = 1 if abs(value) >= 99.995 else 2
    return f"{value:{'+' if signed else ''}.{places}f}".replace("-", "−")


def ranks(values: Mapping[Any, float]) -> dict[Any, int]:
    """Key -> BEST or SECOND, the highest first; what is level shares the rank."""
    highest = sorted(set(values.values()), reverse=True)[:2]
    return {key: 1 + highest.index(value) for key, value in values.items() if value in highest}


def markdown(table: Table) -> str:
    """The table as GitHub shows it, one per section."""
    parts = [f"**{table.title}**"]
    for section in table.sections:
        rule = ["---"] + ["---" if table.words else "---:"] * (len(table.columns) - 1)
        rows = [*section.rows, *([_italic(c) for c in row] for row in section.apart)]
        lines = [_line(table.columns), _line(rule), *(_line([_markdown(c) for c in row]) for row in rows)]
        parts += [f"*{section.heading}*"] * bool(section.heading) + ["\n".join(lines)]
    return "\n\n".join([*parts, *table.notes]) + "\n"


def latex(table: Table) -> str:
    """A tabular with booktabs rules, to be read by input; the title is its caption."""
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
        lines += [" & ".join(map(_latex, row)) + r" \\" for row in section.rows]
        if section.rows and section.apart:
            lines.append(rf"\cmidrule{{1-{width}}}")
        lines += [" & ".join(map(_latex, row)) + r" \\" for row in section.apart]
    notes = [rf"\\{{\footnotesize {escaped(note)}}}" for note in table.notes]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *notes, r"\end{table}"]) + "\n"


def comma_separated(table: Table) -> str:
    """The records."""
    fields = list(dict.fromkeys(key for record in table.records for key in record))
    out = io.StringIO()
    writer = csv.DictWriter(out, fields or ["nothing"], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.records)
    return out.getvalue()


def estimate_record(estimate: Estimate) -> dict[str, Any]:
    """An estimate as columns of a record."""
    return {"n": estimate.n, "value": estimate.value, "low": estimate.low, "high": estimate.high}


def escaped(text: str) -> str:
    """Text for LaTeX."""
    return re.sub("|".join(map(re.escape, LATEX)), lambda found: LATEX[found[0]], text)


def text_cells(values: Iterable[object]) -> list[Cell]:
    """A row of words."""
    return [Cell(str(value)) for value in values]


def _markdown(each: Cell) -> str:
    text = {BEST: f"**{each.text}**", SECOND: f"<ins>{each.text}</ins>"}.get(each.rank, each.text)
    return (text + (f" [{each.interval}]" if each.interval else "")).replace("|", r"\|")


def _italic(each: Cell) -> Cell:
    return Cell(f"*{each.text}*" if each.text else "", each.interval)


def _latex(each: Cell) -> str:
    text = escaped(each.text)
    marked = {BEST: rf"\textbf{{{text}}}", SECOND: rf"\underline{{{text}}}"}.get(each.rank, text)
    return marked + (rf" {{\scriptsize [{escaped(each.interval)}]}}" if each.interval else "")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
