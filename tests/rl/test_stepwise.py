import pytest
import torch
from ialp.rl.stepwise import StepwisePolicy

from ialp.nets import ActorCritic
from ialp.rl import ConstantAlpha
from ialp.rl.schemes import PolicySet, Scratch

ITEMS = torch.tensor([[3, 4, 5, 6], [5, 7, 0, 0], [8, 1, 2, 0]])
LENGTH = torch.tensor([4, 2, 3])


def policy() -> ActorCritic:
    made = ActorCritic(20, dim=8, layers=2, max_length=6)
    torch.nn.init.normal_(made.actor.weight)
    return made


@pytest.mark.parametrize("scheme", [Scratch(), *(PolicySet(ConstantAlpha(alpha), "random") for alpha in (0, 0.3, 1))])
def test_probabilities_item_by_item_are_those_of_the_whole_history(scheme):
    torch.manual_seed(0)
    scheme.build(policy(), policy())
    stepwise = StepwisePolicy(scheme, 3, 4)
    for t in range(1, 5):
        rows = (t <= LENGTH).nonzero().squeeze(1)  # users leave one after the other
        items, length = ITEMS[rows], torch.full_like(rows, t)
        allowed = scheme.allowed(items, length)
        probabilities = stepwise.probabilities(items, length, rows, allowed)
        assert torch.allclose(probabilities, scheme.probabilities(items, length), atol=1e-6)
        assert not probabilities[~allowed].any()
