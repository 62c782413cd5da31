"""A policy and transitions whose losses can be worked out by hand."""

import torch

from ialp.nets import ActorCritic
from ialp.rl.schemes import Scratch
from ialp.types import Transition

PI = torch.tensor([0.5, 0.3, 0.2])  # of items 1, 2, 3
Q = torch.tensor([1.0, 2.0, 4.0])


def constant_scheme() -> Scratch:
    """A policy whose π and Q are the biases above, whatever the state."""
    policy = ActorCritic(num_items=3, dim=4, layers=1, heads=1, max_length=5)
    for head, bias in ((policy.actor, PI.log()), (policy.critic, Q)):
        torch.nn.init.zeros_(head.weight)
        with torch.no_grad():
            head.bias[1:] = bias
    scheme = Scratch()
    scheme.build(None, policy)
    scheme.repeats = True  # nothing but padding is masked
    return scheme


def transition(terminated: bool = False, truncated: bool = False) -> Transition:
    flags = torch.tensor([terminated]), torch.tensor([truncated])
    return Transition(torch.tensor([[1, 2, 0]]), torch.tensor([1]), torch.tensor([0.5]), *flags)


EPISODES = Transition(  # one of two steps that the user ends, one of three that is cut
    items=torch.tensor([[1, 2, 3, 0], [2, 1, 3, 2]]),
    length=torch.tensor([1, 2, 1, 2, 3]),
    reward=torch.tensor([0.5, 0.1, 0.2, 0.3, 0.4]),
    terminated=torch.tensor([False, True, False, False, False]),
    truncated=torch.tensor([False, False, False, False, True]),
    row=torch.tensor([0, 0, 1, 1, 1]),
)


def one_by_one(batch: Transition) -> Transition:
    """The same transitions, each with a history of its own that ends with its action."""
    items = batch.items[batch.row] * (torch.arange(batch.items.shape[1]) <= batch.length.unsqueeze(1))
    return Transition(items, batch.length, batch.reward, batch.terminated, batch.truncated)
