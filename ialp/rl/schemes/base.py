"""What a scheme is: which policy acts and which one learns (Algorithm 2)."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ialp.masking import allowed_items
from ialp.nets import ActorCritic
from ialp.rl.columns import ALL, Columns
from ialp.rl.support import FullSoftmax, Support

if TYPE_CHECKING:
    from ialp.data import Log


class Scheme(nn.Module, ABC):
    """The acting policy π̂ and the learner φ inside it. YAML picks the subclass.

    `build` is called once with the pre-trained policy θ (or None) and a randomly started one of the same shape.

    Attributes:
        learner: φ, whose encoder and critic learn and whose actor takes part in π̂.
        needs_pretrained: whether θ must be given.
        trains: False if nothing learns (evaluation only).
        mixes_policies: whether π̂ is made of several policies.
        samples_policy: whether π̂ itself acts while learning; False where someone else has the last word.
        repeats: whether items already shown in an episode may be shown again.
        support: which items acting and learning run over.
    """

    needs_pretrained = True
    trains = True
    mixes_policies = False
    samples_policy = True

    def __init__(self) -> None:
        super().__init__()
        self.learner: ActorCritic
        self.repeats = False
        self.support: Support = FullSoftmax()

    @abstractmethod
    def build(self, pretrained: ActorCritic | None, fresh: ActorCritic | None) -> None:
        """Sets `learner` and whatever else acts."""

    def meet(self, log: "Log", seed: int, rank: int, ranks: int = 1) -> None:
        """Called once before learning, when the scheme is built: what it needs to know of the data.

        Args:
            log: items and training sequences.
            seed: of the run.
            rank: of this process.
            ranks: how many processes there are.
        """

    def behaviour(self, probabilities: Tensor, allowed: Tensor, items: Tensor, length: Tensor, user: Tensor) -> Tensor:
        """(B, I) what exploration draws from while learning: π̂ itself, unless someone else has the last word.

        Args:
            probabilities: (B, I) of π̂, zero where masked.
            allowed: (B, I) the mask.
            items: (B, T) histories, right-padded.
            length: (B,) items of each.
            user: (B,) numbers of the users.
        """
        return probabilities

    def hear(self, user: Tensor, returns: Tensor) -> None:
        """Called with the returns (E,) of episodes that users (E,) have just finished while learning."""

    def local_state(self) -> dict[str, Any]:
        """What this process alone knows and a resumed run needs, beside the buffers; tensors, numbers and texts."""
        return {}

    def load_local_state(self, state: dict[str, Any]) -> None:
        """Goes on where `local_state` was taken."""

    def results(self) -> dict[str, Any]:
        """What done.json says of the scheme."""
        return {}

    def advance(self, environment_steps: int) -> dict[str, float]:
        """Moves what changes with time; returns what is worth logging."""
        return {}

    def mixture(self) -> dict[str, tuple[float, ActorCritic]]:
        """What π̂ is made of: folder name → (weight, policy); the weights sum to one."""
        return {"policy": (1.0, self.learner)}

    def allowed(self, items: Tensor, length: Tensor, row: Tensor | None = None) -> Tensor:
        """(B, I) bool mask of the items that may follow the first `length` of `items`, or of its rows `row`."""
        items = items if row is None else items[row]
        return allowed_items(items, length, self.learner.num_items + 1, self.repeats)

    def log_probabilities(
        self,
        items: Tensor,
        length: Tensor,
        state: Tensor | None = None,
        row: Tensor | None = None,
        over: Columns = ALL,
    ) -> Tensor:
        """The log π̂(·|s), (B, I) or of M columns, (B, M), -inf where masked.

        Args:
            items: (B, T) histories, right-padded.
            length: (B,) items of each that make the state.
            state: (B, D) of the learner where the caller has encoded it already.
            row: (B,) rows of `items` (E, T) that the histories are part of; None where row b is b's.
            over: the columns; all items unless `SampledSoftmax` leaves some out.
        """
        state = self.learner.state(items, length, row) if state is None else state
        return over.log_softmax(self.learner, state, over.allowed(self, items, length, row))

    @torch.no_grad()
    def probabilities(self, items: Tensor, length: Tensor) -> Tensor:
        """π̂(·|s), (B, I), zero where masked."""
        return self.log_probabilities(items, length).exp()
