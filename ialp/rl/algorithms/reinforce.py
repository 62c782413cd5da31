"""Policy gradient on whole episodes: the paper's baseline PG."""

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from ialp.nets import at_length
from ialp.rl.algorithms.base import Algorithm
from ialp.rl.algorithms.episodes import returns_to_go
from ialp.types import Transition

if TYPE_CHECKING:
    from ialp.rl.exploration import Exploration
    from ialp.rl.schemes.base import Scheme


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

    def refusal(self, scheme: "Scheme", exploration: "Exploration", whole_episodes: bool) -> str | None:
        """Reinforce is wrong about actions that π̂ did not draw."""
        if not whole_episodes:
            return (
                "model.init_args.algorithm: Reinforce learns from the episodes that its policy has just played, and a "
                "replay buffer holds another policy's: set data.class_path to ialp.datamodules.OnPolicyDataModule, "
                "or take A2C"
            )
        if not scheme.samples_policy:
            return (
                f"model.init_args.algorithm: Reinforce learns from its policy's own actions, and in "
                f"model.init_args.scheme {type(scheme).__name__} a judge acts, or one policy of a set alone: take A2C"
            )
        if not exploration.samples_policy:
            return (
                f"model.init_args.algorithm: Reinforce learns from actions drawn from its policy, and "
                f"model.init_args.exploration {type(exploration).__name__} draws otherwise: set it to "
                f"ialp.rl.Categorical with temperature 1, or take A2C"
            )
        return None

    def prepare(self, scheme: "Scheme") -> None:
        """Without a baseline the critic has no part in the loss."""
        super().prepare(scheme)
        scheme.learner.critic.requires_grad_(self.baseline == "state")

    def loss(self, scheme: "Scheme", batch: Transition) -> tuple[Tensor, dict[str, Tensor]]:
        """L over the B transitions of E whole episodes."""
        learner = scheme.learner
        state = at_length(learner.encoder(batch.items), batch.length, batch.row)  # (B, D)
        over = scheme.support.columns(batch, learner.num_items)  # M of them: all items unless some are left out
        log_pi = over.log_pi(scheme, batch.items, batch.length, state, batch.row)  # (B, M)
        pi = log_pi.exp()
        to_go = returns_to_go(batch, self.gamma)  # (B,)
        value = torch.zeros_like(to_go)
        if self.baseline == "state":
            value = over.expectation(pi.detach(), over.q(learner.critic, state))
        advantage = to_go - value.detach()
        actor_loss = -(over.of(log_pi, batch.action) * advantage).mean()
        critic_loss = (to_go - value).square().mean()
        entropy = -over.expectation(pi, log_pi.masked_fill(log_pi == -torch.inf, 0.0)).mean()
        loss = actor_loss - self.entropy_weight * entropy
        logs = {"actor_loss": actor_loss.detach(), "entropy": entropy.detach(), "advantage": advantage.mean()}
        if self.baseline == "state":
            loss = loss + self.critic_weight * critic_loss
            logs |= {"critic_loss": critic_loss.detach(), "value": value.detach().mean()}
        return loss, logs
