"""Policy gradient on whole episodes: the paper's baseline PG."""

from typing import Literal

import torch
from torch import Tensor
from typing_extensions import override

from ialp.rl.algorithms.base import Algorithm
from ialp.rl.algorithms.returns import returns_to_go
from ialp.rl.exploration import Exploration
from ialp.rl.policy import Policy, entropy
from ialp.types import Transition


class Reinforce(Algorithm):
    """G_t = Σ_k γ^k·r_{t+k};  L = −log π̂(a_t|s_t)·(G_t − b(s_t)) + (G_t − V(s_t))², over the episodes just played.

    It is on-policy: it takes whole episodes (`OnPolicyDataModule`) whose actions were drawn from π̂ (`Categorical`).
    What would follow a cut at the horizon does not count.

    Args:
        gamma: discount γ.
        baseline: `state`: b(s) = V(s) = Σ_a π̂(a|s)·Q(s, a), learnt beside; `none`: b = 0 and no critic.
        entropy_weight: weight of the entropy bonus.
        critic_weight: weight of (G − V)².
    """

    def __init__(
        self,
        gamma: float = 0.9,
        baseline: Literal["state", "none"] = "state",
        entropy_weight: float = 0.01,
        critic_weight: float = 1.0,
    ) -> None:
        self.gamma, self.baseline = gamma, baseline
        self.entropy_weight, self.critic_weight = entropy_weight, critic_weight

    @override
    def refusal(self, policy: Policy, exploration: Exploration, whole_episodes: bool) -> str | None:
        name = type(self).__name__
        if not whole_episodes:
            return (
                f"model.init_args.algorithm: {name} learns from the episodes that its policy has just played, and a "
                "replay buffer holds another policy's: set model.class_path to ialp.phases.OnlineEpisodes and "
                "data.class_path to ialp.datamodules.OnPolicyDataModule, or take A2C"
            )
        if not policy.samples_policy:
            return (
                f"model.init_args.algorithm: {name} learns from its policy's own actions, and in "
                f"model.init_args.scheme {type(policy).__name__} a judge acts, or one policy of a set alone: take A2C"
            )
        if not exploration.samples_policy:
            return (
                f"model.init_args.algorithm: {name} learns from actions drawn from its policy, and "
                f"model.init_args.exploration {type(exploration).__name__} draws otherwise: set it to "
                f"ialp.rl.Categorical with temperature 1, or take A2C"
            )
        return None

    @override
    def setup(self, policy: Policy) -> None:
        super().setup(policy)
        policy.learner.critic.requires_grad_(self.baseline == "state")  # without a baseline it is not in the loss

    @override
    def loss(self, policy: Policy, batch: Transition) -> tuple[Tensor, dict[str, Tensor]]:
        state, _ = policy.learner.states(batch)  # (B, D)
        log_pi = policy.log_probabilities(batch.history, state)  # (B, I) log π̂(·|s)
        pi = log_pi.exp()
        to_go = returns_to_go(batch, self.gamma)  # (B,) G
        value = torch.zeros_like(to_go)
        if self.baseline == "state":
            value = policy.expectation(pi.detach(), policy.q(state))  # (B,) V(s)
        advantage = to_go - value.detach()
        actor_loss = -(policy.at(log_pi, batch.action) * advantage).mean()
        critic_loss = (to_go - value).square().mean()
        bonus = entropy(policy, pi, log_pi)
        loss = actor_loss - self.entropy_weight * bonus
        logs = {"actor_loss": actor_loss.detach(), "entropy": bonus.detach(), "advantage": advantage.mean()}
        if self.baseline == "state":
            loss = loss + self.critic_weight * critic_loss
            logs |= {"critic_loss": critic_loss.detach(), "value": value.detach().mean()}
        return loss, logs
