import os
import shutil
from pathlib import Path

import pytest
import torch

from ialp.data import Interactions, Ratings, Split
from ialp.data.readers import CoatLog
from ialp.datamodules import RatingsDataModule
from ialp.datamodules.ratings import naive_predictions
from ialp.errors import UserError
from tests.helpers.coat_files import write_coat


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coat(tmp_path_factory.mktemp("data"))


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(written / "coat", tmp_path / "coat")
    return tmp_path


def rows_of(part: Interactions) -> list[torch.Tensor]:
    return [part.sequence(i) for i in range(len(part))]


def cells(path: Path) -> list[list[int]]:
    return [[int(cell) for cell in line.split()] for line in path.read_text().splitlines()]


def test_coat_log_every_rating_is_read_where_it_stands(root):
    log = CoatLog(str(root)).load()
    table = cells(root / "coat" / "train.ascii")
    assert len(log.rated) == sum(cell > 0 for row in table for cell in row)
    for user, item, rating in zip(log.rated.user.tolist(), log.rated.item.tolist(), log.rated.rating, strict=True):
        assert table[user][item - 1] == rating
    assert len(log.rated_at_random) == sum(cell > 0 for row in cells(root / "coat" / "test.ascii") for cell in row)


def test_coat_log_a_sequence_is_the_user_and_then_what_he_chose_and_liked(root):
    log = CoatLog(str(root), liked=5).load()
    table = cells(root / "coat" / "train.ascii")
    sequences = {int(row[0]): row[1:].tolist() for part in (log.train, log.test) for row in rows_of(part)}
    assert sorted(sequences) == [31 + user for user in range(40)]
    for user in range(40):
        assert sorted(sequences[31 + user]) == [item + 1 for item in range(30) if table[user][item] == 5]


def test_coat_log_users_are_split_and_no_test_user_trains(root):
    log = CoatLog(str(root), split=Split(0.25)).load()
    train, test = set(log.train.first_items().tolist()), set(log.test.first_items().tolist())
    assert len(train) == 30 and len(test) == 10 and not train & test


def test_coat_log_coats_are_described_by_the_chosen_fields(root):
    features = cells(root / "coat" / "user_item_features" / "item_features.ascii")
    texts = CoatLog(str(root), attributes=["color", "gender"]).load().catalogue.texts
    for text, row in zip(texts[1:], features, strict=True):
        assert text == f"{'black' if row[4] else 'red'}; {'men' if row[0] else 'women'}"


def test_coat_log_features_stand_at_the_ids(root):
    log = CoatLog(str(root)).load()
    assert log.user_features.tolist() == cells(root / "coat" / "user_item_features" / "user_features.ascii")
    assert log.item_features[1:].tolist() == cells(root / "coat" / "user_item_features" / "item_features.ascii")
    assert log.item_features[0].abs().sum() == 0


def test_coat_log_users_have_names_and_popular_neighbours(root):
    log = CoatLog(str(root)).load()
    assert len(log.names) == 1 + 30 + 40 and log.names[31] == "user 0"
    neighbours = log.neighbours(5)
    assert neighbours.shape == (71, 5)
    popularity = log.train.popularity(30)
    assert torch.equal(popularity[neighbours[31]], popularity.sort(descending=True).values[:5])
    assert (neighbours[1:] >= 1).all() and (neighbours <= 30).all()
    assert log.neighbours(50).shape == (71, 29)


def test_coat_log_popularity_counts_no_users(root):
    log = CoatLog(str(root)).load()
    popularity = log.train.popularity(30)
    assert popularity.shape == (31,) and popularity[0] == 0
    assert popularity.sum() == log.train.lengths.sum() - len(log.train)


def test_coat_log_the_fingerprint_covers_ratings_features_and_order(root):
    first = CoatLog(str(root)).load().fingerprint
    assert CoatLog(str(root)).load().fingerprint == first
    assert CoatLog(str(root), split=Split(seed=1)).load().fingerprint != first
    path = root / "coat" / "test.ascii"
    rows = cells(path)
    rows[3][0] = 5 if rows[3][0] != 5 else 4
    path.write_text("\n".join(" ".join(map(str, row)) for row in rows))
    assert CoatLog(str(root)).load().fingerprint != first


def spoil(path: Path, line: int, text: str) -> None:
    lines = path.read_text().splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("file", "line", "text", "complaint"),
    [
        ("train.ascii", 3, " ".join(["0"] * 29), r"train.ascii:3: a row has"),
        ("train.ascii", 3, " ".join(["6"] * 30), r"train.ascii:3: a row has"),
        ("train.ascii", 3, " ".join(["-1"] * 30), r"train.ascii:3: a row has"),
        ("test.ascii", 7, " ".join(["nan"] * 30), r"test.ascii:7: a row has"),
        ("test.ascii", 7, " ".join(["2.5"] * 30), r"test.ascii:7: a row has"),
        ("train.ascii", 40, "", r"train.ascii: 39 rows, 40 with a rating belong"),
        ("user_item_features/user_features.ascii", 2, "2 0 0 1", r"user_features.ascii:2: a row has"),
        ("user_item_features/item_features.ascii", 2, "1 0", r"item_features.ascii:2: a row has"),
    ],
)
def test_coat_log_a_broken_file_is_refused_with_file_and_line(root, file, line, text, complaint):
    spoil(root / "coat" / file, line, text)
    with pytest.raises(UserError, match=complaint):
        CoatLog(str(root)).load()


@pytest.mark.parametrize("file", ["test.ascii", "user_item_features/item_features_map.txt"])
def test_coat_log_a_missing_file_is_named(root, file):
    (root / "coat" / file).unlink()
    with pytest.raises(UserError, match=Path(file).name):
        CoatLog(str(root)).load()


def test_coat_log_a_folder_without_coat_and_no_folder_at_all_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"no train\.ascii at .*: check data_root"):
        CoatLog(str(tmp_path)).load()
    with pytest.raises(UserError, match="set IALP_DATA or --data_root"):
        CoatLog(None).load()


def test_coat_log_an_unknown_field_is_named_with_those_there_are(root):
    with pytest.raises(UserError, match="no field colour: attributes may name gender, jackettype, color"):
        CoatLog(str(root), attributes=["colour"]).load()


def test_ratings_data_module_ratings_are_held_out_to_stop_by_and_none_twice(root):
    data = RatingsDataModule(CoatLog(str(root)), batch_size=7, validation=0.2)
    data.setup()
    train = {(int(u), int(i)) for users, items, _ in data.train_dataloader() for u, i in zip(users, items, strict=True)}
    held = {(int(u), int(i)) for users, items, _ in data.val_dataloader() for u, i in zip(users, items, strict=True)}
    total = len(data.log.rated)
    assert not train & held and len(train) + len(held) == total and len(held) == round(0.2 * total)


def test_naive_predictions_by_hand():
    known = Ratings(torch.tensor([0, 0, 1, 1]), torch.tensor([1, 2, 1, 2]), torch.tensor([5.0, 3.0, 3.0, 1.0]))
    predicted = naive_predictions(known, known, num_users=2, num_items=2)
    assert predicted["global mean"].tolist() == [3.0] * 4
    # Around the mean, (2 + 15) · user = 2 and (2 + 10) · item = 2: the ridges hold so few ratings back.
    user, item = 2 / 17, 2 / 12
    by_hand = torch.tensor([3 + user + item, 3 + user - item, 3 - user + item, 3 - user - item])
    assert torch.allclose(predicted["user and item bias"], by_hand, atol=1e-4)


@pytest.mark.skipif("IALP_DATA" not in os.environ, reason="IALP_DATA names no folder with the published logs")
def test_coat_log_the_published_coat_has_its_published_size():
    log = CoatLog(os.environ["IALP_DATA"]).load()
    assert (log.num_users, log.catalogue.num_items) == (290, 300)
    assert len(log.rated) == 290 * 24 and len(log.rated_at_random) == 290 * 16
