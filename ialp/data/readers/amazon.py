"""The Amazon reviews of 2018: one JSON object per line, gzip, with remains of web pages in the texts."""

import html
import re
from pathlib import Path

import polars as pl
from typing_extensions import override

from ialp.data.log import DEFAULT_SPLIT, SHOPPING, PromptWords, Split
from ialp.data.readers.cleaning import Numbering, clean_ids
from ialp.data.readers.file_log import ITEM, Columns, FileLog, RawLog
from ialp.data.readers.intake import LINE, Intake
from ialp.data.readers.pipeline import find_file, make_log, read_interactions, sort_by_time, textless
from ialp.data.readers.table import JsonTable

COLUMNS = Columns("reviewerID", "asin", "unixReviewTime")
FIELDS = ("title", "category", "brand")
SCRIPT = re.compile(r"<(script|style)\b.*?(</\1\s*>|$)", re.IGNORECASE | re.DOTALL)
TAG = re.compile(r"</?[a-zA-Z!][^<>]*>?")
SOURCE = "getTime()"  # titles that are a page's program contain it


class AmazonLog(FileLog):
    """Reviews of one category: ROOT/NAME_5.json.gz and ROOT/meta_NAME.json.gz, or either unpacked (.json).

    A review counts as a purchase: reviewerID makes the sequences, unixReviewTime (a day) their order; reviews of one
    day keep the file's order. The same review twice counts once. Texts lose their HTML; items without metadata or text
    are left out, and so are products that nobody reviewed. What is left out is counted.

    Args:
        root: Folder that holds both files.
        name: Of the category as the files have it, such as Industrial_and_Scientific.
        attributes: What makes a product's text, in this order: of title, category, brand.
        words, max_words, split: As in `FileLog`.
    """

    def __init__(
        self,
        root: str,
        name: str,
        attributes: list[str] = ["title", "category", "brand"],  # noqa: B006 - shown as such in the CLI's help
        words: PromptWords = SHOPPING,
        max_words: int = 12,
        split: Split = DEFAULT_SPLIT,
    ) -> None:
        super().__init__(name, attributes, words, max_words, split, known=FIELDS)
        self.root = root

    @override
    def read(self, intake: Intake) -> RawLog:
        path, products = self.find(f"{self.name}_5.json"), Numbering("asin")
        meta = self.find(f"meta_{self.name}.json")
        rows = read_interactions(JsonTable(path), COLUMNS, products, intake).rename({"item": "_number"})
        items = self.read_metadata(meta, products, intake)
        rows = rows.join(items.select("_number", "item"), on="_number", how="left", maintain_order="left")
        lost = "interactions with an item that is left out, left out too"
        intake.note(lost, rows["item"].null_count(), str(path))
        rows = sort_by_time(path, rows.drop_nulls("item").select("sequence", "item", "timestamp"), intake)
        return make_log(path, items.select(pl.col("asin").alias(ITEM), *self.attributes), rows, intake, "reviewerID")

    def find(self, name: str) -> Path:
        """The file, packed or not."""
        return find_file([Path(self.root, name + ".gz"), Path(self.root, name)], "check root and the category's name")

    def read_metadata(self, path: Path, products: Numbering, intake: Intake) -> pl.DataFrame:
        """Columns item (UInt32, from 1), _number, asin and attributes of the reviewed products that have a text.

        The first of several entries for a product counts.
        """
        parts = []
        for rows in JsonTable(path).rows(["asin", *self.attributes], intake):
            rows = clean_ids(path, rows, "asin", intake)
            rows = rows.with_columns(products.look_up(rows).alias("_number"))
            unknown = pl.col("_number").is_null()
            rows = intake.leave_out(path, rows, unknown, "metadata of items that nobody reviewed, left out")
            for name in self.attributes:
                text = pl.Series([clean_text(raw) for raw in rows[name]], dtype=pl.String)
                rows = rows.with_columns(text.str.replace("(?i)^by ", "" if name == "brand" else "${0}").alias(name))
            parts.append(rows.select(LINE, "_number", "asin", *self.attributes))
        found = pl.concat(parts)
        again = ~pl.col("_number").is_first_distinct()
        found = intake.leave_out(path, found, again, "second metadata of a product, left out")
        intake.note("items without metadata, left out", products.table.height - found.height, str(path))
        found = intake.leave_out(path, found, textless(self.attributes), "items without text, left out")
        return found.sort("_number").with_row_index("item", offset=1)


def clean_text(text: str) -> str:
    """A title, category or brand without HTML, in one line."""
    if "<" in text:
        text = TAG.sub(" ", SCRIPT.sub(" ", text))
    return "" if SOURCE in text else " ".join(html.unescape(text).split())
