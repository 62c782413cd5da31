from itertools import pairwise

import pytest
import torch

from ialp.data import BuiltinLog
from ialp.datamodules import SessionDataModule
from ialp.datamodules.sessions import PopularityNegatives, with_negatives
from ialp.errors import UserError


@pytest.fixture(scope="module")
def data() -> SessionDataModule:
    data = SessionDataModule(BuiltinLog(num_tracks=100, num_sessions=60), batch_size=16, negatives=4, window=6)
    data.setup("fit")
    return data


def test_popularity_negatives_follow_popularity_to_a_power():
    source = PopularityNegatives(torch.tensor([9, 4, 0, 2]), power=2.0, smoothing=1.0, seed=0)
    drawn = source.draw(10_000, 3)
    share = torch.bincount(drawn.flatten(), minlength=4) / drawn.numel()
    assert torch.allclose(share, torch.tensor([0, 17, 1, 5]) / 23, atol=0.01)  # counts² + 1; padding never


def test_with_negatives_drops_the_true_item():
    candidates = with_negatives(torch.tensor([[5, 0]]), torch.tensor([[[5, 2], [3, 4]]]))
    assert candidates.tolist() == [[[5, 0, 2], [0, 0, 0]]]


def test_sessions_training_batches_have_the_true_item_first(data):
    items, candidates = next(iter(data.train_dataloader()))
    assert items.shape == (16, 6) and candidates.shape == (16, 6, 5)
    assert ((items == 0) == (candidates[..., 0] == 0)).all()
    assert (candidates[items == 0] == 0).all()
    assert (candidates[..., 1:] != candidates[..., :1])[items > 0].all()


def test_sessions_epoch_holds_every_pair_of_the_training_part_and_none_of_the_test_part(data):
    def pairs(loader) -> list[tuple[int, int]]:
        found = [(batch[0], batch[1][..., 0]) for batch in loader]
        return sorted(pair for x, y in found for pair in zip(x[x > 0].tolist(), y[x > 0].tolist(), strict=True))

    for part, loader in ((data.log.train, data.train_dataloader()), (data.log.test, data.val_dataloader())):
        sequences = [part.sequence(i).tolist() for i in range(len(part))]
        assert pairs(loader) == sorted((x, y) for s in sequences for x, y in pairwise(s))


def test_sessions_training_negatives_are_fresh_and_validation_is_always_the_same(data):
    dataset = data.training
    assert not torch.equal(dataset.__getitems__([0, 1])[1], dataset.__getitems__([0, 1])[1])
    first, second = next(iter(data.val_dataloader())), next(iter(data.val_dataloader()))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert first[1].shape[-1] == 5 and first[2].shape[-1] == 100


def test_sessions_log_is_read_once(data):
    log = data.log
    data.setup("validate")
    assert data.log is log


@pytest.mark.parametrize("key", ["batch_size", "negatives", "window"])
def test_sessions_sizes_are_positive(key):
    with pytest.raises(UserError, match=rf"data\.{key} is 0"):
        SessionDataModule(BuiltinLog(), **{key: 0})
