"""`ialp oracle`: report on a judge, and the judgements that are kept."""

import sqlite3
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ialp.errors import UserError
from ialp.oracle.cache import JudgementCache
from ialp.parser import Parser

CACHE = "runs/judgements.sqlite"
REPORT = "report"  # has options of its own: `ialp oracle report --help`
DAY = 86_400


def run_oracle_verb(arguments: list[str]) -> int:
    """Dispatch on the second word."""
    if arguments[:1] == [REPORT]:
        from ialp.diagnostics.oracle_report import run_report

        return run_report(arguments[1:])
    parser = Parser(prog="ialp oracle", description="A judge, and the judgements that are kept.", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="|".join([REPORT, *VERBS]))
    verbs.add_parser(REPORT, help="what a judge is worth, on held-out interactions, beside chance and word overlap")
    for name, (_, text, options) in VERBS.items():
        verb = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
        verb.add_argument("--cache", default=CACHE, help=f"file of the judgements (default: {CACHE})")
        for flag, about in options.items():
            verb.add_argument(flag, **about)
    chosen = parser.parse_args(arguments)
    run, _, _ = VERBS[chosen.verb]
    run(chosen)
    return 0


def existing(path: str) -> JudgementCache:
    """The cache at `path`, which a verb that only looks must not make.

    Raises:
        UserError: It is not there, or cannot be used.
    """
    if not Path(path).is_file():
        what = "a folder, no file" if Path(path).is_dir() else "no such file"
        raise UserError(f"judgement cache {path}: {what}; pre-training makes one, --cache names another")
    return JudgementCache(path)


def print_stats(chosen: Namespace) -> None:
    """A line per judge, and the size of the file."""
    from rich.console import Console
    from rich.table import Table

    cache = existing(chosen.cache)
    table = Table("judge", "fingerprint", box=None, pad_edge=False)
    for title in ("judgements", "labels", "None picked"):
        table.add_column(title, justify="right")
    table.add_column("first asked")
    table.add_column("last asked")
    for row in stats(cache):
        labels = "–".join(dict.fromkeys(f"{row[key]}" for key in ("fewest", "most")))
        none, times = f"{row['none']:.1%}", (when(row["first"]), when(row["last"]))
        table.add_row(row["judge"], row["fingerprint"][:8], f"{row['judgements']:,}", labels, none, *times)
    console = Console()
    if not console.is_terminal:
        console.width = 200
    if table.row_count:
        console.print(table)
    print(f"{chosen.cache}: {len(cache):,} judgements, {file_size(chosen.cache) / 1e6:.1f} MB")


def stats(cache: JudgementCache) -> list[dict[str, Any]]:
    """Per judge: judgements, fewest and most labels, share of None as argmax, first and last unix second asked."""
    import polars as pl

    from ialp.oracle.transfer import frames

    labels = pl.col("log_probabilities").list.len()
    none = pl.col("log_probabilities").list.arg_max() == labels - 1
    per_frame = [
        frame.group_by("fingerprint", "judge").agg(
            judgements=pl.len(),
            fewest=labels.min(),
            most=labels.max(),
            none=none.sum(),
            first=pl.col("asked_at").min(),
            last=pl.col("asked_at").max(),
        )
        for frame in frames(cache)
    ]
    if not per_frame:
        return []
    adding, lowest, highest = pl.col("judgements", "none").sum(), pl.col("fewest", "first").min(), ("most", "last")
    whole = pl.concat(per_frame).group_by("fingerprint", "judge").agg(adding, lowest, pl.col(*highest).max())
    share = whole.with_columns(none=pl.col("none") / pl.col("judgements"))
    return share.sort("judge", "fingerprint").to_dicts()


def when(seconds: int | None) -> str:
    """Local time to the minute."""
    return "unknown" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def file_size(path: str) -> int:
    """Bytes, with what is not yet worked into the file itself."""
    return sum(part.stat().st_size for part in (Path(path), Path(f"{path}-wal")) if part.is_file())


def export(chosen: Namespace) -> None:
    """Say how many went out."""
    from ialp.oracle.transfer import export_judgements

    count = export_judgements(existing(chosen.cache), Path(chosen.out))
    print(f"written: {chosen.out}, {count:,} judgements")


def take_in(chosen: Namespace) -> None:
    """Say how many of each file were new."""
    from ialp.oracle.transfer import import_judgements, read_judgements

    for file in chosen.files:
        table = read_judgements(Path(file))
        new = import_judgements(JudgementCache(chosen.cache), table)
        print(f"{file}: {len(table):,} judgements, {new:,} new in {chosen.cache}")


def prune(chosen: Namespace) -> None:
    """Remove the judgements of a judge, or old ones, and give the room back.

    Raises:
        UserError: No filter is given, or no judge is meant.
    """
    if chosen.judge is None and chosen.older_than is None:
        raise UserError("ialp oracle prune: say which by --judge, --older-than or both; deleting the file drops all")
    cache = existing(chosen.cache)
    where, values = "1", list[Any]()
    if chosen.judge is not None:
        judges = find_judges(cache, chosen.judge)
        where, values = f"judge IN ({','.join('?' * len(judges))})", [*judges]
    if chosen.older_than is not None:
        where += " AND (asked_at IS NULL OR asked_at < ?)"
        values.append(time.time() - chosen.older_than * DAY)
    with cache.open() as connection:
        if chosen.dry_run:
            [count] = connection.execute(f"SELECT COUNT(*) FROM judgements WHERE {where}", values).fetchone()
            print(f"would remove {count:,} of {len(cache):,} judgements from {chosen.cache}")
            return
        with connection:
            count = connection.execute(f"DELETE FROM judgements WHERE {where}", values).rowcount
            connection.execute("DELETE FROM judges WHERE id > 0 AND id NOT IN (SELECT judge FROM judgements)")
        print(f"removed {count:,} judgements from {chosen.cache}, {len(cache):,} are left")
        compact(connection)


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
    said = (
        f"{len(begun)} fingerprints begin so: {shown}; give more of it" if begun else f"no such judge: it has {shown}"
    )
    raise UserError(f"--judge {wanted}: {said}")


def compact(connection: sqlite3.Connection) -> None:
    """Give the room of what was removed back to the disk."""
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def days(text: str) -> float:
    """A number of days, 0 or more."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value


OUT = {"required": True, "help": "Parquet file to write"}
FILES = {"nargs": "+", "help": "Parquet files that `ialp oracle export` has written"}
JUDGE = {"help": "only those of this judge: its name, or the beginning of its fingerprint"}
OLDER = {"type": days, "metavar": "DAYS", "help": "only those asked longer ago, or nobody knows when"}
DRY_RUN = {"action": "store_true", "help": "say how many, and remove none"}
Verb = tuple[Callable[[Namespace], None], str, dict[str, Any]]
VERBS: dict[str, Verb] = {
    "stats": (print_stats, "show who answered how often, and what", {}),
    "export": (export, "write all judgements as Parquet", {"--out": OUT}),
    "import": (take_in, "take over judgements from Parquet; what is known stays as it is", {"files": FILES}),
    "prune": (prune, "remove judgements", {"--judge": JUDGE, "--older-than": OLDER, "--dry-run": DRY_RUN}),
}
