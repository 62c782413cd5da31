"""Replay buffer on tensors (D_LLM of Algorithm 1, D_online of Algorithm 2)."""

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from ialp.types import Transition


class ReplayBuffer:
    """A ring of the latest transitions; a transition costs its ids, never a dense mask.

    Args:
        capacity: transitions kept.
        seed: of the generator that draws minibatches.
    """

    def __init__(self, capacity: int, seed: int = 0) -> None:
        self.capacity = capacity
        self.generator = torch.Generator().manual_seed(seed)
        self.columns: dict[str, Tensor] = {}
        self.added = 0

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, batch: Transition) -> None:
        """Stores a batch of B transitions over the oldest ones."""
        rows = {field.name: getattr(batch, field.name) for field in fields(batch)}
        present = {name: value for name, value in rows.items() if value is not None}
        if not self.columns:
            self.columns = {name: value.new_zeros(self.capacity, *value.shape[1:]) for name, value in present.items()}
        slots = torch.arange(self.added, self.added + len(batch.length)) % self.capacity
        for name, value in present.items():
            self.columns[name][slots] = value
        self.added += len(batch.length)

    def sample(self, batch_size: int) -> Transition:
        """`batch_size` transitions drawn uniformly with replacement."""
        slots = torch.randint(len(self), (batch_size,), generator=self.generator)
        return Transition(**{name: column[slots] for name, column in self.columns.items()})

    def state_dict(self) -> dict[str, Any]:
        """Contents and generator: a restored buffer goes on with the same minibatches."""
        return {"columns": self.columns, "added": self.added, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` gave."""
        self.columns, self.added = state["columns"], state["added"]
        self.generator.set_state(state["generator"].cpu())
