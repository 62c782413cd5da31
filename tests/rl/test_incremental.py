import pytest
import torch

from ialp.nets import ActorCritic
from ialp.rl import ConstantAlpha
from ialp.rl.incremental import IncrementalEncoder
from ialp.rl.policy import mixed_probabilities
from ialp.rl.schemes import PolicySet, Scratch
from ialp.types import History

ITEMS = torch.tensor([[3, 4, 5, 6], [5, 7, 0, 0], [8, 1, 2, 0]])
LENGTH = torch.tensor([4, 2, 3])


def policy() -> ActorCritic:
    made = ActorCritic(20, dim=8, layers=2, max_length=6)
    torch.nn.init.normal_(made.actor.weight)
    return made


@pytest.mark.parametrize("scheme", [Scratch(), *(PolicySet(ConstantAlpha(alpha), "random") for alpha in (0, 0.3, 1))])
def test_incremental_encoder_gives_the_probabilities_of_the_whole_history(scheme):
    torch.manual_seed(0)
    scheme.build(policy(), policy())
    encoder = IncrementalEncoder(scheme.mixture(), 3, 4)
    for t in range(1, 5):
        rows = (t <= LENGTH).nonzero().squeeze(1)  # users leave one after the other
        history = History(ITEMS[rows], torch.full_like(rows, t))
        mask = scheme.mask(history)
        probabilities = mixed_probabilities(encoder.states(history, rows), mask)
        assert torch.allclose(probabilities, scheme.probabilities(history), atol=1e-6)
        assert not probabilities[~mask].any()
