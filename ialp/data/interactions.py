"""What happened: sequences of items, held flat."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from ialp.errors import UserError


class Interactions:
    """S sequences of item ids in one flat tensor, so that 10 million interactions are two tensors and no list.

    Args:
        items: (n,) int64 item ids of all sequences, one sequence after the other.
        offsets: (S + 1,) int64; sequence i is items[offsets[i] : offsets[i + 1]].
    """

    def __init__(self, items: Tensor, offsets: Tensor):
        self.items = items
        self.offsets = offsets

    @classmethod
    def from_sequences(cls, sequences: Sequence[Sequence[int]]) -> "Interactions":
        """From lists of item ids, in the order of time."""
        lengths = torch.tensor([0, *map(len, sequences)])
        return cls(torch.tensor(list(chain.from_iterable(sequences)), dtype=torch.int64), lengths.cumsum(0))

    @classmethod
    def from_arrays(cls, items: np.ndarray, sequence: np.ndarray) -> "Interactions":
        """From the items (n,) and the sequence (n,) of each; a new sequence begins where the number changes."""
        begins = np.flatnonzero(np.diff(sequence)) + 1
        offsets = np.concatenate([[0], begins, [len(items)]]) if len(items) else np.zeros(1)
        return cls(torch.from_numpy(items.astype(np.int64)), torch.from_numpy(offsets.astype(np.int64)))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Tensor:
        """(S,) number of items of every sequence."""
        return self.offsets.diff()

    def sequence(self, index: int) -> Tensor:
        """(L,) items of one sequence."""
        return self.items[self.offsets[index] : self.offsets[index + 1]]

    def first_items(self) -> Tensor:
        """(S,) where every sequence begins."""
        return self.items[self.offsets[:-1]]

    def popularity(self, num_items: int) -> Tensor:
        """(I,) how often every item occurs; the padding id never does, and ids of users do not count."""
        return torch.bincount(self.items, minlength=num_items + 1)[: num_items + 1]

    def select(self, indices: Tensor) -> "Interactions":
        """The sequences at `indices`, in that order."""
        lengths = self.lengths[indices]
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        shift = self.offsets[indices] - offsets[:-1]
        return Interactions(self.items[torch.arange(int(offsets[-1])) + shift.repeat_interleave(lengths)], offsets)

    def split(self, fraction: float, seed: int) -> tuple["Interactions", "Interactions"]:
        """Training and test sequences, drawn by sequence: `fraction` of them (at least one) go to the test part.

        Both come in drawn order, so that the first few test sequences are as good a sample as any.

        Raises:
            UserError: The fraction is not between 0 and 1, or a part would be empty.
        """
        if not 0 < fraction < 1:
            raise UserError(f"test_fraction is {fraction}: it must lie between 0 and 1")
        if len(self) < 2:
            raise UserError(f"{len(self)} sequence of two items or more: a training and a test part need one each")
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        held_out = min(max(round(len(self) * fraction), 1), len(self) - 1)
        return self.select(order[held_out:]), self.select(order[:held_out])

    def padded(self, length: int) -> Tensor:
        """(S, length) the first `length` items of every sequence, right-padded with 0."""
        position = self.offsets[:-1, None] + torch.arange(length)
        return self._at(position, position < self.offsets[1:, None])

    def windows(self, length: int) -> tuple[Tensor, Tensor]:
        """Every (item, next item) pair once, in windows of at most `length`.

        Returns:
            (W, length) items and (W, length) their next items, both right-padded with 0. A sequence of L items gives
            ceil((L - 1) / length) windows.
        """
        pairs = self.lengths - 1
        count = (pairs + length - 1) // length  # 0 for a sequence of one item
        owner = torch.arange(len(self)).repeat_interleave(count)
        nth = torch.arange(len(owner)) - (count.cumsum(0) - count)[owner]
        position = (self.offsets[owner] + nth * length)[:, None] + torch.arange(length)
        valid = position < (self.offsets[owner + 1] - 1)[:, None]
        return self._at(position, valid), self._at(position + 1, valid)

    def _at(self, position: Tensor, valid: Tensor) -> Tensor:
        return self.items[position.clamp(max=len(self.items) - 1)] * valid

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of items and sequence bounds."""
        digest = hashlib.sha256(self.offsets.numpy().tobytes())
        digest.update(self.items.numpy().tobytes())
        return digest.hexdigest()
