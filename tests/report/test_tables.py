"""A table in Markdown, LaTeX and CSV."""

import csv
import io

from ialp.report.statistics import Estimate
from ialp.report.tables import BEST, SECOND, Cell, Section, Table, cell, comma_separated, latex, markdown, number, ranks

ROWS = [[Cell("a_b & c|d"), Cell("3.00", "2.50, 3.50", BEST)], [Cell("ε-greedy"), Cell("2.00", "", SECOND)]]
TABLE = Table(
    "t", "Title, 100 %", ["method", "R_avg"], [Section("LFM", ROWS, [[Cell("random"), Cell("1.00")]])], ["A note."],
    [{"x": 1, "y": 0.1}, {"x": 2, "z": "a,b"}],
)  # fmt: skip


def test_markdown():
    lines = markdown(TABLE).splitlines()
    assert lines[0] == "**Title, 100 %**" and "*LFM*" in lines and lines[-1] == "A note."
    assert r"| a_b & c\|d | **3.00** [2.50, 3.50] |" in lines
    assert "| ε-greedy | <ins>2.00</ins> |" in lines and "| *random* | *1.00* |" in lines


def test_latex_is_escaped_and_balanced():
    text = latex(TABLE)
    assert r"a\_b \& c|d & \textbf{3.00} {\scriptsize [2.50, 3.50]} \\" in text
    assert r"$\epsilon$-greedy & \underline{2.00} \\" in text and r"\caption{Title, 100 \%}" in text
    assert text.count("{") == text.count("}")
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.count(" & ") for line in rows} == {1}


def test_csv_holds_all_columns():
    assert list(csv.DictReader(io.StringIO(comma_separated(TABLE)))) == [
        {"x": "1", "y": "0.1", "z": ""},
        {"x": "2", "y": "", "z": "a,b"},
    ]


def test_numbers_and_ranks():
    assert (number(-0.3), number(99.991), number(123.45), number(2, signed=True)) == (
        "−0.30",
        "99.99",
        "123.5",
        "+2.00",
    )
    assert ranks({"a": 1.0, "b": 3.0, "c": 3.0, "d": 2.0}) == {"b": BEST, "c": BEST, "d": SECOND}
    assert ranks({}) == {}
    assert cell(None).text == "–" and cell(Estimate(1.0)).interval == ""
