"""Exports of Last.fm scrobbles, as several programs write them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from typing_extensions import override

from ialp.data.log import DEFAULT_SPLIT, MUSIC, PromptWords, Split
from ialp.data.readers.cleaning import Numbering
from ialp.data.readers.file_log import ITEM, Columns, FileLog, RawLog
from ialp.data.readers.intake import LINE, Intake
from ialp.data.readers.pipeline import make_log, read_interactions, sort_by_time
from ialp.data.readers.table import Table
from ialp.data.readers.text_table import TextFormat, TextTable
from ialp.errors import UserError

ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
NAMES = {  # of columns in exports, in lower case and with underscores
    "user": ("user", "username", "user_id", "userid"),
    "artist": ("artist", "artist_name"),
    "title": ("track", "title", "track_name", "song", "name"),
    "album": ("album", "album_name", "album_title"),
    "time": (
        "uts",
        "timestamp",
        "unix_timestamp",
        "utc_time",
        "datetime",
        "date_time",
        "scrobble_time",
        "date",
        "time",
    ),
}
WITHOUT_HEADER = {
    4: ["artist", "album", "track", "date"],  # the converter of the site's most used exporter page
    6: ["user", "date", "artist_mbid", "artist", "track_mbid", "track"],  # the published log of 1,000 users
}
TEXTS = ("title", "album", "artist")
UNDATED = "plays without a date (being played when exported), left out"


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
        name, words, max_words, split: As in `FileLog`.
    """

    def __init__(
        self,
        root: str,
        gap_minutes: float = 30,
        max_plays: int = 20,
        attributes: list[str] = ["title", "album", "artist"],  # noqa: B006 - shown as such in the CLI's help
        name: str = "lastfm",
        words: PromptWords = MUSIC,
        max_words: int = 12,
        split: Split = DEFAULT_SPLIT,
    ) -> None:
        if gap_minutes <= 0 or max_plays < 2:
            raise UserError(f"gap_minutes is {gap_minutes} and max_plays {max_plays}: take more than 0, and 2 or more")
        super().__init__(name, attributes, words, max_words, split, known=TEXTS)
        self.root = root
        self.gap_minutes, self.max_plays = gap_minutes, max_plays

    @override
    def read(self, intake: Intake) -> RawLog:
        path, tracks, users = Path(self.root), Numbering("key", TEXTS), Numbering("user")
        parts = []
        for table in map(Export, self.files()):
            plays = read_interactions(table, Columns("user", "key", "date"), tracks, intake, users=users)
            trend = plays.select(pl.col("timestamp").diff().sign().sum()).item()
            parts.append(plays.reverse() if trend < 0 else plays)  # many exports have the latest play first
        rows = sort_by_time(path, pl.concat(parts), intake)
        items = tracks.table.select(("t" + (pl.col("_number") - 1).cast(pl.String)).alias(ITEM), *self.attributes)
        return make_log(path, items, self.sessions(rows), intake, "session")

    def files(self) -> list[Path]:
        """The exports."""
        path = Path(self.root)
        if not path.is_dir():
            return [path]
        if files := sorted(file for file in path.iterdir() if file.name.endswith(ENDINGS)):
            return files
        raise UserError(f"{path}: no export in it: they end in {', '.join(ENDINGS)}")

    def sessions(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Sorted plays, with the session in place of the listener as their sequence."""
        pause = pl.col("timestamp").diff() > 60 * self.gap_minutes
        begins = (pause | (pl.col("sequence").diff() != 0)).fill_null(True)
        rows = rows.with_columns(begins.cum_sum().alias("session"))
        nth = pl.int_range(pl.len()).over("session")
        sequence = pl.struct("session", nth // self.max_plays).rle_id()
        return rows.select(sequence.alias("sequence"), "item", "timestamp")


class Export(Table):
    """The plays of one file: columns user, key (of the track), artist, title, album and date."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, ["user", "key", *TEXTS, "date"])
        table = TextTable(path)
        names = [name.lower().replace(" ", "_") for name in table.columns]
        if not set(names) & set(NAMES["artist"]) and len(names) in WITHOUT_HEADER:
            names = WITHOUT_HEADER[len(names)]
            table = TextTable(path, TextFormat(table.separator, names))
        self.table, table.columns = table, names
        self.named = {what: next((name for name in known if name in names), None) for what, known in NAMES.items()}
        if missing := [what for what in ("artist", "title", "time") if not self.named[what]]:
            known, found = " or ".join(NAMES[missing[0]]), ", ".join(names)[:200]
            raise UserError(f"{path}:1: no column of the {missing[0]}: it is called {known}; the header has {found}")

    @override
    def chunks(self, wanted: Sequence[str], intake: Intake) -> Iterator[pl.DataFrame]:
        named = {what: name for what, name in self.named.items() if name and what != "time"}
        times = [str(self.named["time"])]
        times += ["time"] if times == ["date"] and "time" in self.table.columns else []
        cells = [pl.col(name).alias(what) for what, name in named.items()]
        cells += [
            pl.lit(text).alias(what) for what, text in (("user", str(self.path)), ("album", "")) if what not in named
        ]
        when = pl.concat_str(times, separator=" ").str.strip_chars().alias("date")
        for rows in self.table.rows([*named.values(), *times], intake):
            rows = rows.select(LINE, *cells, when)
            undated = pl.col("date").is_in(["", "0", "01 Jan 1970 00:00", "01 Jan 1970, 00:00"])
            rows = intake.leave_out(self.path, rows, undated, UNDATED)
            for what in ("artist", "title"):
                rows = intake.drop_or_raise(self.path, rows, pl.col(what) == "", f"no {what}")
            plain = [pl.col(name).str.to_lowercase().str.replace_all(r"\s+", " ") for name in ("artist", "title")]
            yield rows.with_columns(pl.concat_str(plain, separator="\x1f").alias("key"))
