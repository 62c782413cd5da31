"""How to update, apart from how to act."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor

from ialp.types import Transition

if TYPE_CHECKING:
    from ialp.rl.exploration import Exploration
    from ialp.schemes.base import Scheme


class Algorithm(ABC):
    """A loss over a minibatch of transitions. YAML picks the subclass."""

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

    def prepare(self, scheme: "Scheme") -> None:  # noqa: B027 - most algorithms need nothing
        """Called once, when the scheme is built."""

    def updated(self, scheme: "Scheme", updates: int) -> None:  # noqa: B027 - likewise
        """Called after every gradient step, of which there have been `updates`."""
