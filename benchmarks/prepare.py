"""What it takes to prepare 10 million interactions: seconds and peak memory of `ialp data prepare`, as a user calls it.

The log is drawn from a seed: some users and items more often than others, one event per line, in the order of time over
all users, as a shop's log has it. See README.md beside this file.
"""

import argparse
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from memory import peak_mib

PIECE = 1_000_000


def main() -> None:
    """Write the log, prepare it in a process of its own, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=10_000_000, help="interactions (default: 10 million)")
    parser.add_argument("--users", type=int, default=500_000, help="default: 500,000")
    parser.add_argument("--items", type=int, default=100_000, help="default: 100,000")
    parser.add_argument("--reader", choices=["table", "lastfm", "amazon"], default="table", help="default: table")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        WRITERS[arguments.reader](root / "data", arguments)
        size = sum(file.stat().st_size for file in (root / "data").iterdir())
        options = ["--name", "Big"] if arguments.reader == "amazon" else []
        command = [
            "data",
            "prepare",
            arguments.reader,
            "--root",
            str(root / "data"),
            *options,
            "--out",
            str(root / "out"),
        ]
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ialp", *command], check=True)
        seconds = time.perf_counter() - start
        written = sum(file.stat().st_size for file in (root / "out").iterdir())
    peak = peak_mib(resource.getrusage(resource.RUSAGE_CHILDREN))
    print(f"ialp data prepare {arguments.reader}: {arguments.n:,} interactions, {size / 1e6:,.0f} MB")
    print(f"  seconds            {seconds:8.1f}   {arguments.n / seconds:,.0f} interactions per second")
    print(f"  peak memory        {peak / 1024:8.2f}   GiB, resident, imports included")
    print(f"  written            {written / 1e6:8.1f}   MB")


def draw(arguments: argparse.Namespace) -> Iterator[pl.DataFrame]:
    """Pieces of user, item and seconds."""
    rng = np.random.default_rng(0)
    for start in range(0, arguments.n, PIECE):
        count = min(PIECE, arguments.n - start)
        user = (arguments.users * rng.random(count) ** 1.5).astype(np.int64)
        item = (arguments.items * rng.random(count) ** 2).astype(np.int64)
        yield pl.DataFrame({"user": user, "item": item, "time": 1_500_000_000 + start + np.arange(count)})


def write_table(root: Path, arguments: argparse.Namespace) -> None:
    """interactions.csv and items.csv."""
    root.mkdir()
    with (root / "interactions.csv").open("wb") as file:
        file.write(b"user_id,item_id,timestamp\n")
        for piece in draw(arguments):
            ids = (pl.format(f"{name}-{{}}", name).alias(name) for name in ("user", "item"))
            piece.select(*ids, "time").write_csv(file, include_header=False)
    item = pl.int_range(arguments.items, eager=True).cast(pl.String)
    items = pl.DataFrame({"item_id": "item-" + item, "title": "Thing number " + item})
    items.write_csv(root / "items.csv")


def write_lastfm(root: Path, arguments: argparse.Namespace) -> None:
    """One export with a column of listeners."""
    root.mkdir()
    with (root / "scrobbles.csv").open("wb") as file:
        file.write(b"user,uts,artist,album,track\n")
        for piece in draw(arguments):
            item = pl.col("item")
            texts = (
                "Artist " + (item // 9).cast(pl.String),
                "Album " + (item // 4).cast(pl.String),
                "Track, number " + item.cast(pl.String),
            )
            columns = (text.alias(str(i)) for i, text in enumerate(texts))
            user = pl.col("user") % 2_000  # few enough for sessions
            piece.select(user, "time", *columns).write_csv(file, include_header=False, quote_style="necessary")


def write_amazon(root: Path, arguments: argparse.Namespace) -> None:
    """Big_5.json.gz and meta_Big.json.gz."""
    root.mkdir()
    with gzip.open(root / "Big_5.json.gz", "wb", compresslevel=1) as file:
        for piece in draw(arguments):
            user, item = pl.format("A{}", "user").alias("reviewerID"), pl.format("B{}", "item").alias("asin")
            text = pl.lit("Fits as it should, and came in time. " * 5).alias("reviewText")
            rows = piece.select(pl.lit(5.0).alias("overall"), user, item, text, pl.col("time").alias("unixReviewTime"))
            file.write(rows.write_ndjson().encode())
    with gzip.open(root / "meta_Big.json.gz", "wt", compresslevel=1) as file:
        for item in range(arguments.items):
            entry = {"asin": f"B{item}", "title": f"Thing &amp; {item}", "category": ["Things", "<b>All</b>"]}
            file.write(json.dumps(entry) + "\n")


WRITERS = {"table": write_table, "lastfm": write_lastfm, "amazon": write_amazon}

if __name__ == "__main__":
    main()
