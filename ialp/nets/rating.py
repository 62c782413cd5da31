"""Response models of users who rate: the rating depends on user and item, not on what was shown before."""

from abc import abstractmethod

import torch
from torch import Tensor
from typing_extensions import override

from ialp.nets.response import ResponseNet


class RatingNet(ResponseNet):
    """Ratings, from `lowest` to `highest`, of U users with F features for N items with G features.

    A history begins with its user, the id N + 1 + u; its items do not count. So in eval mode all ratings are one table.
    """

    user_features: Tensor
    item_features: Tensor

    def __init__(
        self, num_items: int, num_users: int, user_width: int, item_width: int, lowest: float, highest: float
    ) -> None:
        super().__init__(num_items)
        self.num_users = num_users
        self.lowest, self.highest = lowest, highest
        self.register_buffer("user_features", torch.zeros(num_users, user_width))
        self.register_buffer("item_features", torch.zeros(num_items + 1, item_width))
        self._table: Tensor | None = None

    @abstractmethod
    def rate(self, user: Tensor, item: Tensor) -> Tensor:
        """(n,) ratings, before they are clamped, of users (n,) from 0 for items (n,)."""

    def start_from(self, user_features: Tensor, item_features: Tensor, mean: float) -> None:
        """Sets the features (U, F) and (I, G); a subclass may initialise its bias with the mean rating."""
        self.user_features.copy_(user_features)
        self.item_features.copy_(item_features)

    def table(self) -> Tensor:
        """(U, I) ratings of every user for every item; cached until `train` or `eval` is called."""
        if self._table is None:
            items = torch.arange(self.num_items + 1, device=self.item_features.device)
            with torch.no_grad():
                rows = [self.rate(torch.full_like(items, user), items) for user in range(self.num_users)]
                self._table = self.activation(torch.stack(rows))
        return self._table

    @override
    def train(self, mode: bool = True) -> "RatingNet":
        self._table = None
        return super().train(mode)

    @override
    def states(self, items: Tensor) -> Tensor:
        user = items[:, :1] - self.num_items - 1
        return user.unsqueeze(1).expand(-1, items.shape[1], 1)

    @override
    def score(self, state: Tensor, items: Tensor) -> Tensor:
        return self.rate(state.expand_as(items).flatten(), items.flatten()).view_as(items)

    @override
    def score_all(self, state: Tensor) -> Tensor:
        return self.table()[state.squeeze(1)]

    @override
    def score_item(self, history: Tensor, length: Tensor, item: Tensor) -> Tensor:
        # index_select into the flat table takes half the time of table[user, item].
        width = self.num_items + 1
        place = torch.add(item - width * width, history.select(1, 0), alpha=width)  # (user - width) · width + item
        return self.table().view(-1).index_select(0, place)

    @override
    def respond_step(
        self, cache: Tensor, history: Tensor, length: Tensor, item: Tensor, rows: Tensor | None = None
    ) -> Tensor:
        return self.score_item(history, length, item)  # the table's entries are clamped already

    @override
    def activation(self, score: Tensor) -> Tensor:
        return score.clamp(self.lowest, self.highest)
