"""A small Coat, in the layout of the original: what tests of its reader and its stages run on."""

from pathlib import Path

import numpy as np

USER_FIELDS = ["gender:men", "gender:women", "age:under 20", "age:over 20"]
ITEM_FIELDS = ["gender:men", "gender:women", "jackettype:trench", "jackettype:parka", "color:black", "color:red"]


def write_coat(root: Path, users: int = 40, items: int = 30, seed: int = 0) -> Path:
    """Writes ROOT/coat/, in which women like red coats and men like black ones, and returns ROOT."""
    rng = np.random.default_rng(seed)
    folder = root / "coat"
    (folder / "user_item_features").mkdir(parents=True)
    user = np.stack([one_hot(rng.integers(2, size=users)), one_hot(rng.integers(2, size=users))], 1).reshape(users, 4)
    item = np.stack([one_hot(rng.integers(2, size=items)) for _ in range(3)], 1).reshape(items, 6)
    taste = 1 + 4 * (user[:, [0]] == item[None, :, 4])
    taste = np.clip(taste + rng.integers(-1, 2, size=taste.shape), 1, 5)
    chosen = rng.random(taste.shape) < 0.3
    chosen[:, :2] = True  # nobody has rated nothing
    write_table(folder / "train.ascii", taste * chosen)
    write_table(folder / "test.ascii", taste * (rng.random(taste.shape) < 0.2))
    for kind, table, fields in (("user", user, USER_FIELDS), ("item", item, ITEM_FIELDS)):
        write_table(folder / "user_item_features" / f"{kind}_features.ascii", table)
        (folder / "user_item_features" / f"{kind}_features_map.txt").write_text("\n".join(fields))
    return root


def write_table(path: Path, table: np.ndarray) -> None:
    """One row per line."""
    path.write_text("".join(" ".join(map(str, row)) + "\n" for row in table))


def one_hot(column: np.ndarray) -> np.ndarray:
    """(n, 2)."""
    return np.stack([column == 0, column == 1], axis=1).astype(int)
