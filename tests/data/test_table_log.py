import gzip

import polars as pl
import pytest

from ialp.data import Split
from ialp.data.readers import Columns, Intake, TableLog, TextFormat, lines
from ialp.data.readers.cleaning import Numbering, seconds
from ialp.errors import UserError
from tests.helpers.broken_data import INTERACTIONS, ITEMS, write_good


def test_table_log_a_log_in_two_files(tmp_path):
    write_good(tmp_path, "table")
    log = TableLog(str(tmp_path), split=Split(0.5)).load()
    assert log.catalogue.texts == ["", "Red lamp", "Blue lamp", "Lamp, green"]
    parts = sorted(part.sequence(0).tolist() for part in (log.train, log.test))
    assert parts == [[1, 2], [2, 3, 1]]


def test_table_log_every_form_of_the_same_table_gives_the_same_log(tmp_path):
    write_good(tmp_path, "table")
    expected = TableLog(str(tmp_path)).load().fingerprint
    table = pl.read_csv(tmp_path / "interactions.csv")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(INTERACTIONS.replace(",", "|").encode()))
    table.write_parquet(tmp_path / "c.parquet")
    table.write_csv(tmp_path / "d.csv", quote_style="always")
    table.select(pl.all().reverse()).write_csv(tmp_path / "e.tsv", separator="\t", include_header=False)
    (tmp_path / "e.tsv").write_text("\n".join(reversed((tmp_path / "e.tsv").read_text().splitlines())))
    names = ["user_id", "item_id", "timestamp", "rating"]
    for file, header in (("b.csv.gz", None), ("c.parquet", None), ("d.csv", None), ("e.tsv", names)):
        assert (
            TableLog(str(tmp_path), interactions=file, format=TextFormat(header=header)).load().fingerprint == expected
        ), file


def test_table_log_quoted_and_unquoted_lines_are_read_alike_at_any_block_size(tmp_path, monkeypatch):
    rows = [(f"u{n % 7}", n % 3 + 1, n, n % 5 + 1) for n in range(60)]
    plain = "user_id,item_id,timestamp,rating\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    quoted = plain.replace("u3", '"u3"')
    (tmp_path / "items.csv").write_text(ITEMS)
    found = set()
    for text in (plain, quoted):
        (tmp_path / "interactions.csv").write_text(text)
        for size in (1, 7, 64, 2**20):
            monkeypatch.setattr(lines, "BLOCK", size)
            found.add(TableLog(str(tmp_path)).load().fingerprint)
    assert len(found) == 1


def test_table_log_texts_beside_the_interactions(tmp_path):
    (tmp_path / "log.csv").write_text("who,what,name\na,x,First\na,y,Second\nb,x,Other name\nb,y,\n")
    with pytest.raises(UserError, match=r'log\.csv:5: item "y" has no text in this row'):
        TableLog(str(tmp_path), "log.csv", None, ["name"], Columns("who", "what", None)).read(Intake())
    (tmp_path / "log.csv").write_text(
        "who,what,name\na,x,First\na,y,Second\nb,y,\nb,x,Other name\n".replace("y,\n", "y,z\n")
    )
    raw = TableLog(str(tmp_path), "log.csv", None, ["name"], Columns("who", "what", None)).read(Intake())
    assert raw.items.rows() == [("x", "First"), ("y", "Second")]
    assert raw.interactions["item"].to_list() == [1, 2, 2, 1]


def test_table_log_columns_may_have_any_names(tmp_path):
    text = "line,item,user,number\n" + "".join(f"a{n},{n % 2 + 1},{n // 2},{n}\n" for n in range(6))
    (tmp_path / "log.csv").write_text(text)
    raw = TableLog(str(tmp_path), "log.csv", None, ["line", "number"], Columns("user", "item", None)).read(Intake())
    assert raw.items.columns == ["item_id", "line", "number"] and raw.items.row(1) == ("2", "a1", "1")
    assert raw.interactions["item"].to_list() == [1, 2] * 3


def test_numbering_follows_the_first_appearance_over_chunks():
    numbering = Numbering("text", ("beside",))
    first = pl.DataFrame({"text": ["b", "a", "b"], "beside": ["1", "2", "3"]})
    second = pl.DataFrame({"text": ["c", "a", "d"], "beside": ["4", "5", "6"]})
    assert numbering.number(first).to_list() == [1, 2, 1]
    assert numbering.number(second).to_list() == [3, 2, 4]
    assert numbering.table["beside"].to_list() == ["1", "2", "4", "6"]
    assert numbering.look_up(pl.DataFrame({"text": ["d", "z"]})).to_list() == [4, None]


def test_seconds_reads_numbers_and_dates():
    cells = ["0", "1577880000", "1577880000000", "01 Jan 2020 12:00", "2020-01-01T12:00:00Z", "2020-01-01"]
    assert seconds(pl.Series(cells)).to_list() == [0, *[1577880000] * 4, 1577836800]
    zoned = ["2020-01-01T14:00:00+02:00", "2020-01-01 12:00:00.5", "soon", ""]
    assert seconds(pl.Series(zoned)).to_list() == [1577880000, 1577880000.5, None, None]


@pytest.mark.parametrize(
    "arguments",
    [{"attributes": []}, {"attributes": ["item_id"]}, {"columns": Columns(item="a"), "attributes": ["item_id"]}],
)
def test_table_log_refuses_arguments_that_cannot_be(arguments):
    with pytest.raises(UserError):
        TableLog("anywhere", **arguments)


def test_text_format_separator_is_one_character():
    with pytest.raises(UserError, match="it is one character"):
        TextFormat("::")
