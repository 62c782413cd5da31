import pytest
import torch

from ialp.envs import BatchEnv
from ialp.envs.episodes import run_episodes, sampled_from
from ialp.nets import ActorCritic
from ialp.nets.response import SequentialResponse
from ialp.rl.schemes import Scratch
from ialp.types import History

ITEMS, LENGTH = torch.tensor([[3, 4, 0], [5, 0, 0], [5, 0, 0]]), torch.tensor([2, 1, 1])


@pytest.fixture
def scheme() -> Scratch:
    torch.manual_seed(0)
    scheme = Scratch()
    scheme.build(None, ActorCritic(20, dim=8, layers=1))
    return scheme


def test_sampled_from_draws_with_the_policys_probabilities(scheme):
    many = torch.arange(20_000)
    history = History(ITEMS[1:2].expand(len(many), -1), LENGTH[1:2].expand(len(many)), user=many)
    drawn = sampled_from(scheme, 0)(history)
    share = drawn.bincount(minlength=21) / len(many)
    assert torch.allclose(share, scheme.probabilities(History(ITEMS, LENGTH))[1], atol=0.01)


def test_sampled_from_depends_on_seed_and_user_alone(scheme):
    def play(seed: int, users: int) -> torch.Tensor:
        torch.manual_seed(1)
        env = BatchEnv(SequentialResponse(20, dim=8), torch.arange(1, 11), users, evaluation=True)
        return run_episodes(sampled_from(scheme, seed), env).items

    assert torch.equal(play(3, 10), play(3, 10)) and torch.equal(play(3, 4), play(3, 10)[:4])
    assert not torch.equal(play(3, 10), play(4, 10))
