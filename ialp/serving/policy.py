"""What a finished run recommends, as a plain module: histories in, probabilities out."""

import torch
from torch import Tensor, nn

from ialp.masking import allowed_items, masked_log_softmax
from ialp.nets import ActorCritic, SASRec
from ialp.nets.actor_critic import ItemHead
from ialp.nets.sasrec import at_length
from ialp.rl.schemes.saved import SavedPolicy


def encode(encoder: SASRec, items: Tensor) -> Tensor:
    """The states of `SASRec.forward`, (B, T) → (B, T, D), in operations that keep B and T open when exported.

    The module's own path fixes T where it cuts the causal mask, and takes a fused kernel that no other runtime has.
    """
    hidden = encoder.embed(items) + encoder.position_embedding(torch.arange(items.shape[1]))
    for layer in encoder.blocks.layers:
        attention = layer.self_attn
        projected = nn.functional.linear(layer.norm1(hidden), attention.in_proj_weight, attention.in_proj_bias)
        query, key, value = projected.unflatten(2, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)  # (B, H, T, …)
        attended = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        hidden = hidden + attention.out_proj(attended.transpose(1, 2).flatten(2))
        hidden = hidden + layer.linear2(nn.functional.gelu(layer.linear1(layer.norm2(hidden))))
    assert encoder.blocks.norm is not None
    return encoder.blocks.norm(hidden)


class Acting(nn.Module):
    """Of a policy only what acts: the encoder and one head.

    Args:
        policy: A policy; its parameters are shared, not copied.
    """

    def __init__(self, policy: ActorCritic) -> None:
        super().__init__()
        self.encoder: SASRec = policy.encoder
        self.head: ItemHead = policy.actor if policy.q_temperature is None else policy.critic
        self.temperature = policy.q_temperature or 1.0

    def forward(self, items: Tensor, length: Tensor) -> Tensor:
        """(B, I) logits for histories (B, T) of `length` (B,) items."""
        row = torch.arange(items.shape[0])
        return self.head(at_length(encode(self.encoder, items), length, row)) / self.temperature


class ServedPolicy(nn.Module):
    """The probabilities of a `SavedPolicy`, without control flow that depends on data, so that it can be exported.

    Policies without weight and heads that do not act are left out.

    Args:
        policy: What the run ended with.
    """

    def __init__(self, policy: SavedPolicy) -> None:
        super().__init__()
        self.weights = [weight for weight, _ in policy.acting]
        self.parts = nn.ModuleList(Acting(part) for _, part in policy.acting)
        self.width, self.repeats = policy.learner.num_items + 1, policy.repeats
        self.max_length = policy.max_length
        self.eval().requires_grad_(False)

    def forward(self, items: Tensor, length: Tensor) -> Tensor:
        """π̂(·|s), (B, I), zero where masked, for histories (B, T), right-padded with 0, of `length` (B,) items."""
        mask = allowed_items(items, length, self.width, self.repeats)
        shares = [
            weight * masked_log_softmax(part(items, length), mask).exp()
            for weight, part in zip(self.weights, self.parts, strict=True)
        ]
        return shares[0] if len(shares) == 1 else torch.stack(shares).sum(0)
