"""Q-learning with a target network: the paper's baseline DQN."""

import copy

import torch
from torch import Tensor, nn
from typing_extensions import override

from ialp.errors import UserError
from ialp.nets import ActorCritic
from ialp.rl.algorithms.base import Algorithm
from ialp.rl.exploration import Exploration
from ialp.rl.policy import Policy
from ialp.types import Transition


class DQN(Algorithm, nn.Module):
    """y = r + γ·(1 − terminated)·max_a Q⁻(s', a) over the items that may follow;  L = (y − Q(s, a))².

    The critic acts, everywhere: π is the softmax of Q / temperature, so that its most probable item is the best by Q.
    The actor head learns nothing. Q⁻ is a copy of encoder and critic that follows with a delay.

    Args:
        gamma: discount γ.
        double_q: the learner says which a is best at s', and Q⁻ what it is worth (double Q-learning).
        target_every: Q⁻ becomes Q every so many updates.
        tau: above 0, Q⁻ moves by this fraction towards Q at every update instead.
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

    @override
    def refusal(self, policy: Policy, exploration: Exploration, whole_episodes: bool) -> str | None:
        if not policy.mixes_policies:
            return None
        return (
            f"model.init_args.algorithm: DQN acts by the Q of one policy, and model.init_args.scheme "
            f"{type(policy).__name__} mixes the probabilities of two: take FineTune or Scratch, or A2C"
        )

    @override
    def setup(self, policy: Policy) -> None:
        learner = policy.learner
        learner.act_by_q(self.temperature)
        learner.actor.requires_grad_(False)
        self.target = copy.deepcopy(learner).requires_grad_(False)

    @override
    @torch.no_grad()
    def on_update(self, policy: Policy, updates: int) -> None:
        rate = self.tau or float(updates % self.target_every == 0)
        if rate:
            for kept, learnt in zip(self.target.parameters(), policy.learner.parameters(), strict=True):
                kept.lerp_(learnt, rate)

    @override
    def loss(self, policy: Policy, batch: Transition) -> tuple[Tensor, dict[str, Tensor]]:
        state, next_state = policy.learner.states(batch)  # (B, D) s and s'
        q = policy.learner.critic.gather(state, batch.action)  # (B,) Q(s, a)
        with torch.no_grad():
            next_value = self.next_value(policy, batch, next_state)
            target = batch.reward + self.gamma * torch.where(batch.terminated, 0.0, next_value)  # (B,) y
        loss = (target - q).square().mean()
        return loss, {"critic_loss": loss.detach(), "q": q.detach().mean(), "target": target.mean()}

    def next_value(self, policy: Policy, batch: Transition, next_state: Tensor) -> Tensor:
        """(B,) Q⁻ of the best allowed action in the next states, which the learner encodes as `next_state` (B, D)."""
        delayed = policy.q(self.target.states(batch)[1], self.target.critic)  # (B, I)
        q = policy.q(next_state) if self.double_q else delayed  # (B, I)
        best = q.masked_fill(~policy.mask(batch.next_history), -torch.inf).argmax(1, keepdim=True)
        return delayed.gather(1, best).squeeze(1)
