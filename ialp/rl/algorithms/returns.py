"""Discounted sums over whole episodes."""

import torch
from torch import Tensor

from ialp.errors import UserError
from ialp.types import Transition


def returns_to_go(batch: Transition, gamma: float) -> Tensor:
    """(B,) G_t = r_t + γ·r_{t+1} + … to the end of the episode that each transition is part of.

    Raises:
        UserError: The batch holds single transitions.
    """
    if batch.row is None:
        raise UserError("Reinforce needs whole episodes: use OnPolicyDataModule")
    step = batch.length - 1
    grid = batch.reward.new_zeros(batch.items.shape).index_put(
        (batch.row, step), batch.reward
    )  # (E, T), 0 past the end
    return (grid @ discounts(grid, gamma))[batch.row, step]


def discounts(grid: Tensor, gamma: float) -> Tensor:
    """(T, T) γ^(row − column) on and below the diagonal, 0 above: (E, T) rewards times it are the returns-to-go."""
    step = torch.arange(grid.shape[1], device=grid.device)
    apart = step.unsqueeze(1) - step  # from the step of the column on to that of the row
    return torch.where(apart < 0, 0.0, gamma ** apart.clamp(min=0))
