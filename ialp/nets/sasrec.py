"""SASRec, the state encoder G of Eq. 4."""

import torch
from torch import Tensor, nn

from ialp.errors import UserError


def at_length(hidden: Tensor, length: Tensor) -> Tensor:
    """The state of each history: (B, T, D) at position `length` - 1 → (B, D)."""
    rows = torch.arange(len(length), device=length.device)
    return hidden[rows, length - 1]


class SASRec(nn.Module):
    """Causal transformer over item embeddings with learned positions.

    Histories are right-padded with 0: no padding key precedes a real query, so the causal mask alone is exact, and
    position t holds the state after t + 1 items.

    Where users are known by features, a history begins with its user, the id N + 1 + u, embedded by a linear map of
    his features: a user never met before has a state from the start.

    Args:
        num_items: N, without the padding id.
        dim: width D.
        layers: number of transformer blocks.
        heads: attention heads per block.
        max_length: longest history, T at most.
        dropout: inside the blocks.
        num_users: U, users known by features.
        user_width: F, the number of these.
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

    def know_users(self, features: Tensor) -> None:
        """Takes the (U, F) features of the users it will meet, in place of those it knew.

        Raises:
            UserError: Another number of features than the net was built for.
        """
        width = self.user_features.shape[1]
        if features.shape[1] != width:
            raise UserError(
                f"users have {features.shape[1]} features here, but this net was built for {width}: train anew"
            )
        self.user_features = features.to(self.user_features)

    def embed(self, items: Tensor) -> Tensor:
        """(B, T) ids of items and users → (B, T, D)."""
        if not len(self.user_features):
            return self.item_embedding(items)
        users = self.user_embedding(self.user_features)
        return nn.functional.embedding(items, torch.cat([self.item_embedding.weight, users]), padding_idx=0)

    def forward(self, items: Tensor) -> Tensor:
        """(B, T) ids, right-padded with 0 → (B, T, D) states after each item.

        Raises:
            UserError: Histories longer than `max_length`.
        """
        steps, longest = items.shape[1], self.position_embedding.num_embeddings
        if steps > longest:
            raise UserError(
                f"a history of {steps} items, but this net was built for {longest} (max_length; a policy's is the "
                f"horizon of its pre-training + 2): make it anew for episodes as long as the reward model's"
            )
        positions = self.position_embedding.weight[:steps]
        hidden = self.embed(items) + positions
        return self.blocks(hidden, mask=self.causal[:steps, :steps], is_causal=True)
