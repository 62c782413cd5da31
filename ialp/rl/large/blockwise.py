"""Acting by π̂ in a catalogue that is too large for tensors of (B, I): exactly, a block of items at a time."""

from collections.abc import Iterator
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from typing_extensions import override

from ialp.masking import shown_items
from ialp.nets import ActorCritic
from ialp.rl.exploration import Categorical, EpsilonGreedy, Exploration, Greedy, sample_index
from ialp.rl.policy import Part
from ialp.rl.schemes import FineTune, Frozen, PolicySet, SavedPolicy, Scheme, Scratch
from ialp.rng import joined
from ialp.types import History

GROUP = 1024  # items whose probability is summed up; an item is then looked for in one group alone
BLOCK = 1 << 22  # scores in memory at once, over all users


class BlockwisePolicy:
    """π̂ = Σ_k w_k·π_k of B users, never whole in memory.

    Args:
        parts: weight w_k, policy and its states (B, D) of each; weights above 0, summing to one.
        shown: (B, T) ids that may not be recommended, 0 for none.
    """

    def __init__(self, parts: list[Part], shown: Tensor) -> None:
        self.parts, self.shown = parts, shown
        self.num_items = parts[0][1].num_items

    def best(self) -> Tensor:
        """(B,) the most probable items."""
        value = torch.full((len(self.shown),), -torch.inf, device=self.shown.device)
        item = torch.zeros_like(self.shown[:, 0])
        for first, score in self._blocks():
            block_value, index = score.max(0)
            item = torch.where(block_value > value, first + index, item)
            value = torch.maximum(value, block_value)
        return item

    def draw(self, uniform: Tensor, temperature: float = 1.0) -> Tensor:
        """(B,) items drawn from π̂^(1/temperature): first the group, then the item in it.

        Args:
            uniform: (B,) float64 in [0, 1).
            temperature: 1 draws from π̂ itself.
        """
        if len(self.parts) > 1 and temperature == 1.0:
            return self._draw_of_parts(uniform)
        mass = torch.cat([group_sums(score.div_(temperature)) for _, score in self._blocks()])  # (G, B), logs
        group, rest = pick((mass - mass.amax(0)).double().exp().T, uniform)
        ids = group.unsqueeze(1) * GROUP + torch.arange(GROUP, device=group.device)  # (B, GROUP)
        score = self._at(ids) / temperature
        weights = (score - score.amax(1, keepdim=True)).double().exp()
        return ids.gather(1, sample_index(weights, rest).unsqueeze(1)).squeeze(1)

    def any_allowed(self, uniform: Tensor) -> Tensor:
        """(B,) items drawn uniformly from those that may be recommended, by `uniform` (B,), float64 in [0, 1)."""
        shown = self.shown.sort(1).values
        new = shown > 0
        new[:, 1:] &= shown[:, 1:] != shown[:, :-1]
        place = (uniform * (self.num_items - new.sum(1))).long().unsqueeze(1)  # among the allowed ones, from 0
        before = new.cumsum(1) - 1  # distinct ids shown that are smaller
        return (place + 1 + (new & (shown - before <= place + 1)).sum(1, keepdim=True)).squeeze(1)

    def _draw_of_parts(self, uniform: Tensor) -> Tensor:
        """(B,) first which policy serves a user, then an item of it alone: the same distribution at half the cost."""
        weights = torch.tensor([weight for weight, _, _ in self.parts], dtype=torch.float64, device=uniform.device)
        chosen, rest = pick(weights.repeat(len(uniform), 1), uniform)
        item = torch.zeros_like(chosen)
        for number, (_, policy, state) in enumerate(self.parts):
            rows = (chosen == number).nonzero().squeeze(1)
            if len(rows):
                item[rows] = BlockwisePolicy([(1.0, policy, state[rows])], self.shown[rows]).draw(rest[rows])
        return item

    @cached_property
    def _offsets(self) -> list[Tensor]:
        """(B,) log w_k − log of the normaliser of each part; of a single one its logits tell enough, and it is 0."""
        if len(self.parts) == 1:
            return [torch.zeros(len(self.shown), device=self.shown.device)]
        offsets = []
        for weight, policy, state in self.parts:
            alone = BlockwisePolicy([(1.0, policy, state)], self.shown)
            sums = torch.cat([group_sums(score) for _, score in alone._blocks()])
            offsets.append(torch.tensor(weight).log().to(sums) - sums.logsumexp(0))
        return offsets

    def _blocks(self) -> Iterator[tuple[int, Tensor]]:
        """The first id and the scores (n, B) of each block, to be used up before the next; -inf where not allowed.

        A score is log π̂ up to a number of the user's own. n is a multiple of GROUP.
        """
        users, device = len(self.shown), self.shown.device
        size = GROUP * max(1, BLOCK // (GROUP * max(users, 1)))
        rooms = [torch.empty(size, users, device=device) for _ in self.parts]
        for first in range(0, self.num_items + 1, size):
            end = min(first + size, self.num_items + 1)
            used = -(-(end - first) // GROUP) * GROUP
            for (_, policy, state), offset, room in zip(self.parts, self._offsets, rooms, strict=True):
                logits_between(policy, state, first, end, out=room[: end - first])
                if len(self.parts) > 1:
                    room += offset
            score = rooms[0][:used]
            for room in rooms[1:]:
                torch.logaddexp(score, room[:used], out=score)
            score[end - first :] = -torch.inf
            user, place = ((self.shown >= first) & (self.shown < end)).nonzero().unbind(1)
            score[self.shown[user, place] - first, user] = -torch.inf
            if first == 0:
                score[0] = -torch.inf  # padding
            yield first, score

    def _at(self, ids: Tensor) -> Tensor:
        """(B, K) scores of ids (B, K); -inf past the end and where not allowed."""
        inside = ids.clamp(max=self.num_items)
        scores = [
            logits_of(policy, state, inside) + offset.unsqueeze(1)
            for (_, policy, state), offset in zip(self.parts, self._offsets, strict=True)
        ]
        barred = (ids.unsqueeze(2) == self.shown.unsqueeze(1)).any(2) | (ids > self.num_items) | (ids == 0)
        return torch.stack(scores).logsumexp(0).masked_fill(barred, -torch.inf)


def group_sums(score: Tensor) -> Tensor:
    """(n, B) scores, used up → (n / GROUP, B) log of the summed exponentials of each group."""
    grouped = score.view(-1, GROUP, score.shape[1])
    top = grouped.amax(1, keepdim=True).clamp_(min=torch.finfo(score.dtype).min)  # a group may hold nothing allowed
    return grouped.sub_(top).exp_().sum(1).log_() + top.squeeze(1)


def pick(weights: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """One column per row in proportion to its weight, (B,), and what is left of the chance, (B,) in [0, 1).

    Args:
        weights: (B, G) float64.
        uniform: (B,) float64 in [0, 1).
    """
    cumulative = weights.cumsum(1)
    threshold = uniform.unsqueeze(1) * cumulative[:, -1:]
    column = torch.searchsorted(cumulative, threshold, right=True)
    here = weights.gather(1, column)
    rest = (threshold - (cumulative.gather(1, column) - here)) / here
    return column.squeeze(1), rest.squeeze(1).clamp(0.0, 1.0 - 2**-40)


def logits_of(policy: ActorCritic, state: Tensor, item: Tensor) -> Tensor:
    """(B, D) states and (B, K) items → (B, K): each row's own columns of the logits."""
    head, temperature = policy.policy_head
    return head.gather(state, item) / temperature


def logits_between(policy: ActorCritic, state: Tensor, first: int, end: int, out: Tensor) -> None:
    """Writes the logits of the ids first … end − 1, transposed, into `out` (end − first, B). No gradient."""
    head, temperature = policy.policy_head
    torch.addmm(head.bias[first:end].unsqueeze(1), head.weight[first:end], state.to(out.dtype).T, out=out)
    if temperature != 1.0:
        out.div_(temperature)


def select(exploration: Exploration, policy: BlockwisePolicy, uniforms: Tensor) -> Tensor:
    """(B,) actions of `exploration.select`, without the probabilities (B, I).

    Args:
        exploration: `Greedy`, `Categorical`, `EpsilonGreedy`, or one with a method `select_blockwise` of its own.
        policy: π̂.
        uniforms: (B, 2) float64 in [0, 1).
    """
    if isinstance(exploration, SelectsBlockwise):
        return exploration.select_blockwise(policy, uniforms)
    if isinstance(exploration, Greedy):
        return policy.best()
    if isinstance(exploration, Categorical):
        return policy.draw(uniforms[:, 0], exploration.temperature)
    assert isinstance(exploration, EpsilonGreedy)  # see Blockwise.refusal
    greedy, explored = policy.best(), policy.any_allowed(uniforms[:, 1])
    return torch.where(uniforms[:, 0] < exploration.epsilon, explored, greedy)


@runtime_checkable
class SelectsBlockwise(Protocol):
    """An exploration strategy that acts by a `BlockwisePolicy`."""

    def select_blockwise(self, policy: BlockwisePolicy, uniforms: Tensor) -> Tensor:
        """(B,) actions by the uniforms (B, 2), float64 in [0, 1)."""
        ...


class Blockwise(Scheme):
    """Makes a scheme act without ever holding all probabilities: `class Mine(Blockwise, PolicySet)`."""

    saved_class = "ialp.rl.large.BlockwiseSavedPolicy"

    @override
    def refusal(self, exploration: Exploration) -> str | None:
        if isinstance(exploration, SelectsBlockwise) or type(exploration) in (Greedy, Categorical, EpsilonGreedy):
            return None
        return (
            f"model.init_args.exploration: {type(exploration).__name__} selects from all probabilities at once, which "
            f"{type(self).__name__} never has: take Categorical, EpsilonGreedy or Greedy, or give it a method "
            f"`select_blockwise`"
        )

    @override
    def frozen(self, pretrained: ActorCritic) -> Scheme:
        scheme = BlockwiseFrozen()
        scheme.build(pretrained, None)
        scheme.repeats = self.repeats
        return scheme

    @override
    @torch.no_grad()
    def act(
        self, history: History, exploration: Exploration, uniforms: Tensor, parts: list[Part] | None = None
    ) -> Tensor:
        return select(exploration, self._policy(history, parts), joined(uniforms))

    @override
    @torch.no_grad()
    def best(self, history: History) -> Tensor:
        return self._policy(history).best()

    @override
    @torch.no_grad()
    def sample(self, history: History, uniforms: Tensor) -> Tensor:
        return self._policy(history).draw(joined(uniforms)[:, 0])

    def _policy(self, history: History, parts: list[Part] | None = None) -> BlockwisePolicy:
        if parts is None:
            parts = [(weight, policy, policy.state(history)) for weight, policy in self.mixture().values()]
        shown = shown_items(history.items, history.length, self.learner.num_items + 1, self.repeats)
        return BlockwisePolicy([part for part in parts if part[0] > 0], shown)


class BlockwiseScratch(Blockwise, Scratch):
    """`Scratch` that acts a block of items at a time."""


class BlockwiseFineTune(Blockwise, FineTune):
    """`FineTune` that acts a block of items at a time."""


class BlockwiseFrozen(Blockwise, Frozen):
    """`Frozen` that acts a block of items at a time."""


class BlockwisePolicySet(Blockwise, PolicySet):
    """`PolicySet` that acts a block of items at a time."""


class BlockwiseSavedPolicy(Blockwise, SavedPolicy):
    """The policy of a finished run with a Blockwise scheme."""
