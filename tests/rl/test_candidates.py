import pytest
import torch

from ialp.masking import allowed_items, masked_log_softmax
from ialp.rl import FromPolicy, TopK, WithNeighbours

WIDTH = 40


@pytest.fixture
def users():
    generator = torch.Generator().manual_seed(0)
    items = torch.randint(1, WIDTH, (16, 6), generator=generator)
    length = torch.randint(1, 6, (16,), generator=generator)
    log_pi = masked_log_softmax(torch.randn(16, WIDTH, generator=generator), allowed_items(items, length, WIDTH))
    return log_pi, items, length


def with_neighbours(count: int, known: int = 0, popularity: torch.Tensor | None = None) -> WithNeighbours:
    sampler = WithNeighbours(count, known)
    near = torch.stack([torch.arange(WIDTH) % (WIDTH - 1) + 1] * 3, 1)  # i + 1 is the neighbour of i
    sampler.prepare(near, torch.zeros(WIDTH) if popularity is None else popularity)
    return sampler


@pytest.mark.parametrize("sampler", [FromPolicy(), TopK(), with_neighbours(4), with_neighbours(2, known=3)])
def test_candidates_are_distinct_and_allowed(sampler, users):
    log_pi, items, length = users
    drawn = sampler.sample(log_pi, items, length, 10, torch.Generator().manual_seed(1))
    assert drawn.shape == (16, 10)
    assert all(len(set(row)) == 10 for row in drawn.tolist())
    assert (log_pi.gather(1, drawn) > -torch.inf).all()


def test_neighbours_of_the_history_come_first(users):
    log_pi, items, length = users
    drawn = with_neighbours(4).sample(log_pi, items, length, 10, torch.Generator().manual_seed(1))
    for row, history, n in zip(drawn.tolist(), items.tolist(), length.tolist(), strict=True):
        near = {item % (WIDTH - 1) + 1 for item in history[:n]} - set(history[:n])
        assert not near or row[0] in near


def test_from_policy_draws_in_proportion():
    log_pi = torch.tensor([[0.0, 0.7, 0.2, 0.1]]).log().repeat(5_000, 1)
    none = torch.zeros(5_000, 1, dtype=torch.int64)
    drawn = FromPolicy().sample(log_pi, none, none[:, 0], 1, torch.Generator().manual_seed(0))
    assert torch.allclose(drawn[:, 0].bincount(minlength=4) / 5_000, torch.tensor([0, 0.7, 0.2, 0.1]), atol=0.03)


def test_known_items_come_as_often_as_the_log_holds_them():
    popularity = torch.zeros(WIDTH)
    popularity[7] = 61  # with the one added to each of the 39 items: 62 of 100
    history = torch.full((4_000, 1), 20)
    log_pi = masked_log_softmax(torch.zeros(4_000, WIDTH), allowed_items(history, torch.ones(4_000).long(), WIDTH))
    sampler = with_neighbours(1, 1, popularity)
    drawn = sampler.sample(log_pi, history, torch.ones(4_000).long(), 2, torch.Generator().manual_seed(0))
    assert (drawn[:, 0] == 21).all()
    share = float((drawn[:, 1] == 7).float().mean())
    assert abs(share - 0.62) < 0.04  # an id that may not be shown gives its place to π, which adds a little
