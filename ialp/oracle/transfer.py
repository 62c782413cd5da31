"""Judgements as tables: read from a cache in pieces, and exchanged between caches as Parquet."""

import io
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from ialp.errors import UserError
from ialp.files import write_atomically
from ialp.oracle.cache import JudgeId, JudgementCache, Row

SCHEMA = {
    "key": pl.Binary(),  # 32 bytes: hash of judge and prompt
    "fingerprint": pl.String(),  # of the judge; empty where nobody knows it
    "judge": pl.String(),
    "asked_at": pl.Int64(),  # unix seconds, null where nobody knows
    "log_probabilities": pl.List(pl.Float32()),  # K + 1, None's last
}
ROWS_AT_ONCE = 50_000

_numbers, _number = pl.col("log_probabilities"), pl.element()
_possible = _number.is_not_null() & _number.is_not_nan() & (_number != float("inf"))
_total = _numbers.list.eval(_number.cast(pl.Float64).exp()).list.sum()
RULES = (
    ("key", pl.col("key").bin.size() == 32, "of 32 bytes"),
    ("fingerprint", pl.col("fingerprint").is_not_null(), "a text"),
    ("judge", pl.col("judge").is_not_null(), "a text"),
    ("asked_at", pl.col("asked_at").fill_null(0) >= 0, "a time in unix seconds"),
    ("log_probabilities", _numbers.list.len() >= 2, "a list of two numbers or more"),
    ("log_probabilities", _numbers.list.eval(_possible).list.all(), "a list of numbers that are finite or -inf"),
    ("log_probabilities", (_total - 1).abs() < 1e-3, "normalised: the probabilities do not add up to 1"),
)
"""Of a row to be imported: the column, what must hold, and in words."""


def frames(cache: JudgementCache) -> Iterator[pl.DataFrame]:
    """All judgements with their judges, in pieces of the columns of SCHEMA.

    Raises:
        UserError: The file is damaged.
    """
    query = "SELECT key, fingerprint, name, asked_at, value FROM judgements JOIN judges ON judges.id = judge"
    with cache.open() as connection:
        cursor = connection.execute(query)
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            *columns, values = zip(*rows, strict=True)
            numbers = [cache.numbers(value) for value in values]
            yield pl.DataFrame([*columns, pl.Series(values=numbers, dtype=SCHEMA["log_probabilities"])], schema=SCHEMA)


def export_judgements(cache: JudgementCache, path: Path) -> int:
    """Write all judgements as Parquet, whole or not at all; how many.

    Raises:
        UserError: The cache is damaged, or the file cannot be written.
    """
    table = pl.concat([pl.DataFrame(schema=SCHEMA), *frames(cache)])
    table.write_parquet(buffer := io.BytesIO())
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a file that can be written, by --out") from None
    return len(table)


def import_judgements(cache: JudgementCache, table: pl.DataFrame) -> int:
    """Take over the judgements of `read_judgements`, all or none; what is known stays as it is. How many were new."""
    parts = table.partition_by("fingerprint", "judge", as_dict=True)
    return cache.add((JudgeId(*map(str, who)), rows_of(part)) for who, part in parts.items())


def rows_of(table: pl.DataFrame) -> list[Row]:
    """The rows as the cache stores them."""
    values = (each.to_numpy().astype("<f4").tobytes() for each in table["log_probabilities"])
    return [Row(*row) for row in zip(table["key"], values, table["asked_at"], strict=True)]


def read_judgements(path: Path) -> pl.DataFrame:
    """A Parquet file with the columns of SCHEMA, checked.

    Raises:
        UserError: It cannot be read, a column is missing or of another kind, or a row holds no judgement.
    """
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = getattr(error, "strerror", None) or str(error).strip().split("\n")[0]
        raise UserError(f"{path}: no Parquet file to be read ({reason}); export it again") from None
    for name, kind in SCHEMA.items():
        if (found := table.schema.get(name)) != kind:
            is_there = f"is {found}" if found is not None else "is missing"
            raise UserError(f"{path}: column {name} {is_there}, not {kind}; `ialp oracle export` writes what is read")
    for column, sound, wanted in RULES:
        bad = table.select((~sound.fill_null(False)).arg_true()).to_series()
        if len(bad):
            where = f"{path}: row {bad[0] + 1}: column {column}"
            raise UserError(f"{where} is not {wanted}; nothing was imported: drop the row, or export again")
    return table.select(list(SCHEMA))
