"""Advantage actor-critic on replayed transitions (Eq. 6 to 10, 12, 13, 15)."""

from typing import Literal

import torch
from torch import Tensor
from typing_extensions import override

from ialp.errors import UserError
from ialp.rl.algorithms.base import Algorithm
from ialp.rl.algorithms.returns import discounts
from ialp.rl.exploration import Exploration
from ialp.rl.policy import Policy, entropy
from ialp.types import Transition

NEEDS_EPISODES = (
    "model.init_args.algorithm: A2C's trace is above 0, which needs whole episodes: set it to 0, or model.class_path "
    "to ialp.phases.OnlineEpisodes and data.class_path to ialp.datamodules.OnPolicyDataModule"
)


class A2C(Algorithm):
    """y = r + γ·(1 − terminated)·max_a Q(s', a);  L_Q = (y − Q(s, a))²;  L_A = −log π̂(a|s)·A.

    Args:
        gamma: discount γ.
        baseline: `state`: A = y − V(s) with V(s) = Σ_a π̂(a|s)·Q(s, a). `action`: A = y − Q(s, a), the paper's
            literal form, positive for almost every action while Q is still near zero.
        entropy_weight: weight of the entropy bonus.
        critic_weight: weight of L_Q; 1 is the paper's.
        trace: λ of the λ-return, y = r + γ·((1 − λ)·value of s' + λ·y of the next step), which looks further ahead
            than one step at the price of more variance; an episode's last y is that of λ = 0. 0 is the paper's. Above 0
            it needs whole episodes, as `OnPolicyDataModule` gives them.
        bootstrap: value of the next state in y: `max`: max_a Q(s', a), the paper's; `policy`: Σ_a π̂(a|s')·Q(s', a),
            which does not chase the overestimated Q of items that nobody has tried.
    """

    def __init__(
        self,
        gamma: float = 0.9,
        baseline: Literal["state", "action"] = "state",
        entropy_weight: float = 0.01,
        critic_weight: float = 1.0,
        bootstrap: Literal["max", "policy"] = "policy",
        trace: float = 0.0,
    ) -> None:
        self.gamma, self.baseline = gamma, baseline
        self.entropy_weight, self.critic_weight = entropy_weight, critic_weight
        self.bootstrap, self.trace = bootstrap, trace

    @override
    def refusal(self, policy: Policy, exploration: Exploration, whole_episodes: bool) -> str | None:
        return NEEDS_EPISODES if self.trace and not whole_episodes else None

    @override
    def loss(self, policy: Policy, batch: Transition) -> tuple[Tensor, dict[str, Tensor]]:
        learner = policy.learner
        state, next_state = learner.states(batch)  # (B, D) s and s'
        log_pi = policy.log_probabilities(batch.history, state)  # (B, I) log π̂(·|s)
        pi = log_pi.exp()
        with torch.no_grad():
            target = self.target(batch, self.next_value(policy, batch, next_state))  # (B,) y
            value = policy.expectation(pi, policy.q(state))  # (B,) V(s)
        q = learner.critic.gather(state, batch.action)  # (B,) Q(s, a)
        advantage = target - (value if self.baseline == "state" else q.detach())
        actor_loss = -(policy.at(log_pi, batch.action) * advantage).mean()  # Eq. 6 times the advantage
        critic_loss = (target - q).square().mean()  # Eq. 8
        bonus = entropy(policy, pi, log_pi)
        loss = actor_loss + self.critic_weight * critic_loss - self.entropy_weight * bonus  # Eq. 10
        return loss, {
            "actor_loss": actor_loss.detach(),
            "critic_loss": critic_loss.detach(),
            "entropy": bonus.detach(),
            "advantage": advantage.mean(),
            "q": q.detach().mean(),
        }

    def next_value(self, policy: Policy, batch: Transition, next_state: Tensor) -> Tensor:
        """(B,) value of the next states (B, D): max_a Q(s', a), or Σ_a π̂(a|s')·Q(s', a)."""
        q = policy.q(next_state)  # (B, I)
        if self.bootstrap == "policy":
            return policy.expectation(policy.log_probabilities(batch.next_history, next_state).exp(), q)
        return q.masked_fill(~policy.mask(batch.next_history), -torch.inf).amax(1)

    def target(self, batch: Transition, next_value: Tensor) -> Tensor:
        """(B,) y of Eq. 8, or the λ-return, from the values (B,) of the next states."""
        next_value = next_value * ~batch.terminated
        if not self.trace:
            return batch.reward + self.gamma * next_value
        if batch.row is None:
            raise UserError(NEEDS_EPISODES)
        step = batch.length - 1
        last = batch.terminated | batch.truncated
        ahead = batch.reward + self.gamma * next_value * torch.where(last, 1.0, 1.0 - self.trace)
        grid = ahead.new_zeros(batch.items.shape).index_put((batch.row, step), ahead)  # (E, T), 0 past the end
        return (grid @ discounts(grid, self.gamma * self.trace))[batch.row, step]
