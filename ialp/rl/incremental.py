"""Policies of users whose histories grow item by item."""

import torch

from ialp.nets import ActorCritic
from ialp.rl.policy import Part
from ialp.types import History


class IncrementalEncoder:
    """KV caches of a mixture's encoders: the states of B users at the cost of the last item, not of the whole history.

    The caches belong to the weights that they were computed with: make a new one after an update. Dropout is left out.

    Args:
        mixture: weight and policy of each part; those without weight are left out.
        num_users: B.
        longest: items of the longest history.
    """

    def __init__(self, mixture: dict[str, tuple[float, ActorCritic]], num_users: int, longest: int) -> None:
        self.parts = [
            (weight, policy, policy.encoder.init_cache(num_users, longest))
            for weight, policy in mixture.values()
            if weight > 0
        ]

    @torch.no_grad()
    def states(self, history: History, rows: torch.Tensor) -> list[Part]:
        """Weight, policy and states (A, D) of each part, for A of the users.

        Args:
            history: A histories; each must have been passed after each of its items.
            rows: (A,) which of the B users these are.
        """
        last = history.length - 1
        item = history.items.gather(1, last.unsqueeze(1)).squeeze(1)
        return [
            (weight, policy, policy.encoder.append(cache, item, last, rows)) for weight, policy, cache in self.parts
        ]
