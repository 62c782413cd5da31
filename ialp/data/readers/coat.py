"""Coat: 290 users, 300 coats, ratings from 1 to 5 (Schnabel et al., 2016), in its original layout."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
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
        words, max_words: As in `FileLog`.
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
        folder = find_file(places, "check data_root").parent
        _, user_features = read_features(folder / FEATURES, "user")
        fields, item_features = read_features(folder / FEATURES, "item")
        shape = len(user_features), len(item_features)
        rated, at_random = (read_ratings(folder / f"{name}.ascii", *shape) for name in ("train", "test"))
        texts = {name: texts_of(name, fields, item_features) for name in self.attributes}
        train, test = self.split(sequences_of_liked(rated, self.liked, *shape, self.split.seed))
        return RatingLog(
            name="coat",
            catalogue=Catalogue([str(coat) for coat in range(shape[1])], texts, self.max_words),
            train=train,
            test=test,
            words=self.words,
            user_features=user_features,
            item_features=torch.cat([torch.zeros(1, item_features.shape[1]), item_features]),
            rated=rated,
            rated_at_random=at_random,
        )


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of the lines that are not blank."""
    for number, block in read_blocks(path, Intake()):
        yield from split_lines(number, block).iter_rows()


def read_features(folder: Path, kind: str) -> tuple[list[list[str]], Tensor]:
    """[field, value] of the columns, and (rows, columns) float32 0 or 1, of users or items."""
    path = folder / f"{kind}_features_map.txt"
    fields = []
    for number, text in read_lines(path):
        if ":" not in text:
            raise UserError(f"{path}:{number}: a feature is written as field:value")
        fields.append(text.strip().split(":", 1))
    return fields, read_matrix(folder / f"{kind}_features.ascii", 1, len(fields)).float()


def texts_of(field: str, fields: list[list[str]], features: Tensor) -> list[str]:
    """What every coat is by one field, in words; several values are joined."""
    values = {column: value for column, (name, value) in enumerate(fields) if name == field}
    if not values:
        raise UserError(f"coat: no field {field}: attributes may name {', '.join(dict(fields))}")
    return [" ".join(value for column, value in values.items() if row[column]) for row in features]


def read_matrix(path: Path, highest: int, columns: int) -> Tensor:
    """(rows, columns) int64 of a file of whole numbers 0 … `highest`, one row per line."""
    rows, allowed = [], set(map(str, range(highest + 1)))
    for number, text in read_lines(path):
        cells = text.split()
        if len(cells) != columns or not allowed.issuperset(cells):
            raise UserError(f"{path}:{number}: a row has {columns} whole numbers from 0 to {highest}")
        rows.append(list(map(int, cells)))
    return torch.tensor(rows)


def read_ratings(path: Path, num_users: int, num_items: int) -> Ratings:
    """The cells that are not 0."""
    table = read_matrix(path, HIGHEST, num_items)
    if len(table) != num_users or not table.any():
        raise UserError(f"{path}: {len(table)} rows, {num_users} with a rating belong: take Coat's original file")
    user, item = table.nonzero(as_tuple=True)
    return Ratings(user, item + 1, table[user, item].float())


def sequences_of_liked(rated: Ratings, liked: int, num_users: int, num_items: int, seed: int) -> Interactions:
    """A sequence for every user: his own id, num_items + 1 + u, and the coats that he liked, in a drawn order."""
    rng = np.random.default_rng(seed)
    taste = rated.select(rated.rating >= liked)
    coats = (rng.permutation(taste.item[taste.user == user].numpy()).tolist() for user in range(num_users))
    return Interactions.from_sequences([[num_items + 1 + user, *liked] for user, liked in enumerate(coats)])
