"""ServedPolicy: the policy of a finished run as a plain module that can be exported."""

import torch
from torch import Tensor, nn

from ialp.masking import allowed_items, masked_log_softmax
from ialp.nets import ActorCritic, SASRec
from ialp.nets.sasrec import at_length, finish, project
from ialp.rl.schemes.saved import SavedPolicy


def encode(encoder: SASRec, items: Tensor) -> Tensor:
    """The states of `SASRec.forward`, (B, T) → (B, T, D), in operations that keep B and T dynamic when exported.

    `SASRec.forward` fixes T where it cuts the causal mask, and uses a fused kernel that other runtimes lack.
    """
    hidden = encoder.embed(items) + encoder.position_embedding(torch.arange(items.shape[1]))
    for layer in encoder.blocks.layers:
        hidden = finish(layer, hidden, attend_causally(*project(layer, hidden), layer.self_attn.num_heads))
    assert encoder.blocks.norm is not None
    return encoder.blocks.norm(hidden)


def attend_causally(query: Tensor, key_value: Tensor, heads: int) -> Tensor:
    """Causal attention of queries (B, T, D) over keys beside values (B, T, 2 D)."""
    query = query.unflatten(2, (heads, -1)).transpose(1, 2)  # (B, H, T, D / H)
    key, value = key_value.unflatten(2, (2, heads, -1)).permute(2, 0, 3, 1, 4)
    attended = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    return attended.transpose(1, 2).flatten(2)


class ActingPart(nn.Module):
    """The encoder and the acting head of a policy, whose parameters it shares."""

    def __init__(self, policy: ActorCritic) -> None:
        super().__init__()
        self.encoder: SASRec = policy.encoder
        self.head, self.temperature = policy.policy_head

    def forward(self, items: Tensor, length: Tensor) -> Tensor:
        """(B, I) logits for histories (B, T) of `length` (B,) items."""
        row = torch.arange(items.shape[0])
        return self.head(at_length(encode(self.encoder, items), length, row)) / self.temperature


class ServedPolicy(nn.Module):
    """The probabilities of a `SavedPolicy`, without data-dependent control flow and heads that do not act."""

    def __init__(self, policy: SavedPolicy) -> None:
        super().__init__()
        self.weights = [weight for weight, _ in policy.acting]
        self.parts = nn.ModuleList(ActingPart(part) for _, part in policy.acting)
        self.width, self.repeats, self.max_length = policy.learner.num_items + 1, policy.repeats, policy.max_length
        self.eval().requires_grad_(False)

    def forward(self, items: Tensor, length: Tensor) -> Tensor:
        """π̂(·|s), (B, I), zero where masked, for histories (B, T), right-padded with 0, of `length` (B,) items."""
        mask = allowed_items(items, length, self.width, self.repeats)
        mixed = [
            weight * masked_log_softmax(part(items, length), mask).exp()
            for weight, part in zip(self.weights, self.parts, strict=True)
        ]
        return mixed[0] if len(mixed) == 1 else torch.stack(mixed).sum(0)
