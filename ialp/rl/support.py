"""Which items acting and learning run over: all of them, or, in a large catalogue, as many as there is time for."""

import inspect
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ialp.errors import UserError
from ialp.masking import shown_items
from ialp.rl.blockwise import BlockwisePolicy
from ialp.rl.columns import ALL, Columns, SomeColumns
from ialp.rng import joined, stream, uniforms
from ialp.types import Transition

if TYPE_CHECKING:
    from ialp.rl.exploration import Exploration
    from ialp.rl.schemes.base import Scheme
    from ialp.rl.stepwise import StepwisePolicy

CHANCES = 4  # uniforms per action


class Support(ABC):
    """Which items the computations of acting and learning run over. YAML picks the subclass.

    Attributes:
        in_blocks: whether it acts without ever holding all probabilities.
    """

    in_blocks = False

    def refusal(self, scheme: "Scheme", exploration: "Exploration") -> str | None:
        """Why these cannot do with it, with the keys to change; None where they can."""
        return None

    def begin(self, seed: int, update: int) -> None:  # noqa: B027 - all items need no chance
        """Called before every update; both numbers together are all that its chance depends on."""

    @abstractmethod
    def columns(self, batch: Transition, num_items: int) -> Columns:
        """What the loss of a minibatch runs over; N items there are. The batch's own items are among them."""

    @abstractmethod
    def act(
        self,
        scheme: "Scheme",
        exploration: "Exploration",
        items: Tensor,
        length: Tensor,
        user: Tensor,
        chance: Tensor,
        stepwise: "StepwisePolicy | None" = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """(B,) what is recommended while learning.

        Args:
            scheme: whose π̂ acts.
            exploration: how actions are drawn from it.
            items: (B, T) histories, right-padded.
            length: (B,) items of each.
            user: (B,) numbers of the users.
            chance: (B, CHANCES) uniforms in [0, 1).
            stepwise: π̂ of histories that grow item by item; None computes it from the whole histories.
            rows: (B,) which of its users these are.
        """

    @abstractmethod
    def best(self, scheme: "Scheme", items: Tensor, length: Tensor) -> Tensor:
        """(B,) the most probable item of π̂."""

    @abstractmethod
    def draw(self, scheme: "Scheme", items: Tensor, length: Tensor, chance: Tensor) -> Tensor:
        """(B,) items drawn from π̂ by the uniforms (B, 2)."""


class FullSoftmax(Support):
    """All items, exactly, as tensors (B, I)."""

    def columns(self, batch: Transition, num_items: int) -> Columns:
        """All."""
        return ALL

    def act(
        self,
        scheme: "Scheme",
        exploration: "Exploration",
        items: Tensor,
        length: Tensor,
        user: Tensor,
        chance: Tensor,
        stepwise: "StepwisePolicy | None" = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """What exploration selects of π̂, or of what the scheme puts in its place."""
        allowed = scheme.allowed(items, length)
        if stepwise is None:
            probabilities = scheme.probabilities(items, length)  # (B, I) π̂(·|s_t)
        else:
            assert rows is not None
            probabilities = stepwise.probabilities(items, length, rows, allowed)
        probabilities = scheme.behaviour(probabilities, allowed, items, length, user)
        return exploration.select(probabilities, allowed, chance[:, :2])

    def best(self, scheme: "Scheme", items: Tensor, length: Tensor) -> Tensor:
        """The argmax."""
        return scheme.probabilities(items, length).argmax(1)

    def draw(self, scheme: "Scheme", items: Tensor, length: Tensor, chance: Tensor) -> Tensor:
        """By the inverse of the distribution function."""
        from ialp.rl.exploration import sample_index

        return sample_index(scheme.probabilities(items, length), chance[:, 0])


class SampledSoftmax(Support):
    """Learns from a sample of the items, drawn anew for every update, and acts exactly, a block of items at a time.

    For catalogues of more than about 100,000 items, where tensors of (B, I) cost too much. The catalogue is cut into as
    many stretches of ids as items are drawn; one item of each stands for all of its stretch. What the minibatch shows,
    histories and actions, is always in the sample and stands for itself: that is also where the policy's favourites
    are, since it has just chosen them. Acting leaves nothing out: π̂ and its argmax are those of `FullSoftmax`.

    Args:
        items: how many are drawn for each update; as many as the catalogue has give the exact loss.
    """

    in_blocks = True

    def __init__(self, items: int = 8192) -> None:
        if items < 1:
            raise UserError(f"Sampled takes at least 1 of the items, not {items}: null runs over all of them")
        self.items = items
        self.seed = self.update = 0

    def refusal(self, scheme: "Scheme", exploration: "Exploration") -> str | None:
        """Schemes and strategies that read all probabilities at once."""
        key, way_out = "model.init_args.support: Sampled", "or set support to null"
        if not scheme.samples_policy:
            return (
                f"{key} lets π̂ itself act, and in model.init_args.scheme {type(scheme).__name__} a judge acts, or one "
                f"policy of a set alone: take PolicySet with LinearAlpha, FineTune or Scratch, {way_out}"
            )
        if "over" not in inspect.signature(scheme.log_probabilities).parameters:
            return f"{key} needs a scheme whose log_probabilities takes `over`, and {type(scheme).__name__}'s does not"
        if not exploration.acts_in_blocks:
            return (
                f"{key} never holds all probabilities at once, which model.init_args.exploration "
                f"{type(exploration).__name__} selects from: take Categorical, EpsilonGreedy or Greedy, give it a "
                f"method `act` beside `select`, {way_out}"
            )
        return None

    def begin(self, seed: int, update: int) -> None:
        """Keeps the numbers that the next sample is drawn by: nothing of it needs a checkpoint."""
        self.seed, self.update = stream(seed, "sampled items"), update

    def columns(self, batch: Transition, num_items: int) -> Columns:
        """The minibatch's own items, each for itself, and the drawn ones that are not among them."""
        own = batch.items.unique()
        own = own[(own > 0) & (own <= num_items)]  # neither padding nor users
        count, device = min(self.items, num_items), own.device
        edge = 1 + torch.arange(count + 1, device=device) * num_items // count  # ids 1 … N in `count` stretches
        size = edge.diff()
        stretch = torch.arange(count, device=device)
        update = torch.full_like(stretch, self.update)
        chance = uniforms(self.seed, stretch, update, torch.zeros_like(stretch)).squeeze(1).double()
        drawn = edge[:-1] + (chance * size).long()
        new = ~torch.isin(drawn, own)
        ids, order = torch.cat([own, drawn[new]]).sort()
        weight = torch.cat([torch.ones_like(own), size[new]])[order]
        return SomeColumns(ids, weight.float())

    @torch.no_grad()
    def act(
        self,
        scheme: "Scheme",
        exploration: "Exploration",
        items: Tensor,
        length: Tensor,
        user: Tensor,
        chance: Tensor,
        stepwise: "StepwisePolicy | None" = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """By the strategy's `act`."""
        policy = self._blockwise(scheme, items, length, stepwise, rows)
        return exploration.act(policy, joined(chance))

    @torch.no_grad()
    def best(self, scheme: "Scheme", items: Tensor, length: Tensor) -> Tensor:
        """The same argmax, found block by block."""
        return self._blockwise(scheme, items, length).best()

    @torch.no_grad()
    def draw(self, scheme: "Scheme", items: Tensor, length: Tensor, chance: Tensor) -> Tensor:
        """From the same π̂."""
        return self._blockwise(scheme, items, length).draw(joined(chance)[:, 0])

    def _blockwise(
        self,
        scheme: "Scheme",
        items: Tensor,
        length: Tensor,
        stepwise: "StepwisePolicy | None" = None,
        rows: Tensor | None = None,
    ) -> BlockwisePolicy:
        if stepwise is None:
            parts = [(weight, policy, policy.state(items, length)) for weight, policy in scheme.mixture().values()]
        else:
            assert rows is not None
            parts = stepwise.states(items, length, rows)
        shown = shown_items(items, length, scheme.learner.num_items + 1, scheme.repeats)
        return BlockwisePolicy([part for part in parts if part[0] > 0], shown)
