"""How to update, apart from how to act."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor

from ialp.errors import UserError
from ialp.types import Transition

if TYPE_CHECKING:
    from ialp.rl.exploration import Exploration
    from ialp.rl.schemes.base import Scheme


class Algorithm(ABC):
    """A loss over a minibatch of transitions. YAML picks the subclass.

    Attributes:
        trains_actor: whether the actor head learns.
    """

    trains_actor = True

    @abstractmethod
    def loss(self, scheme: "Scheme", batch: Transition) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss to descend and what is worth logging (detached scalars)."""

    def refusal(self, scheme: "Scheme", exploration: "Exploration", whole_episodes: bool) -> str | None:
        """Why it cannot learn from what these do, with the keys to change; None where it can.

        Args:
            scheme: not built yet.
            exploration: how actions are drawn.
            whole_episodes: transitions come as the episodes just played, rather than from a replay buffer.
        """
        return None

    def prepare(self, scheme: "Scheme") -> None:
        """Called once, when the scheme is built.

        Raises:
            UserError: The learner's critic acts, and this algorithm trains an actor.
        """
        if scheme.learner.q_temperature is not None:
            raise UserError(
                f"the pre-trained policy acts by its Q, as DQN trained it, and {type(self).__name__} trains an actor: "
                "name another `pretrained`, or go on with DQN"
            )

    def updated(self, scheme: "Scheme", updates: int) -> None:  # noqa: B027 - most need nothing
        """Called after every gradient step, of which there have been `updates`."""
