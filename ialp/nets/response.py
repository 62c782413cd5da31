"""How the simulated users respond: p = P(click | history, item), or a rating."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ialp.nets.sasrec import SASRec, at_length
from ialp.recorded import Recorded


class ResponseNet(Recorded, nn.Module, ABC):
    """What users answer to an item after a history: `link` of a score, and of a click the score is the logit.

    Args:
        num_items: N, without the padding id.

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

    def of(self, history: Tensor, length: Tensor, item: Tensor) -> Tensor:
        """The entries of `forward` at `item` (B,), without the others: (B,)."""
        return self.score(self.state(history, length), item.unsqueeze(1)).squeeze(1) + self.intercept

    def memory(self, num_users: int, longest: int) -> Tensor:
        """What `answer` keeps of B users whose histories grow to `longest` items: (…, B, …), or nothing, (0,)."""
        return self.intercept.new_zeros(0)

    def answer(
        self, memory: Tensor, history: Tensor, length: Tensor, item: Tensor, rows: Tensor | None = None
    ) -> Tensor:
        """What A of B users answer to an item (A,), (A,): `link` of `of`, which a subclass may compute step by step.

        Args:
            memory: What `memory` gave, changed in place. Each user must have been asked after each of the items of his
                history; for one whose history begins anew it needs no clearing.
            history: (A, T) of `length` (A,) items.
            length: (A,) likewise.
            item: (A,) what is recommended.
            rows: (A,) rows of `memory`; None for all of them.
        """
        return self.link(self.of(history, length, item))

    def link(self, score: Tensor) -> Tensor:
        """Scores → p; a net of ratings makes them ratings. Same shape."""
        return score.sigmoid()


class SequentialResponse(ResponseNet):
    """Dot product of a SASRec state and the item's vector, plus the item's bias.

    Args:
        num_items: N, without the padding id.
        dim: Width of states and item vectors.
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

    @property
    def vectors(self) -> Tensor:
        """(I, D) item vectors: those of the history and those scored are the same."""
        return self.encoder.item_embedding.weight

    def states(self, items: Tensor) -> Tensor:
        """(B, T) → (B, T, D)."""
        return self.encoder(items)

    def memory(self, num_users: int, longest: int) -> Tensor:
        """(layers, B, T, 2 D) keys and values."""
        return self.encoder.memory(num_users, longest)

    def answer(
        self, memory: Tensor, history: Tensor, length: Tensor, item: Tensor, rows: Tensor | None = None
    ) -> Tensor:
        """(A,) p, at the cost of the history's last item."""
        last = length - 1
        state = self.encoder.append(memory, history.gather(1, last.unsqueeze(1)).squeeze(1), last, rows)
        return self.link(self.score(state, item.unsqueeze(1)).squeeze(1) + self.intercept)

    def score(self, state: Tensor, items: Tensor) -> Tensor:
        """(B, D), (B, K) → (B, K)."""
        return torch.einsum("bkd,bd->bk", self.vectors[items], state) + self.bias[items]

    def score_all(self, state: Tensor) -> Tensor:
        """(B, D) → (B, I)."""
        return nn.functional.linear(state, self.vectors, self.bias)


def followed_logits(net: ResponseNet, items: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """Scores, without the intercept, and candidates (M, K) of the M items that something follows.

    Most windows are largely padding: what nothing follows costs nothing.

    Args:
        net: Scores.
        items: (B, T) windows, right-padded with 0.
        candidates: (B, T, K) for the place after each of them, the true next item first, 0 where there is none.
    """
    followed = candidates[..., 0] > 0
    return net.score(net.states(items)[followed], candidates[followed]), candidates[followed]
