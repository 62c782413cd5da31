"""The episodes just played, as minibatches that are each learnt from once."""

from typing import Any

import torch
from torch import Tensor

from ialp.types import Transition


class EpisodeBuffer:
    """Whole episodes of B users, handed out in minibatches of whole episodes.

    Args:
        minibatches: that a rollout is cut into; after the last one it is cut anew, for another pass.
        seed: of the generator that decides which episodes stand together.
    """

    def __init__(self, minibatches: int, seed: int) -> None:
        self.minibatches = minibatches
        self.generator = torch.Generator().manual_seed(seed)
        self.episodes: dict[str, Tensor] = {}
        self.place = 0  # minibatches of this rollout that were handed out

    def add(self, items: Tensor, lengths: Tensor, rewards: Tensor, terminated: Tensor) -> None:
        """Takes a rollout in place of the one before.

        Args:
            items: (B, T + 1) first item and recommendations, right-padded with 0.
            lengths: (B,) recommendations.
            rewards: (B, T), 0 past an episode's end.
            terminated: (B,) the user left, rather than being cut at the horizon.
        """
        self.episodes = {"items": items, "lengths": lengths, "rewards": rewards, "terminated": terminated}
        self.place = 0

    def sample(self) -> Transition:
        """The transitions of the next minibatch of episodes, with a row for each episode."""
        number = self.place % self.minibatches
        if number == 0:
            self.episodes["order"] = torch.randperm(len(self.episodes["items"]), generator=self.generator)
        self.place += 1
        return self.transitions(self.episodes["order"].tensor_split(self.minibatches)[number])

    def transitions(self, users: Tensor) -> Transition:
        """The transitions of the episodes of some users (E,)."""
        lengths = self.episodes["lengths"][users]  # (E,)
        longest = int(lengths.max())
        row, step = (torch.arange(longest, device=lengths.device) < lengths.unsqueeze(1)).nonzero().unbind(1)
        last, left = step == lengths[row] - 1, self.episodes["terminated"][users][row]
        return Transition(
            items=self.episodes["items"][users, : longest + 1],
            length=step + 1,
            reward=self.episodes["rewards"][users[row], step],
            terminated=last & left,
            truncated=last & ~left,
            row=row,
        )

    def state_dict(self) -> dict[str, Any]:
        """The rollout, how much of it was handed out, and the generator."""
        return {"episodes": self.episodes, "place": self.place, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` gave."""
        self.episodes, self.place = dict(state["episodes"]), state["place"]
        self.generator.set_state(state["generator"].cpu())
