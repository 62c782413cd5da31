import numpy as np
import pytest
import torch

from ialp.data import Interactions
from ialp.errors import UserError

SEQUENCES = [[1, 2, 3, 4, 5], [6, 7], [2], [3, 3, 1]]


@pytest.fixture
def interactions() -> Interactions:
    return Interactions.from_sequences(SEQUENCES)


def as_lists(interactions: Interactions) -> list[list[int]]:
    return [interactions.sequence(i).tolist() for i in range(len(interactions))]


def test_interactions_round_trip(interactions):
    assert as_lists(interactions) == SEQUENCES
    assert interactions.first_items().tolist() == [1, 6, 2, 3]
    assert interactions.lengths.tolist() == [5, 2, 1, 3]
    assert interactions.popularity(8).tolist() == [0, 2, 2, 3, 1, 1, 1, 1, 0]
    assert interactions.padded(3).tolist() == [[1, 2, 3], [6, 7, 0], [2, 0, 0], [3, 3, 1]]


def test_interactions_from_arrays_is_from_sequences(interactions):
    sequence = np.repeat([0, 1, 5, 6], [5, 2, 1, 3]).astype(np.uint32)  # any numbers, one after the other
    items = np.concatenate(SEQUENCES).astype(np.uint32)
    assert Interactions.from_arrays(items, sequence).fingerprint == interactions.fingerprint
    assert len(Interactions.from_arrays(items[:0], sequence[:0])) == 0


def test_interactions_select_keeps_the_order_asked_for(interactions):
    assert as_lists(interactions.select(torch.tensor([3, 0]))) == [SEQUENCES[3], SEQUENCES[0]]


def test_interactions_windows_hold_every_pair_once(interactions):
    items, following = interactions.windows(2)
    assert items.tolist() == [[1, 2], [3, 4], [6, 0], [3, 3]]
    assert following.tolist() == [[2, 3], [4, 5], [7, 0], [3, 1]]


@pytest.mark.parametrize("length", [1, 3, 4, 9])
def test_interactions_windows_of_any_length_hold_the_same_pairs(interactions, length):
    items, following = interactions.windows(length)
    pairs = list(zip(items[items > 0].tolist(), following[items > 0].tolist(), strict=True))
    assert pairs == [(1, 2), (2, 3), (3, 4), (4, 5), (6, 7), (3, 3), (3, 1)]
    assert (following[items == 0] == 0).all()


def test_interactions_split_by_sequence_with_a_seed():
    whole = Interactions.from_sequences([[i, i] for i in range(1, 101)])
    train, test = whole.split(0.2, seed=0)
    assert (len(train), len(test)) == (80, 20)
    assert sorted(train.first_items().tolist() + test.first_items().tolist()) == list(range(1, 101))
    assert test.first_items().tolist() != sorted(test.first_items().tolist())  # drawn order: any prefix is a sample
    assert whole.split(0.2, seed=0)[1].fingerprint == test.fingerprint
    assert whole.split(0.2, seed=1)[1].fingerprint != test.fingerprint


def test_interactions_each_part_has_a_sequence(interactions):
    assert [len(part) for part in interactions.split(0.01, 0)] == [3, 1]
    assert [len(part) for part in interactions.split(0.99, 0)] == [1, 3]


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0])
def test_interactions_fraction_out_of_range(interactions, fraction):
    with pytest.raises(UserError, match="test_fraction"):
        interactions.split(fraction, 0)


def test_interactions_fingerprint_follows_bounds_too():
    left, right = Interactions.from_sequences([[1, 2], [3]]), Interactions.from_sequences([[1], [2, 3]])
    assert left.fingerprint != right.fingerprint
