"""RecBole atomic files: `name.item` and `name.inter`, tab-separated, header `name:type`, UTF-8."""

import logging
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ialp.data.builtin_log import BuiltinLog
from ialp.data.catalogue import Catalogue
from ialp.data.interactions import Interactions
from ialp.data.log_source import Log, LogSource
from ialp.errors import UserError

logger = logging.getLogger(__name__)

ITEM, TIME, LINE = "item_id", "timestamp", "line"
USER_COLUMNS = ("user_id", "session_id")  # either makes the sequences


class AtomicLog(LogSource):
    """A log in two files, one's own or a published one: ROOT/NAME/NAME.item and .inter, or ROOT/NAME.item and .inter.

    NAME.item has a column item_id and the text attributes; NAME.inter has user_id (or session_id), item_id and
    timestamp. Each user's interactions, sorted by timestamp, are one sequence; equal timestamps keep the file's order.

    Args:
        name: The files' name without ending.
        root: Folder that holds them; without one the built-in catalogue takes their place, and a warning says so.
        attributes: Columns of NAME.item that make an item's text, in this order.
        scenario: Kind of platform, as the prompt names it.
        item_word: What is recommended, as the prompt names it.
        behavior: What users do with it, as the prompt names it.
        max_words: Every attribute is cut to so many words.
        test_fraction: Share of the sequences that make the test world.
        split_seed: Seed of that choice.
    """

    def __init__(
        self,
        name: str,
        root: str | None = None,
        attributes: list[str] = ["title", "album", "artist"],  # noqa: B006 - shown as such in the CLI's help
        scenario: str = "music",
        item_word: str = "track",
        behavior: str = "listening",
        max_words: int = 12,
        test_fraction: float = 0.2,
        split_seed: int = 0,
    ):
        if not attributes:
            raise UserError(f"{name}: attributes is empty: name the columns of {name}.item that hold text")
        if len({ITEM, *attributes}) <= len(attributes):
            raise UserError(
                f"{name}: attributes are {', '.join(attributes)}: name each text column once, {ITEM} is none"
            )
        self.name = name
        self.root = root
        self.attributes = list(attributes)
        self.scenario = scenario
        self.item_word = item_word
        self.behavior = behavior
        self.max_words = max_words
        self.test_fraction = test_fraction
        self.split_seed = split_seed

    def load(self) -> Log:
        """Read both files and split the sequences.

        Raises:
            UserError: A file is missing or cannot be used; the text names file and line.
        """
        if not self.root:
            logger.warning('no data root is set: the built-in catalogue takes the place of "%s"', self.name)
            return BuiltinLog(
                max_words=self.max_words, test_fraction=self.test_fraction, split_seed=self.split_seed
            ).load()
        item_file, inter_file = self.find(".item"), self.find(".inter")
        catalogue = read_catalogue(item_file, self.attributes, self.max_words)
        train, test = read_interactions(inter_file, catalogue.ids, item_file).split(self.test_fraction, self.split_seed)
        return Log(
            name=self.name,
            catalogue=catalogue,
            train=train,
            test=test,
            scenario=self.scenario,
            item_word=self.item_word,
            behavior=self.behavior,
        )

    def find(self, ending: str) -> Path:
        """The file with this ending, in a folder of its own or directly under the root."""
        root = Path(self.root or "")
        places = [root / self.name / (self.name + ending), root / (self.name + ending)]
        for place in places:
            if place.is_file():
                return place
        raise UserError(f"no {self.name}{ending} at {places[0]} or {places[1]}: check data_root and the log's name")


def read_lines(path: Path) -> pl.DataFrame:
    """Columns `line`, counted from 1, and `text`; blank lines are left out.

    Raises:
        UserError: The file cannot be opened, is not UTF-8, or holds no rows.
    """
    try:
        data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        text = data.decode("utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: it cannot be read") from None
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{number}: not UTF-8 text: save the file as UTF-8") from None
    # Not splitlines: titles may hold characters that it takes for line ends (U+0085, U+2028).
    lines = pl.DataFrame({"text": text.split("\n")}).with_row_index(LINE, offset=1)
    lines = lines.with_columns(pl.col("text").str.strip_suffix("\r")).filter(pl.col("text").str.strip_chars() != "")
    if lines.height < 2:
        raise UserError(f"{path}: {'only a header' if lines.height else 'empty file'}: it needs a header and rows")
    return lines


def read_table(path: Path, required: Sequence[str]) -> pl.DataFrame:
    """The required columns of a tab-separated file as strings, and `line`, counted from 1, the header included.

    Raises:
        UserError: See `read_lines`; a missing or doubled column, or a line with too few or too many fields.
    """
    lines = read_lines(path)
    columns = read_header(path, lines["text"][0], required)
    lines = (
        lines[1:]
        .with_columns(pl.col("text").str.split("\t").alias("fields"))
        .with_columns(pl.col("fields").list.len().alias("width"))
    )
    if (wrong := lines.filter(pl.col("width") != len(columns)).head(1)).height:
        number, width = wrong[LINE][0], wrong["width"][0]
        raise UserError(f"{path}:{number}: {width} fields, the header has {len(columns)}: separate them by one tab")
    wanted = [pl.col("fields").list.get(columns.index(name)).str.strip_chars().alias(name) for name in required]
    return lines.select(LINE, *wanted)


def read_header(path: Path, header: str, required: Sequence[str]) -> list[str]:
    """Column names of a header `name:type`, the required ones among them once each."""
    columns = column_names(header)
    if len(columns) == 1:
        raise UserError(f"{path}:1: the header has no tab: columns must be separated by tabs, not commas or spaces")
    if missing := [name for name in required if name not in columns]:
        raise UserError(f"{path}:1: no column {' and no '.join(missing)}: the header has {', '.join(columns)}")
    if doubled := [name for name in required if columns.count(name) > 1]:
        raise UserError(f"{path}:1: column {doubled[0]} appears twice in the header")
    return columns


def column_names(header: str) -> list[str]:
    """What stands before the colon of each field."""
    return [field.split(":")[0].strip() for field in header.split("\t")]


def read_catalogue(path: Path, attributes: Sequence[str], max_words: int) -> Catalogue:
    """The items in the order of the file.

    Raises:
        UserError: See `read_table`; an item without an id or without any text, an id that appears twice.
    """
    table = read_table(path, [ITEM, *attributes])
    refuse(path, table, pl.col(ITEM) == "", "item without an id")
    refuse(path, table, ~pl.col(ITEM).is_first_distinct(), 'item id "{}" appears a second time', ITEM)
    silent = pl.all_horizontal(pl.col(name) == "" for name in attributes)
    refuse(path, table, silent, 'item "{}" has no text in any of: ' + ", ".join(attributes), ITEM)
    return Catalogue(table[ITEM].to_list(), {name: table[name].to_list() for name in attributes}, max_words)


def read_interactions(path: Path, ids: Sequence[str], item_file: Path) -> Interactions:
    """One sequence per user, in the order in which users first appear; sequences of one item are dropped and counted.

    Raises:
        UserError: See `read_table`; an unknown item, a timestamp that is no number, no user, only short sequences.
    """
    user = user_column(path)
    table = read_table(path, [user, ITEM, TIME]).with_columns(pl.col(TIME).cast(pl.Float64, strict=False).alias("time"))
    refuse(path, table, pl.col(user) == "", f"no {user}")
    refuse(path, table, ~pl.col("time").is_finite().fill_null(False), 'timestamp "{}" is not a number', TIME)
    known = pl.DataFrame({ITEM: ids}).with_row_index("item", offset=1)
    table = table.join(known, on=ITEM, how="left", maintain_order="left")
    refuse(path, table, pl.col("item").is_null(), f'item "{{}}" is not in {item_file}', ITEM)
    ordered = table.sort("time", maintain_order=True).group_by(user).agg("item", pl.col(LINE).min()).sort(LINE)
    sequences = ordered.filter(pl.col("item").list.len() > 1)["item"].to_list()
    if not sequences:
        raise UserError(f"{path}: every {user} has one interaction: a sequence needs two or more")
    if dropped := ordered.height - len(sequences):
        logger.warning("%s: %d of %d sequences have one item only and are left out", path, dropped, ordered.height)
    return Interactions.from_sequences(sequences)


def user_column(path: Path) -> str:
    """Which column makes the sequences."""
    columns = column_names(read_lines(path)["text"][0])
    return next((name for name in USER_COLUMNS if name in columns), USER_COLUMNS[0])


def refuse(path: Path, table: pl.DataFrame, bad: pl.Expr, complaint: str, shown: str | None = None) -> None:
    """Raise UserError at the first line where `bad` holds; `{}` in the complaint is what column `shown` holds there."""
    if (rows := table.filter(bad)).height:
        more = f" (and {rows.height - 1} more)" if rows.height > 1 else ""
        value = rows[shown][0] if shown else ""
        raise UserError(f"{path}:{rows[LINE][0]}: {complaint.format(value)}{more}")
