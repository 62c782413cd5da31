"""Coat: 290 users, 300 coats, ratings from 1 to 5 (Schnabel et al., 2016), in its original layout."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor
from typing_extensions import override

from ialp.data.catalogue import Catalogue
from ialp.data.interactions import Interactions
from ialp.data.log import DEFAULT_SPLIT, FASHION, Log, LogSource, PromptWords, Split
from ialp.data.rating_log import RatingLog, Ratings
from ialp.data.readers.intake import Intake
from ialp.data.readers.lines import read_blocks, split_lines
from ialp.data.readers.pipeline import find_file
from ialp.errors import UserError

FEATURES = "user_item_features"
HIGHEST = 5


class CoatLog(LogSource):
    """The files of Coat: ROOT/coat/ or ROOT itself holds train.ascii, test.ascii and user_item_features/.

    train.ascii are ratings of coats that users chose, test.ascii of coats put before them at random; both are one row
    per user, one column per coat, 0 where there is no rating. A user's sequence is the user and then the coats that he
    chose and liked, in an order drawn by seed, since Coat tells none.

    Args:
        root: Folder that holds the files; nothing takes their place without it.
        attributes: Fields of the coats that make their text, in this order: of gender, jackettype, color, onfrontpage.
        liked: A rating from here on counts as liked.
        words: Words of the judge's prompt.
        max_words: Every attribute is cut to so many words.
        split: Which users make the test world; its seed is that of the sequences' order, too.
    """

    def __init__(
        self,
        root: str | None = None,
        attributes: list[str] = ["jackettype", "color"],  # noqa: B006 - shown as such in the CLI's help
        liked: int = 4,
        words: PromptWords = FASHION,
        max_words: int = 12,
        split: Split = DEFAULT_SPLIT,
    ) -> None:
        self.root, self.attributes, self.liked = root, list(attributes), liked
        self.words, self.max_words, self.split = words, max_words, split

    @override
    def load(self) -> Log:
        if not self.root:
            raise UserError(
                "no data root is set, and nothing takes the place of Coat: set IALP_DATA or --data_root to the folder "
                "that holds coat/train.ascii (cs.cornell.edu/~schnabts/mnar)"
            )
        places = [folder / "train.ascii" for folder in (Path(self.root) / "coat", Path(self.root))]
        files = read_coat(find_file(places, "check data_root").parent, Intake())
        num_items = len(files.item_features)
        texts = {name: files.texts(name) for name in self.attributes}
        sequences = sequences_of_liked(files.rated, self.liked, len(files.user_features), num_items, self.split.seed)
        train, test = self.split(sequences)
        return RatingLog(
            name="coat",
            catalogue=Catalogue([str(coat) for coat in range(num_items)], texts, self.max_words),
            train=train,
            test=test,
            words=self.words,
            user_features=files.user_features,
            item_features=torch.cat([torch.zeros(1, files.item_features.shape[1]), files.item_features]),
            rated=files.rated,
            rated_at_random=files.rated_at_random,
        )


@dataclass
class CoatFiles:
    """What the files hold.

    Attributes:
        folder: Where they are.
        item_fields: (field, value) of the columns of `item_features`.
        user_features: (U, F) 0 or 1.
        item_features: (N, G) 0 or 1.
        rated: Ratings of coats that users chose.
        rated_at_random: Ratings of coats put before them.
    """

    folder: Path
    item_fields: list[tuple[str, str]]
    user_features: Tensor
    item_features: Tensor
    rated: Ratings
    rated_at_random: Ratings

    def texts(self, field: str) -> list[str]:
        """What every coat is by one field, in words; several values are joined."""
        values = {column: value for column, (name, value) in enumerate(self.item_fields) if name == field}
        if not values:
            known = ", ".join(dict.fromkeys(name for name, _ in self.item_fields))
            path = self.folder / FEATURES / "item_features_map.txt"
            raise UserError(f"{path}: no field {field}: attributes may name {known}")
        return [" ".join(value for column, value in values.items() if row[column]) for row in self.item_features]

    @property
    def counts(self) -> dict[str, float]:
        """As `RawLog.counts`, of ratings."""
        ratings = len(self.rated) + len(self.rated_at_random)
        users, items = len(self.user_features), len(self.item_features)
        counts = {"items": items, "sequences": users, "interactions": ratings}
        return {**counts, "mean_length": ratings / users, "density": ratings / (users * items)}


def read_coat(folder: Path, intake: Intake) -> CoatFiles:
    """All six files.

    Raises:
        UserError: A file is missing or cannot be used; the message names file and line.
    """
    _, user_features = read_features(folder / FEATURES, "user", intake)
    item_fields, item_features = read_features(folder / FEATURES, "item", intake)
    shape = len(user_features), len(item_features)
    rated, at_random = (read_ratings(folder / f"{name}.ascii", *shape, intake) for name in ("train", "test"))
    return CoatFiles(folder, item_fields, user_features, item_features, rated, at_random)


def read_features(folder: Path, kind: str, intake: Intake) -> tuple[list[tuple[str, str]], Tensor]:
    """(field, value) of the columns, and (rows, columns) float32 0 or 1, of users or items."""
    path = folder / f"{kind}_features_map.txt"
    names, message = read_lines(path, intake), '"{}": a feature is written as field:value'
    names = intake.drop_or_raise(path, names, ~pl.col("text").str.contains(":", literal=True), message, "text")
    fields = [(name, value) for name, _, value in (text.strip().partition(":") for text in names["text"])]
    table = read_matrix(folder / f"{kind}_features.ascii", intake, 1, "a feature is 0 or 1", len(fields))
    return fields, table.float()


def read_lines(path: Path, intake: Intake) -> pl.DataFrame:
    """Columns `_line` and `text` of the lines that are not blank."""
    return pl.concat(split_lines(number, text) for number, text in read_blocks(path, intake))


def read_matrix(
    path: Path, intake: Intake, highest: int, meaning: str, columns: int, rows: int | None = None
) -> Tensor:
    """(rows, columns) int64 of a file of whole numbers from 0 to `highest`, one row per line, separated by white space.

    Raises:
        UserError: The file is missing or empty, a cell is no such number, or a row or the file has another length.
    """
    lines = read_lines(path, intake).with_columns(pl.col("text").str.extract_all(r"\S+").alias("cell"))
    lines = lines.with_columns(pl.col("cell").list.len().alias("width"))
    cells = lines.with_columns(pl.int_ranges(1, pl.col("width") + 1).alias("at")).explode("cell", "at")
    number = pl.col("cell").cast(pl.Int64, strict=False)
    inside = cells
    for good, message in (
        (pl.col("cell").str.contains(r"^-?[0-9]+$"), '"{}" in column {}: every cell is a whole number'),
        (number.is_between(0, highest).fill_null(False), f"{{}} in column {{}}: {meaning}"),
    ):
        inside = intake.drop_or_raise(path, inside, ~good, message, "cell", "at")
    message = f"{{}} columns where {columns} belong"
    kept = intake.drop_or_raise(path, lines, pl.col("width") != columns, message, "width")
    if rows is not None and lines.height != rows:
        raise UserError(f"{path}: {lines.height} rows where {rows} belong: take Coat's original file")
    if inside.height < cells.height or kept.height < lines.height or lines.is_empty():
        raise UserError(f"{path}: not a whole matrix: take Coat's original file")
    return cells.select(number)["cell"].to_torch().reshape(lines.height, -1)


def read_ratings(path: Path, num_users: int, num_items: int, intake: Intake) -> Ratings:
    """The cells that are not 0."""
    table = read_matrix(path, intake, HIGHEST, f"a rating is 1 to {HIGHEST}", num_items, num_users)
    user, item = table.nonzero(as_tuple=True)
    if not len(user):
        raise UserError(f"{path}: no rating at all")
    return Ratings(user, item + 1, table[user, item].float())


def sequences_of_liked(rated: Ratings, liked: int, num_users: int, num_items: int, seed: int) -> Interactions:
    """A sequence for every user: his own id, num_items + 1 + u, and the coats that he liked, in a drawn order."""
    rng = np.random.default_rng(seed)
    taste = rated.select(rated.rating >= liked)
    coats = (rng.permutation(taste.item[taste.user == user].numpy()).tolist() for user in range(num_users))
    return Interactions.from_sequences([[num_items + 1 + user, *liked] for user, liked in enumerate(coats)])
