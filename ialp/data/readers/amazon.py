"""The Amazon reviews of 2018: one JSON object per line, gzip, dirty where pages were scraped."""

import html
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from ialp.data.readers.cells import Numbering, clean_ids, clean_times
from ialp.data.readers.file_log import ITEM, FileLog, RawLog, check_attributes, make_log, silent, sort_by_time
from ialp.data.readers.intake import LINE, Intake, shorten
from ialp.data.readers.lines import read_blocks, split_lines
from ialp.errors import UserError

FIELDS = ("title", "category", "brand")
SCRIPT = re.compile(r"<(script|style)\b.*?(</\1\s*>|$)", re.IGNORECASE | re.DOTALL)
TAG = re.compile(r"</?[a-zA-Z!][^<>]*>?")
SOURCE = "getTime()"  # titles that are a page's program contain it
LOST = "interactions with an item that is left out, left out too"


class AmazonLog(FileLog):
    """Reviews of one category: ROOT/NAME_5.json.gz and ROOT/meta_NAME.json.gz, or either unpacked (.json).

    A review counts as a purchase: reviewerID makes the sequences, unixReviewTime (a day) their order; reviews of one
    day keep the file's order. The same review twice counts once. Texts lose their HTML; items without metadata or text
    are left out, and so are products that nobody reviewed. All of that is counted.

    Args:
        root: Folder that holds both files, or a folder NAME in it does.
        name: Of the category as the files have it, such as Industrial_and_Scientific.
        attributes: What makes a product's text, in this order: of title, category, brand.
        scenario: Kind of platform, as the prompt names it.
        item_word: What is recommended, as the prompt names it.
        behavior: What users do with it, as the prompt names it.
        max_words: Every attribute is cut to so many words.
        test_fraction: Share of the users that make the test world.
        split_seed: Seed of that choice.
    """

    def __init__(
        self,
        root: str,
        name: str,
        attributes: list[str] = ["title", "category", "brand"],  # noqa: B006 - shown as such in the CLI's help
        scenario: str = "shopping",
        item_word: str = "product",
        behavior: str = "purchase",
        max_words: int = 12,
        test_fraction: float = 0.2,
        split_seed: int = 0,
    ) -> None:
        check_attributes(name, "the metadata", attributes)
        if unknown := set(attributes) - set(FIELDS):
            raise UserError(f"attributes has {', '.join(sorted(unknown))}: a product has {', '.join(FIELDS)}")
        super().__init__(name, attributes, scenario, item_word, behavior, max_words, test_fraction, split_seed)
        self.root = root

    def read(self, intake: Intake) -> RawLog:
        """The reviews, then what the metadata say of the reviewed products."""
        reviews, meta = self.find(f"{self.name}_5.json"), self.find(f"meta_{self.name}.json")
        products = Numbering("asin")
        rows = read_reviews(reviews, products, intake)
        items = read_metadata(meta, products, self.attributes, intake)
        rows = rows.join(items.select("_number", "item"), on="_number", how="left", maintain_order="left")
        intake.note(LOST, rows["item"].null_count(), str(reviews))
        rows = rows.drop_nulls("item").select("user", "item", "timestamp")
        rows = sort_by_time(reviews, rows, intake, drop_repeated=True).rename({"user": "sequence"})
        return make_log(reviews, items.select(ITEM, *self.attributes), rows, intake, "reviewerID")

    def find(self, name: str) -> Path:
        """The file, packed or not, under the root or in a folder of the category's name."""
        places = [
            folder / (name + ending)
            for folder in (Path(self.root), Path(self.root) / self.name)
            for ending in (".gz", "")
        ]
        for place in places:
            if place.is_file():
                return place
        raise UserError(f"no {name}.gz at {places[0]} or {places[2]}: check root and the category's name")


def read_reviews(path: Path, products: Numbering, intake: Intake) -> pl.DataFrame:
    """Columns user, _number (of the product) and timestamp in the order of the file."""
    users, parts = Numbering("reviewerID"), []
    for lines, objects in read_objects(path, intake):
        rows = pl.DataFrame(
            {
                LINE: lines,
                **{name: [_scalar(each.get(name)) for each in objects] for name in ("reviewerID", "asin")},
                "unixReviewTime": [_scalar(each.get("unixReviewTime")) for each in objects],
            },
            schema={LINE: pl.UInt32, "reviewerID": pl.String, "asin": pl.String, "unixReviewTime": pl.String},
        )
        for name in ("reviewerID", "asin"):
            rows = clean_ids(path, rows, name, f"no {name}", intake)
        rows = clean_times(path, rows, "unixReviewTime", intake)
        numbers = users.number(rows).alias("user"), products.number(rows).alias("_number")
        parts.append(rows.select(*numbers, "timestamp"))
    return pl.concat(parts)


def read_metadata(path: Path, products: Numbering, attributes: Sequence[str], intake: Intake) -> pl.DataFrame:
    """Columns item (UInt32, from 1), _number, item_id and attributes of the products that have a text.

    The first of several entries for a product counts.
    """
    found = pl.concat(_entries(path, products, attributes, intake))
    intake.note_rows(path, found, ~pl.col("_number").is_first_distinct(), "second metadata of a product, left out")
    found = found.unique("_number", keep="first")
    intake.note("items without metadata, left out", products.table.height - found.height, str(path))
    intake.note_rows(path, found.sort(LINE), silent(attributes), "items without text, left out")
    items = found.filter(~silent(attributes)).sort("_number").with_row_index("item", offset=1)
    items = items.join(products.table, on="_number", how="left", maintain_order="left")
    return items.select("item", "_number", pl.col("asin").alias(ITEM), *attributes)


def _entries(path: Path, products: Numbering, attributes: Sequence[str], intake: Intake) -> Iterator[pl.DataFrame]:
    """Chunks of line, _number and attributes: what the metadata say of reviewed products."""
    for lines, objects in read_objects(path, intake):
        rows = pl.DataFrame(
            {LINE: lines, "asin": [_scalar(each.get("asin")) for each in objects], "at": range(len(objects))},
            schema={LINE: pl.UInt32, "asin": pl.String, "at": pl.UInt32},
        )
        rows = clean_ids(path, rows, "asin", "no asin", intake)
        rows = rows.with_columns(products.look_up(rows).alias("_number"))
        intake.note_rows(path, rows, pl.col("_number").is_null(), "metadata of items that nobody reviewed, left out")
        rows = rows.drop_nulls("_number")
        for name in attributes:
            texts = [clean_text(objects[at].get(name), name) for at in rows["at"]]
            dirty = pl.Series("dirty", [changed for _, changed in texts], dtype=pl.Boolean)
            intake.note_rows(path, rows.with_columns(dirty), pl.col("dirty"), f"{name} with HTML, cleaned")
            rows = rows.with_columns(pl.Series(name, [text for text, _ in texts], dtype=pl.String))
        yield rows.select(LINE, "_number", *attributes)


def read_objects(path: Path, intake: Intake) -> Iterator[tuple[list[int], list[dict[str, Any]]]]:
    """Line numbers and JSON objects, a block at a time.

    Raises:
        UserError: See `read_blocks`; a line that is no JSON object, where bad rows are refused.
    """
    empty = True
    for number, text in read_blocks(path, intake):
        rows = split_lines(number, text)
        lines, objects = [], []
        for line, content in zip(rows[LINE].to_list(), rows["text"].to_list(), strict=True):
            try:
                value = json.loads(content)
            except (ValueError, RecursionError):
                value = None
            if isinstance(value, dict):
                lines.append(line)
                objects.append(value)
                continue
            said = f'{path}:{line}: no JSON object: "{shorten(content)}"'
            if intake.bad_rows == "refuse":
                raise UserError(f"{said}; take the files of 2018, which have one per line")
            intake.complain("no JSON object", said)
        empty = empty and not objects
        yield lines, objects
    if empty:
        raise UserError(f"{path}: no JSON object in it: it needs one per line")


def clean_text(value: object, name: str) -> tuple[str, bool]:
    """A title, category or brand as plain text, and whether HTML had to go; lists are joined by spaces."""
    raw = " ".join(map(str, value)) if isinstance(value, list) else str(value or "")
    text = TAG.sub(" ", SCRIPT.sub(" ", raw)) if "<" in raw else raw
    text = "" if SOURCE in text else html.unescape(text)
    dirty = text != raw
    text = " ".join(text.split())
    if name == "brand" and text.lower().startswith("by "):
        text = text[3:]
    return text, dirty


def _scalar(value: object) -> str:
    """An id or a number as text; anything else, which is none, as its JSON."""
    if value is None or isinstance(value, str):
        return (value or "").strip()
    return json.dumps(value)
