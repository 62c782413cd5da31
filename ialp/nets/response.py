"""Response models of the simulated users: p = P(click | history, item), or a rating."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from typing_extensions import override

from ialp.nets.sasrec import SASRec, at_length
from ialp.recorded import Recorded


class ResponseNet(Recorded, nn.Module, ABC):
    """A user's response to one of N items after a history: `activation` of a score, which for clicks is a logit.

    Attributes:
        max_length: Longest history that it reads.
        intercept: () added to every score: 0 until the world is calibrated.
    """

    intercept: Tensor
    max_length: float = math.inf

    def __init__(self, num_items: int) -> None:
        super().__init__()
        self.num_items = num_items
        self.register_buffer("intercept", torch.zeros(()))

    @abstractmethod
    def states(self, items: Tensor) -> Tensor:
        """(B, T) items, right-padded with 0 → (B, T, D) the user's state after each of them."""

    @abstractmethod
    def score(self, state: Tensor, items: Tensor) -> Tensor:
        """(B, D) states and (B, K) items → (B, K) scores, without the intercept."""

    @abstractmethod
    def score_all(self, state: Tensor) -> Tensor:
        """(B, D) states → (B, I) scores, without the intercept."""

    def state(self, history: Tensor, length: Tensor) -> Tensor:
        """(B, T) histories of `length` (B,) items → (B, D)."""
        return at_length(self.states(history[:, : int(length.max())]), length)

    def forward(self, history: Tensor, length: Tensor) -> Tensor:
        """(B, T) histories of `length` (B,) items → (B, I) calibrated scores of every item."""
        return self.score_all(self.state(history, length)) + self.intercept

    def score_item(self, history: Tensor, length: Tensor, item: Tensor) -> Tensor:
        """(B,) the scores of `forward` at `item` (B,), without computing the others."""
        return self.score(self.state(history, length), item.unsqueeze(1)).squeeze(1) + self.intercept

    def activation(self, score: Tensor) -> Tensor:
        """Scores → responses of the same shape."""
        return score.sigmoid()

    def init_cache(self, num_users: int, longest: int) -> Tensor:
        """The cache of `respond_step` for B histories of up to `longest` items: (…, B, …), or empty, (0,)."""
        return self.intercept.new_zeros(0)

    def respond_step(
        self, cache: Tensor, history: Tensor, length: Tensor, item: Tensor, rows: Tensor | None = None
    ) -> Tensor:
        """(A,) responses of A of B users to `item` (A,) after histories (A, T) of `length` (A,) items.

        A subclass may compute only what the latest step adds: `cache`, from `init_cache`, is updated in place at each
        step, `rows` (A,) are the users' rows of it, None for all. A new episode needs no clearing.
        """
        return self.activation(self.score_item(history, length, item))


class SequentialResponse(ResponseNet):
    """Click model: the logit is the dot product of a SASRec state and the item's embedding, plus the item's bias.

    Args:
        num_items: N, set from the log.
        dim: Width of states and embeddings.
        layers: Transformer blocks.
        heads: Attention heads.
        max_length: Longest history.
        dropout: In the blocks and on the item vectors of the history, while it trains.
    """

    def __init__(
        self, num_items: int, dim: int = 64, layers: int = 1, heads: int = 2, max_length: int = 32, dropout: float = 0.3
    ) -> None:
        super().__init__(num_items)
        self.max_length = max_length
        self.encoder = SASRec(num_items, dim, layers, heads, max_length, dropout)
        self.bias = nn.Parameter(torch.zeros(num_items + 1))

    @override
    def states(self, items: Tensor) -> Tensor:
        return self.encoder(items)

    @override
    def score(self, state: Tensor, items: Tensor) -> Tensor:
        return torch.einsum("bkd,bd->bk", self.encoder.item_embedding.weight[items], state) + self.bias[items]

    @override
    def score_all(self, state: Tensor) -> Tensor:
        return nn.functional.linear(state, self.encoder.item_embedding.weight, self.bias)

    @override
    def init_cache(self, num_users: int, longest: int) -> Tensor:
        return self.encoder.init_cache(num_users, longest)

    @override
    def respond_step(
        self, cache: Tensor, history: Tensor, length: Tensor, item: Tensor, rows: Tensor | None = None
    ) -> Tensor:
        last = length - 1
        state = self.encoder.append(cache, history.gather(1, last.unsqueeze(1)).squeeze(1), last, rows)
        return self.activation(self.score(state, item.unsqueeze(1)).squeeze(1) + self.intercept)


def followed_logits(net: ResponseNet, items: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """Scores, without the intercept, and candidates (M, K) at the M positions of windows that a next item follows.

    Items (B, T) are right-padded with 0; candidates (B, T, K) have the true next item first, 0 where there is none.
    """
    followed = candidates[..., 0] > 0
    return net.score(net.states(items)[followed], candidates[followed]), candidates[followed]
