"""Keys and values of the instruction, computed once and read by every row of every batch."""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer


class SharedPrefix(DynamicLayer):
    """One layer's keys and values (1, heads, P, D) of a prefix, for batches of any size.

    What a pass adds is not kept: scoring reads only the last position, and nothing has to be undone after a pass.
    """

    def __init__(self, keys: Tensor, values: Tensor):
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys: Tensor = keys
        self.values: Tensor = values

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """The prefix before each row of (B, heads, L, D): twice (B, heads, P + L, D)."""
        rows = len(key_states)
        keys = torch.cat([self.keys.expand(rows, -1, -1, -1), key_states], dim=-2)
        return keys, torch.cat([self.values.expand(rows, -1, -1, -1), value_states], dim=-2)


def share(cache: Any, length: int) -> DynamicCache | None:
    """The cache of a prefix of `length` tokens, to be shared; None where it does not hold the keys of every token."""
    layers: list[Any] = [each for each in getattr(cache, "layers", []) if isinstance(each, DynamicLayer)]
    if len(layers) != len(cache) or any(each.keys.shape[-2] != length for each in layers):
        return None
    shared = DynamicCache()
    shared.layers = [SharedPrefix(each.keys, each.values) for each in layers]
    return shared
