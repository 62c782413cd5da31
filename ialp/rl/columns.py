"""The items that a loss runs over."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ialp.masking import masked_log_softmax, shown_items
from ialp.nets.actor_critic import ActorCritic, ItemHead

if TYPE_CHECKING:
    from ialp.rl.schemes.base import Scheme


class Columns:
    """Columns of the tensors (B, M) of a loss: here every item has one, M = I, its id.

    π̂, Q and what is made of both are asked for here, so that a loss is written once for all items and for some.
    """

    def log_pi(
        self, scheme: "Scheme", items: Tensor, length: Tensor, state: Tensor | None = None, row: Tensor | None = None
    ) -> Tensor:
        """(B, M) log π̂(·|s), the arguments being those of `Scheme.log_probabilities`."""
        return scheme.log_probabilities(items, length, state, row)

    def log_softmax(self, policy: ActorCritic, state: Tensor, mask: Tensor) -> Tensor:
        """(B, M) log π(·|s) of one policy in its states (B, D), -inf where the mask (B, M) is False."""
        return masked_log_softmax(policy.logits(state), mask)

    def q(self, critic: ItemHead, state: Tensor) -> Tensor:
        """(B, D) states → (B, M) Q."""
        return critic(state)

    def allowed(self, scheme: "Scheme", items: Tensor, length: Tensor, row: Tensor | None = None) -> Tensor:
        """(B, M) bool mask, the arguments being those of `Scheme.allowed`."""
        return scheme.allowed(items, length, row)

    def of(self, values: Tensor, item: Tensor) -> Tensor:
        """(B,) the entries of values (B, M) at the items (B,), which must be among the columns."""
        return values.gather(1, item.unsqueeze(1)).squeeze(1)

    def expectation(self, pi: Tensor, values: Tensor) -> Tensor:
        """(B,) Σ_a π(a)·values(a) over all items, both (B, M)."""
        return (pi * values).sum(1)


ALL = Columns()


class SomeColumns(Columns):
    """M of the items, some of which stand for others: sums over all items become weighted sums over these.

    Of such sums V, entropy and the normalisers of π̂ are made. They are ratios of unbiased estimates: wrong by an amount
    that shrinks with 1/M on average, and with 1/sqrt(M) in a single update. A maximum over the columns is a lower bound
    of that over all items.

    Args:
        ids: (M,) ids, ascending.
        weight: (M,) how many items each stands for; 1 is itself alone.
    """

    def __init__(self, ids: Tensor, weight: Tensor) -> None:
        self.ids, self.weight, self.log_weight = ids, weight, weight.log()

    def log_pi(
        self, scheme: "Scheme", items: Tensor, length: Tensor, state: Tensor | None = None, row: Tensor | None = None
    ) -> Tensor:
        """(B, M)."""
        return scheme.log_probabilities(items, length, state, row, self)

    def log_softmax(self, policy: ActorCritic, state: Tensor, mask: Tensor) -> Tensor:
        """(B, M), of each column's item itself."""
        return masked_log_softmax(policy.logits(state, self.ids), mask, self.log_weight)

    def q(self, critic: ItemHead, state: Tensor) -> Tensor:
        """(B, M)."""
        return critic(state, self.ids)

    def allowed(self, scheme: "Scheme", items: Tensor, length: Tensor, row: Tensor | None = None) -> Tensor:
        """(B, M)."""
        items = items if row is None else items[row]
        shown = shown_items(items, length, scheme.learner.num_items + 1, scheme.repeats)  # (B, T)
        column, found = self._column(shown)
        spare = len(self.ids)  # one column more takes what is not among them
        mask = torch.ones(len(items), spare + 1, dtype=torch.bool, device=items.device)
        return mask.scatter_(1, torch.where(found, column, spare), False)[:, :spare]

    def of(self, values: Tensor, item: Tensor) -> Tensor:
        """(B,)."""
        return super().of(values, self._column(item)[0])

    def expectation(self, pi: Tensor, values: Tensor) -> Tensor:
        """(B,)."""
        return (pi * self.weight * values).sum(1)

    def _column(self, item: Tensor) -> tuple[Tensor, Tensor]:
        """Which column each id has, and whether it has one; both of the ids' shape."""
        column = torch.searchsorted(self.ids, item).clamp_(max=len(self.ids) - 1)
        return column, self.ids[column] == item
