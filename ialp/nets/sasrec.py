"""SASRec, the state encoder G of Eq. 4."""

from typing import Any

import torch
from torch import Tensor, nn

from ialp.errors import UserError


def at_length(hidden: Tensor, length: Tensor, row: Tensor | None = None) -> Tensor:
    """The state of each history: (B, T, D) at position `length` - 1 → (B, D); with `row` (B,), of (E, T, D)."""
    row = torch.arange(len(length), device=length.device) if row is None else row
    return hidden[row, length - 1]


def project(layer: Any, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Queries (…, D), and keys beside values (…, 2 D), of a pre-norm `nn.TransformerEncoderLayer` for (…, D)."""
    attention, width = layer.self_attn, hidden.shape[-1]
    projected = nn.functional.linear(layer.norm1(hidden), attention.in_proj_weight, attention.in_proj_bias)
    query, key_value = projected.split([width, 2 * width], dim=-1)
    return query, key_value


def finish(layer: Any, hidden: Tensor, attended: Tensor) -> Tensor:
    """The layer's output, without dropout, from its input and the attended values, all (…, D)."""
    hidden = hidden + layer.self_attn.out_proj(attended)
    return hidden + layer.linear2(nn.functional.gelu(layer.linear1(layer.norm2(hidden))))


def attend_last(query: Tensor, key_value: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Attention of one query per row, (A, D), over keys beside values (A, T, 2 D), where the mask (A, T) is True."""
    key, value = key_value.unflatten(2, (2, heads, -1)).permute(2, 0, 3, 1, 4)  # (A, H, T, D / H) each
    query = query.unflatten(1, (heads, 1, -1))
    attended = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None])
    return attended.flatten(1)


class SASRec(nn.Module):
    """Causal transformer over item embeddings with learned positions (Kang and McAuley, 2018).

    Histories are right-padded with 0: no padding key precedes a real query, so the causal mask alone is exact, and
    position t holds the state after t + 1 items.

    Where U users are known by F features, a history begins with its user, the id N + 1 + u, embedded by a linear map of
    the features, so that users outside the training data have a state from the start.

    Args:
        num_items: N, without the padding id.
        dim: Width D.
        layers: Number of transformer blocks.
        heads: Attention heads per block.
        max_length: Longest history, T at most.
        dropout: Inside the blocks.
        num_users: U.
        user_width: F.
    """

    causal: Tensor
    user_features: Tensor

    def __init__(
        self,
        num_items: int,
        dim: int = 64,
        layers: int = 2,
        heads: int = 2,
        max_length: int = 32,
        dropout: float = 0.0,
        num_users: int = 0,
        user_width: int = 0,
    ) -> None:
        super().__init__()
        self.item_embedding = nn.Embedding(num_items + 1, dim, padding_idx=0)
        self.position_embedding = nn.Embedding(max_length, dim)
        block = nn.TransformerEncoderLayer(
            dim, heads, 4 * dim, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, layers, norm=nn.LayerNorm(dim), enable_nested_tensor=False)
        self.register_buffer("causal", nn.Transformer.generate_square_subsequent_mask(max_length), persistent=False)
        nn.init.normal_(self.item_embedding.weight, std=dim**-0.5)
        nn.init.normal_(self.position_embedding.weight, std=0.1 * dim**-0.5)
        with torch.no_grad():
            self.item_embedding.weight[0] = 0.0
        self.register_buffer("user_features", torch.zeros(num_users, user_width))
        if user_width:
            self.user_embedding = nn.Linear(user_width, dim)

    def set_user_features(self, features: Tensor) -> None:
        """Replaces the features of the users by `features` (U, F)."""
        width = self.user_features.shape[1]
        if features.shape[1] != width:
            raise UserError(
                f"users have {features.shape[1]} features here, but this net was built for {width}: train anew"
            )
        self.user_features = features.to(self.user_features)

    def embed(self, items: Tensor) -> Tensor:
        """Ids of items and users, of any shape → (…, D)."""
        if not len(self.user_features):
            return self.item_embedding(items)
        users = self.user_embedding(self.user_features)
        return nn.functional.embedding(items, torch.cat([self.item_embedding.weight, users]), padding_idx=0)

    def forward(self, items: Tensor) -> Tensor:
        """(B, T) ids, right-padded with 0 → (B, T, D) states after each item."""
        steps, longest = items.shape[1], self.position_embedding.num_embeddings
        if steps > longest:
            raise UserError(
                f"a history of {steps} items, but this net was built for {longest} (max_length; a policy's is the "
                f"horizon of its pre-training + 2): make it anew for episodes as long as the reward model's"
            )
        hidden = self.embed(items) + self.position_embedding.weight[:steps]
        return self.blocks(hidden, mask=self.causal[:steps, :steps], is_causal=True)

    def init_cache(self, num_users: int, longest: int) -> Tensor:
        """(layers, B, T, 2 D) KV cache for `append`: zeros, for histories of up to `longest` items."""
        weight = self.item_embedding.weight
        return weight.new_zeros(len(self.blocks.layers), num_users, longest, 2 * weight.shape[1])

    @torch.no_grad()
    def append(self, cache: Tensor, item: Tensor, position: Tensor, rows: Tensor | None = None) -> Tensor:
        """The states (A, D) after one more item (A,) at its position (A,) from 0, without dropout and gradient.

        They are those of `forward` at the cost of one position. The item's keys and values are added to the cache in
        place, at `rows` (A,), None for all. Entries past `position` do not count: a new history needs no clearing.
        """
        at = torch.arange(len(item), device=item.device) if rows is None else rows
        steps = int(position.max()) + 1
        seen = torch.arange(steps, device=item.device) <= position.unsqueeze(1)  # (A, T)
        hidden = self.embed(item) + self.position_embedding.weight[position]
        for layer, kept in zip(self.blocks.layers, cache, strict=True):
            query, kept[at, position] = project(layer, hidden)
            past = kept[:, :steps] if rows is None else kept[rows, :steps]
            hidden = finish(layer, hidden, attend_last(query, past, seen, layer.self_attn.num_heads))
        assert self.blocks.norm is not None
        return self.blocks.norm(hidden)
