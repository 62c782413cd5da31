"""Advantage actor-critic on replayed transitions (Eq. 6 to 10, 12, 13, 15)."""

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from ialp.errors import UserError
from ialp.nets import at_length
from ialp.rl.algorithms.base import Algorithm
from ialp.rl.algorithms.episodes import discounts
from ialp.rl.columns import Columns
from ialp.types import Transition

if TYPE_CHECKING:
    from ialp.rl.exploration import Exploration
    from ialp.rl.schemes.base import Scheme

NEEDS_EPISODES = (
    "model.init_args.algorithm: A2C's trace is above 0, which needs whole episodes: set it to 0, or data.class_path to "
    "ialp.datamodules.OnPolicyDataModule"
)


class A2C(Algorithm):
    """y = r + γ·(1 − terminated)·max_a Q(s', a);  L_Q = (y − Q(s, a))²;  L_A = −log π̂(a|s)·A.

    Args:
        gamma: discount γ.
        baseline: `state`: A = y − V(s) with V(s) = Σ_a π̂(a|s)·Q(s, a). `action`: A = y − Q(s, a), the paper's
            literal form, positive for almost every action while Q is still near zero.
        entropy_weight: weight of the entropy bonus.
        critic_weight: weight of L_Q; 1 is the paper's.
        trace: λ of the λ-return, y = r + γ·((1 − λ)·following + λ·y of the next step), which looks further ahead than
            one step at the price of more variance; an episode's last y is that of λ = 0. 0 is the paper's. Above 0 it
            needs whole episodes, as `OnPolicyDataModule` gives them.
        bootstrap: what follows in y: `max`: max_a Q(s', a), the paper's; `policy`: Σ_a π̂(a|s')·Q(s', a), which does not
            chase the overestimated Q of items that nobody has tried.
    """

    def __init__(
        self,
        gamma: float = 0.9,
        baseline: Literal["state", "action"] = "state",
        entropy_weight: float = 0.01,
        critic_weight: float = 1.0,
        bootstrap: Literal["max", "policy"] = "max",
        trace: float = 0.0,
    ) -> None:
        self.gamma, self.baseline = gamma, baseline
        self.entropy_weight, self.critic_weight = entropy_weight, critic_weight
        self.bootstrap, self.trace = bootstrap, trace

    def refusal(self, scheme: "Scheme", exploration: "Exploration", whole_episodes: bool) -> str | None:
        """One-step targets fit whatever acted; λ-returns need the rest of the episode."""
        return NEEDS_EPISODES if self.trace and not whole_episodes else None

    def loss(self, scheme: "Scheme", batch: Transition) -> tuple[Tensor, dict[str, Tensor]]:
        """L = L_A + L_Q − entropy bonus, over B transitions."""
        learner = scheme.learner
        hidden = learner.encoder(batch.items)  # (B, T, D), or (E, T, D): one causal pass holds s_t and s_{t+1}
        state = at_length(hidden, batch.length, batch.row)  # (B, D)
        over = scheme.support.columns(batch, learner.num_items)  # M of them: all items unless some are left out
        log_pi = over.log_pi(scheme, batch.items, batch.length, state, batch.row)  # (B, M)
        pi = log_pi.exp()
        with torch.no_grad():
            following = self._following(scheme, batch, over, at_length(hidden, batch.length + 1, batch.row))
            target = self._target(batch, following)  # (B,)
            value = over.expectation(pi, over.q(learner.critic, state))
        q = learner.critic.gather(state, batch.action)
        advantage = target - (value if self.baseline == "state" else q.detach())
        actor_loss = -(over.of(log_pi, batch.action) * advantage).mean()
        critic_loss = (target - q).square().mean()
        entropy = -over.expectation(pi, log_pi.masked_fill(log_pi == -torch.inf, 0.0)).mean()
        loss = actor_loss + self.critic_weight * critic_loss - self.entropy_weight * entropy
        return loss, {
            "actor_loss": actor_loss.detach(),
            "critic_loss": critic_loss.detach(),
            "entropy": entropy.detach(),
            "advantage": advantage.mean(),
            "q": q.detach().mean(),
        }

    def _following(self, scheme: "Scheme", batch: Transition, over: Columns, state: Tensor) -> Tensor:
        """(B,) value of s', whose encoding is `state` (B, D)."""
        q = over.q(scheme.learner.critic, state)  # (B, M)
        if self.bootstrap == "policy":
            log_pi = over.log_pi(scheme, batch.items, batch.length + 1, state, batch.row)
            return over.expectation(log_pi.exp(), q)
        return q.masked_fill(~over.allowed(scheme, batch.items, batch.length + 1, batch.row), -torch.inf).amax(1)

    def _target(self, batch: Transition, following: Tensor) -> Tensor:
        """(B,) y, of the value (B,) that follows each step."""
        following = following * ~batch.terminated
        if not self.trace:
            return batch.reward + self.gamma * following
        if batch.row is None:
            raise UserError(NEEDS_EPISODES)
        step = batch.length - 1
        last = batch.terminated | batch.truncated
        ahead = batch.reward + self.gamma * following * torch.where(last, 1.0, 1.0 - self.trace)
        grid = ahead.new_zeros(batch.items.shape).index_put((batch.row, step), ahead)  # (E, T), 0 past the end
        return (grid @ discounts(grid, self.gamma * self.trace))[batch.row, step]
