"""Exports of Last.fm scrobbles, as several programs write them."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ialp.data.readers.cells import Numbering, clean_times
from ialp.data.readers.file_log import ITEM, FileLog, RawLog, check_attributes, make_log, sort_by_time
from ialp.data.readers.intake import LINE, Intake
from ialp.data.readers.table import Table, TextTable, open_table
from ialp.errors import UserError

ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".parquet")
TIME_NAMES = (
    "uts",
    "timestamp",
    "unix_timestamp",
    "utc_time",
    "datetime",
    "date_time",
    "scrobble_time",
    "date",
    "time",
)
NAMES = {
    "artist": ("artist", "artist_name"),
    "title": ("track", "title", "track_name", "song", "name"),
    "album": ("album", "album_name", "album_title"),
    "user": ("user", "username", "user_id", "userid"),
}
WITHOUT_HEADER = {
    4: ["artist", "album", "track", "date"],  # the converter of the site's most used exporter page
    6: ["user", "date", "artist_mbid", "artist", "track_mbid", "track"],  # the published log of 1,000 users
}
UNDATED = "plays without a date (being played when exported), left out"
CUT = "sessions cut where they reach max_plays, and continued as another"


class LastfmLog(FileLog):
    """Listening sessions from exports of Last.fm: CSV files, one listener each unless a column names the listener.

    Known by their header, in any case and with any separator: artist, track (title, song), album if there is one, a
    time (uts, timestamp, utc_time, date, or date and time apart) and user. Without a header: artist, album, track,
    date; or user, date, artist's id, artist, track's id, track. A track is its artist and title, whatever their case.
    A session ends where nothing is played for so long; a long one is cut, and nothing of it is lost.

    Args:
        root: A file, or a folder of such files.
        gap_minutes: A longer pause between two plays begins a new session.
        max_plays: Plays of a session; what follows is the next one.
        attributes: What makes a track's text, in this order: of title, album, artist.
        name: Of the log.
        scenario: Kind of platform, as the prompt names it.
        item_word: What is recommended, as the prompt names it.
        behavior: What users do with it, as the prompt names it.
        max_words: Every attribute is cut to so many words.
        test_fraction: Share of the sessions that make the test world.
        split_seed: Seed of that choice.
    """

    def __init__(
        self,
        root: str,
        gap_minutes: float = 30,
        max_plays: int = 20,
        attributes: list[str] = ["title", "album", "artist"],  # noqa: B006 - shown as such in the CLI's help
        name: str = "lastfm",
        scenario: str = "music",
        item_word: str = "track",
        behavior: str = "listening",
        max_words: int = 12,
        test_fraction: float = 0.2,
        split_seed: int = 0,
    ) -> None:
        check_attributes(name, "the export", attributes)
        if unknown := set(attributes) - {"title", "album", "artist"}:
            raise UserError(f"attributes has {', '.join(sorted(unknown))}: a track has title, album and artist")
        if gap_minutes <= 0:
            raise UserError(f"gap_minutes is {gap_minutes}: it must be above 0")
        if max_plays < 2:
            raise UserError(f"max_plays is {max_plays}: a sequence needs two or more")
        super().__init__(name, attributes, scenario, item_word, behavior, max_words, test_fraction, split_seed)
        self.root = root
        self.gap_minutes, self.max_plays = gap_minutes, max_plays

    def read(self, intake: Intake) -> RawLog:
        """All files, whole."""
        tracks, users = Numbering("key", ("artist", "title", "album")), Numbering("user")
        parts = [read_export(path, tracks, users, intake) for path in self.files()]
        path = Path(self.root)
        rows = sort_by_time(path, pl.concat(parts), intake, drop_repeated=True)
        items = tracks.table.select(("t" + (pl.col("_number") - 1).cast(pl.String)).alias(ITEM), *self.attributes)
        return make_log(path, items, self.sessions(path, rows, intake), intake, "session")

    def files(self) -> list[Path]:
        """The exports."""
        path = Path(self.root)
        if not path.is_dir():
            return [path]
        if files := sorted(file for file in path.iterdir() if file.name.endswith(ENDINGS)):
            return files
        raise UserError(f"{path}: no export in it: they end in {', '.join(ENDINGS)}")

    def sessions(self, path: Path, rows: pl.DataFrame, intake: Intake) -> pl.DataFrame:
        """Sorted plays with their session: `sequence`, item, timestamp."""
        pause = pl.col("timestamp").diff() > 60 * self.gap_minutes
        begins = (pause | (pl.col("user").diff() != 0)).fill_null(True)
        rows = rows.with_columns(begins.cum_sum().alias("session"))
        nth = pl.int_range(pl.len()).over("session")
        intake.note(CUT, int(rows.select((nth == self.max_plays).sum()).item()), str(path))
        sequence = pl.struct("session", nth // self.max_plays).rle_id()
        return rows.select(sequence.alias("sequence"), "item", "timestamp")


def read_export(path: Path, tracks: Numbering, users: Numbering, intake: Intake) -> pl.DataFrame:
    """Plays of one file: columns user, item and timestamp; the oldest first where the file has the latest first."""
    table, times = recognise(path)
    named = {what: _first(table.columns, NAMES[what]) for what in NAMES}
    for what in ("artist", "title"):
        if not named[what]:
            raise UserError(
                f"{path}:1: no column of the {what}: it is called {' or '.join(NAMES[what])}; the header has "
                + ", ".join(table.columns)
            )
    parts = []
    for rows in table.rows([*filter(None, named.values()), *times], intake):
        when = pl.concat_str([pl.col(name) for name in times], separator=" ").str.strip_chars().alias("date")
        cells = (
            pl.col(column).alias(what) if column else pl.lit(str(path) if what == "user" else "").alias(what)
            for what, column in named.items()
        )
        rows = rows.select(LINE, *cells, when)
        undated = pl.col("date").is_in(["", "0", "01 Jan 1970 00:00", "01 Jan 1970, 00:00"])
        intake.note_rows(path, rows, undated, UNDATED)
        rows = clean_times(path, rows.filter(~undated), "date", intake)
        for what in ("artist", "title"):
            rows = intake.drop_or_raise(path, rows, pl.col(what) == "", f"no {what}")
        rows = rows.with_columns(_key("artist", "title").alias("key"))
        parts.append(rows.select(users.number(rows).alias("user"), tracks.number(rows).alias("item"), "timestamp"))
    plays = pl.concat(parts)
    trend = plays.select(pl.col("timestamp").diff().sign().sum()).item()
    return plays.reverse() if trend < 0 else plays


def recognise(path: Path) -> tuple[Table, list[str]]:
    """The table with its columns' names, lower case with underscores, and those that make the time."""
    table = open_table(path)
    if isinstance(table, TextTable):
        plain = [_plain(name) for name in table.columns]
        header = any(name in NAMES["artist"] for name in plain)
        if not header and (names := WITHOUT_HEADER.get(len(plain))):
            table = TextTable(path, table.separator, names=names)
        elif not header:
            raise UserError(
                f"{path}:1: no column of the artist, and not 4 or 6 columns as exports without a header have: "
                f"this line has {len(plain)}: {', '.join(table.columns)[:60]}"
            )
        else:
            table.columns = plain
    times = [name for name in TIME_NAMES if name in table.columns][:1]
    if not times:
        raise UserError(
            f"{path}:1: no column of the time: it is called {' or '.join(TIME_NAMES)}; the header has "
            + ", ".join(table.columns)
        )
    return table, ["date", "time"] if times == ["date"] and "time" in table.columns else times


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


def _first(columns: Sequence[str], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in columns), None)


def _key(*names: str) -> pl.Expr:
    """Texts without their case and spaces, as one."""
    plain = (pl.col(name).str.to_lowercase().str.replace_all(r"\s+", " ") for name in names)
    return pl.concat_str(list(plain), separator="\x1f")
