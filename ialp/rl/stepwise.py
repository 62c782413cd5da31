"""π̂ of users whose histories grow item by item."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ialp.masking import masked_log_softmax
from ialp.nets import ActorCritic

if TYPE_CHECKING:
    from ialp.rl.schemes.base import Scheme


class StepwisePolicy:
    """What `Scheme.probabilities` gives, at the cost of the last item rather than of the whole history.

    It keeps keys and values of B users and belongs to the weights that they were computed with: make a new one after an
    update. Dropout is left out.

    Args:
        scheme: whose mixture acts.
        num_users: B.
        longest: items of the longest history.
    """

    def __init__(self, scheme: "Scheme", num_users: int, longest: int) -> None:
        self.scheme = scheme
        self.parts = [
            (weight, policy, policy.encoder.init_cache(num_users, longest))
            for weight, policy in scheme.mixture().values()
            if weight > 0
        ]

    @torch.no_grad()
    def probabilities(self, items: Tensor, length: Tensor, rows: Tensor, allowed: Tensor) -> Tensor:
        """π̂(·|s) of A of the users, (A, I), zero where masked.

        Args:
            items: (A, T) histories, right-padded; asked for after each of their items.
            length: (A,) of them.
            rows: (A,) which of the B users these are.
            allowed: (A, I) mask of what may follow.
        """
        mixed = torch.zeros(allowed.shape, device=allowed.device)
        for weight, policy, state in self.states(items, length, rows):
            mixed += weight * masked_log_softmax(policy.logits(state), allowed).exp()
        return mixed

    @torch.no_grad()
    def states(self, items: Tensor, length: Tensor, rows: Tensor) -> list[tuple[float, ActorCritic, Tensor]]:
        """Weight, policy and states (A, D) of each policy of the mixture, the arguments being as above."""
        last = length - 1
        item = items.gather(1, last.unsqueeze(1)).squeeze(1)
        return [
            (weight, policy, policy.encoder.append(memory, item, last, rows)) for weight, policy, memory in self.parts
        ]
