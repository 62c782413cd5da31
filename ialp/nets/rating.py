"""Users who rate: answers that depend on user and item, not on what was shown before."""

from abc import abstractmethod

import torch
from torch import Tensor

from ialp.nets.response import ResponseNet


class RatingNet(ResponseNet):
    """Ratings of users for items. A history begins with its user, the id num_items + 1 + u, and says no more than that.

    So once the net is in eval mode all answers are one table.

    Args:
        num_items: N, without the padding id.
        num_users: U.
        user_width: F, columns of a user's features.
        item_width: G, columns of an item's.
        lowest: No rating is below.
        highest: No rating is above.
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
        """Ratings, not yet within their bounds, of users (n,) from 0 for items (n,): (n,)."""

    def start_from(self, user_features: Tensor, item_features: Tensor, mean: float) -> None:
        """Takes the features (U, F) and (I, G); a subclass may start at the mean rating."""
        self.user_features.copy_(user_features)
        self.item_features.copy_(item_features)

    def table(self) -> Tensor:
        """(U, I) ratings of every user for every item; kept until the net is put into training or eval mode again."""
        if self._table is None:
            items = torch.arange(self.num_items + 1, device=self.item_features.device)
            with torch.no_grad():
                rows = [self.rate(torch.full_like(items, user), items) for user in range(self.num_users)]
                self._table = self.link(torch.stack(rows))
        return self._table

    def train(self, mode: bool = True) -> "RatingNet":
        """As any module's; what was kept of the answers is forgotten."""
        self._table = None
        return super().train(mode)

    def states(self, items: Tensor) -> Tensor:
        """(B, T) → (B, T, 1) number of the user, from 0, at each of them."""
        return (items[:, :1] - self.num_items - 1).unsqueeze(1).expand(-1, items.shape[1], 1)

    def score(self, state: Tensor, items: Tensor) -> Tensor:
        """(B, 1), (B, K) → (B, K)."""
        return self.rate(state.expand_as(items).flatten(), items.flatten()).view_as(items)

    def score_all(self, state: Tensor) -> Tensor:
        """(B, 1) → (B, I)."""
        return self.table()[state.squeeze(1)]

    def of(self, history: Tensor, length: Tensor, item: Tensor) -> Tensor:
        """(B,) ratings, looked up: index_select into the flat table takes half the time of table[user, item]."""
        width = self.num_items + 1
        place = torch.add(item - width * width, history.select(1, 0), alpha=width)  # (user - width) · width + item
        return self.table().view(-1).index_select(0, place)

    def answer(
        self, memory: Tensor, history: Tensor, length: Tensor, item: Tensor, rows: Tensor | None = None
    ) -> Tensor:
        """(A,) ratings, within their bounds as they lie in the table."""
        return self.of(history, length, item)

    def link(self, score: Tensor) -> Tensor:
        """Ratings within their bounds."""
        return score.clamp(self.lowest, self.highest)
