"""Exit rules: when a simulated user leaves, or an episode is cut."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from ialp.errors import UserError
from ialp.nets.rating import RatingNet
from ialp.nets.response import ResponseNet
from ialp.recorded import Recorded


class Step(NamedTuple):
    """One step of B users: `action` (B,) after histories `items` (B, T) of `length` (B,), and the `response` (B,)."""

    items: Tensor
    length: Tensor
    action: Tensor
    response: Tensor


class ExitRule(Recorded, ABC):
    """Decides which users leave. Its state of each user is a tensor, which the environment keeps."""

    truncates: ClassVar[bool] = False  # instead of ending the episode: its return still bootstraps

    def prepare(self, response: ResponseNet) -> None:
        """Called once with the users' trained response net, in eval mode, before the first episode."""

    @abstractmethod
    def start(self, num_users: int, device: torch.device) -> Tensor:
        """(B, ...) state at the beginning of an episode."""

    @abstractmethod
    def advance(self, memory: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """The state (B, ...) after the step, and (B,) bool: whose episode ends."""


class PatienceExit(ExitRule):
    """Each step costs patience, clamp(scale·(1 - p), lowest, highest); the user leaves when too little is left.

    Args:
        start: Patience at the beginning of an episode.
        leave_below: The user leaves when less than this is left.
        scale: Cost of a step at p = 0, before it is clamped.
        lowest: Smallest cost of a step.
        highest: Largest cost of a step.
    """

    def __init__(
        self,
        start: float = 10.0,
        leave_below: float = 1.0,
        scale: float = 2.0,
        lowest: float = 0.1,
        highest: float = 2.0,
    ) -> None:
        self.patience, self.leave_below, self.scale = start, leave_below, scale
        self.lowest, self.highest = lowest, highest

    @override
    def start(self, num_users: int, device: torch.device) -> Tensor:
        return torch.full((num_users,), self.patience, device=device)

    @override
    def advance(self, memory: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        left = memory - (self.scale * (1 - step.response)).clamp(self.lowest, self.highest)
        return left, left < self.leave_below


class SimilarityExit(ExitRule):
    """The user leaves when the new item is too similar to one of the latest recommendations.

    The distance of two items is the Euclidean one between their columns of the table of all users' predicted ratings;
    that of a repeat is 0.

    Args:
        threshold: The user leaves below this distance.
        window: So many latest recommendations are compared; the first item of a history is none.
    """

    def __init__(self, threshold: float = 1.0, window: int = 7) -> None:
        self.threshold = threshold
        self.window = window
        self.near: Tensor

    @override
    def prepare(self, response: ResponseNet) -> None:
        if not isinstance(response, RatingNet):
            raise UserError(
                f"SimilarityExit compares items by predicted ratings, and {type(response).__name__} has none"
            )
        columns = response.table().T.double()
        if columns.isnan().any():
            raise ValueError("a predicted rating is NaN: the rating net is broken, train it again")
        distance = torch.cdist(columns, columns, compute_mode="donot_use_mm_for_euclid_dist")
        self.near = distance < self.threshold  # (I, I)
        self.near[0] = self.near[:, 0] = False  # nothing is near the padding id

    @override
    def start(self, num_users: int, device: torch.device) -> Tensor:
        return torch.zeros(num_users, self.window, dtype=torch.int64, device=device)  # the latest recommendations

    @override
    def advance(self, memory: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        action = step.action.unsqueeze(1)
        pairs = torch.add(memory, action, alpha=len(self.near))  # (B, window) indices into the flat table
        near = self.near.take(pairs)  # a third of the time of near[…, …]
        return torch.cat([memory.narrow(1, 1, self.window - 1), action], dim=1), near.any(1)

    def ends(self, items: Tensor, length: Tensor) -> Tensor:
        """(B, I) which items would end the episode after histories (B, T) of `length` (B,) items."""
        position = length.unsqueeze(1) - 1 - torch.arange(self.window, device=items.device)
        recent = items.gather(1, position.clamp(min=0)) * (position > 0)
        return self.near[recent].any(1)


class MaxSteps(ExitRule):
    """Truncates the episode after `steps` recommendations."""

    truncates = True

    def __init__(self, steps: int = 20) -> None:
        self.steps = steps

    @override
    def start(self, num_users: int, device: torch.device) -> Tensor:
        return torch.zeros(num_users, 0, device=device)  # the length of the history suffices

    @override
    def advance(self, memory: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        return memory, step.length >= self.steps
