"""Coat: 290 users, 300 coats, ratings from 1 to 5 (Schnabel et al., 2016), in its original layout."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ialp.data.catalogue import Catalogue
from ialp.data.interactions import Interactions
from ialp.data.log import Log, LogSource
from ialp.data.rating_log import RatingLog, Ratings
from ialp.data.readers.intake import LINE, Intake, shorten
from ialp.data.readers.lines import read_blocks, split_lines
from ialp.errors import UserError

FEATURES = "user_item_features"
HIGHEST = 5
NEGATIVE = re.compile(r"-\d+")


class CoatLog(LogSource):
    """The files of Coat: ROOT/coat/ or ROOT itself holds train.ascii, test.ascii and user_item_features/.

    train.ascii are ratings of coats that users chose, test.ascii of coats put before them at random; both are one row
    per user, one column per coat, 0 where there is no rating. A user's sequence is the user and then the coats that he
    chose and liked, in an order drawn by seed, since Coat tells none.

    Args:
        root: Folder that holds the files; nothing takes their place without it.
        attributes: Fields of the coats that make their text, in this order: of gender, jackettype, color, onfrontpage.
        liked: A rating from here on counts as liked.
        scenario: Kind of platform, as the prompt names it.
        item_word: What is recommended, as the prompt names it.
        behavior: What users do with it, as the prompt names it.
        max_words: Every attribute is cut to so many words.
        test_fraction: Share of the users that make the test world.
        split_seed: Seed of that choice and of the sequences' order.
    """

    def __init__(
        self,
        root: str | None = None,
        attributes: list[str] = ["jackettype", "color"],  # noqa: B006 - shown as such in the CLI's help
        liked: int = 4,
        scenario: str = "fashion",
        item_word: str = "coat",
        behavior: str = "shopping",
        max_words: int = 12,
        test_fraction: float = 0.2,
        split_seed: int = 0,
    ) -> None:
        self.root = root
        self.attributes = list(attributes)
        self.liked = liked
        self.scenario, self.item_word, self.behavior = scenario, item_word, behavior
        self.max_words = max_words
        self.test_fraction = test_fraction
        self.split_seed = split_seed

    def load(self) -> Log:
        """Read the six files and split the users.

        Raises:
            UserError: A file is missing or cannot be used; the text names file and line.
        """
        folder = self._folder()
        intake = Intake()
        user_features = read_features(folder, "user", intake)[1]
        names, item_features = read_features(folder, "item", intake)
        shape = len(user_features), len(item_features)
        rated = read_ratings(folder / "train.ascii", *shape, intake)
        catalogue = Catalogue(
            [str(coat) for coat in range(shape[1])],
            {name: describe(folder, names, item_features, name) for name in self.attributes},
            self.max_words,
        )
        sequences = sequences_of_liked(rated, self.liked, *shape, self.split_seed)
        train, test = sequences.split(self.test_fraction, self.split_seed)
        return RatingLog(
            name="coat",
            catalogue=catalogue,
            train=train,
            test=test,
            scenario=self.scenario,
            item_word=self.item_word,
            behavior=self.behavior,
            user_features=user_features,
            item_features=torch.cat([torch.zeros(1, item_features.shape[1]), item_features]),
            rated=rated,
            rated_at_random=read_ratings(folder / "test.ascii", *shape, intake),
        )

    def _folder(self) -> Path:
        if not self.root:
            raise UserError(
                "no data root is set, and nothing takes the place of Coat: set IALP_DATA or --data_root to the folder "
                "that holds coat/train.ascii (cs.cornell.edu/~schnabts/mnar)"
            )
        for folder in (Path(self.root) / "coat", Path(self.root)):
            if (folder / "train.ascii").is_file():
                return folder
        raise UserError(f"no train.ascii at {Path(self.root) / 'coat'} or {self.root}: check data_root")


def read_matrix(
    path: Path, intake: Intake, highest: int, meaning: str, columns: int | None = None, rows: int | None = None
) -> np.ndarray:
    """(rows, columns) int64 of a file of whole numbers from 0 to `highest`, one row per line, separated by white space.

    Raises:
        UserError: The file is missing or empty, a cell is no such number, or a row or the file has another length.
    """
    table: list[list[int]] = []
    problems: list[str] = []
    for number, line in _lines(path, intake):
        cells = line.split()
        columns = columns or len(cells)
        wrong = [(at, cell) for at, cell in enumerate(cells, start=1) if not (cell.isascii() and cell.isdigit())]
        if wrong and not NEGATIVE.fullmatch(wrong[0][1]):
            at, cell = wrong[0]
            problems.append(f'{path}:{number}: "{shorten(cell)}" in column {at}: every cell is a whole number')
        elif len(cells) != columns:
            problems.append(f"{path}:{number}: {len(cells)} columns where {columns} belong")
        elif beyond := wrong or [
            (at, cell) for at, cell in enumerate(cells, 1) if len(cell) > 9 or int(cell) > highest
        ]:
            problems.append(f"{path}:{number}: {shorten(beyond[0][1])} in column {beyond[0][0]}: {meaning}")
        table.append([] if problems else [int(cell) for cell in cells])
    if not table or (rows is not None and len(table) != rows):
        belong = f" where {rows} belong" if rows else ""
        problems.append(f"{path}: {len(table)} rows{belong}: take Coat's original file")
    for said in problems[:-1]:
        intake.fail(UserError(said))
    if problems:
        raise UserError(problems[-1])
    return np.array(table)


def _lines(path: Path, intake: Intake) -> Iterator[tuple[int, str]]:
    """Number and text of the lines that are not blank."""
    for number, text in read_blocks(path, intake):
        lines = split_lines(number, text)
        yield from zip(lines[LINE].to_list(), lines["text"].to_list(), strict=True)


def read_features(folder: Path, kind: str, intake: Intake) -> tuple[list[str], Tensor]:
    """Names "field:value" of the columns, and (rows, columns) 0 or 1, of users or items."""
    path = folder / FEATURES / f"{kind}_features_map.txt"
    names = []
    for number, line in _lines(path, intake):
        names.append(line.strip())
        if ":" not in line:
            intake.fail(UserError(f'{path}:{number}: "{shorten(line)}": a feature is written as field:value'))
    path = folder / FEATURES / f"{kind}_features.ascii"
    table = read_matrix(path, intake, 1, "a feature is 0 or 1", len(names))
    return names, torch.from_numpy(table).float()


def read_ratings(path: Path, num_users: int, num_items: int, intake: Intake) -> Ratings:
    """The cells that are not 0."""
    table = read_matrix(path, intake, HIGHEST, f"a rating is 1 to {HIGHEST}", num_items, num_users)
    user, item = table.nonzero()
    if not len(user):
        raise UserError(f"{path}: no rating at all")
    rating = torch.from_numpy(table[user, item]).float()
    return Ratings(torch.from_numpy(user), torch.from_numpy(item + 1), rating)


def describe(folder: Path, names: list[str], features: Tensor, field: str) -> list[str]:
    """What every coat is by one field, in words; several values are joined."""
    values = {column: name.split(":", 1)[1] for column, name in enumerate(names) if name.split(":")[0] == field}
    if not values:
        known = ", ".join(dict.fromkeys(name.split(":")[0] for name in names))
        raise UserError(f"{folder / FEATURES / 'item_features_map.txt'}: no field {field}: attributes may name {known}")
    return [" ".join(value for column, value in values.items() if row[column]) for row in features]


def sequences_of_liked(rated: Ratings, liked: int, num_users: int, num_items: int, seed: int) -> Interactions:
    """A sequence for every user: his own id, num_items + 1 + u, and the coats that he liked, in a drawn order."""
    rng = np.random.default_rng(seed)
    taste = rated.select(rated.rating >= liked)
    return Interactions.from_sequences(
        [
            [num_items + 1 + user, *rng.permutation(taste.item[taste.user == user].numpy()).tolist()]
            for user in range(num_users)
        ]
    )
