"""What a judgement cache holds, judge by judge, and how judgements are removed from it."""

import time
from pathlib import Path
from typing import Any

import polars as pl

from ialp.errors import UserError
from ialp.oracle.cache import JudgementCache
from ialp.oracle.transfer import frames

DAY = 86_400


def existing_cache(path: str) -> JudgementCache:
    """The cache at `path`, which must be there.

    Raises:
        UserError: It is not there, or cannot be used.
    """
    if not Path(path).is_file():
        what = "a folder, no file" if Path(path).is_dir() else "no such file"
        raise UserError(f"judgement cache {path}: {what}; pre-training makes one, --cache names another")
    return JudgementCache(path)


def stats(cache: JudgementCache) -> list[dict[str, Any]]:
    """Per judge: judgements, fewest and most labels, share of None as argmax, first and last unix second asked."""
    labels = pl.col("log_probabilities").list.len()
    none = pl.col("log_probabilities").list.arg_max() == labels - 1
    asked = pl.col("asked_at")
    per_frame = [
        frame.group_by("fingerprint", "judge").agg(
            judgements=pl.len(),
            none=none.sum(),
            fewest=labels.min(),
            most=labels.max(),
            first=asked.min(),
            last=asked.max(),
        )
        for frame in frames(cache)
    ]
    if not per_frame:
        return []
    whole = pl.concat(per_frame).group_by("fingerprint", "judge")
    sums, lowest, highest = pl.col("judgements", "none").sum(), pl.col("fewest", "first").min(), ("most", "last")
    table = whole.agg(sums, lowest, pl.col(*highest).max())
    return table.with_columns(none=pl.col("none") / pl.col("judgements")).sort("judge", "fingerprint").to_dicts()


def prune(cache: JudgementCache, judge: str | None, older_than: float | None, dry_run: bool = False) -> int:
    """Remove judgements, and give the room back to the disk; how many.

    Args:
        cache: Where they are kept.
        judge: Only those of this judge: its name, or the beginning of its fingerprint.
        older_than: Only those asked more than so many days ago, or nobody knows when.
        dry_run: Only count them.

    Raises:
        UserError: Neither filter is given, or no judge is meant.
    """
    if judge is None and older_than is None:
        raise UserError("ialp oracle prune: say which by --judge, --older-than or both; deleting the file drops all")
    where, values = "1", list[Any]()
    if judge is not None:
        values = find_judges(cache, judge)
        where = f"judge IN ({','.join('?' * len(values))})"
    if older_than is not None:
        where += " AND (asked_at IS NULL OR asked_at < ?)"
        values = [*values, time.time() - older_than * DAY]
    with cache.open() as connection:
        if dry_run:
            return connection.execute(f"SELECT COUNT(*) FROM judgements WHERE {where}", values).fetchone()[0]
        with connection:
            count = connection.execute(f"DELETE FROM judgements WHERE {where}", values).rowcount
            connection.execute("DELETE FROM judges WHERE id > 0 AND id NOT IN (SELECT judge FROM judgements)")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return count


def find_judges(cache: JudgementCache, wanted: str) -> list[int]:
    """Ids of the judges of that name, or of the one whose fingerprint begins so.

    Raises:
        UserError: None is, or several fingerprints begin so.
    """
    with cache.open() as connection:
        judges = connection.execute("SELECT id, fingerprint, name FROM judges ORDER BY name, fingerprint").fetchall()
    named = [number for number, _, name in judges if name == wanted]
    begun = [judge for judge in judges if wanted and judge[1].startswith(wanted)]
    if named or len(begun) == 1:
        return named or [begun[0][0]]
    shown = ", ".join(f"{name} ({fingerprint[:8] or 'no fingerprint'})" for _, fingerprint, name in begun or judges)
    several = f"{len(begun)} fingerprints begin so: {shown}; give more of it"
    raise UserError(f"--judge {wanted}: {several if begun else f'no such judge: it has {shown}'}")
