"""How to update, apart from how to act."""

from abc import ABC, abstractmethod

from torch import Tensor

from ialp.errors import UserError
from ialp.recorded import Recorded
from ialp.rl.exploration import Exploration
from ialp.rl.policy import Policy
from ialp.types import Transition


class Algorithm(Recorded, ABC):
    """A loss over a minibatch of transitions. YAML picks the subclass.

    Attributes:
        trains_actor: whether the actor head learns.
    """

    trains_actor = True

    @abstractmethod
    def loss(self, policy: Policy, batch: Transition) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss to descend, (), and figures to log (detached scalars)."""

    def refusal(self, policy: Policy, exploration: Exploration, whole_episodes: bool) -> str | None:
        """Why it cannot learn from what these do, with the keys to change; None where it can.

        Args:
            policy: the scheme, not built yet.
            exploration: how actions are drawn.
            whole_episodes: transitions come as the episodes just played, rather than from a replay buffer.
        """
        return None

    def setup(self, policy: Policy) -> None:
        """Called once, when the policy is built.

        Raises:
            UserError: The learner's critic acts, and this algorithm trains an actor.
        """
        if policy.learner.q_temperature is not None:
            raise UserError(
                f"the pre-trained policy acts by its Q, as DQN trained it, and {type(self).__name__} trains an actor: "
                "name another `pretrained`, or go on with DQN"
            )

    def on_rollout(self, policy: Policy) -> None:
        """Called by `OnlineEpisodes` when all users have played an episode, before the updates from these."""

    def on_update(self, policy: Policy, updates: int) -> None:
        """Called after every gradient step, of which there have been `updates`."""
