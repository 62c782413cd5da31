"""Good little logs of every format, and what can be wrong with them."""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from ialp.data import Split
from ialp.data.readers import Intake, PreparedLog, TableLog
from ialp.data.readers.prepared import write_prepared
from tests.helpers.coat_files import write_coat

INTERACTIONS = "user_id,item_id,timestamp,rating\nu,1,100,5\nu,2,101,4\nv,2,100,3\nv,3,105,2\nv,1,110,1\n"
ITEMS = 'item_id,title\n1,Red lamp\n2,Blue lamp\n3,"Lamp, green"\n'
REVIEWS = [{"reviewerID": f"A{u}", "asin": f"B{i}", "unixReviewTime": 100 + i} for u in range(3) for i in range(4)]
PRODUCTS = [{"asin": f"B{i}", "title": f"Lamp {i}", "category": ["Home", "Lamps"], "brand": "Lux"} for i in range(4)]
SCROBBLES = (
    "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n"
    "1577880300,x,Ann,,First,,One,\n1577880200,x,Ann,,First,,Two,\n1577880100,x,Bob,,Other,,Three,\n"
)
ATOMIC_ITEMS = "item_id:token\ttitle:token_seq\n1\tRed lamp\n2\tBlue lamp\n"
ATOMIC_INTER = "user_id:token\titem_id:token\ttimestamp:float\nu\t1\t1\nu\t2\t2\n"


def write_good(folder: Path, kind: str) -> None:
    """A log without fault."""
    if kind == "table":
        (folder / "interactions.csv").write_text(INTERACTIONS)
        (folder / "items.csv").write_text(ITEMS)
    elif kind == "amazon":
        write_lines(folder / "X_5.json.gz", [json.dumps(each) for each in REVIEWS])
        write_lines(folder / "meta_X.json.gz", [json.dumps(each) for each in PRODUCTS])
    elif kind == "lastfm":
        (folder / "plays.csv").write_text(SCROBBLES)
    elif kind == "atomic":
        (folder / "x.item").write_text(ATOMIC_ITEMS)
        (folder / "x.inter").write_text(ATOMIC_INTER)
    elif kind == "coat":
        write_coat(folder, users=4, items=5)
    elif kind == "prepared":
        (folder / "source").mkdir()
        write_good(folder / "source", "table")
        write_prepared(TableLog(str(folder / "source")), folder / "log", Intake())


def command(folder: Path, kind: str, options: tuple[str, ...] = ()) -> list[str]:
    """What names the log on the command line, for prepare and check."""
    named = {
        "table": ["--columns.rating", "rating"],
        "amazon": ["--name", "X"],
        "lastfm": [],
        "atomic": ["--name", "x", "--attributes", "[title]"],
    }
    return [kind, "--root", str(folder), *named[kind], *options]


def write_lines(path: Path, lines: list[str]) -> None:
    """A text file, packed if its name says so."""
    data = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@dataclass
class Broken:
    """One thing that can be wrong.

    Attributes:
        name: Of the case.
        kind: Of the log.
        spoil: Does it, in the folder.
        expected: A pattern for what is said after the folder's path; or what the manifest counts as cleaned.
        options: More of the command line.
        big: Too long for blocks of a few bytes.
    """

    name: str
    kind: str
    spoil: Callable[[Path], object]
    expected: str | dict[str, int]
    options: tuple[str, ...] = ()
    big: bool = field(default=False)


def swap(file: str, old: str, new: str) -> Callable[[Path], object]:
    """Replace the first `old` in a text file."""

    def spoil(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))

    return spoil


def put(file: str, data: str | bytes) -> Callable[[Path], object]:
    """Write a file."""
    return lambda folder: (folder / file).write_bytes(data if isinstance(data, bytes) else data.encode())


def entry(file: str, at: int, line: str) -> Callable[[Path], object]:
    """Replace a line, counted from 1, of a packed file."""

    def spoil(folder: Path) -> None:
        lines = gzip.decompress((folder / file).read_bytes()).decode().splitlines()
        lines[at - 1] = line
        write_lines(folder / file, lines)

    return spoil


def cut_gzip(folder: Path) -> None:
    """interactions.csv.gz ends in its middle; the rows before are whole."""
    rows = "".join(f"u{n},{1 + n * 7919 % 3},{n},{1 + n % 5}\n" for n in range(20_000))
    data = gzip.compress(("user_id,item_id,timestamp,rating\n" + rows).encode())
    (folder / "interactions.csv.gz").write_bytes(data[: len(data) // 2])


def parquet(fraction: float, **columns: list[object]) -> Callable[[Path], object]:
    """interactions.parquet, of which so much is kept."""

    def spoil(folder: Path) -> None:
        path = folder / "interactions.parquet"
        pl.DataFrame(columns).write_parquet(path)
        data = path.read_bytes()
        path.write_bytes(data[: round(len(data) * fraction)])

    return spoil


def load_prepared(folder: Path) -> object:
    """As a run would."""
    return PreparedLog(str(folder / "log"), split=Split(0.5)).load()


PLAYS, THINGS = "interactions.csv", "items.csv"
IN_PARQUET = ("--interactions", "interactions.parquet")
IN_GZIP = ("--interactions", "interactions.csv.gz")
DROP = ("--bad_rows", "drop")
LIKED = ("--columns.min_rating", "1")
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01\x00\xff\xfe"

BROKEN = [
    # Files that are no tables.
    Broken("empty file", "table", put(PLAYS, ""), r"/interactions\.csv: empty file"),
    Broken("blank lines only", "table", put(THINGS, "\n \n\n"), r"/items\.csv: empty file"),
    Broken(
        "header only", "table", put(PLAYS, INTERACTIONS.split("\n")[0] + "\n"), r"/interactions\.csv: only a header"
    ),
    Broken("no file", "table", lambda folder: (folder / THINGS).unlink(), r"/items\.csv: No such file"),
    Broken("binary", "table", put(PLAYS, PNG), r"/interactions\.csv:1: not UTF-8"),
    Broken("not UTF-8", "table", put(THINGS, ITEMS.encode().replace(b"Blue", b"Bl\xfc")), r"/items\.csv:3: not UTF-8"),
    Broken("UTF-16", "table", put(THINGS, ITEMS.encode("utf-16")), r"/items\.csv:1: not UTF-8"),
    Broken(
        "gzip cut short",
        "table",
        cut_gzip,
        r"/interactions\.csv\.gz:\d+: the gzip file is damaged or cut",
        IN_GZIP,
        big=True,
    ),
    Broken(
        "gzip damaged",
        "table",
        lambda folder: put(f"{PLAYS}.gz", gzip.compress(INTERACTIONS.encode())[:-8] + b"12345678")(folder),
        r"/interactions\.csv\.gz:\d: the gzip file is damaged",
        IN_GZIP,
    ),
    # Tables of another shape.
    Broken(
        "missing column", "table", swap(PLAYS, "item_id", "item"), r"/interactions\.csv:1: no column item_id: the h"
    ),
    Broken(
        "missing text column", "table", swap(THINGS, "title", "name"), r"/items\.csv:1: no column title: the header"
    ),
    Broken("column twice", "table", swap(PLAYS, "rating", "item_id,rating"), r"/.*csv:1: column item_id appears twice"),
    Broken(
        "wrong separator",
        "table",
        lambda _: None,
        r"/interactions\.csv:1: the header has no ';'",
        ("--format.separator", ";"),
    ),
    Broken("another separator", "table", put(PLAYS, INTERACTIONS.replace(",", ";")), {}),
    Broken("byte order mark", "table", put(PLAYS, "\ufeff" + INTERACTIONS), {}),
    Broken("CRLF", "table", put(THINGS, ITEMS.replace("\n", "\r\n")), {}),
    Broken(
        "row too short", "table", swap(PLAYS, "v,2,100,3", "v,2"), r"/interactions\.csv:4: 2 fields, the header has 4"
    ),
    Broken("row too long", "table", swap(THINGS, "3,", "3,,"), r"/items\.csv:4: 3 fields, the header has 2"),
    Broken("rows left out", "table", swap(PLAYS, "v,2,100,3", "v,2"), {"fields, the header has 4": 1}, DROP),
    Broken("unclosed quote", "table", swap(THINGS, "Blue", '"Blue'), r"/items\.csv:3: a quote is never closed"),
    Broken("quote never closed", "table", swap(THINGS, 'green"', "green"), r"/items\.csv:4: a quote is never closed"),
    Broken(
        "after a cell of several lines",
        "table",
        put(THINGS, 'item_id,title\n1,"Red\nlamp"\n2,"Blue\n\nlamp"\n3\n'),
        r"/items\.csv:7: 1 fields, the header has 2",
    ),
    # Cells that cannot be right.
    Broken("item id twice", "table", swap(THINGS, "3,", "1,"), r'/items\.csv:4: item id "1" appears a second time'),
    Broken("item id twice, dropped", "table", swap(THINGS, "3,", "1,"), {"appears a second": 1, "is not in": 1}, DROP),
    Broken("no item id", "table", swap(THINGS, "3,", ","), r"/items\.csv:4: no item_id"),
    Broken("no text", "table", swap(THINGS, "Blue lamp", " "), r'/items\.csv:3: item "2" has no text in any of: title'),
    Broken("negative id", "table", swap(PLAYS, "u,2", "u,-2"), r'/interactions\.csv:3: no item_id: .* "-2"'),
    Broken("fractional id", "table", swap(PLAYS, "v,3", "v,2.5"), r'/interactions\.csv:5: no item_id: .* "2\.5"'),
    Broken("id as a float", "table", swap(PLAYS, "v,3", "v,3.0"), {}),
    Broken("no user", "table", swap(PLAYS, "v,2", ",2"), r"/interactions\.csv:4: no user_id"),
    Broken("NaN for a user", "table", swap(PLAYS, "v,2", "nan,2"), r"/interactions\.csv:4: no user_id"),
    Broken("unknown item", "table", swap(PLAYS, "v,3", "v,9"), r'/interactions\.csv:5: item "9" is not in '),
    Broken("unknown item, dropped", "table", swap(PLAYS, "v,3", "v,9"), {"is not in": 1}, DROP),
    Broken(
        "NaN rating", "table", swap(PLAYS, "105,2", "105,NaN"), r'/interactions\.csv:5: rating "NaN" is not a n', LIKED
    ),
    Broken(
        "ratings dropped", "table", swap(PLAYS, "105,2", "105,x"), {'rating "…" is not a number': 1}, (*LIKED, *DROP)
    ),
    Broken("disliked", "table", lambda _: None, {"rated below 2, left out": 1}, ("--columns.min_rating", "2")),
    Broken("no time", "table", swap(PLAYS, "105", ""), r'/interactions\.csv:5: timestamp "" is not a number or date'),
    Broken("time in words", "table", swap(PLAYS, "105", "noon"), r'/.*csv:5: timestamp "noon" is not a number or date'),
    Broken("infinite time", "table", swap(PLAYS, "105", "inf"), r'/.*csv:5: timestamp "inf" is not a number or date'),
    Broken("unsorted time", "table", swap(PLAYS, "u,1,100", "u,1,900"), {}),
    Broken("repeated rows", "table", swap(PLAYS, "u,1", "u,1,100,5\nu,1"), {"user, item and time of another": 1}),
    Broken("one-item sequence", "table", swap(PLAYS, "u,1", "w,1,9,5\nu,1"), {"sequences of one item": 1}),
    Broken(
        "all of one item", "table", put(PLAYS, INTERACTIONS.replace("u,1", "w,1").split("v,2")[0]), r"/.*every user_id"
    ),
    # Parquet.
    Broken("Parquet cut short", "table", parquet(0.6, a=[1]), r"/interactions\.parquet: no whole Parquet", IN_PARQUET),
    Broken(
        "Parquet with gaps",
        "table",
        parquet(1, user_id=["u", "u", None], item_id=[1, 2, 3], timestamp=[1, 2, 3], rating=[1, 1, 1]),
        r"/interactions\.parquet:3: no user_id",
        IN_PARQUET,
    ),
    Broken(
        "Parquet with float ids",
        "table",
        parquet(1, user_id=["u", "u"], item_id=[1.0, 2.0], timestamp=[1, 2], rating=[1, 1]),
        {},
        IN_PARQUET,
    ),
    # The other readers.
    Broken(
        "atomic, commas", "atomic", put("x.inter", ATOMIC_INTER.replace("\t", ",")), r"/x\.inter:1: the header has no"
    ),
    Broken("atomic, unknown item", "atomic", swap("x.inter", "u\t2", "u\t7"), r'/x\.inter:3: item "7" is not in '),
    Broken(
        "reviews, no JSON", "amazon", entry("X_5.json.gz", 5, "{'asin': 'B0'}"), r"/X_5\.json\.gz:5: no JSON object"
    ),
    Broken("reviews, a list", "amazon", entry("X_5.json.gz", 2, "[1]"), r"/X_5\.json\.gz:2: no JSON object"),
    Broken("reviews, dropped", "amazon", entry("X_5.json.gz", 2, "[1]"), {"no JSON object": 1}, DROP),
    Broken("reviews, no asin", "amazon", entry("X_5.json.gz", 3, '{"reviewerID": "A"}'), r"/X_5\.json\.gz:3: no asin"),
    Broken(
        "no metadata",
        "amazon",
        entry("meta_X.json.gz", 4, json.dumps(PRODUCTS[0])),
        {"items without metadata": 1, "second metadata": 1, "item that is left out": 3},
    ),
    Broken(
        "HTML",
        "amazon",
        entry("meta_X.json.gz", 4, '{"asin": "B3", "title": "<b>A</b> &amp; B"}'),
        {},
    ),
    Broken(
        "no text left",
        "amazon",
        entry("meta_X.json.gz", 4, '{"asin": "B3", "title": "<script>var a;"}'),
        {"items without text": 1, "item that is left out": 3},
    ),
    Broken("no artist", "lastfm", swap("plays.csv", "artist,", "singer,"), r"/plays\.csv:1: no column of the artist"),
    Broken(
        "no date column", "lastfm", swap("plays.csv", "uts,utc_time", "a,b"), r"/plays\.csv:1: no column of the time"
    ),
    Broken("bad date", "lastfm", swap("plays.csv", "1577880200", "32 Jan 2020 10:00"), r'/plays\.csv:3: date "32 Jan'),
    Broken("no title", "lastfm", swap("plays.csv", "Two", ""), r"/plays\.csv:3: no title"),
    Broken("being played", "lastfm", swap("plays.csv", "1577880300", ""), {"plays without a date": 1}),
]

COAT, FEATURES = "coat/train.ascii", "coat/user_item_features"
UNREADABLE = [
    # Folders that are checked and read, not prepared.
    Broken(
        "coat, ragged",
        "coat",
        put(COAT, "1 2 3 4 5\n1 2 3 4\n" + "0 0 0 0 0\n" * 2),
        r"/.*train\.ascii:2: a row has 5 whole numbers",
    ),
    Broken(
        "coat, fraction",
        "coat",
        put(COAT, "1 2 3 4 5\n1 2 3 4 0.5\n" + "0 0 0 0 0\n" * 2),
        r"/.*:2: a row has 5 whole numbers from 0 to 5",
    ),
    Broken("coat, rows missing", "coat", put(COAT, "1 2 3 4 5\n"), r"/coat/train\.ascii: 1 rows, 4 "),
    Broken("coat, map", "coat", put(f"{FEATURES}/user_features_map.txt", "men\n"), r"/.*map\.txt:1: a feature is"),
    Broken(
        "hash",
        "prepared",
        lambda folder: (
            parquet(1, item_id=["1", "2"], title=["a", "b"])(folder)
            or (folder / "interactions.parquet").rename(folder / "log/items.parquet")
        ),
        r"/log/items\.parquet: its sha256 is .* it has changed",
    ),
    Broken(
        "no table", "prepared", lambda folder: (folder / "log/items.parquet").unlink(), r"/log/items\.parquet: No such"
    ),
    Broken(
        "manifest, JSON",
        "prepared",
        put("log/manifest.json", '{\n"format": 1,\n'),
        r"/log/manifest\.json: no manifest .*line 3",
    ),
    Broken("manifest, key", "prepared", put("log/manifest.json", '{"format": 1}'), r"/log/manifest\.json: no manifest"),
]
