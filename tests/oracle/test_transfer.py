"""Judgements leave one cache and arrive in another, whole."""

import math
import os
from pathlib import Path

import polars as pl
import pytest
import torch

from ialp.errors import UserError
from ialp.oracle import JudgementCache
from ialp.oracle.cache import JudgeId
from ialp.oracle.transfer import SCHEMA, export_judgements, import_judgements, read_judgements


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def filled(path) -> JudgementCache:
    """Two judges, three and five labels, and a judgement of nobody knows whom."""
    cache = JudgementCache(path)
    torch.manual_seed(0)
    cache.put_many({key(i): torch.randn(3).log_softmax(0) for i in range(10)}, JudgeId("aaaa", "one"))
    cache.put_many({key(i): torch.randn(5).log_softmax(0) for i in range(10, 15)}, JudgeId("bbbb", "two"))
    cache.put_many({key(15): torch.tensor([0.0, -math.inf])})
    return cache


def take_in(cache: JudgementCache, path: Path) -> tuple[int, int]:
    """How many judgements the file holds, and how many were new."""
    table = read_judgements(path)
    return len(table), import_judgements(cache, table)


def content(cache: JudgementCache) -> list[tuple]:
    query = "SELECT key, value, asked_at, fingerprint, name FROM judgements JOIN judges ON id = judge ORDER BY key"
    with cache.open() as connection:
        return connection.execute(query).fetchall()


def test_transfer_what_leaves_arrives_bit_by_bit(tmp_path):
    cache, other = filled(tmp_path / "a.sqlite"), JudgementCache(tmp_path / "b.sqlite")
    assert export_judgements(cache, tmp_path / "out.parquet") == 16
    assert pl.read_parquet_schema(tmp_path / "out.parquet") == SCHEMA
    assert take_in(other, tmp_path / "out.parquet") == (16, 16)
    assert content(other) == content(cache)
    assert take_in(other, tmp_path / "out.parquet") == (16, 0)
    assert os.listdir(tmp_path).count("out.parquet") == 1 and not [f for f in os.listdir(tmp_path) if f[0] == "."]


def test_transfer_pieces_make_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("ialp.oracle.transfer.ROWS_AT_ONCE", 4)
    cache, other = filled(tmp_path / "a.sqlite"), JudgementCache()
    export_judgements(cache, tmp_path / "out.parquet")
    take_in(other, tmp_path / "out.parquet")
    assert content(other) == content(cache)


def test_transfer_what_is_known_stays(tmp_path):
    filled(tmp_path / "a.sqlite")
    export_judgements(JudgementCache(tmp_path / "a.sqlite"), tmp_path / "out.parquet")
    other = JudgementCache()
    other.put_many({key(3): torch.tensor([0.5, 0.25, 0.25]).log()}, JudgeId("cccc", "three"))
    assert take_in(other, tmp_path / "out.parquet") == (16, 15)
    assert torch.allclose(other.get_many([key(3)])[key(3)].exp(), torch.tensor([0.5, 0.25, 0.25]))
    assert [row[3:] for row in content(other) if row[0] == key(3)] == [("cccc", "three")]


def test_transfer_empty_cache_makes_an_empty_file(tmp_path):
    assert export_judgements(JudgementCache(), tmp_path / "out.parquet") == 0
    assert take_in(JudgementCache(), tmp_path / "out.parquet") == (0, 0)


HALVES = [math.log(0.5)] * 2
ROW = {"key": key(1), "fingerprint": "f", "judge": "j", "asked_at": 5, "log_probabilities": HALVES}


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("key", b"short", "column key is not of 32 bytes"),
        ("key", None, "column key is not of 32 bytes"),
        ("fingerprint", None, "column fingerprint is not a text"),
        ("judge", None, "column judge is not a text"),
        ("asked_at", -1, "column asked_at is not a time in unix seconds"),
        ("log_probabilities", None, "column log_probabilities is not a list of two numbers"),
        ("log_probabilities", [0.0], "column log_probabilities is not a list of two numbers"),
        ("log_probabilities", [0.0, math.inf], "is not a list of numbers that are finite or -inf"),
        ("log_probabilities", [0.0, math.nan], "is not a list of numbers that are finite or -inf"),
        ("log_probabilities", [0.0, None], "is not a list of numbers that are finite or -inf"),
        ("log_probabilities", [0.002, -math.inf], "is not normalised: the probabilities do not add up to 1"),
    ],
)
def test_transfer_row_that_is_no_judgement_is_named_and_nothing_is_imported(tmp_path, column, value, said):
    path = tmp_path / "in.parquet"
    pl.DataFrame([ROW, {**ROW, "key": key(2), column: value}], schema=SCHEMA).write_parquet(path)
    cache = JudgementCache()
    with pytest.raises(UserError) as error:
        take_in(cache, path)
    assert said in str(error.value) and f"{path}: row 2: column" in str(error.value)
    assert len(cache) == 0


def test_transfer_bounds_that_are_still_a_judgement(tmp_path):
    path = tmp_path / "in.parquet"
    rows = [{**ROW, "asked_at": None, "log_probabilities": [0.0009, -math.inf]}]
    pl.DataFrame(rows, schema=SCHEMA).write_parquet(path)
    assert take_in(JudgementCache(), path) == (1, 1)


def test_transfer_column_of_another_kind_is_named(tmp_path):
    path = tmp_path / "in.parquet"
    pl.DataFrame([ROW], schema=SCHEMA).with_columns(pl.col("asked_at").cast(pl.Float64)).write_parquet(path)
    with pytest.raises(UserError, match="column asked_at is Float64, not Int64"):
        take_in(JudgementCache(), path)
    pl.DataFrame([ROW], schema=SCHEMA).drop("judge").write_parquet(path)
    with pytest.raises(UserError, match="column judge is missing, not String"):
        take_in(JudgementCache(), path)


@pytest.mark.parametrize("text", [b"", b"PAR1 and no more", b"PAR1" * 1000])
def test_transfer_no_parquet_file(tmp_path, text):
    path = tmp_path / "in.parquet"
    path.write_bytes(text)
    with pytest.raises(UserError, match=r"in\.parquet: no Parquet file to be read") as error:
        take_in(JudgementCache(), path)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"missing\.parquet: no Parquet file to be read \(.*No such file"):
        take_in(JudgementCache(), tmp_path / "missing.parquet")


def test_transfer_export_goes_nowhere_by_halves(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="folder: Is a directory; name a file"):
        export_judgements(filled(None), tmp_path / "folder")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="name a file that can be written"):
        export_judgements(filled(None), tmp_path / "file" / "out.parquet")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
