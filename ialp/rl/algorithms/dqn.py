"""Q-learning with a target network: the paper's baseline DQN."""

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ialp.errors import UserError
from ialp.nets import ActorCritic, at_length
from ialp.rl.algorithms.base import Algorithm
from ialp.types import Transition

if TYPE_CHECKING:
    from ialp.rl.exploration import Exploration
    from ialp.rl.schemes.base import Scheme


class DQN(nn.Module, Algorithm):
    """y = r + γ·(1 − terminated)·max_a Q⁻(s', a) over the items that may follow;  L = (y − Q(s, a))².

    The critic acts, everywhere: π is the softmax of Q / temperature, so that its most probable item is the best by Q.
    The actor head learns nothing. Q⁻ is a copy of encoder and critic that follows with a delay.

    Args:
        gamma: discount γ.
        double_q: the learner says which a is best at s', and Q⁻ what it is worth (double Q-learning).
        target_every: Q⁻ becomes Q every so many updates.
        tau: above 0, Q⁻ moves by this share towards Q at every update instead.
        temperature: of the policy that is made of Q; it has no part in what is most probable.
    """

    trains_actor = False

    def __init__(
        self,
        gamma: float = 0.9,
        double_q: bool = True,
        target_every: int = 100,
        tau: float = 0.0,
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        if target_every < 1 or not 0 <= tau <= 1 or temperature <= 0:
            raise UserError(
                f"DQN takes target_every of at least 1, tau in 0 … 1 and a temperature above 0, not {target_every}, "
                f"{tau} and {temperature}"
            )
        self.gamma, self.double_q, self.temperature = gamma, double_q, temperature
        self.target_every, self.tau = target_every, tau
        self.target: ActorCritic

    def refusal(self, scheme: "Scheme", exploration: "Exploration", whole_episodes: bool) -> str | None:
        """Any actions will do, but one Q must act."""
        if not scheme.mixes_policies:
            return None
        return (
            f"model.init_args.algorithm: DQN acts by the Q of one policy, and model.init_args.scheme "
            f"{type(scheme).__name__} mixes the probabilities of two: take FineTune or Scratch, or A2C"
        )

    def prepare(self, scheme: "Scheme") -> None:
        """Lets Q act, and copies it."""
        learner = scheme.learner
        learner.act_by_q(self.temperature)
        learner.actor.requires_grad_(False)
        self.target = copy.deepcopy(learner).requires_grad_(False)

    @torch.no_grad()
    def updated(self, scheme: "Scheme", updates: int) -> None:
        """Moves Q⁻."""
        share = self.tau or float(updates % self.target_every == 0)
        if share:
            for kept, learnt in zip(self.target.parameters(), scheme.learner.parameters(), strict=True):
                kept.lerp_(learnt, share)

    def loss(self, scheme: "Scheme", batch: Transition) -> tuple[Tensor, dict[str, Tensor]]:
        """L over B transitions."""
        learner = scheme.learner
        hidden = learner.encoder(batch.items)  # (B, T, D), or (E, T, D): one causal pass holds s_t and s_{t+1}
        q = learner.critic.gather(at_length(hidden, batch.length, batch.row), batch.action)  # (B,)
        with torch.no_grad():
            following = self._following(scheme, batch, at_length(hidden, batch.length + 1, batch.row))
            target = batch.reward + self.gamma * torch.where(batch.terminated, 0.0, following)
        loss = (target - q).square().mean()
        return loss, {"critic_loss": loss.detach(), "q": q.detach().mean(), "target": target.mean()}

    def _following(self, scheme: "Scheme", batch: Transition, state: Tensor) -> Tensor:
        """(B,) value of s', whose encoding by the learner is `state` (B, D); what was shown is no action there."""
        over = scheme.support.columns(batch, scheme.learner.num_items)  # M of them, all unless some are left out
        allowed = over.allowed(scheme, batch.items, batch.length + 1, batch.row)  # (B, M)
        after = at_length(self.target.encoder(batch.items), batch.length + 1, batch.row)
        delayed = over.q(self.target.critic, after)
        judged = over.q(scheme.learner.critic, state) if self.double_q else delayed  # (B, M)
        best = judged.masked_fill(~allowed, -torch.inf).argmax(1, keepdim=True)
        return delayed.gather(1, best).squeeze(1)
