"""Losses over a sample of the items instead of the whole catalogue."""

from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from ialp.distributed import global_rank
from ialp.errors import UserError
from ialp.masking import masked_log_softmax, shown_items
from ialp.nets import ActorCritic
from ialp.nets.actor_critic import ItemHead
from ialp.rl.algorithms import A2C, Algorithm
from ialp.rl.exploration import Exploration
from ialp.rl.policy import Policy, log_mixture
from ialp.rl.schemes import Scheme
from ialp.rng import stream, uniforms
from ialp.types import History, Transition


class SampledPolicy:
    """A scheme's π̂ and Q over M of the items, some of which stand for others: the `Policy` that a loss is given.

    Sums over all items become weighted sums over these. Of such sums V, entropy and the normalisers of π̂ are made:
    ratios of unbiased estimates, biased by an amount that shrinks with 1/M, with a deviation that shrinks with
    1/sqrt(M). A maximum over the sample is a lower bound of that over all items.

    Args:
        scheme: π̂ and φ.
        ids: (M,) ids, ascending.
        weight: (M,) how many items each stands for; 1 is itself alone.
    """

    def __init__(self, scheme: Scheme, ids: Tensor, weight: Tensor) -> None:
        self.scheme, self.ids, self.weight, self.log_weight = scheme, ids, weight, weight.log()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.scheme, name)

    def mask(self, history: History) -> Tensor:
        """(B, M) bool, True for the items that may follow."""
        items = history.items if history.row is None else history.items[history.row]
        shown = shown_items(items, history.length, self.scheme.learner.num_items + 1, self.scheme.repeats)  # (B, T)
        column, found = self._column(shown)
        spare = len(self.ids)  # one column more takes what is not in the sample
        mask = torch.ones(len(items), spare + 1, dtype=torch.bool, device=items.device)
        return mask.scatter_(1, torch.where(found, column, spare), False)[:, :spare]

    def log_probabilities(self, history: History, state: Tensor | None = None) -> Tensor:
        """(B, M) log π̂ of each item of the sample itself, -inf where masked."""
        mask = self.mask(history)
        parts = [
            (log_weight, masked_log_softmax(self._logits(policy, state), mask, self.log_weight))
            for log_weight, policy, state in self.scheme.parts(history, state)
        ]
        return log_mixture(parts, mask)

    def q(self, state: Tensor, critic: ItemHead | None = None) -> Tensor:
        """(B, M) Q(s, ·)."""
        return self._columns(critic or self.scheme.learner.critic, state)

    def at(self, values: Tensor, action: Tensor) -> Tensor:
        """(B,) the entries of values (B, M) at the actions (B,), which must be in the sample."""
        return values.gather(1, self._column(action)[0].unsqueeze(1)).squeeze(1)

    def expectation(self, pi: Tensor, values: Tensor) -> Tensor:
        """(B,) the estimate of Σ_a π(a|s)·values(a), both (B, M)."""
        return (pi * self.weight * values).sum(1)

    def _logits(self, policy: ActorCritic, state: Tensor) -> Tensor:
        head, temperature = policy.policy_head
        return self._columns(head, state) / temperature

    def _columns(self, head: ItemHead, state: Tensor) -> Tensor:
        return nn.functional.linear(state, nn.functional.embedding(self.ids, head.weight), head.bias[self.ids])

    def _column(self, item: Tensor) -> tuple[Tensor, Tensor]:
        """Which column each id has, and whether it has one; both of the ids' shape."""
        column = torch.searchsorted(self.ids, item).clamp_(max=len(self.ids) - 1)
        return column, self.ids[column] == item


class SampledSoftmax(Algorithm, nn.Module):
    """An algorithm whose loss runs over a sample of the items, drawn anew for every update.

    The catalogue is cut into as many stretches of ids as items are drawn; one item of each stands for its stretch. What
    the minibatch shows, histories and actions, is always in the sample and stands for itself: there the policy's
    favourites are, since it has just chosen them. As many items as the catalogue has give the exact loss.

    Args:
        algorithm: whose loss it is.
        items: drawn for each update.
    """

    updates: Tensor

    def __init__(self, algorithm: Algorithm | None = None, items: int = 8192) -> None:
        super().__init__()
        if items < 1:
            raise UserError(f"SampledSoftmax takes at least 1 of the items, not {items}")
        self.algorithm, self.items, self.seed = algorithm or A2C(), items, 0
        self.register_buffer("updates", torch.tensor(0))  # a resumed run goes on with its own samples

    @property
    def trains_actor(self) -> bool:  # type: ignore[override]
        """Whether the actor head learns."""
        return self.algorithm.trains_actor

    @override
    def refusal(self, policy: Policy, exploration: Exploration, whole_episodes: bool) -> str | None:
        return self.algorithm.refusal(policy, exploration, whole_episodes)

    @override
    def setup(self, policy: Policy) -> None:
        self.algorithm.setup(policy)
        self.seed = stream(torch.initial_seed() + global_rank(), "sampled items")

    @override
    def on_rollout(self, policy: Policy) -> None:
        self.algorithm.on_rollout(policy)

    @override
    def on_update(self, policy: Policy, updates: int) -> None:
        self.algorithm.on_update(policy, updates)
        self.updates.fill_(updates)

    @override
    def loss(self, policy: Policy, batch: Transition) -> tuple[Tensor, dict[str, Tensor]]:
        assert isinstance(policy, Scheme)
        return self.algorithm.loss(SampledPolicy(policy, *self.sample(batch, policy.learner.num_items)), batch)

    def sample(self, batch: Transition, num_items: int) -> tuple[Tensor, Tensor]:
        """Ids (M,) and weights (M,): the minibatch's own items, each for itself, and the drawn ones beside them."""
        own = batch.items.unique()
        own = own[(own > 0) & (own <= num_items)]  # neither padding nor users
        count, device = min(self.items, num_items), own.device
        edge = 1 + torch.arange(count + 1, device=device) * num_items // count  # ids 1 … N in `count` stretches
        size = edge.diff()
        stretch = torch.arange(count, device=device)
        update = torch.full_like(stretch, int(self.updates))
        uniform = uniforms(self.seed, stretch, update, torch.zeros_like(stretch)).squeeze(1).double()
        drawn = edge[:-1] + (uniform * size).long()
        new = ~torch.isin(drawn, own)
        ids, order = torch.cat([own, drawn[new]]).sort()
        weight = torch.cat([torch.ones_like(own), size[new]])[order]
        return ids, weight.float()
