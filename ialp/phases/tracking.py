"""Returns and lengths of the latest training episodes."""

from collections import deque
from typing import Any

import torch
from torch import Tensor

from ialp.distributed import sum_over_ranks, world_size

LATEST = 20  # episodes, over all ranks


class EpisodeTracker:
    """Returns of the episodes under way, and return and length of the latest 20 finished ones over all ranks.

    Args:
        num_users: B, users of this rank.
    """

    def __init__(self, num_users: int) -> None:
        self.running = torch.zeros(num_users)  # (B,) return of the episode so far
        self.finished: deque[tuple[float, float]] = deque(maxlen=max(1, LATEST // world_size()))

    def step(self, reward: Tensor, length: Tensor, done: Tensor) -> Tensor:
        """Adds a step of every user: rewards (B,), recommendations so far (B,), and who has finished (B,).

        Returns:
            (E,) returns of the episodes that have just finished.
        """
        self.running += reward
        returns = self.running[done]
        self.add(returns, length[done])
        self.running[done] = 0.0
        return returns

    def add(self, returns: Tensor, lengths: Tensor) -> None:
        """Adds whole episodes: returns (E,) and lengths (E,)."""
        self.finished.extend(zip(returns.tolist(), lengths.tolist(), strict=True))

    def means(self) -> dict[str, Tensor]:
        """Mean return and length of the latest episodes of all ranks; nothing as long as there are none."""
        finished = torch.tensor(list(self.finished)).reshape(-1, 2)
        if world_size() == 1:
            means = finished.mean(0) if len(finished) else None
        else:
            *totals, count = sum_over_ranks(*finished.sum(0), len(finished))
            means = (torch.stack(totals) / count).float() if count else None
        return {} if means is None else {"return": means[0], "length": means[1]}

    def state_dict(self) -> dict[str, Any]:
        """Running returns and latest episodes of this rank."""
        return {"running": self.running.clone(), "finished": [list(episode) for episode in self.finished]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` gave."""
        self.running = state["running"].to(self.running.device)
        self.finished.clear()
        self.finished.extend((returns, length) for returns, length in state["finished"])
