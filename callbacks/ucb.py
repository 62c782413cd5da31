"""A worked example of an exploration strategy that remembers: upper confidence over how often each item was shown.

    exploration: {class_path: callbacks.ucb.UpperConfidence, init_args: {weight: 1.0}}

Copy it, rename it, and put in your own score; what must survive a resume goes into the two `state_dict` methods.
"""

from typing import Any

import torch
from torch import Tensor

from ialp.rl.exploration import Exploration


class UpperConfidence(Exploration):
    """The item with the largest log π(a|s) + weight·sqrt(ln t / (1 + n_a)), n_a times shown in t recommendations.

    In nats: after 50,000 recommendations an item that was never shown (bonus 3.3 at weight 1) comes before one that was
    shown a hundred times (0.3) and is less than 20 times as probable. All users share the counts, and those of one
    batch step see the same ones, so they part by their own π alone. Several processes count each for itself.

    Args:
        weight: Of the bonus; 0 is greedy.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight
        self.shown = torch.zeros(0)  # (I,) times that each item was shown, as long as the catalogue once it is known

    def select(self, probabilities: Tensor, mask: Tensor, uniforms: Tensor) -> Tensor:
        """(B,) actions from (B, I) probabilities and mask, counted: no chance, but not pure as other strategies are."""
        if not len(self.shown):
            self.shown = torch.zeros(probabilities.shape[1])
        shown = self.shown.to(probabilities.device)
        bonus = self.weight * ((1 + shown.sum()).log() / (1 + shown)).sqrt()  # (I,)
        tiny = torch.finfo(probabilities.dtype).tiny  # an underflow to zero is improbable, not forbidden
        score = probabilities.clamp(min=tiny).log() + bonus
        action = score.masked_fill(~mask, -torch.inf).argmax(1)
        self.shown = shown + action.bincount(minlength=len(shown))
        return action

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the counts too."""
        return {**super().state_dict(), "shown": self.shown}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on counting where the checkpoint stopped."""
        super().load_state_dict(state_dict)
        self.shown = state_dict["shown"]
