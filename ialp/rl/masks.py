"""Which items may be recommended."""

import torch
from torch import Tensor


def allowed_items(items: Tensor, length: Tensor, width: int, repeats: bool = False) -> Tensor:
    """(B, I) bool, True for the items that may follow the first `length` of `items` (B, T).

    Padding is never allowed; items already shown in the episode only with `repeats`. Ids past the width are users.
    """
    shown = torch.zeros(items.shape[0], width, dtype=torch.bool, device=items.device)
    if not repeats:
        positions = torch.arange(items.shape[1], device=items.device)
        shown.scatter_(1, items * ((positions < length.unsqueeze(1)) & (items < width)), True)
    shown[:, 0] = True
    return ~shown


def masked_log_softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """(B, I) log-probabilities in float32; -inf where the mask (B, I) is False."""
    return logits.float().masked_fill(~mask, -torch.inf).log_softmax(-1)
