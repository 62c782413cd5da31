"""Which items may be recommended."""

import torch
from torch import Tensor


def shown_items(items: Tensor, length: Tensor, width: int, repeats: bool = False) -> Tensor:
    """(B, T) ids that may not follow the first `length` of `items` (B, T), 0 where there is none.

    Items already shown in the episode may follow only with `repeats`. Ids past the width are users.
    """
    if repeats:
        return torch.zeros_like(items[:, :1])
    positions = torch.arange(items.shape[1], device=items.device)
    return items * ((positions < length.unsqueeze(1)) & (items < width))


def allowed_items(items: Tensor, length: Tensor, width: int, repeats: bool = False) -> Tensor:
    """(B, I) bool, True for the items that may follow the first `length` of `items` (B, T); padding is never allowed.

    The arguments are those of `shown_items`.
    """
    shown = torch.zeros(items.shape[0], width, dtype=torch.bool, device=items.device)
    shown.scatter_(1, shown_items(items, length, width, repeats), True)
    shown[:, 0] = True
    return ~shown


def masked_log_softmax(logits: Tensor, mask: Tensor, log_weight: Tensor | None = None) -> Tensor:
    """(B, M) log-probabilities in float32; -inf where the mask (B, M) is False.

    Args:
        logits: (B, M).
        mask: (B, M) bool.
        log_weight: (M,) log of how many items each column stands for in the normaliser; None: for itself.
    """
    logits = logits.float().masked_fill(~mask, -torch.inf)
    if log_weight is None:
        return logits.log_softmax(-1)
    return logits - (logits + log_weight).logsumexp(-1, keepdim=True)
