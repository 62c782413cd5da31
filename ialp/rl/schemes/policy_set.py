"""A-iALP_ap: a frozen policy beside a learnable one (section 4.2.3)."""

import copy
from typing import Any, Literal

import torch
from torch import Tensor

from ialp.masking import masked_log_softmax
from ialp.nets import ActorCritic
from ialp.rl.columns import ALL, Columns
from ialp.rl.schedules import AlphaSchedule, LinearAlpha
from ialp.rl.schemes.base import Scheme


class PolicySet(Scheme):
    """π̂ = (1 − α)·π_θ + α·π_φ, with θ frozen and α rising to 1 (Eq. 14).

    Args:
        alpha: schedule of α over environment steps.
        learner_start: what φ starts from. `new_actor`: encoder and critic of θ under a new actor head; `random`:
            nothing of θ (the paper's section 5.4); `pretrained`: all of θ (the paper's Algorithm 2, line 3).
    """

    mixes_policies = True
    alpha: Tensor

    def __init__(
        self,
        alpha: AlphaSchedule | None = None,
        learner_start: Literal["new_actor", "random", "pretrained"] = "new_actor",
    ) -> None:
        super().__init__()
        self.schedule = alpha or LinearAlpha()
        self.samples_policy = not self.schedule.serves_alone
        self.learner_start = learner_start
        self.register_buffer("alpha", torch.tensor(self.schedule(0)))

    def build(self, pretrained: ActorCritic | None, fresh: ActorCritic | None) -> None:
        """θ frozen, φ beside it."""
        assert pretrained is not None and fresh is not None
        self.learner = fresh
        if self.learner_start != "random":
            self.learner.encoder.load_state_dict(pretrained.encoder.state_dict())
            self.learner.critic.load_state_dict(pretrained.critic.state_dict())
        if self.learner_start == "pretrained":
            self.learner.actor.load_state_dict(pretrained.actor.state_dict())
        self.frozen = copy.deepcopy(pretrained).requires_grad_(False)

    def advance(self, environment_steps: int) -> dict[str, float]:
        """Moves α along its schedule."""
        self.alpha.fill_(self.schedule(environment_steps))
        return {"alpha": float(self.alpha), **self.schedule.figures()}

    @torch.no_grad()
    def behaviour(self, probabilities: Tensor, allowed: Tensor, items: Tensor, length: Tensor, user: Tensor) -> Tensor:
        """(B, I) π̂, or π_θ and π_φ themselves for the users that the schedule has them serve alone."""
        if not self.schedule.serves_alone:
            return probabilities
        alone, probabilities = self.schedule.alone(user), probabilities.clone()
        for number, policy in enumerate((self.frozen, self.learner)):
            rows = (alone == number).nonzero().squeeze(1)
            if len(rows):
                logits = policy.logits(policy.state(items[rows], length[rows]))
                probabilities[rows] = masked_log_softmax(logits, allowed[rows]).exp()
        return probabilities

    def hear(self, user: Tensor, returns: Tensor) -> None:
        """Lets the schedule know how users fare."""
        self.schedule.hear(user, returns)

    def local_state(self) -> dict[str, Any]:
        """The schedule's."""
        return self.schedule.local_state()

    def load_local_state(self, state: dict[str, Any]) -> None:
        """The schedule goes on."""
        self.schedule.load_local_state(state)

    def mixture(self) -> dict[str, tuple[float, ActorCritic]]:
        """θ with 1 − α, φ with α."""
        alpha = float(self.alpha)
        return {"frozen": (1 - alpha, self.frozen), "policy": (alpha, self.learner)}

    def log_probabilities(
        self,
        items: Tensor,
        length: Tensor,
        state: Tensor | None = None,
        row: Tensor | None = None,
        over: Columns = ALL,
    ) -> Tensor:
        """The log of the mixture, (B, M): the gradient reaches φ only, weighted by its share α·π_φ / π̂."""
        mask = over.allowed(self, items, length, row)
        with torch.no_grad():
            log_frozen = over.log_softmax(self.frozen, self.frozen.state(items, length, row), mask)
        if self.alpha == 0:
            return log_frozen
        state = self.learner.state(items, length, row) if state is None else state
        log_learner = over.log_softmax(self.learner, state, mask)
        if self.alpha == 1:
            return log_learner
        # The masked entries are -inf on both sides, whose logaddexp has no gradient: keep them out of it.
        mixture = torch.logaddexp(
            log_frozen.masked_fill(~mask, 0.0) + torch.log1p(-self.alpha),
            log_learner.masked_fill(~mask, 0.0) + torch.log(self.alpha),
        )
        return mixture.masked_fill(~mask, -torch.inf)
