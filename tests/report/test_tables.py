"""A table in Markdown and CSV."""

import csv
import io

from ialp.report.statistics import Estimate
from ialp.report.tables import BEST, SECOND, Cell, Table, comma_separated, markdown, number, ranks, row

ROWS = [
    row("a_b & c|d", 2, Cell(Estimate(3.0004, 2.5, 3.5, 2), BEST), 1.234),
    row("ε-greedy", 1, Cell(Estimate(2.0), SECOND), "n/a"),
]
COLUMNS = ["method", "seeds", "R_avg", "paper"]
TABLE = Table("t", "Title, 100 %", COLUMNS, {"LFM": [*ROWS, row("random", "", 1.0, None)]}, ["A note."])


def test_markdown_marks_ranks_and_escapes_bars():
    lines = markdown(TABLE).splitlines()
    assert lines[0] == "**Title, 100 %**" and "*LFM*" in lines and lines[-1] == "A note."
    assert r"| a_b & c\|d | 2 | **3.00** [2.50, 3.50] | 1.23 |" in lines
    assert "| ε-greedy | 1 | <ins>2.00</ins> | n/a |" in lines and "| random |  | 1.00 | – |" in lines


def test_csv_holds_unrounded_figures_and_the_ends_of_intervals():
    first, second, last = csv.DictReader(io.StringIO(comma_separated(TABLE)))
    assert first == {
        "section": "LFM", "method": "a_b & c|d", "seeds": "2", "R_avg": "3.0004", "R_avg low": "2.5",
        "R_avg high": "3.5", "R_avg n": "2", "R_avg paper": "1.234",
    }  # fmt: skip
    assert (second["R_avg"], second["R_avg low"], last["R_avg"], last["R_avg paper"]) == ("2.0", "", "1.0", "")


def test_csv_of_an_empty_table_has_a_header():
    assert comma_separated(Table("t", "T", ["method", "R"])) == "method,R\n"


def test_number_has_a_true_minus_and_fewer_decimals_from_100_on():
    shown = number(-0.3), number(99.991), number(123.45)
    assert shown == ("−0.30", "99.99", "123.5")


def test_ranks_share_what_is_equal():
    assert ranks({"a": 1.0, "b": 3.0, "c": 3.0, "d": 2.0}) == {"b": BEST, "c": BEST, "d": SECOND}
    assert ranks({}) == {}


def test_cell_of_nothing_is_a_dash_and_of_one_seed_has_no_interval():
    assert Cell(None).text == "–" and Cell(Estimate(1.0)).interval == ""
