import pytest
import torch

from ialp.masking import allowed_items, masked_log_softmax
from ialp.rl import CandidateSampler, FromPolicy, TopK, WithNeighbours
from ialp.types import History, Judgement

WIDTH = 40


@pytest.fixture
def users():
    generator = torch.Generator().manual_seed(0)
    items = torch.randint(1, WIDTH, (16, 6), generator=generator)
    length = torch.randint(1, 6, (16,), generator=generator)
    log_pi = masked_log_softmax(torch.randn(16, WIDTH, generator=generator), allowed_items(items, length, WIDTH))
    return log_pi, History(items, length)


def seeded(sampler: CandidateSampler, seed: int = 0) -> CandidateSampler:
    sampler.generator.manual_seed(seed)
    return sampler


def with_neighbours(
    neighbours: int, known: int = 0, popularity: torch.Tensor | None = None, count: int = 10
) -> WithNeighbours:
    sampler = WithNeighbours(count, neighbours, known)
    near = torch.stack([torch.arange(WIDTH) % (WIDTH - 1) + 1] * 3, 1)  # i + 1 is the neighbour of i
    sampler.prepare(near, torch.zeros(WIDTH) if popularity is None else popularity)
    return sampler


@pytest.mark.parametrize("sampler", [FromPolicy(), TopK(), with_neighbours(4), with_neighbours(2, known=3)])
def test_candidates_are_distinct_and_allowed(sampler, users):
    log_pi, history = users
    drawn = seeded(sampler, 1).sample(log_pi, history)
    assert drawn.shape == (16, 10)
    assert all(len(set(row)) == 10 for row in drawn.tolist())
    assert (log_pi.gather(1, drawn) > -torch.inf).all()


def test_with_neighbours_puts_neighbours_of_the_history_first(users):
    log_pi, history = users
    drawn = seeded(with_neighbours(4), 1).sample(log_pi, history)
    for row, items, n in zip(drawn.tolist(), history.items.tolist(), history.length.tolist(), strict=True):
        near = {item % (WIDTH - 1) + 1 for item in items[:n]} - set(items[:n])
        assert not near or row[0] in near


def test_from_policy_draws_in_proportion():
    log_pi = torch.tensor([[0.0, 0.7, 0.2, 0.1]]).log().repeat(5_000, 1)
    none = torch.zeros(5_000, 1, dtype=torch.int64)
    drawn = seeded(FromPolicy(count=1)).sample(log_pi, History(none, none[:, 0]))
    assert torch.allclose(drawn[:, 0].bincount(minlength=4) / 5_000, torch.tensor([0, 0.7, 0.2, 0.1]), atol=0.03)


def test_with_neighbours_known_items_come_as_often_as_the_log_holds_them():
    popularity = torch.zeros(WIDTH)
    popularity[7] = 61  # with the one added to each of the 39 items: 62 of 100
    history = torch.full((4_000, 1), 20)
    log_pi = masked_log_softmax(torch.zeros(4_000, WIDTH), allowed_items(history, torch.ones(4_000).long(), WIDTH))
    sampler = seeded(with_neighbours(1, 1, popularity, count=2))
    drawn = sampler.sample(log_pi, History(history, torch.ones(4_000).long()))
    assert (drawn[:, 0] == 21).all()
    share = float((drawn[:, 1] == 7).float().mean())
    assert abs(share - 0.62) < 0.04  # an id that may not be shown gives its place to π, which adds a little


def test_choose_takes_the_pick_or_on_none_a_random_candidate():
    choice = torch.tensor([2, 0] + [4] * 400)  # 4 is None
    pick = seeded(FromPolicy(count=4)).choose(Judgement(choice, torch.zeros(402, 5)))
    assert pick[:2].tolist() == [2, 0]
    assert set(pick[2:].tolist()) == {0, 1, 2, 3}


def test_sampler_restored_draws_the_same_candidates(users):
    sampler, other = seeded(FromPolicy(), 3), FromPolicy()
    sampler.sample(*users)
    other.load_state_dict(sampler.state_dict())
    assert torch.equal(sampler.sample(*users), other.sample(*users))
