"""A-iALP_ap: a frozen policy beside a learnable one (section 4.2.3)."""

import copy
from typing import Literal

import torch
from torch import Tensor
from typing_extensions import override

from ialp.nets import ActorCritic
from ialp.rl.policy import LogPart
from ialp.rl.schedules import AlphaSchedule, LinearAlpha
from ialp.rl.schemes.base import Scheme
from ialp.types import History


class PolicySet(Scheme):
    """π̂ = (1 − α)·π_θ + α·π_φ, with θ frozen and α rising to 1 (Eq. 14).

    Args:
        alpha: schedule of α over environment steps.
        learner_start: initial weights of φ. `pretrained`: all of θ (the paper's Algorithm 2, line 3); `new_actor`:
            encoder and critic of θ under a new actor head; `random`: nothing of θ (the paper's section 5.4).
    """

    mixes_policies = True
    alpha: Tensor

    def __init__(
        self,
        alpha: AlphaSchedule | None = None,
        learner_start: Literal["new_actor", "random", "pretrained"] = "pretrained",
    ) -> None:
        super().__init__()
        self.schedule = alpha or LinearAlpha()
        self.learner_start = learner_start
        self.register_buffer("alpha", torch.tensor(self.schedule(0)))

    @override
    def build(self, pretrained: ActorCritic | None, fresh: ActorCritic | None) -> None:
        assert pretrained is not None and fresh is not None
        self.learner = fresh
        if self.learner_start != "random":
            self.learner.encoder.load_state_dict(pretrained.encoder.state_dict())
            self.learner.critic.load_state_dict(pretrained.critic.state_dict())
        if self.learner_start == "pretrained":
            self.learner.actor.load_state_dict(pretrained.actor.state_dict())
        self.theta = copy.deepcopy(pretrained).requires_grad_(False)

    @override
    def on_environment_steps(self, environment_steps: int) -> dict[str, float]:
        self.alpha.fill_(self.schedule(environment_steps))
        return {"alpha": float(self.alpha)}

    @override
    def mixture(self) -> dict[str, tuple[float, ActorCritic]]:
        alpha = float(self.alpha)
        return {"frozen": (1 - alpha, self.theta), "policy": (alpha, self.learner)}

    @override
    def parts(self, history: History, state: Tensor | None = None) -> list[LogPart]:
        """θ and φ with the logs of 1 − α and α: the gradient reaches φ alone, weighted by its share α·π_φ / π̂."""
        parts: list[LogPart] = []
        if self.alpha < 1:
            parts.append((torch.log1p(-self.alpha), self.theta, self.theta.state(history)))
        if self.alpha > 0:
            state = self.learner.state(history) if state is None else state
            parts.append((torch.log(self.alpha), self.learner, state))
        return parts
