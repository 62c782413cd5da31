"""DeepFM (Guo et al., 2017): ratings of users for items, from ids and features."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from ialp.nets.rating import RatingNet


class DeepFM(RatingNet):
    """Rating = linear part + factorisation (every pair of fields) + deep part, of user id, item id and their features.

    Args:
        num_items: N, set from the log, like the next three.
        num_users: U.
        user_width: F.
        item_width: G.
        dim: Width of the field vectors.
        hidden: Widths of the deep part's layers.
        dropout: In the deep part, while it trains.
        lowest: Smallest rating.
        highest: Largest rating.
    """

    def __init__(
        self,
        num_items: int,
        num_users: int = 0,
        user_width: int = 0,
        item_width: int = 0,
        dim: int = 16,
        hidden: Sequence[int] = (64, 32),
        dropout: float = 0.3,
        lowest: float = 1.0,
        highest: float = 5.0,
    ) -> None:
        super().__init__(num_items, num_users, user_width, item_width, lowest, highest)
        # One column more than `dim`: the weights of the linear part.
        self.user = nn.Embedding(num_users, dim + 1)
        self.item = nn.Embedding(num_items + 1, dim + 1, padding_idx=0)
        self.of_user = nn.Linear(user_width, dim + 1, bias=False)
        self.of_item = nn.Linear(item_width, dim + 1, bias=False)
        for weight in (self.user.weight, self.item.weight, self.of_user.weight, self.of_item.weight):
            nn.init.normal_(weight, std=0.01)
        self.mean = nn.Parameter(torch.zeros(()))
        layers: list[nn.Module] = []
        for width_in, width_out in zip([4 * dim, *hidden[:-1]], hidden, strict=True):
            layers += [nn.Linear(width_in, width_out), nn.ReLU(), nn.Dropout(dropout)]
        self.deep = nn.Sequential(*layers, nn.Linear(hidden[-1], 1))

    @override
    def start_from(self, user_features: Tensor, item_features: Tensor, mean: float) -> None:
        super().start_from(user_features, item_features, mean)
        nn.init.constant_(self.mean, mean)

    @override
    def rate(self, user: Tensor, item: Tensor) -> Tensor:
        of_user, of_item = self.of_user(self.user_features[user]), self.of_item(self.item_features[item])
        fields = torch.stack([self.user(user), self.item(item), of_user, of_item], dim=1)  # (n, 4, dim + 1)
        linear, vectors = fields[..., 0].sum(1), fields[..., 1:]
        pairs = (vectors.sum(1).square() - vectors.square().sum(1)).sum(1) / 2
        return self.mean + linear + pairs + self.deep(vectors.flatten(1)).squeeze(1)
